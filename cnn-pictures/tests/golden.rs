//! Every picture against one that was looked at. A channel of a pixel may differ by 8 of 255, because
//! letters and averages are computed in floats; drawings are compared as text.
//!
//! `CNN_PICTURES_REGENERATE=1 cargo test -p cnn-pictures --test golden` writes the pictures anew: look
//! at each of them before it is committed.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cnn_pictures::filter::{Kernel, correlate, filter2d};
use cnn_pictures::image::{RgbImage, imageops};
use cnn_pictures::{
    Block, FeaturePatches, Format, History, Line, Palette, Picture, Svg, architecture, channels,
    confusion_matrix, count_confusions, decode, digit_values, encode, feature_maps, grey, heat_map,
    kernels, line_chart, overlay, predictions_grid, sample_grid, top_patches, training_curves,
};
use ndarray::{Array2, Array3, Array4, Axis, s};

const TOLERANCE: u8 = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn regenerate() -> bool {
    std::env::var_os("CNN_PICTURES_REGENERATE").is_some()
}

fn check(name: &str, found: &RgbImage) {
    let path = folder().join(name).with_extension("png");
    if regenerate() {
        fs::write(&path, encode(found, Format::Png).unwrap()).unwrap();
    }
    let expected = decode(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
    let most = found.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(TOLERANCE), "{name}: a channel differs by {most:?}");
}

fn check_svg(name: &str, found: &Svg) {
    let path = folder().join(name).with_extension("svg");
    if regenerate() {
        fs::write(&path, found.as_str()).unwrap();
    }
    assert_eq!(found.as_str(), fs::read_to_string(&path).unwrap(), "{name}");
}

fn data(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(path)).unwrap()
}

