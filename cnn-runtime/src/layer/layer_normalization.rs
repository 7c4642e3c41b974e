//! Normalisation of each image by itself.

use super::At;
use crate::kernel::elementwise;
use crate::kernel::simd::{Lanes, vectorized};
use crate::network::Parts;

/// Rows of a length, each brought to mean 0 and variance 1: `LayerNormalization` without weights.
///
/// `y = (x - mean) / sqrt(variance + epsilon)` (Ba, Kiros and Hinton 2016), with sums in double
/// precision, first to last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standardization {
    /// Values in a row: the product of the axes that are normalised together.
    pub len: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Standardization {
    /// Of rows of this length.
    #[must_use]
    pub const fn new(len: usize, epsilon: f32) -> Self {
        Self { len, epsilon }
    }

    /// All rows of an image.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        normalize(*self, None, None, x, y);
    }

    /// The input's gradient.
    pub fn backward(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        pull(*self, None, x, dy, dx);
    }

    /// Mean of a row, and one by its standard deviation.
    #[inline(always)]
    fn statistics(self, x: &[f32]) -> (f64, f64) {
        let n = self.len as f64;
        let mut sum = 0.0;
        for &x in x {
            sum += f64::from(x);
        }
        let mean = sum / n;
        let mut squares = 0.0;
        for &x in x {
            squares += (f64::from(x) - mean) * (f64::from(x) - mean);
        }
        (mean, 1.0 / (squares / n + f64::from(self.epsilon)).sqrt())
    }
}

/// `LayerNormalization` with weights: gamma and beta, or one of them, of a row's length each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNormalization {
    rows: Standardization,
    center: bool,
    scale: bool,
    at: At,
}

impl LayerNormalization {
    /// Of rows of this length, with gamma and beta.
    #[must_use]
    pub const fn new(len: usize, epsilon: f32) -> Self {
        let rows = Standardization::new(len, epsilon);
        Self { rows, center: true, scale: true, at: At::START }
    }

    /// Without beta.
    #[must_use]
    pub const fn no_center(self) -> Self {
        Self { center: false, ..self }
    }

    /// Without gamma.
    #[must_use]
    pub const fn no_scale(self) -> Self {
        Self { scale: false, ..self }
    }

    /// Where its parts start.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self { at, ..self }
    }

    /// Floats of gamma and beta.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.rows.len * (self.center as usize + self.scale as usize)
    }

    /// Floats for the way back: gamma.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.rows.len * self.scale as usize
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let len = self.weights_len();
        packed[self.at.packed..][..len].copy_from_slice(&weights[self.at.weights..][..len]);
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let len = self.transposed_len();
        transposed[self.at.transposed..][..len].copy_from_slice(&weights[self.at.weights..][..len]);
    }

    /// All rows of an image.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32]) {
        let weights = &packed[self.at.packed..][..self.weights_len()];
        let (gamma, beta) = weights.split_at(self.transposed_len());
        normalize(self.rows, self.scale.then_some(gamma), self.center.then_some(beta), x, y);
    }

    /// One image: adds to the shard's `gradients` and writes the input's gradient `dx` if there is
    /// one; `dy` is the output's gradient.
    pub fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
    ) {
        let gradients = &mut gradients[self.at.gradients..][..self.weights_len()];
        let (gamma, beta) = gradients.split_at_mut(self.transposed_len());
        sum(self.rows, self.scale.then_some(gamma), self.center.then_some(beta), x, dy);
        if let Some(dx) = dx {
            let gamma = self.scale.then(|| &transposed[self.at.transposed..][..self.rows.len]);
            pull(self.rows, gamma, x, dy, dx);
        }
    }

    /// Adds up the shards' gradients in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let gradients = &mut gradients[self.at.weights..][..self.weights_len()];
        gradients.fill(0.0);
        for shard in shards.iter() {
            elementwise::add(gradients, &shard[self.at.gradients..][..gradients.len()]);
        }
    }
}

vectorized! {
    fn normalize(
        rows: Standardization,
        gamma: Option<&[f32]>,
        beta: Option<&[f32]>,
        x: &[f32],
        y: &mut [f32],
    ) = normalize_body;

    fn pull(rows: Standardization, gamma: Option<&[f32]>, x: &[f32], dy: &[f32], dx: &mut [f32])
        = pull_body;

    fn sum(
        rows: Standardization,
        gamma: Option<&mut [f32]>,
        beta: Option<&mut [f32]>,
        x: &[f32],
        dy: &[f32],
    ) = sum_body;
}

#[inline(always)]
fn normalize_body<L: Lanes>(
    rows: Standardization,
    gamma: Option<&[f32]>,
    beta: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
) {
    for (x, y) in x.chunks_exact(rows.len).zip(y.chunks_exact_mut(rows.len)) {
        let (mean, inverse) = rows.statistics(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = ((f64::from(x) - mean) * inverse) as f32;
        }
        for (y, &gamma) in y.iter_mut().zip(gamma.unwrap_or_default()) {
            *y *= gamma;
        }
        for (y, &beta) in y.iter_mut().zip(beta.unwrap_or_default()) {
            *y += beta;
        }
    }
}

