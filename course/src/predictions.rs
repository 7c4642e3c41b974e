//! What a network takes images for.

use std::error::Error;

use cnn_pictures::image::RgbImage;
use cnn_pictures::{Picture, predictions_grid};
use cnn_runtime::data::Dataset;
use cnn_runtime::rng::Rng;
use ndarray::ArrayRef2;

/// How many test images are shown with what they were taken for.
const SHOWN: usize = 32;

/// The class of the largest output in each row, the first of several.
#[must_use]
pub fn classes(outputs: &ArrayRef2<f32>) -> Vec<usize> {
    let first = (0, f32::NEG_INFINITY);
    let largest = |values: &mut dyn Iterator<Item = &f32>| {
        values.enumerate().fold(first, |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
    };
    outputs.outer_iter().map(|row| largest(&mut row.iter())).collect()
}

/// 32 images of a set, or all where it has fewer, drawn by chance: titled `predicted (true)`, blue
/// where right and red where wrong. `predicted` holds a class for each image.
///
/// # Errors
/// If there is another number of classes than of images, or one without a name.
pub fn predictions(
    set: &Dataset,
    predicted: &[usize],
    seed: u64,
) -> Result<RgbImage, Box<dyn Error>> {
    if predicted.len() != set.len() {
        return Err(format!("{} classes for {} images", predicted.len(), set.len()).into());
    }
    let mut order: Vec<usize> = (0..set.len()).collect();
    Rng::new(seed, 0).shuffle(&mut order);
    order.truncate(SHOWN);
    let some = set.select(&order);
    let predicted: Vec<usize> = order.iter().map(|&i| predicted[i]).collect();
    let truth: Vec<usize> = some.labels().iter().map(|&label| label as usize).collect();
    let names = names(set);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(predictions_grid(&pictures(&some)?, &predicted, &truth, &names, 8, 84)?)
}

/// The images of a data set one by one.
pub(crate) fn pictures(set: &Dataset) -> Result<Vec<Picture<'_>>, cnn_pictures::Error> {
    let &[_, height, width, channels] = set.images().shape() else { unreachable!("four axes") };
    let pixels = set.images().as_slice().unwrap_or_default();
    let images = pixels.chunks_exact(height * width * channels);
    images.map(|image| Picture::new(image, height, width, channels)).collect()
}

/// The names of the classes: those that the set knows, or the numbers.
pub(crate) fn names(set: &Dataset) -> Vec<String> {
    if set.class_names().is_empty() {
        return (0..10).map(|class| class.to_string()).collect();
    }
    set.class_names().to_vec()
}

#[cfg(test)]
mod tests {
    use cnn_runtime::data::mnist;
    use ndarray::arr2;

    use super::*;

    #[test]
    fn the_first_of_the_largest() {
        let outputs = arr2(&[[0.1, 0.6, 0.3], [0.4, 0.2, 0.4], [-3.0, -2.0, -1.0]]);
        assert_eq!(classes(&outputs), [1, 0, 2]);
    }

    /// Titles of right predictions are blue and of wrong ones red, whichever images are drawn.
    #[test]
    fn right_is_blue_and_wrong_is_red() {
        let digits = mnist::load(crate::SAMPLE).unwrap().test.split_at(100).0;
        let right: Vec<usize> = digits.labels().iter().map(|&label| label as usize).collect();
        let wrong: Vec<usize> = right.iter().map(|&class| (class + 1) % 10).collect();
        let colors = |predicted: &[usize], seed| {
            let picture = predictions(&digits, predicted, seed).unwrap();
            let has = |is: fn(&[u8; 3]) -> bool| picture.pixels().any(|pixel| is(&pixel.0));
            [has(|[r, g, b]| r > b && r > g), has(|[r, g, b]| b > r && b > g)]
        };
        for seed in 0..5 {
            assert_eq!(colors(&right, seed), [false, true]);
            assert_eq!(colors(&wrong, seed), [true, false]);
        }
        assert_ne!(
            predictions(&digits, &right, 0).unwrap(),
            predictions(&digits, &right, 1).unwrap()
        );
        assert!(predictions(&digits, &right[1..], 0).is_err());
    }
}