/// The first digits of the sample that ships, 28x28 bytes each.
fn digits(count: usize) -> Vec<Vec<u8>> {
    let file = data("mnist-sample/train-images-idx3-ubyte.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&file[..]).read_to_end(&mut bytes).unwrap();
    bytes[16..].chunks(784).take(count).map(<[u8]>::to_vec).collect()
}

fn labels(count: usize) -> Vec<usize> {
    let file = data("mnist-sample/train-labels-idx1-ubyte.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&file[..]).read_to_end(&mut bytes).unwrap();
    bytes[8..].iter().take(count).map(|label| usize::from(*label)).collect()
}

fn photograph() -> RgbImage {
    decode(&data("photograph/astronaut.png")).unwrap()
}

/// Squares of 32x32 pixels out of the photograph, in place of small colour images.
fn squares(count: u32) -> Vec<RgbImage> {
    let photograph = photograph();
    (0..count)
        .map(|i| imageops::crop_imm(&photograph, i * 53 % 224, i * 97 % 224, 32, 32).to_image())
        .collect()
}

fn pictures(images: &[RgbImage]) -> Vec<Picture<'_>> {
    images.iter().map(|image| Picture::of(image).unwrap()).collect()
}

#[test]
fn samples() {
    let digits = digits(6);
    let views: Vec<Picture<'_>> =
        digits.iter().map(|digit| Picture::new(digit, 28, 28, 1).unwrap()).collect();
    let titles: Vec<String> = labels(6).iter().map(usize::to_string).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    check("digits", &sample_grid(&views, &titles, 6, 84).unwrap());
    check("digit_values", &digit_values(views[0]).unwrap());
    check("squares", &sample_grid(&pictures(&squares(36)), &[], 12, 32).unwrap());
    // The last row is not full, the pictures differ in size, and one is larger than its place.
    let photograph = photograph();
    let square = &squares(1)[0];
    let mixed = [views[1], Picture::of(&photograph).unwrap(), Picture::of(square).unwrap()];
    check("mixed", &sample_grid(&mixed, &["one", "a longer title", "three"], 2, 70).unwrap());
}

#[test]
fn predictions() {
    let names =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    let truth: Vec<usize> = (0..32).map(|i| i * 7 % 10).collect();
    let predicted: Vec<usize> = truth
        .iter()
        .enumerate()
        .map(|(i, class)| if i % 3 == 1 { 9 - class } else { *class })
        .collect();
    let squares = squares(32);
    let found = predictions_grid(&pictures(&squares), &predicted, &truth, &names, 8, 64).unwrap();
    check("predictions", &found);
}

#[test]
fn channels_of_a_photograph() {
    let photograph = photograph();
    let picture = Picture::of(&photograph).unwrap();
    check("channels_grey", &channels(picture, Palette::Grey, 64).unwrap());
    check("channels_viridis", &channels(picture, Palette::Viridis, 64).unwrap());
    let both = [grey(picture, Palette::Grey), grey(picture, Palette::Viridis)];
    check("grey", &sample_grid(&pictures(&both), &["grey", "viridis"], 2, 64).unwrap());
    let edges = ["sobel_x", "sobel_y", "edge", "emboss", "blur", "sharpen"];
    let filtered = edges.map(|name| filter2d(picture, &Kernel::named(name).unwrap()));
    check("filters", &sample_grid(&pictures(&filtered), &edges, 3, 96).unwrap());
}

#[test]
fn curves() {
    let falling = |from: f32, to: f32, bump: f32| -> Vec<f32> {
        (0..10u8)
            .map(|n| to + (from - to) * (-0.7 * f32::from(n)).exp() + bump * f32::from(n % 3))
            .collect()
    };
    let history = History {
        loss: &falling(0.42, 0.02, 0.0),
        val_loss: &falling(0.2, 0.06, 0.01),
        accuracy: &falling(0.87, 0.995, 0.0),
        val_accuracy: &falling(0.94, 0.985, -0.003),
    };
    check_svg("training_curves", &training_curves(&history).unwrap());
    let single = History { loss: &[0.42], accuracy: &[0.9], ..History::default() };
    check_svg("one_epoch", &training_curves(&single).unwrap());
    let long: Vec<f32> = (0..300u16).map(|n| 900.0 / f32::from(n + 1)).collect();
    let gap = [800.0, f32::NAN, 500.0, 450.0];
    let lines = [Line { name: "long", values: &long }, Line { name: "short", values: &gap }];
    check_svg("line_chart", &line_chart("Something else", &lines).unwrap());
}

#[test]
fn confusions() {
    let truth: Vec<usize> = (0..2000).map(|i| i % 10).collect();
    let predicted: Vec<usize> = truth
        .iter()
        .enumerate()
        .map(|(i, class)| if i % 23 == 0 { i / 23 % 10 } else { *class })
        .collect();
    let counts = count_confusions(&predicted, &truth, 10).unwrap();
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    check_svg("confusion_digits", &confusion_matrix(&counts, &digits).unwrap());
    let counts = counts.slice(s![..3, ..3]).to_owned();
    let names = ["airplane", "automobile", "bird"];
    check_svg("confusion_names", &confusion_matrix(&counts, &names).unwrap());
}

/// Gabor's functions, which first layers of trained networks look like.
fn gabor(size: usize, channels: usize, filters: usize) -> Array4<f32> {
    Array4::from_shape_fn((size, size, channels, filters), |(y, x, channel, filter)| {
        let middle = (size as f32 - 1.0) / 2.0;
        let (y, x) = (y as f32 - middle, x as f32 - middle);
        let angle = filter as f32 * 0.4 + channel as f32 * 0.3 * (filter % 3) as f32;
        let wave = ((x * angle.cos() + y * angle.sin()) * 6.0 / size as f32 + filter as f32).cos();
        wave * (-(x * x + y * y) / (size * size) as f32 * 3.0).exp()
    })
}

fn maps() -> Array3<f32> {
    let square = imageops::crop_imm(&photograph(), 100, 20, 64, 64).to_image();
    let grey: Vec<u8> = grey(Picture::of(&square).unwrap(), Palette::Grey).into_raw();
    let grey: Vec<u8> = grey.into_iter().step_by(3).collect();
    let picture = Picture::new(&grey, 64, 64, 1).unwrap();
    let maps = ["sobel_x", "sobel_y", "blur", "edge", "emboss"].map(|name| {
        let sums = correlate(picture, &Kernel::named(name).unwrap());
        // As a layer with relu has them.
        sums.index_axis_move(Axis(2), 0).mapv(|sum| sum.max(0.0) as f32)
    });
    let dead = Array2::zeros((64, 64));
    let mut views: Vec<_> = maps.iter().map(|map| map.view()).collect();
    views.push(dead.view());
    ndarray::stack(Axis(2), &views).unwrap()
}

#[test]
fn layers() {
    check("kernels_color", &kernels(&gabor(5, 3, 16), 8, 40).unwrap());
    check("kernels_grey", &kernels(&gabor(3, 1, 32), 8, 36).unwrap());
    check("feature_maps", &feature_maps(&maps(), 3, 64).unwrap());
}

#[test]
fn patches() {
    let squares = squares(18);
    let edges: Vec<RgbImage> = squares
        .iter()
        .map(|square| filter2d(Picture::of(square).unwrap(), &Kernel::named("edge").unwrap()))
        .collect();
    let (patches, seen) = (pictures(&squares), pictures(&edges));
    // The second feature has patches from the border, and fewer than nine.
    let cut = imageops::crop_imm(&squares[3], 0, 0, 20, 32).to_image();
    let few = [patches[10], Picture::of(&cut).unwrap(), patches[12], patches[13]];
    let features = [
        FeaturePatches { title: "feature 0", patches: &patches[..9], seen: &seen[..9] },
        FeaturePatches { title: "feature 7", patches: &few, seen: &seen[10..14] },
    ];
    check("top_patches", &top_patches(&features, 2, 32).unwrap());
}

#[test]
fn heat() {
    let peak =
        |y: usize, x: usize| (-((y as f32 - 2.0).powi(2) + (x as f32 - 3.0).powi(2)) / 4.0).exp();
    let values = Array2::from_shape_fn((7, 7), |(y, x)| peak(y, x));
    check("heat_map", &heat_map(&values, Palette::Inferno, 140).unwrap());
    let photograph = photograph();
    let picture = Picture::of(&photograph).unwrap();
    check("overlay", &overlay(picture, &values, 0.7, 128).unwrap());
    let digit = &digits(1)[0];
    let digit = Picture::new(digit, 28, 28, 1).unwrap();
    check("overlay_digit", &overlay(digit, &values, 0.7, 140).unwrap());
}

fn block<'a>(layer: (&'a str, &'a str, &'a str, u64), sources: &'a [usize]) -> Block<'a> {
    let (name, class, shape, params) = layer;
    Block { name, class, shape, params, sources }
}

