//! `BatchNormalization`.

mod kernels;

use super::At;
use crate::kernel::elementwise;
use crate::network::{Parts, Shards};

/// Normalises each channel by its mean and variance over the batch, or by moving averages of them
/// when predicting: `y = gamma (x - mean) / sqrt(variance + epsilon) + beta` (Ioffe and Szegedy
/// 2015), then relu if asked. The variance is divided by n.
///
/// Images are outer x channels x inner values. Its weights are gamma and beta (as far as it has
/// them), the moving mean and the moving variance, a number for each channel.
///
/// A training step goes through it in two halves: each shard [measures](Self::measure) its images,
/// the batch [couples](Self::couple) what the shards found, and then each image goes
/// [forward](Self::forward); likewise on the way back.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormalization {
    outer: usize,
    channels: usize,
    inner: usize,
    /// Wide, so that `1 - momentum` keeps its digits.
    momentum: f64,
    epsilon: f32,
    center: bool,
    scale: bool,
    relu: bool,
    at: At,
}

/// What it keeps for a batch, a number for each channel.
#[derive(Clone, Copy)]
enum Shared {
    /// The first three are what `forward` takes.
    Mean,
    /// `gamma / sqrt(variance + epsilon)`
    Scale,
    /// beta
    Shift,
    /// `1 / sqrt(variance + epsilon)`
    Inverse,
    Variance,
    /// The gradient's mean.
    Gradient,
    /// The mean of the gradient times the normalised input.
    Slope,
}

/// Arrays that it keeps for a batch.
const SHARED: usize = 7;
/// Arrays that `forward` takes.
const CONSTANTS: usize = 3;

impl BatchNormalization {
    /// With gamma and beta.
    #[must_use]
    pub const fn new([outer, channels, inner]: [usize; 3], momentum: f64, epsilon: f32) -> Self {
        Self {
            outer,
            channels,
            inner,
            momentum,
            epsilon,
            center: true,
            scale: true,
            relu: false,
            at: At::START,
        }
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

    /// Followed by a relu.
    #[must_use]
    pub const fn relu(self) -> Self {
        Self { relu: true, ..self }
    }

    /// Where its parts lie.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self { at, ..self }
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        (2 + self.scale as usize + self.center as usize) * self.channels
    }

