//! Fresh weights, from random numbers that are the same on every machine.

use crate::math::ln_f64;
use crate::network::{Distribution, Initializer};
use crate::rng::Rng;

/// The standard deviation of a standard normal distribution cut off at ±2.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

/// Fills one tensor.
///
/// # Panics
/// If there are more or fewer [`Initializer::Values`] than the tensor holds.
pub(crate) fn fill(initializer: Initializer, rng: &mut Rng, tensor: &mut [f32]) {
    match initializer {
        Initializer::Constant(value) => tensor.fill(value as f32),
        Initializer::Uniform { min, max } => uniform(rng, min, max, tensor),
        Initializer::Normal { mean, stddev } => {
            tensor.fill_with(|| (mean + stddev * normal(rng)) as f32);
        }
        Initializer::TruncatedNormal { mean, stddev } => truncated(rng, mean, stddev, tensor),
        Initializer::VarianceScaling { scale, fan, distribution } => match distribution {
            Distribution::Uniform => {
                let limit = (3.0 * scale / fan).sqrt();
                uniform(rng, -limit, limit, tensor);
            }
            Distribution::TruncatedNormal => {
                truncated(rng, 0.0, (scale / fan).sqrt() / TRUNCATED_STDDEV, tensor);
            }
            Distribution::UntruncatedNormal => {
                let stddev = (scale / fan).sqrt();
                tensor.fill_with(|| (stddev * normal(rng)) as f32);
            }
        },
        Initializer::Values(values) => tensor.copy_from_slice(values),
    }
}

fn uniform(rng: &mut Rng, min: f64, max: f64, tensor: &mut [f32]) {
    let middle = f64::midpoint(min, max) as f32;
    let half = ((max - min) / 2.0) as f32;
    tensor.fill_with(|| {
        let value = middle + half * (2.0 * rng.uniform() - 1.0);
        // The sum is rounded.
        value.max(min as f32).min(max as f32)
    });
}

fn truncated(rng: &mut Rng, mean: f64, stddev: f64, tensor: &mut [f32]) {
    tensor.fill_with(|| {
        let drawn = std::iter::repeat_with(|| normal(rng)).find(|drawn| drawn.abs() <= 2.0);
        (mean + stddev * drawn.unwrap_or(0.0)) as f32
    });
}

/// A standard normal number (Marsaglia and Bray 1964): a point in the unit circle, moved along its
/// ray. Only one of its two coordinates is used.
pub(crate) fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (x, y) = (signed(rng), signed(rng));
        let square = x * x + y * y;
        if square < 1.0 && square > 0.0 {
            return x * (-2.0 * ln_f64(square) / square).sqrt();
        }
    }
}

