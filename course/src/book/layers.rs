//! What the digits' network learned.

use cnn_pictures::{
    FeaturePatches, Palette, Picture, feature_maps, heat_map, overlay, sample_grid, to_bytes,
    top_patches,
};
use cnn_runtime::Model;
use cnn_runtime::inspect::{Inspector, cut};
use ndarray::{Array3, Axis};

use super::networks::MnistCnn;
use super::page::Page;
use super::{Result, Sets};

/// Features of a layer whose patches are shown.
const FEATURES: usize = 12;

/// Kernels, feature maps, the most exciting patches, and where the network looks.
pub fn chapter(page: &mut Page, model: &Model<MnistCnn>, digits: &Sets) -> Result<()> {
    page.chapter("What the layers learned");
    let kernels = model.tensor("conv2d/kernel").ok_or("no kernels")?.into_dimensionality()?;
    page.say(
        "Nobody wrote the kernels of the network that learned the digits. It found them itself, from \
         random numbers, and some came to look like the filters of the last chapter.",
    );
    page.picture(
        &cnn_pictures::kernels(&kernels, 8, 48)?,
        "The 32 kernels of the first layer, each on a scale of its own. The middle grey is zero: brighter \
         adds, darker takes away.",
    )?;

    let mut inspector = Inspector::new(model);
    let examples = digits.test.examples();
    let mut seen = inspector.run_example(examples.inputs, 0)?;
    page.heading("One digit on its way");
    page.say(
        "A feature map shows how strongly a layer found its pattern where: 32 maps behind the first \
         convolution, 64 smaller ones behind the second. Each has colours of its own, from its smallest \
         value in dark violet to its largest in yellow.",
    );
    for (layer, side) in [("conv2d", 84), ("conv2d_1", 56)] {
        let maps = seen.feature_maps(layer)?;
        let columns = if layer == "conv2d" { 8 } else { 16 };
        let caption = format!("The feature maps of `{layer}` for the first test digit.");
        page.picture(&feature_maps(&maps, columns, side)?, &caption)?;
    }

    page.heading("Where it looks");
    let class = digits.test.labels()[0] as usize;
    let pixels = to_bytes(&seen.image().iter().copied().collect::<Vec<_>>());
    let digit = Picture::new(&pixels, 28, 28, 1)?;
    let saliency = heat_map(&seen.saliency(class)?, Palette::Inferno, 224)?;
    let cam = overlay(digit, &seen.grad_cam(class, "conv2d_1")?, 0.8, 224)?;
    let plain = digit.to_rgb();
    let three = [Picture::of(&plain)?, Picture::of(&saliency)?, Picture::of(&cam)?];
    page.picture(
        &sample_grid(&three, &["the digit", "saliency", "Grad-CAM"], 3, 224)?,
        &format!(
            "What speaks for a {class}: the pixels whose change would matter most (Simonyan, Vedaldi and \
             Zisserman 2014), and where the second convolution finds the class (Selvaraju et al. 2017)."
        ),
    )?;

    page.heading("What excites a feature most");
    page.say(
        "To learn what a feature stands for, look for the places in all test digits where it is \
         strongest, after Zeiler and Fergus (2014). Left the nine strongest patches, each as large as \
         what the layer can see; right what in them it reacts to, by guided backpropagation \
         (Springenberg et al. 2015), grey being nothing. A feature that no digit excites has empty tiles.",
    );
    for layer in ["conv2d", "conv2d_1"] {
        let caption = format!("The first {FEATURES} features of `{layer}`.");
        page.picture(&patches(&mut inspector, digits, layer)?, &caption)?;
    }
    page.say(
        "Behind the first convolution features are dots and edges; behind the second they are pieces of \
         strokes: level, upright and slanted ones, bends and ends. To try digits of your own: `cargo run --release --example playground`.",
    );
    Ok(())
}

/// A patch's pixels with its height and width.
type Patch = (Vec<u8>, usize, usize);

fn patches(
    inspector: &mut Inspector<MnistCnn>,
    digits: &Sets,
    layer: &str,
) -> Result<cnn_pictures::image::RgbImage> {
    let inputs = digits.test.examples().inputs;
    let strongest = inspector.strongest(inputs, layer, 9)?;
    let mut features: Vec<(String, Vec<Patch>, Vec<Patch>)> = Vec::new();
    for (feature, places) in strongest.features.iter().enumerate().take(FEATURES) {
        let (mut patches, mut reactions) = (Vec::new(), Vec::new());
        // What never was positive was excited by nothing.
        for place in places.iter().filter(|place| place.value > 0.0) {
            let patch = Inspector::<MnistCnn>::patch(inputs, layer, place, 0.0)?;
            let at = [place.row, place.column];
            let mut seen = inspector.run_example(inputs, place.image)?;
            let guided = seen.guided(layer, feature, at)?;
            patches.push(bytes(&patch));
            reactions.push(bytes(&balanced(cut(guided.view(), &strongest.field.at(at), 0.0))));
        }
        features.push((format!("feature {feature}"), patches, reactions));
    }
    let mut views: Vec<(&str, Vec<Picture<'_>>, Vec<Picture<'_>>)> = Vec::new();
    for (title, patches, reactions) in &features {
        views.push((title, view(patches)?, view(reactions)?));
    }
    let blocks: Vec<FeaturePatches<'_>> = views
        .iter()
        .map(|(title, patches, seen)| FeaturePatches { title, patches, seen })
        .collect();
    Ok(top_patches(&blocks, 3, 40)?)
}

fn view(patches: &[Patch]) -> Result<Vec<Picture<'_>>> {
    let views =
        patches.iter().map(|(bytes, height, width)| Picture::new(bytes, *height, *width, 1));
    Ok(views.collect::<std::result::Result<_, _>>()?)
}

fn bytes(patch: &Array3<f32>) -> Patch {
    let values: Vec<f32> = patch.iter().copied().collect();
    (to_bytes(&values), patch.len_of(Axis(0)), patch.len_of(Axis(1)))
}

/// Zero in the middle, the largest magnitude at one end.
fn balanced(values: Array3<f32>) -> Array3<f32> {
    let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    values.mapv_into(|value| if most > 0.0 { 0.5 + 0.5 * value / most } else { 0.5 })
}
