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
        Initializer::Orthogonal { gain, columns } => orthogonal(rng, gain, columns, tensor),
        Initializer::Identity { gain, columns } => {
            tensor.fill(0.0);
            for (i, row) in tensor.chunks_exact_mut(columns).enumerate().take(columns) {
                row[i] = gain as f32;
            }
        }
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

/// Normal numbers made orthogonal, which is the Q of their QR decomposition with a positive diagonal
/// in R: any direction is as likely as any other. Takes time as rows x columns x the smaller of them.
fn orthogonal(rng: &mut Rng, gain: f64, columns: usize, tensor: &mut [f32]) {
    let rows = tensor.len() / columns;
    let (short, long) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(short);
    while basis.len() < short {
        let mut vector: Vec<f64> = std::iter::repeat_with(|| normal(rng)).take(long).collect();
        let before = dot(&vector, &vector);
        // The second time takes away what rounding left (Gram and Schmidt, twice is enough).
        for other in basis.iter().chain(&basis) {
            let along = dot(&vector, other);
            for (to, from) in vector.iter_mut().zip(other) {
                *to -= along * from;
            }
        }
        let square = dot(&vector, &vector);
        // Almost in the span of the others: draw another.
        if square > 1e-12 * before {
            let length = square.sqrt();
            for value in &mut vector {
                *value /= length;
            }
            basis.push(vector);
        }
    }
    for (i, value) in tensor.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let found = if rows < columns { basis[row][column] } else { basis[column][row] };
        *value = (gain * found) as f32;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
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

    /// Of every form: the shorter side's vectors are at right angles, and no one entry is special.
    #[test]
    fn orthogonal_matrices_are_orthogonal() {
        for (rows, columns) in [(1, 1), (5, 5), (27, 8), (8, 27), (1, 4), (40, 1)] {
            let mut tensor = vec![f32::NAN; rows * columns];
            let initializer = Initializer::Orthogonal { gain: 1.5, columns };
            fill(initializer, &mut Rng::new(17, 3), &mut tensor);
            let at = |row: usize, column: usize| f64::from(tensor[row * columns + column]);
            for i in 0..rows.min(columns) {
                for j in 0..rows.min(columns) {
                    let product: f64 = if rows < columns {
                        (0..columns).map(|k| at(i, k) * at(j, k)).sum()
                    } else {
                        (0..rows).map(|k| at(k, i) * at(k, j)).sum()
                    };
                    let expected = if i == j { 2.25 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-6, "{rows}x{columns}: {product}");
                }
            }
        }
        // Any entry of a random rotation of n dimensions has mean 0 and variance 1 / n.
        let first = (0..20_000).map(|stream| {
            let mut tensor = [0.0; 9];
            let initializer = Initializer::Orthogonal { gain: 1.0, columns: 3 };
            fill(initializer, &mut Rng::new(1, stream), &mut tensor);
            f64::from(tensor[0])
        });
        let [mean, variance, _] = moments(&first.collect::<Vec<_>>());
        assert!(mean.abs() < 0.02 && (variance - 1.0 / 3.0).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn identity_is_a_diagonal() {
        let mut tensor = [f32::NAN; 6];
        let identity = |columns| Initializer::Identity { gain: 2.0, columns };
        fill(identity(3), &mut Rng::new(1, 1), &mut tensor);
        assert_eq!(tensor.map(f32::to_bits), [2.0_f32, 0., 0., 0., 2., 0.].map(f32::to_bits));
        fill(identity(2), &mut Rng::new(1, 1), &mut tensor);
        assert_eq!(tensor.map(f32::to_bits), [2.0_f32, 0., 0., 2., 0., 0.].map(f32::to_bits));
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
