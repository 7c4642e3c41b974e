//! Images with their classes, owned.

use ndarray::{Array1, Array2, Array4, Axis};

use super::split::{ShareError, stratified};
use super::statistics::ChannelStatistics;
use super::{Examples, ExamplesError, Inputs, Targets};

/// Images as bytes, with one class each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    images: Array4<u8>,
    labels: Array1<u32>,
    class_names: Vec<String>,
}

impl Dataset {
    /// Joins images of shape (samples, height, width, channels) with their classes.
    ///
    /// # Errors
    /// If the numbers of images and labels differ.
    pub fn new(images: Array4<u8>, labels: Array1<u32>) -> Result<Self, ExamplesError> {
        if images.len_of(Axis(0)) != labels.len() {
            let inputs = images.len_of(Axis(0));
            return Err(ExamplesError::Count { inputs, targets: labels.len() });
        }
        let (images, labels) = (standard(images), standard(labels));
        Ok(Self { images, labels, class_names: Vec::new() })
    }

    /// Says what the classes are called, class 0 first.
    #[must_use]
    pub fn with_class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.class_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// The images, of shape (samples, height, width, channels).
    #[must_use]
    pub const fn images(&self) -> &Array4<u8> {
        &self.images
    }

    /// The class of each image.
    #[must_use]
    pub const fn labels(&self) -> &Array1<u32> {
        &self.labels
    }

    /// What the classes are called, class 0 first; empty where that was not said.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// What a class is called, if that was said.
    #[must_use]
    pub fn class_name(&self, class: u32) -> Option<&str> {
        self.class_names.get(class as usize).map(String::as_str)
    }

    /// The images and the classes.
    #[must_use]
    pub fn into_parts(self) -> (Array4<u8>, Array1<u32>) {
        (self.images, self.labels)
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The view that a trainer takes. To part it without a copy see [`Examples::split_at`].
    #[must_use]
    pub fn examples(&self) -> Examples<'_> {
        let (images, labels) = (slice(&self.images), slice(&self.labels));
        Examples::from_slices(Inputs::Bytes(images), Targets::Classes(labels), self.len())
            .expect("a data set has as many labels as images")
    }

    /// The first `at` samples and the rest, as data sets of their own.
    ///
    /// # Panics
    /// If `at` is greater than [`len`](Self::len).
    #[must_use]
    pub fn split_at(&self, at: usize) -> (Self, Self) {
        let (first_images, last_images) = self.images.view().split_at(Axis(0), at);
        let (first_labels, last_labels) = self.labels.view().split_at(Axis(0), at);
        (
            self.part(first_images.to_owned(), first_labels.to_owned()),
            self.part(last_images.to_owned(), last_labels.to_owned()),
        )
    }

    /// Parts the samples by chance: those that stay, and `share` of the samples of each class to hold
    /// out; see [`stratified`]. Both keep the order that the samples have here.
    ///
    /// # Errors
    /// If `share` is not a number from 0 to 1.
    pub fn split_stratified(&self, share: f64, seed: u64) -> Result<(Self, Self), ShareError> {
        let (stay, held_out) = stratified(slice(&self.labels), share, seed)?;
        Ok((self.select(&stay), self.select(&held_out)))
    }

    /// The samples at these indices, in this order, as a data set of their own.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    #[must_use]
    pub fn select(&self, samples: &[usize]) -> Self {
        self.part(self.images.select(Axis(0), samples), self.labels.select(Axis(0), samples))
    }

    /// The mean and the standard deviation of each channel.
    #[must_use]
    pub fn channel_statistics(&self) -> ChannelStatistics {
        ChannelStatistics::of(self.images.view())
    }

    fn part(&self, images: Array4<u8>, labels: Array1<u32>) -> Self {
        Self { images, labels, class_names: self.class_names.clone() }
    }

