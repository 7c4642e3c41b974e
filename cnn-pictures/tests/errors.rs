//! Bad sizes are errors, whatever they are.

use cnn_pictures::{
    Block, Error, FeaturePatches, History, Line, Palette, Picture, architecture, channels,
    confusion_matrix, digit_values, feature_maps, heat_map, kernels, line_chart, overlay,
    predictions_grid, sample_grid, top_patches, training_curves,
};
use ndarray::{Array2, Array3, Array4};
use proptest::prelude::*;

fn grey(pixels: &[u8]) -> Picture<'_> {
    Picture::new(pixels, 1, pixels.len(), 1).unwrap()
}

#[test]
fn pictures_have_a_shape() {
    let message = |height, width, channels| {
        Picture::new(&[0; 12], height, width, channels).unwrap_err().to_string()
    };
    assert_eq!(message(2, 3, 1), "2x3 pixels of 1 channels are 6 values, not 12");
    assert_eq!(message(2, 3, 2), "a picture must have 1 channel or 3, not 2");
    assert_eq!(message(0, 3, 1), "there are no pixels to show");
    assert!(message(usize::MAX, 3, 3).contains("are the most"));
    assert!(message(usize::MAX, usize::MAX, 3).contains("are the most"));
    assert!(Picture::new(&[0; 12], 2, 2, 3).is_ok());
}

#[test]
fn grids_are_checked() {
    let picture = grey(&[1, 2]);
    assert!(matches!(sample_grid(&[], &[], 3, 9), Err(Error::Empty(_))));
    assert!(matches!(sample_grid(&[picture], &["a", "b"], 3, 9), Err(Error::Count { .. })));
    for (columns, side) in [(0, 9), (1001, 9), (1, 0), (1, 4097), (usize::MAX, 9), (3, usize::MAX)]
    {
        let found = sample_grid(&[picture], &[], columns, side);
        assert!(matches!(found, Err(Error::Range { .. })), "{columns} {side}");
    }
    let many = vec![picture; 10_000];
    assert!(matches!(sample_grid(&many, &[], 1, 4096), Err(Error::TooLarge { .. })));
    let names = ["cat", "dog"];
    assert!(predictions_grid(&[picture], &[1], &[2], &names, 1, 9).is_err());
    assert!(predictions_grid(&[picture], &[], &[1], &names, 1, 9).is_err());
    assert!(predictions_grid(&[picture], &[0], &[0], &[], 1, 9).is_err());
    assert!(predictions_grid(&[picture], &[0], &[1], &names, 1, 9).is_ok());
}

#[test]
fn other_pictures_are_checked() {
    let long = [0; 129];
    assert!(matches!(digit_values(grey(&long)), Err(Error::Range { .. })));
    let colors = Picture::new(&[0; 3], 1, 1, 3).unwrap();
    assert!(matches!(digit_values(colors), Err(Error::Channels { .. })));
    assert!(channels(colors, Palette::Grey, 0).is_err());
    for shape in [(2, 2, 2, 4), (2, 2, 3, 0), (0, 2, 3, 1)] {
        assert!(kernels(&Array4::zeros(shape), 4, 8).is_err(), "{shape:?}");
    }
    let nan = Array4::from_elem((2, 2, 1, 1), f32::NAN);
    assert!(matches!(kernels(&nan, 1, 9), Err(Error::NotFinite(_))));
    assert!(feature_maps(&Array3::zeros((4, 0, 2)), 4, 8).is_err());
    assert!(feature_maps(&Array3::from_elem((1, 1, 1), f32::INFINITY), 4, 8).is_err());
    assert!(heat_map(&Array2::zeros((0, 3)), Palette::Grey, 9).is_err());
    assert!(overlay(colors, &Array2::zeros((1, 1)), f32::NAN, 9).is_err());
    assert!(overlay(colors, &Array2::zeros((1, 1)), 7.0, 9).is_ok());
    let ten = [colors; 10];
    let feature = FeaturePatches { title: "", patches: &ten, seen: &[] };
    assert!(matches!(top_patches(&[feature], 1, 9), Err(Error::Range { .. })));
    assert!(matches!(top_patches(&[], 1, 9), Err(Error::Empty(_))));
}

#[test]
fn drawings_are_checked() {
    assert!(matches!(training_curves(&History::default()), Err(Error::Empty(_))));
    let uneven = History { loss: &[1.0, 2.0], val_loss: &[1.0], ..History::default() };
    assert!(matches!(training_curves(&uneven), Err(Error::Count { .. })));
    let nan = History { loss: &[f32::NAN], ..History::default() };
    assert!(matches!(training_curves(&nan), Err(Error::NotFinite(_))));
    let gap = [1.0, f32::INFINITY, 0.5];
    let svg = line_chart("Loss", &[Line { name: "training", values: &gap }]).unwrap();
    assert!(!svg.as_str().contains("inf") && !svg.as_str().contains("NaN"));
    assert!(line_chart("Loss", &[]).is_err());
    assert!(confusion_matrix(&Array2::zeros((2, 3)), &["a", "b"]).is_err());
    assert!(confusion_matrix(&Array2::zeros((2, 2)), &["a"]).is_err());
    assert!(confusion_matrix(&Array2::zeros((0, 0)), &[]).is_err());
    let huge = Array2::from_elem((1, 1), u64::MAX);
    assert!(confusion_matrix(&huge, &["a"]).is_ok());
    let block = |sources| Block { name: "a", class: "Dense", shape: "4", params: 1, sources };
    assert!(architecture("net", "4", &[]).is_err());
    assert!(architecture("net", "4", &[block(&[1])]).is_err());
    assert!(architecture("net", "4", &[block(&[]), block(&[0, 1])]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever numbers come in, there is a picture or an error.
    #[test]
    fn nothing_panics(
        height in 0usize..6,
        width in 0usize..6,
        channels_ in 0usize..5,
        columns in 0usize..5,
        side in 0usize..40,
        values in proptest::collection::vec(any::<f32>(), 150),
        title in ".{0,12}",
    ) {
        let shape = (height, width, channels_);
        let values = &values[..height * width * channels_];
        let bytes = cnn_pictures::to_bytes(values);
        if let Ok(picture) = Picture::new(&bytes, height, width, channels_) {
            let _ = sample_grid(&[picture; 3], &[title.as_str(); 3], columns, side);
            let _ = channels(picture, Palette::Viridis, side);
            let _ = digit_values(picture);
            let feature = FeaturePatches { title: &title, patches: &[picture], seen: &[] };
            let _ = top_patches(&[feature], columns, side);
        }
        let array = Array3::from_shape_vec(shape, values.to_vec()).unwrap();
        let _ = feature_maps(&array, columns, side);
        let _ = kernels(&array.insert_axis(ndarray::Axis(3)), columns, side);
        let _ = line_chart(&title, &[Line { name: &title, values }]);
        let _ = architecture(&title, &title, &[Block {
            name: &title, class: &title, shape: &title, params: u64::MAX, sources: &[columns],
        }]);
    }
}