/// A number in [-1, 1), a multiple of 2^-52.
fn signed(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 200_000;

    fn drawn(initializer: Initializer) -> Vec<f64> {
        let mut tensor = vec![f32::NAN; COUNT];
        fill(initializer, &mut Rng::new(17, 3), &mut tensor);
        tensor.into_iter().map(f64::from).collect()
    }

    /// Mean, variance, fourth central moment by squared variance.
    fn moments(values: &[f64]) -> [f64; 3] {
        let mean_of = |f: &dyn Fn(f64) -> f64| {
            values.iter().map(|&value| f(value)).sum::<f64>() / values.len() as f64
        };
        let mean = mean_of(&|value| value);
        let variance = mean_of(&|value| (value - mean).powi(2));
        [mean, variance, mean_of(&|value| (value - mean).powi(4)) / variance.powi(2)]
    }

    /// Mean, variance and kurtosis as they should be, and the limits reached but not passed.
    fn check(initializer: Initializer, mean: f64, variance: f64, kurtosis: f64, limits: [f64; 2]) {
        let values = drawn(initializer);
        let [m, v, k] = moments(&values);
        let deviation = variance.sqrt();
        // Five standard errors of the mean, and of the variance of the widest of them.
        let error = 5.0 / (COUNT as f64).sqrt();
        assert!((m - mean).abs() < error * deviation, "{initializer:?}: mean {m}");
        assert!((v / variance - 1.0).abs() < error * 1.5, "{initializer:?}: variance {v}");
        assert!((k / kurtosis - 1.0).abs() < 0.05, "{initializer:?}: kurtosis {k}");
        let [low, high] = limits;
        let smallest = values.iter().copied().fold(f64::MAX, f64::min);
        let largest = values.iter().copied().fold(f64::MIN, f64::max);
        let slack = 1e-6 * (high - low).min(1e3);
        assert!(smallest >= low - slack && largest <= high + slack, "{initializer:?}");
        if high - low < 1e3 {
            let near = 0.001 * (high - low);
            assert!(smallest < low + near && largest > high - near, "{initializer:?}");
        }
    }

    /// Of a standard normal distribution cut off at ±2, by integration: variance and kurtosis.
    const CUT: [f64; 2] = [0.773_741_3, 2.365_5];

    #[test]
    fn distributions_have_their_moments_and_limits() {
        let far = [f64::MIN, f64::MAX];
        check(Initializer::Uniform { min: -0.05, max: 0.05 }, 0.0, 0.01 / 12.0, 1.8, [-0.05, 0.05]);
        check(Initializer::Uniform { min: 2.0, max: 5.0 }, 3.5, 0.75, 1.8, [2.0, 5.0]);
        check(Initializer::Normal { mean: 1.0, stddev: 0.5 }, 1.0, 0.25, 3.0, far);
        let truncated = Initializer::TruncatedNormal { mean: 1.0, stddev: 0.5 };
        check(truncated, 1.0, 0.25 * CUT[0], CUT[1], [0.0, 2.0]);
    }

    /// Whatever the shape of the distribution, the variance is `scale / fan`.
    #[test]
    fn scaled_variances_are_those_asked_for() {
        let of =
            |distribution| Initializer::VarianceScaling { scale: 2.0, fan: 50.0, distribution };
        let limit = (6.0_f64 / 50.0).sqrt();
        check(of(Distribution::Uniform), 0.0, 0.04, 1.8, [-limit, limit]);
        let limit = 2.0 * 0.2 / CUT[0].sqrt();
        check(of(Distribution::TruncatedNormal), 0.0, 0.04, CUT[1], [-limit, limit]);
        check(of(Distribution::UntruncatedNormal), 0.0, 0.04, 3.0, [f64::MIN, f64::MAX]);
    }

    /// The shares of a normal distribution within one, two and three standard deviations.
    #[test]
    fn normal_numbers_fill_the_bell() {
        let values = drawn(Initializer::Normal { mean: 0.0, stddev: 1.0 });
        for (limit, share) in [(1.0, 0.682_689), (2.0, 0.954_500), (3.0, 0.997_300)] {
            let found = values.iter().filter(|value| value.abs() < limit).count() as f64;
            assert!((found / COUNT as f64 - share).abs() < 0.005, "{limit}: {found}");
        }
    }

    #[test]
    fn constants_and_values_are_themselves() {
        let mut tensor = [0.0; 3];
        fill(Initializer::Constant(0.1), &mut Rng::new(1, 1), &mut tensor);
        assert_eq!(tensor.map(f32::to_bits), [0.1_f32; 3].map(f32::to_bits));
        fill(Initializer::Values(&[-1.0, 0.0, 2.5]), &mut Rng::new(1, 1), &mut tensor);
        assert_eq!(tensor.map(f32::to_bits), [-1.0_f32, 0.0, 2.5].map(f32::to_bits));
    }

    /// Frozen: a change would change the training of every model that has a seed.
    #[test]
    fn what_seeds_yield_is_frozen() {
        let mut tensor = [0.0; 2];
        let normal = Initializer::Normal { mean: 0.0, stddev: 1.0 };
        fill(normal, &mut Rng::new(42, 7), &mut tensor);
        assert_eq!(tensor.map(f32::to_bits), [1_070_040_072, 1_068_029_555]);
    }
}