    /// Floats of its packed weights.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        CONSTANTS * self.channels
    }

    /// Floats that a batch's images share.
    #[must_use]
    pub const fn batch_len(&self) -> usize {
        SHARED * self.channels
    }

    /// Floats that a shard sums up.
    #[must_use]
    pub const fn sums_len(&self) -> usize {
        2 * self.channels
    }

    /// Where gamma, beta, the moving mean and the moving variance start.
    const fn places(&self) -> [usize; 4] {
        let gamma = self.at.weights;
        let beta = gamma + if self.scale { self.channels } else { 0 };
        let mean = beta + if self.center { self.channels } else { 0 };
        [gamma, beta, mean, mean + self.channels]
    }

    fn gamma<'a>(&self, weights: &'a [f32]) -> Option<&'a [f32]> {
        self.scale.then(|| &weights[self.places()[0]..][..self.channels])
    }

    fn beta<'a>(&self, weights: &'a [f32]) -> Option<&'a [f32]> {
        self.center.then(|| &weights[self.places()[1]..][..self.channels])
    }

    pub(super) const fn has_relu(&self) -> bool {
        self.relu
    }

    /// Of a channel, by its moving averages: `[factor, shift]` for `factor * x + shift`.
    pub(super) fn affine(&self, weights: &[f32], channel: usize) -> [f32; 2] {
        let [_, _, mean, variance] = self.places();
        let gamma = self.gamma(weights).map_or(1.0, |gamma| gamma[channel]);
        let factor = gamma * self.inverse(weights[variance + channel]);
        let beta = self.beta(weights).map_or(0.0, |beta| beta[channel]);
        [factor, beta - weights[mean + channel] * factor]
    }

    fn inverse(&self, variance: f32) -> f32 {
        1.0 / (variance + self.epsilon).sqrt()
    }

    /// Lays mean, scale and shift out for predicting.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let [_, _, mean, variance] = self.places();
        let packed = &mut packed[self.at.packed..][..self.packed_len()];
        for c in 0..self.channels {
            let gamma = self.gamma(weights).map_or(1.0, |gamma| gamma[c]);
            packed[c] = weights[mean + c];
            packed[self.channels + c] = gamma * self.inverse(weights[variance + c]);
            packed[2 * self.channels + c] = self.beta(weights).map_or(0.0, |beta| beta[c]);
        }
    }

    /// Nothing: the way back takes what the batch shares.
    pub const fn transpose(&self, _weights: &[f32], _transposed: &mut [f32]) {}

    /// What `forward` takes when predicting.
    #[must_use]
    pub fn moving<'a>(&self, packed: &'a [f32]) -> &'a [f32] {
        &packed[self.at.packed..][..self.packed_len()]
    }

    /// What `forward` takes in training, after the batch has [coupled](Self::couple).
    #[must_use]
    pub fn current<'a>(&self, batch: &'a [f32]) -> &'a [f32] {
        &batch[self.at.batch..][..self.packed_len()]
    }

    fn shared<'a>(&self, batch: &'a [f32], what: Shared) -> &'a [f32] {
        &batch[self.at.batch + what as usize * self.channels..][..self.channels]
    }

    /// Mean, and sum of squared distances from it, of each channel over a shard's images.
    pub fn measure(&self, x: &[f32], sums: &mut [f32]) {
        kernels::measure(self, x, sums);
    }

    /// Mean and variance of the batch out of what its shards found, in their order (Chan, Golub
    /// and `LeVeque` 1979).
    pub fn couple(&self, weights: &[f32], shards: &Shards<'_>, at: [usize; 2], batch: &mut [f32]) {
        let per_image = (self.outer * self.inner) as f64;
        let batch = &mut batch[self.at.batch..][..self.batch_len()];
        for c in 0..self.channels {
            let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
            for (sums, images) in shards.parts(at).iter().zip(shards.sizes()) {
                let (count, found) = (images as f64 * per_image, f64::from(sums[c]));
                let (all, distance) = (n + count, found - mean);
                squares +=
                    f64::from(sums[self.channels + c]) + distance * distance * n * count / all;
                mean += distance * count / all;
                n = all;
            }
            let variance = (squares / n) as f32;
            let inverse = self.inverse(variance);
            let mut set = |what: Shared, value| batch[what as usize * self.channels + c] = value;
            set(Shared::Mean, mean as f32);
            set(Shared::Scale, self.gamma(weights).map_or(1.0, |gamma| gamma[c]) * inverse);
            set(Shared::Shift, self.beta(weights).map_or(0.0, |beta| beta[c]));
            set(Shared::Inverse, inverse);
            set(Shared::Variance, variance);
        }
    }

    /// One image: `constants` are [`moving`](Self::moving) or [`current`](Self::current).
    pub fn forward(&self, constants: &[f32], x: &[f32], y: &mut [f32]) {
        kernels::forward(self, constants, x, y);
    }

    /// Sums over a shard's images of each channel's gradient, and of that times the normalised
    /// input.
    pub fn measure_back(&self, batch: &[f32], x: &[f32], dy: &[f32], sums: &mut [f32]) {
        kernels::measure_back(self, batch, x, dy, sums);
    }

    /// Adds up what the shards found, in their order: beta's and gamma's gradients.
    pub fn couple_back(
        &self,
        shards: &Shards<'_>,
        at: [usize; 2],
        batch: &mut [f32],
        gradients: &mut [f32],
    ) {
        let n = (shards.images() * self.outer * self.inner) as f64;
        let [gamma, beta, ..] = self.places();
        let batch = &mut batch[self.at.batch..][..self.batch_len()];
        gradients[self.at.weights..][..self.weights_len()].fill(0.0);
        for c in 0..self.channels {
            let total = |which: usize| -> f64 {
                let sums =
                    shards.parts(at).iter().map(|sums| f64::from(sums[which * self.channels + c]));
                sums.sum()
            };
            let (gradient, slope) = (total(0), total(1));
            if self.scale {
                gradients[gamma + c] = slope as f32;
            }
            if self.center {
                gradients[beta + c] = gradient as f32;
            }
            batch[Shared::Gradient as usize * self.channels + c] = (gradient / n) as f32;
            batch[Shared::Slope as usize * self.channels + c] = (slope / n) as f32;
        }
    }

    /// One image: the input's gradient, after the batch has [coupled](Self::couple_back).
    pub fn backward(&self, batch: &[f32], x: &[f32], dy: &[f32], dx: &mut [f32]) {
        kernels::backward(self, batch, x, dy, dx);
    }

    /// Moves the moving averages: `moving = momentum moving + (1 - momentum) batch`.
    pub fn update(&self, batch: &[f32], weights: &mut [f32]) {
        let [_, _, mean, variance] = self.places();
        for (place, what) in [(mean, Shared::Mean), (variance, Shared::Variance)] {
            let moving = &mut weights[place..][..self.channels];
            for (moving, &found) in moving.iter_mut().zip(self.shared(batch, what)) {
                let (old, found) = (f64::from(*moving), f64::from(found));
                *moving = (old * self.momentum + found * (1.0 - self.momentum)) as f32;
            }
        }
    }

    /// Calls `each` with the first value and channel of every run of `inner` values.
    #[inline(always)]
    fn runs(&self, values: usize, mut each: impl FnMut(usize, usize)) {
        for run in 0..values / self.inner {
            each(run * self.inner, run % self.channels);
        }
    }
}

