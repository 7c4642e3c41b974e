//! Photographs in ten classes, or what to do to have them.

use std::io::Write;

use cnn_pictures::sample_grid;

use super::networks::Cifar10Cnn;
use super::page::Page;
use super::training::{show, train};
use super::{Options, Result, Sets};
use crate::predictions::pictures;

const MISSING: &str = "CIFAR-10 is missing here. It carries no licence and is not shipped: take the binary \
version from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and make this page again with \
`cargo run --release --example lesson -- --data DIR`, DIR being the folder above \
`cifar-10-batches-bin`.";

/// How many training images are held out, as long as that is at most a tenth of them.
const VALIDATION: usize = 5_000;

/// The first 36 photographs.
pub fn samples(page: &mut Page, photographs: Option<&Sets>) -> Result<()> {
    page.heading("Photographs");
    let Some(sets) = photographs else {
        page.missing(&format!("Here would be the first 36 photographs of CIFAR-10. {MISSING}"));
        return Ok(());
    };
    let some = sets.train.split_at(sets.train.len().min(36)).0;
    let caption = format!("The first 36 photographs, 32 × 32 pixels each, from {}.", sets.from);
    page.picture(&sample_grid(&pictures(&some)?, &[], 12, 64)?, &caption)?;
    Ok(())
}

/// Trains the third network.
pub fn chapter(
    page: &mut Page,
    photographs: Option<&Sets>,
    options: &Options,
    log: &mut (dyn Write + Send),
) -> Result<()> {
    page.chapter("Training on photographs");
    page.say(
        "Ten classes, from airplane to truck, in 32 × 32 coloured pixels: harder than digits, for a dog \
         may look any way it likes. The third network sees 32 photographs at a time. Some of the training \
         images, the first 5,000 of the full set, are held out for validation.",
    );
    let Some(sets) = photographs else {
        page.missing(&format!(
            "Here would be the log of its training, the curves, and 32 photographs with what the network \
             takes them for. {MISSING}"
        ));
        return Ok(());
    };
    let held_out = VALIDATION.min(sets.train.len() / 10);
    let (validation, rest) = sets.train.examples().split_at(held_out);
    page.say(&format!(
        "{} photographs to train on, {held_out} for validation, {} for the test.",
        rest.len(),
        sets.test.len()
    ));
    let trained = train::<Cifar10Cnn>(rest, validation, options, log)?;
    show(page, &trained, &sets.test, options)?;
    let kernels = trained.model.tensor("conv2d/kernel").ok_or("no kernels")?;
    let kernels = kernels.into_dimensionality()?;
    page.picture(
        &cnn_pictures::kernels(&kernels, 8, 64)?,
        "The 16 kernels of its first layer, 2 × 2 pixels of three colours, each on a scale of its own. \
         The middle grey is zero; red, green and blue are brighter where they add, darker where they \
         take away.",
    )?;
    Ok(())
}
