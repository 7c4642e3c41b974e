//! What the digit examples share: flags, data, and the run from summary to test accuracy.

use std::error::Error;
use std::path::PathBuf;

use bpaf::{Parser as _, construct, long};
use cnn_runtime::Network;
use cnn_runtime::data::mnist;

#[path = "../training/mod.rs"]
mod training;

use training::{Sets, Training};

/// The digits that ship with the repository.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist-sample");

/// Flags of the digit examples.
#[derive(Debug)]
struct Flags {
    data: PathBuf,
    training: Training,
}

impl Flags {
    fn parse() -> Self {
        let data = long("data")
            .help("Folder with the four IDX files of MNIST, plain or gzip; the shipped sample unless given")
            .argument("DIR")
            .fallback(SAMPLE.into());
        let training = Training::flags();
        construct!(Self { data, training }).to_options().run()
    }
}

/// Trains a fresh model, keeps the weights with the lowest validation loss, and tests them.
pub fn run<N: Network>() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    print!("{}", N::SUMMARY);

    let digits = mnist::load(&flags.data)?;
    println!(
        "\n{} training and {} test digits from {}",
        digits.train.len(),
        digits.test.len(),
        flags.data.display()
    );
    // The last tenth of the training digits tells which weights are best.
    let (train, validation) = digits.train.examples().split_last(0.1);
    let sets = Sets { train, validation, test: digits.test.examples() };
    flags.training.run::<N>(&sets)?;
    Ok(())
}