/// With g = gamma dy and z the normalised row: dx = (g - mean(g) - z mean(g z)) / deviation.
#[inline(always)]
fn pull_body<L: Lanes>(
    rows: Standardization,
    gamma: Option<&[f32]>,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let n = rows.len as f64;
    let cut = x.chunks_exact(rows.len).zip(dy.chunks_exact(rows.len));
    for ((x, dy), dx) in cut.zip(dx.chunks_exact_mut(rows.len)) {
        let (mean, inverse) = rows.statistics(x);
        dx.copy_from_slice(dy);
        for (g, &gamma) in dx.iter_mut().zip(gamma.unwrap_or_default()) {
            *g *= gamma;
        }
        let (mut all, mut along) = (0.0, 0.0);
        for (&g, &x) in dx.iter().zip(x) {
            all += f64::from(g);
            along += f64::from(g) * ((f64::from(x) - mean) * inverse);
        }
        for (g, &x) in dx.iter_mut().zip(x) {
            let z = (f64::from(x) - mean) * inverse;
            *g = ((f64::from(*g) - all / n - z * (along / n)) * inverse) as f32;
        }
    }
}

/// Adds an image's gradients of gamma and beta.
#[inline(always)]
fn sum_body<L: Lanes>(
    rows: Standardization,
    mut gamma: Option<&mut [f32]>,
    mut beta: Option<&mut [f32]>,
    x: &[f32],
    dy: &[f32],
) {
    for (x, dy) in x.chunks_exact(rows.len).zip(dy.chunks_exact(rows.len)) {
        if let Some(gamma) = &mut gamma {
            let (mean, inverse) = rows.statistics(x);
            for ((sum, &x), &dy) in gamma.iter_mut().zip(x).zip(dy) {
                *sum += dy * ((f64::from(x) - mean) * inverse) as f32;
            }
        }
        if let Some(beta) = &mut beta {
            for (sum, &dy) in beta.iter_mut().zip(dy) {
                *sum += dy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, numeric_gradient, widen};
    use crate::rng::Rng;

    const AT: At =
        At { weights: 3, packed: 5, transposed: 7, gradients: 11, batch: 0, exchange: 0 };

    fn noise(count: usize, stream: u64, shift: f32) -> Vec<f32> {
        let mut rng = Rng::new(4, stream);
        (0..count).map(|_| 2.0 * rng.uniform() - 1.0 + shift).collect()
    }

    fn assert_close(found: &[f32], exact: &[f64]) {
        assert_eq!(found.len(), exact.len());
        for (found, exact) in found.iter().zip(exact) {
            let error = (f64::from(*found) - exact).abs();
            assert!(error <= 1e-5 * exact.abs().max(1.0), "{found} {exact}");
        }
    }

    /// Rows around vectors, far from zero too; gradients against differences of the oracle.
    #[test]
    fn agrees_with_the_slow_oracle() {
        for (rows, len, shift) in [(1, 7, 0.0), (5, 16, 3.0), (3, 9, -1.0), (2, 33, 0.0)] {
            for (scale, center) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut layer = LayerNormalization::new(len, 1e-3).at(AT);
                layer = if scale { layer } else { layer.no_scale() };
                layer = if center { layer } else { layer.no_center() };
                let weights = noise(AT.weights + layer.weights_len(), 1, 0.5);
                let mut packed = vec![f32::NAN; AT.packed + layer.weights_len()];
                let mut turned = vec![f32::NAN; AT.transposed + layer.transposed_len()];
                layer.pack(&weights, &mut packed);
                layer.transpose(&weights, &mut turned);
                let (x, dy) = (noise(rows * len, 2, shift), noise(rows * len, 3, 0.0));
                let (mut y, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
                let mut own = vec![0.0; AT.gradients + layer.weights_len()];
                layer.forward(&packed, &x, &mut y);
                layer.backward(&turned, &x, &dy, Some(&mut dx), &mut own);
                let mut gradients = vec![f32::NAN; weights.len()];
                let twice = [&own[..], &own[..]].concat();
                layer.weight_gradients(Parts::new(&twice, own.len()), &mut gradients);

                let slow = |weights: &[f64], x: &[f64]| {
                    let (gamma, beta) = weights.split_at(layer.transposed_len());
                    reference::layer_normalization(len, 1e-3, gamma, beta, x)
                };
                let dot = |y: &[f64]| y.iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum();
                let (wide, x) = (widen(&weights[AT.weights..]), widen(&x));
                assert_close(&y, &slow(&wide, &x));
                let numeric = numeric_gradient(|x| dot(&slow(&wide, x)), &x, 1e-5);
                assert_close(&dx, &numeric);
                let numeric = numeric_gradient(|w| dot(&slow(w, &x)), &wide, 1e-3);
                let twice: Vec<f64> = numeric.iter().map(|gradient| 2.0 * gradient).collect();
                assert_close(&gradients[AT.weights..], &twice);
                if !scale && !center {
                    let plain = Standardization::new(len, 1e-3);
                    let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
                    let (mut again, mut back) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
                    plain.forward(&x, &mut again);
                    plain.backward(&x, &dy, &mut back);
                    assert_eq!((again, back), (y, dx));
                }
            }
        }
    }
}
