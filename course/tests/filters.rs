//! Filters three ways: as OpenCV computes them, as `cnn-pictures` does, and as a model of fixed kernels
//! on a picture with its border reflected. All numbers are equal before they are saturated.

use cnn_pictures::filter::{Kernel, correlate};
use cnn_pictures::{Picture, decode};
use cnn_runtime::data::Inputs;
use cnn_runtime::{Model, Network, cnn};
use ndarray::{Array3, ArrayView3};
use serde_json::Value;

cnn! {
    model SobelX {
        input(33, 19, 1);
        Conv2D(kernel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], use_bias = false, trainable = false);
    }

    model SobelY {
        input(33, 19, 1);
        Conv2D(kernel = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]], use_bias = false, trainable = false);
    }

    model Sharpen {
        input(33, 19, 1);
        Conv2D(kernel = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], use_bias = false, trainable = false);
    }

    model PhotographEdges {
        input(258, 258, 1);
        Conv2D(kernel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], use_bias = false, trainable = false);
    }
}

/// One channel with a border of one pixel, mirrored without repeating the edge: `b|abcd|c`.
fn reflected(pixels: &ArrayView3<'_, u8>, channel: usize) -> Vec<f32> {
    let (height, width, _) = pixels.dim();
    let mirror = |place: usize, length: usize| match place {
        0 => 1,
        place if place > length => length - 2,
        place => place - 1,
    };
    let cells = (0..height + 2).flat_map(|y| (0..width + 2).map(move |x| (y, x)));
    cells.map(|(y, x)| f32::from(pixels[[mirror(y, height), mirror(x, width), channel]])).collect()
}

/// What the model computes for each channel: height, width, channels.
fn predicted<N: Network>(pixels: &ArrayView3<'_, u8>) -> Array3<f64> {
    let model = Model::<N>::new(1);
    let mut all = Array3::zeros(pixels.dim());
    for channel in 0..3 {
        let sums = model.predict(Inputs::Floats(&reflected(pixels, channel))).unwrap();
        let mut place = all.index_axis_mut(ndarray::Axis(2), channel);
        for (to, from) in place.iter_mut().zip(sums.iter()) {
            *to = f64::from(*from);
        }
    }
    all
}

#[test]
fn a_model_of_fixed_kernels_computes_what_opencv_does() {
    let reference: Value =
        serde_json::from_str(include_str!("../../cnn-pictures/tests/data/filter2d.json")).unwrap();
    let image = &reference["images"][4];
    assert_eq!((image["height"].as_u64(), image["width"].as_u64()), (Some(31), Some(17)));
    let hex = image["pixels"].as_str().unwrap();
    let pixels: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    let view = ArrayView3::from_shape((31, 17, 3), &pixels).unwrap();
    let picture = Picture::new(&pixels, 31, 17, 3).unwrap();
    for (name, found) in [
        ("sobel_x", predicted::<SobelX>(&view)),
        ("sobel_y", predicted::<SobelY>(&view)),
        ("sharpen", predicted::<Sharpen>(&view)),
    ] {
        let expected = reference["sums"][name].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(Some(*found), expected.as_f64(), "{name}");
        }
        assert_eq!(found, correlate(picture, &Kernel::named(name).unwrap()), "{name}");
    }
}

#[test]
fn a_model_filters_the_photograph() {
    let image = decode(include_bytes!("../../data/photograph/astronaut.jpg")).unwrap();
    let view = ArrayView3::from_shape((256, 256, 3), image.as_raw()).unwrap();
    let found = predicted::<PhotographEdges>(&view);
    let expected = correlate(Picture::of(&image).unwrap(), &Kernel::named("sobel_x").unwrap());
    assert!(found == expected, "a model and the filter differ");
    assert!(found.iter().any(|sum| *sum < 0.0) && found.iter().any(|sum| *sum > 255.0));
}
