//! Filters against what OpenCV computed; `data/make.py` made the reference.

use std::path::Path;

use cnn_pictures::filter::{Kernel, NAMED, correlate, filter2d};
use cnn_pictures::{Picture, decode, luma};
use flate2::Crc;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("data/filter2d.json")).unwrap()
}

fn photograph(name: &str) -> cnn_pictures::image::RgbImage {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/photograph");
    decode(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn crc(bytes: &[u8]) -> u64 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().into()
}

/// The kernels of the reference, read as the command reads them.
fn kernels(reference: &Value) -> Vec<(String, Kernel)> {
    let kernels = reference["kernels"].as_object().unwrap();
    kernels.iter().map(|(name, rows)| (name.clone(), rows.to_string().parse().unwrap())).collect()
}

#[test]
fn named_kernels_are_the_reference_s() {
    let written = kernels(&reference());
    for (name, _) in NAMED {
        let (_, kernel) = written.iter().find(|(known, _)| known == name).unwrap();
        assert_eq!(Kernel::named(name).unwrap(), *kernel, "{name}");
    }
}

#[test]
fn small_images_are_equal() {
    let reference = reference();
    let kernels = kernels(&reference);
    let mut compared = 0;
    for image in reference["images"].as_array().unwrap() {
        let (height, width) = (size(&image["height"]), size(&image["width"]));
        let pixels = bytes(&image["pixels"]);
        let picture = Picture::new(&pixels, height, width, 3).unwrap();
        for (name, kernel) in &kernels {
            let expected = bytes(&image["results"][name]);
            assert_eq!(filter2d(picture, kernel).into_raw(), expected, "{name} {height}x{width}");
            compared += 1;
        }
        // A grey picture is its only channel, three times.
        let red: Vec<u8> = pixels.iter().copied().step_by(3).collect();
        let grey = Picture::new(&red, height, width, 1).unwrap();
        for (name, kernel) in &kernels {
            let expected = bytes(&image["results"][name]);
            for (found, expected) in filter2d(grey, kernel).pixels().zip(expected.chunks(3)) {
                assert_eq!(found.0, [expected[0]; 3], "{name} {height}x{width}");
            }
        }
    }
    assert_eq!(compared, 50);
}

#[test]
fn sums_are_equal_before_saturation() {
    let reference = reference();
    let image = &reference["images"].as_array().unwrap()[4];
    let pixels = bytes(&image["pixels"]);
    let picture = Picture::new(&pixels, 31, 17, 3).unwrap();
    for (name, expected) in reference["sums"].as_object().unwrap() {
        let sums = correlate(picture, &Kernel::named(name).unwrap());
        let expected = expected.as_array().unwrap().iter().map(|sum| sum.as_f64().unwrap());
        assert!(sums.iter().copied().eq(expected), "{name}");
    }
}

#[test]
fn the_photograph_is_equal() {
    let reference = reference();
    let image = photograph("astronaut.png");
    let expected = &reference["photograph"];
    assert_eq!(crc(image.as_raw()), expected["crc32"].as_u64().unwrap());
    let picture = Picture::of(&image).unwrap();
    for (name, kernel) in kernels(&reference) {
        let found = filter2d(picture, &kernel).into_raw();
        let expected = &expected["results"][&name];
        for (row, expected) in expected["rows"].as_object().unwrap() {
            let row: usize = row.parse().unwrap();
            assert_eq!(found[row * 768..][..768], bytes(expected), "{name}, row {row}");
        }
        assert_eq!(crc(&found), expected["crc32"].as_u64().unwrap(), "{name}");
    }
    let grey: Vec<u8> = image.pixels().map(|pixel| luma(pixel.0)).collect();
    assert_eq!(crc(&grey), expected["grey_crc32"].as_u64().unwrap());
}

/// Decoders of JPEG may round differently, not more.
#[test]
fn a_jpeg_is_read_as_opencv_reads_it() {
    let (jpeg, png) = (photograph("astronaut.jpg"), photograph("astronaut.png"));
    assert_eq!(jpeg.dimensions(), png.dimensions());
    let most = jpeg.iter().zip(png.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most.unwrap() <= 4, "{most:?}");
}

#[test]
fn kernels_are_checked() {
    let message = |text: &str| text.parse::<Kernel>().unwrap_err().to_string();
    assert_eq!(message("sobel"), "no kernel is called `sobel`");
    assert!(message("[[1, 2], [3]]").contains("row 1 has 2, row 2 has 1"));
    assert!(message("[1, 2]").starts_with("a kernel is written as [[1, 2], [3, 4]]: "));
    assert!(message("[[1e99]]").contains("not finite"));
    assert!(message("[]").contains("rows must be from 1 to 31, not 0"));
    assert!(message("[[]]").contains("columns must be from 1 to 31, not 0"));
    assert!(Kernel::new(&[[1.0]; 32]).is_err());
    assert_eq!("[[1, 2, 3]]".parse::<Kernel>().unwrap().shape(), (1, 3));
}