/// [`BatchNormalization`] by its moving averages in training too, which then stay as they are: what
/// Keras does for a layer that is not trainable.
#[derive(Clone, Copy, Debug)]
pub struct FixedBatchNormalization(BatchNormalization);

impl FixedBatchNormalization {
    /// With the sizes and constants of `layer`.
    #[must_use]
    pub const fn new(layer: BatchNormalization) -> Self {
        Self(layer)
    }

    /// The layer as it predicts.
    #[must_use]
    pub const fn layer(self) -> BatchNormalization {
        self.0
    }

    /// Where its parts lie.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self(self.0.at(at))
    }

    /// Floats of its transposed weights: mean, scale, and 1 / sqrt(variance + epsilon).
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        CONSTANTS * self.0.channels
    }

    /// Floats of its gradients in a shard: gamma's and beta's.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        2 * self.0.channels
    }

    /// Lays mean, scale and shift out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        self.0.pack(weights, packed);
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let n = self.0.channels;
        let [_, _, mean, variance] = self.0.places();
        let transposed = &mut transposed[self.0.at.transposed..][..self.transposed_len()];
        for c in 0..n {
            let inverse = self.0.inverse(weights[variance + c]);
            transposed[c] = weights[mean + c];
            transposed[n + c] = self.0.gamma(weights).map_or(1.0, |gamma| gamma[c]) * inverse;
            transposed[2 * n + c] = inverse;
        }
    }

    /// One image.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32]) {
        self.0.forward(self.0.moving(packed), x, y);
    }

    /// One image: adds to the shard's `gradients` and writes `dx` if there is one.
    pub fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
    ) {
        let n = self.0.channels;
        let constants = &transposed[self.0.at.transposed..][..self.transposed_len()];
        let (mean, rest) = constants.split_at(n);
        let (scale, inverse) = rest.split_at(n);
        let gradients = &mut gradients[self.0.at.gradients..][..self.gradients_len()];
        let (gamma, beta) = gradients.split_at_mut(n);
        let masked = |i: usize| if !self.0.relu || y[i] > 0.0 { dy[i] } else { 0.0 };
        self.0.runs(x.len(), |at, c| {
            for (k, x) in x[at..][..self.0.inner].iter().enumerate() {
                let dy = masked(at + k);
                gamma[c] += dy * ((x - mean[c]) * inverse[c]);
                beta[c] += dy;
            }
        });
        if let Some(dx) = dx {
            self.0.runs(x.len(), |at, c| {
                for (k, dx) in dx[at..][..self.0.inner].iter_mut().enumerate() {
                    *dx = masked(at + k) * scale[c];
                }
            });
        }
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let [gamma, beta, ..] = self.0.places();
        let n = self.0.channels;
        gradients[self.0.at.weights..][..self.0.weights_len()].fill(0.0);
        for shard in shards.iter() {
            let shard = &shard[self.0.at.gradients..][..self.gradients_len()];
            if self.0.scale {
                elementwise::add(&mut gradients[gamma..][..n], &shard[..n]);
            }
            if self.0.center {
                elementwise::add(&mut gradients[beta..][..n], &shard[n..]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