    /// The classes as rows of zeros with a one, of shape (samples, `classes`).
    ///
    /// # Errors
    /// If a label is not below `classes`.
    pub fn one_hot(&self, classes: usize) -> Result<Array2<f32>, ExamplesError> {
        one_hot(slice(&self.labels), classes)
    }
}

/// Classes as rows of zeros with a one, of shape (labels, `classes`).
///
/// # Errors
/// If a label is not below `classes`.
pub fn one_hot(labels: &[u32], classes: usize) -> Result<Array2<f32>, ExamplesError> {
    let mut rows = Array2::zeros((labels.len(), classes));
    for (sample, (mut row, &class)) in rows.outer_iter_mut().zip(labels).enumerate() {
        let hot = row.get_mut(class as usize);
        *hot.ok_or(ExamplesError::Class { sample, class, outputs: classes })? = 1.0;
    }
    Ok(rows)
}

fn standard<A: Clone, D: ndarray::Dimension>(array: ndarray::Array<A, D>) -> ndarray::Array<A, D> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}

fn slice<A, D: ndarray::Dimension>(array: &ndarray::Array<A, D>) -> &[A] {
    array.as_slice().expect("a data set keeps its arrays in standard layout")
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;

    fn three() -> Dataset {
        let images = Array4::from_shape_fn((3, 2, 2, 1), |(n, ..)| n as u8);
        Dataset::new(images, arr1(&[2, 0, 1])).unwrap()
    }

    #[test]
    fn one_hot_rows() {
        let rows = three().one_hot(3).unwrap();
        assert_eq!(rows, arr2(&[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]));
        let error = three().one_hot(2).unwrap_err();
        assert_eq!(error, ExamplesError::Class { sample: 0, class: 2, outputs: 2 });
        assert!(one_hot(&[0], 0).is_err());
    }

    #[test]
    fn parts_keep_images_with_their_labels() {
        let (first, last) = three().split_at(1);
        assert_eq!((first.len(), last.len()), (1, 2));
        assert_eq!(last.labels(), arr1(&[0, 1]));
        assert!(
            last.images().outer_iter().zip(1..).all(|(image, n)| image.iter().all(|&b| b == n))
        );
    }

    #[test]
    fn a_stratified_split_keeps_images_with_labels_and_names() {
        let images = Array4::from_shape_fn((40, 2, 1, 3), |(n, ..)| n as u8);
        let labels = (0..40).map(|n| n % 4).collect();
        let set = Dataset::new(images, labels).unwrap().with_class_names(["a", "b", "c", "d"]);
        let (stay, held_out) = set.split_stratified(0.3, 9).unwrap();
        assert_eq!((stay.len(), held_out.len()), (28, 12));
        for part in [&stay, &held_out] {
            assert_eq!(part.class_name(3), Some("d"));
            for (image, &label) in part.images().outer_iter().zip(part.labels()) {
                assert_eq!(u32::from(image[[0, 0, 0]]) % 4, label);
            }
        }
        for class in 0..4 {
            assert_eq!(held_out.labels().iter().filter(|&&label| label == class).count(), 3);
        }
        assert!(set.split_stratified(1.5, 9).is_err());
        assert_eq!(set.class_name(4), None);
    }

    #[test]
    fn a_transposed_array_is_put_in_order() {
        let images = Array4::from_shape_fn((3, 2, 4, 1), |(n, h, w, _)| (16 * n + 4 * h + w) as u8);
        let turned = images.clone().permuted_axes([0, 2, 1, 3]);
        let set = Dataset::new(turned, arr1(&[0, 1, 2])).unwrap();
        let Inputs::Bytes(bytes) = set.examples().inputs else { panic!("images are bytes") };
        assert_eq!(bytes[..8], [0, 4, 1, 5, 2, 6, 3, 7]);
    }

    #[test]
    fn counts_must_agree() {
        let error = Dataset::new(Array4::zeros((3, 2, 2, 1)), arr1(&[0, 1])).unwrap_err();
        assert_eq!(error, ExamplesError::Count { inputs: 3, targets: 2 });
    }
}
