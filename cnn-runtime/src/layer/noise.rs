//! Noise in training.

use crate::initializer::normal;
use crate::network::Pass;
use crate::rng::{Rng, stream};

/// `GaussianNoise`: adds normal noise while training.
///
/// What is added to an element is a function of seed, layer, step, sample and element alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianNoise {
    /// The standard deviation of the noise.
    pub stddev: f64,
    /// What tells the layers of a network apart.
    pub layer: u64,
}

impl GaussianNoise {
    /// Noise of this standard deviation.
    #[must_use]
    pub const fn new(stddev: f64, layer: u64) -> Self {
        Self { stddev, layer }
    }

    /// In training y = x + noise, else y = x. `x` is image number `image` of its shard.
    pub fn forward(&self, pass: Pass, image: usize, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
        let Pass::Training { seed, step, first } = pass else { return };
        let sample = first + image as u64;
        for (element, y) in (0..).zip(y) {
            let mut rng = Rng::new(seed, stream([self.layer, step, sample, element]));
            *y += (self.stddev * normal(&mut rng)) as f32;
        }
    }

    /// dx = dy
    pub fn backward(&self, _pass: Pass, _image: usize, dy: &[f32], dx: &mut [f32]) {
        dx.copy_from_slice(dy);
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact results are meant")]
mod tests {
    use super::*;

    fn noise(layer: u64, seed: u64, step: u64, first: u64, image: usize) -> Vec<f32> {
        let mut y = vec![f32::NAN; 50_000];
        let pass = Pass::Training { seed, step, first };
        GaussianNoise::new(2.0, layer).forward(pass, image, &vec![1.0; 50_000], &mut y);
        y
    }

    #[test]
    fn noise_has_its_moments() {
        let y = noise(0, 1, 2, 3, 4);
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / 5e4;
        let variance = y.iter().map(|&y| (f64::from(y) - mean).powi(2)).sum::<f64>() / 5e4;
        // Five standard errors.
        assert!((mean - 1.0).abs() < 0.045, "{mean}");
        assert!((variance - 4.0).abs() < 0.13, "{variance}");
        let wide = y.iter().filter(|&&y| (y - 1.0).abs() > 4.0).count();
        assert!(wide.abs_diff(2275) < 240, "{wide}");
    }

    #[test]
    fn a_sample_has_its_own_noise() {
        let base = noise(0, 1, 2, 3, 4);
        assert_eq!(base, noise(0, 1, 2, 0, 7));
        for other in [noise(1, 1, 2, 3, 4), noise(0, 2, 2, 3, 4), noise(0, 1, 3, 3, 4)] {
            let equal = base.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(equal < 10, "{equal}");
        }
    }

    #[test]
    fn inference_and_the_way_back_are_the_identity() {
        let layer = GaussianNoise::new(2.0, 0);
        let mut y = [f32::NAN; 2];
        layer.forward(Pass::Inference, 0, &[1.0, -2.0], &mut y);
        assert_eq!(y, [1.0, -2.0]);
        layer.backward(Pass::Training { seed: 1, step: 1, first: 0 }, 0, &[3.0, 4.0], &mut y);
        assert_eq!(y, [3.0, 4.0]);
    }
}
