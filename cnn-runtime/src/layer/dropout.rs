//! Inverted dropout.

use crate::kernel::simd::{Lanes, vectorized};
use crate::network::Pass;
use crate::rng;

/// Drops elements at random while training, and scales up what it keeps.
///
/// Whether an element is dropped is a function of seed, layer, step, sample and element alone
/// ([`rng::bits`]). So the backward pass needs no stored mask, and the number of threads is of no
/// influence. In evaluation a network leaves dropout out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability of being dropped, in \[0, 1).
    pub rate: f32,
    /// What tells the dropout layers of a network apart.
    pub layer: u32,
    /// After how many elements the same are dropped again; `usize::MAX` for never.
    pub period: usize,
}

impl Dropout {
    /// Drops with probability `rate`.
    #[must_use]
    pub const fn new(rate: f32, layer: u32) -> Self {
        assert!(rate >= 0.0 && rate < 1.0, "a dropout rate is at least 0 and less than 1");
        Self { rate, layer, period: usize::MAX }
    }

    /// `SpatialDropout2D`: drops whole channels.
    #[must_use]
    pub const fn channels(mut self, channels: usize) -> Self {
        self.period = channels;
        self
    }

    /// In training y = 0 for what is dropped, else x / (1 - rate); in inference y = x. `x` is image
    /// number `image` of its shard.
    pub fn forward(&self, pass: Pass, image: usize, x: &[f32], y: &mut [f32]) {
        match pass {
            Pass::Inference => y.copy_from_slice(x),
            Pass::Training { seed, step, first } => {
                drop(*self, x, y, seed, step, first + image as u64);
            }
        }
    }

    /// dx from dy, with the same arguments as the forward pass had: it is the same map.
    pub fn backward(&self, pass: Pass, image: usize, dy: &[f32], dx: &mut [f32]) {
        self.forward(pass, image, dy, dx);
    }

    #[inline(always)]
    fn drop_inline(self, x: &[f32], y: &mut [f32], seed: u64, step: u64, sample: u64) {
        if self.rate == 0.0 {
            y.copy_from_slice(x);
            return;
        }
        #[allow(clippy::cast_sign_loss, reason = "rates are not negative")]
        let threshold = (f64::from(self.rate) * 4_294_967_296.0) as u32;
        let scale = 1.0 / (1.0 - self.rate);
        let stream = rng::stream([u64::from(self.layer), step, sample]);
        for (y, x) in y.chunks_mut(self.period).zip(x.chunks(self.period)) {
            for (index, (y, &x)) in (0u64..).zip(y.iter_mut().zip(x)) {
                let kept = rng::bits(seed, stream, index) >= threshold;
                *y = if kept { x * scale } else { 0.0 };
            }
        }
    }
}

vectorized! {
    fn drop(this: Dropout, x: &[f32], y: &mut [f32], seed: u64, step: u64, sample: u64) = drop_body;
}

#[inline(always)]
fn drop_body<L: Lanes>(this: Dropout, x: &[f32], y: &mut [f32], seed: u64, step: u64, sample: u64) {
    this.drop_inline(x, y, seed, step, sample);
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact results are meant")]
mod tests {
    use super::*;

    const PASS: Pass = Pass::Training { seed: 7, step: 11, first: 10 };

    fn drop(rate: f32, layer: u32, n: usize, [seed, step, sample]: [u64; 3]) -> Vec<f32> {
        let mut y = vec![f32::NAN; n];
        Dropout::new(rate, layer).drop_inline(&vec![1.0; n], &mut y, seed, step, sample);
        y
    }

    /// keras-team/keras#3305: the scaling happens in training, and only there.
    #[test]
    fn kept_values_are_scaled() {
        let y = drop(0.25, 0, 1_000_000, [1, 2, 3]);
        assert!(y.iter().all(|&y| y == 0.0 || y == 1.333_333_4));
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / 1e6;
        assert!((mean - 1.0).abs() <= 0.003, "{mean}");
    }

    #[test]
    fn the_rate_is_met() {
        for rate in [0.01f32, 0.3, 0.5, 0.9] {
            let dropped = drop(rate, 0, 100_000, [5, 0, 0]).iter().filter(|&&y| y == 0.0).count();
            let sigma = (f64::from(rate) * f64::from(1.0 - rate) / 1e5).sqrt();
            assert!(
                (dropped as f64 / 1e5 - f64::from(rate)).abs() < 4.0 * sigma,
                "{rate} {dropped}"
            );
        }
    }

    #[test]
    fn backward_uses_the_same_mask_and_factor() {
        let dropout = Dropout::new(0.4, 3);
        let x: Vec<f32> = (0..500).map(|i| i as f32 - 250.5).collect();
        let (mut y, mut dx) = (vec![0.0; 500], vec![0.0; 500]);
        dropout.forward(PASS, 3, &x, &mut y);
        dropout.backward(PASS, 3, &x, &mut dx);
        assert_eq!(y, dx);
    }

    #[test]
    fn rate_0_is_the_identity() {
        let x = [1.5, -0.0, f32::MIN_POSITIVE, f32::INFINITY];
        let mut y = [0.0; 4];
        Dropout::new(0.0, 0).forward(PASS, 3, &x, &mut y);
        assert_eq!(x.map(f32::to_bits), y.map(f32::to_bits));
    }

    #[test]
    fn a_dropped_infinity_is_0() {
        let mut y = [1.0; 64];
        Dropout::new(0.5, 0).forward(PASS, 3, &[f32::INFINITY; 64], &mut y);
        assert!(y.contains(&0.0) && y.iter().all(|y| !y.is_nan()));
    }

    #[test]
    fn masks_differ_by_seed_layer_step_and_sample() {
        let mask = |layer, key| drop(0.5, layer, 64, key);
        let base = mask(0, [0, 0, 0]);
        assert_eq!(base, mask(0, [0, 0, 0]));
        for other in
            [mask(1, [0, 0, 0]), mask(0, [1, 0, 0]), mask(0, [0, 1, 0]), mask(0, [0, 0, 1])]
        {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn channels_are_dropped_as_a_whole() {
        let mut y = vec![f32::NAN; 1000];
        let layer = Dropout::new(0.5, 0).channels(20);
        layer.forward(PASS, 3, &[1.0; 1000], &mut y);
        let mask = &y[..20];
        assert!(y.chunks(20).all(|place| place == mask));
        assert!(mask.contains(&0.0) && mask.contains(&2.0));
        let mut dx = vec![f32::NAN; 1000];
        layer.backward(PASS, 3, &[1.0; 1000], &mut dx);
        assert_eq!(dx, y);
    }

    /// Neighbouring samples and steps agree on about half of their masks.
    #[test]
    fn masks_are_independent() {
        let agree = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        let base = drop(0.5, 0, 10_000, [0, 5, 5]);
        for key in [[0, 5, 6], [0, 6, 5], [1, 5, 5], [0, 4, 6]] {
            let same = agree(&base, &drop(0.5, 0, 10_000, key));
            assert!(same.abs_diff(5000) < 220, "{same}");
        }
        let shifted = agree(&base[1..], &base[..9999]);
        assert!(shifted.abs_diff(5000) < 220, "{shifted}");
    }
}
