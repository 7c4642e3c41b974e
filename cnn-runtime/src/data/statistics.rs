//! The mean and the standard deviation of each channel.

use ndarray::{Array4, ArrayView4, Axis};

/// Mean and standard deviation of each channel over all pixels of all images, of values from 0 to 1
/// (bytes divided by 255, which is what a network gets).
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelStatistics {
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel: the root of the mean squared distance from the mean,
    /// divided by n as NumPy's `std` does.
    pub std: Vec<f32>,
}

impl ChannelStatistics {
    /// Of images of shape (samples, height, width, channels). Without pixels all are 0.
    ///
    /// Sums are exact: they are taken over how often each of the 256 values occurs.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn of(images: ArrayView4<'_, u8>) -> Self {
        let channels = images.len_of(Axis(3));
        let mut counts = vec![[0_u64; 256]; channels];
        for pixel in images.lanes(Axis(3)) {
            for (counts, &value) in counts.iter_mut().zip(pixel) {
                counts[usize::from(value)] += 1;
            }
        }
        let (mean, std) = counts.iter().map(mean_and_std).unzip();
        Self { mean, std }
    }

    /// The images as values from 0 to 1, less the mean of their channel, divided by its deviation
    /// (by 1 where that is 0). The result takes four bytes for each byte.
    ///
    /// # Panics
    /// If the images have another number of channels.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn standardize(&self, images: ArrayView4<'_, u8>) -> Array4<f32> {
        let channels = images.len_of(Axis(3));
        assert_eq!(channels, self.mean.len(), "statistics of {} channels", self.mean.len());
        let mut values = Array4::zeros(images.raw_dim());
        for (channel, (&mean, &std)) in self.mean.iter().zip(&self.std).enumerate() {
            let std = if std > 0.0 { std } else { 1.0 };
            let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
            let images = images.index_axis(Axis(3), channel);
            let mut values = values.index_axis_mut(Axis(3), channel);
            values.zip_mut_with(&images, |to, &byte| *to = table[usize::from(byte)]);
        }
        values
    }
}

fn mean_and_std(counts: &[u64; 256]) -> (f32, f32) {
    let (mut n, mut sum, mut squares) = (0, 0, 0);
    for (value, &count) in (0..).zip(counts) {
        n += u128::from(count);
        sum += u128::from(count) * value;
        squares += u128::from(count) * value * value;
    }
    if n == 0 {
        return (0.0, 0.0);
    }
    // n^2 times the variance is a whole number.
    let variance = (n * squares - sum * sum) as f64 / (n as f64 * n as f64);
    ((sum as f64 / n as f64 / 255.0) as f32, (variance.sqrt() / 255.0) as f32)
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    const NUMPY_MEAN: [f32; 2] = [0.326_797_4, 0.333_333_34];
    const NUMPY_STD: [f32; 2] = [0.296_993_9, 0.285_099_2];

    /// `a = numpy.arange(24, dtype=numpy.uint8).reshape(2, 3, 2, 2) ** 2 / 255`, then
    /// `a.mean((0, 1, 2))` and `a.std((0, 1, 2))` (the squares wrap at 256, as bytes do).
    #[test]
    fn as_numpy_has_it() {
        let images =
            Array4::from_shape_vec((2, 3, 2, 2), (0..24_u8).map(|v| v.wrapping_mul(v)).collect());
        let images = images.unwrap();
        let statistics = ChannelStatistics::of(images.view());
        assert_eq!(statistics.mean, NUMPY_MEAN);
        assert_eq!(statistics.std, NUMPY_STD);

        let values = statistics.standardize(images.view());
        assert_eq!(values.dim(), images.dim());
        let expected = (f32::from(images[[1, 2, 0, 1]]) / 255.0 - NUMPY_MEAN[1]) / NUMPY_STD[1];
        assert!((values[[1, 2, 0, 1]] - expected).abs() < 1e-6);
        for channel in 0..2 {
            let values = values.index_axis(Axis(3), channel);
            assert!(values.mean().unwrap().abs() < 1e-6);
            assert!((values.std(0.0) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_channel_of_one_value_becomes_zero_and_no_pixels_nothing() {
        let images = Array4::from_elem((1, 2, 2, 1), 77);
        let statistics = ChannelStatistics::of(images.view());
        assert_eq!(statistics, ChannelStatistics { mean: vec![77.0 / 255.0], std: vec![0.0] });
        assert!(statistics.standardize(images.view()).iter().all(|value| value.abs() < 1e-7));
        let none = ChannelStatistics::of(Array4::zeros((0, 2, 2, 3)).view());
        assert_eq!((none.mean, none.std), (vec![0.0; 3], vec![0.0; 3]));
    }
}