#[test]
fn diagrams() {
    let layers = [
        block(("conv2d", "Conv2D", "28x28x32", 320), &[]),
        block(("max_pooling2d", "MaxPooling2D", "14x14x32", 0), &[]),
        block(("conv2d_1", "Conv2D", "14x14x64", 18_496), &[]),
        block(("max_pooling2d_1", "MaxPooling2D", "7x7x64", 0), &[]),
        block(("flatten", "Flatten", "3136", 0), &[]),
        block(("dense", "Dense", "64", 200_768), &[]),
        block(("dense_1", "Dense", "10", 650), &[]),
    ];
    check_svg("architecture", &architecture("mnist_cnn", "28x28x1", &layers).unwrap());
    let layers = [
        block(("conv2d", "Conv2D", "8x8x16", 448), &[]),
        block(("batch_normalization", "BatchNormalization", "8x8x16", 64), &[1]),
        block(("conv2d_1", "Conv2D", "8x8x16", 2320), &[2]),
        block(("add", "Add", "8x8x16", 0), &[3, 1]),
        block(("conv2d_2", "Conv2D", "8x8x16", 2320), &[2]),
        block(("concatenate", "Concatenate", "8x8x48", 0), &[4, 5, 0]),
        block(("global_average_pooling2d", "GlobalAveragePooling2D", "48", 0), &[6]),
    ];
    check_svg("branches", &architecture("Branches & Co", "8x8x3", &layers).unwrap());
}
