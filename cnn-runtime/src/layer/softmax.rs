//! Softmax along one axis.

use crate::kernel::simd::{Lanes, vectorized};
use crate::math;

/// Softmax along one axis of a row-major tensor of shape `outer x axis x inner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Softmax {
    /// The product of the sizes before the axis.
    pub outer: usize,
    /// The size of the axis whose elements are made to sum to 1.
    pub axis: usize,
    /// The product of the sizes after the axis; 1 for the last axis.
    pub inner: usize,
}

impl Softmax {
    /// Along the middle one of three sizes.
    #[must_use]
    pub const fn new(outer: usize, axis: usize, inner: usize) -> Self {
        Self { outer, axis, inner }
    }

    /// y = e^(x - max) / Σ e^(x - max). NaN spreads over its row.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        forward(self, x, y);
    }

    #[inline(always)]
    fn forward_inline(&self, x: &[f32], y: &mut [f32]) {
        if self.inner == 1 {
            for (x, y) in x.chunks_exact(self.axis).zip(y.chunks_exact_mut(self.axis)) {
                forward_row(x, y);
            }
        } else {
            self.for_each_column(|column| forward_column(x, y, column));
        }
    }

    /// dx = y (dy - Σ y dy), given y = softmax(x).
    pub fn backward(&self, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        backward(self, y, dy, dx);
    }

    #[inline(always)]
    fn backward_inline(&self, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        self.for_each_column(|column| {
            let mean: f64 = column.clone().map(|i| f64::from(y[i]) * f64::from(dy[i])).sum();
            for i in column {
                dx[i] = that_counts(y[i]) * (f64::from(dy[i]) - mean) as f32;
            }
        });
    }

    /// Calls `f` with the indices of each set of elements that sum to 1.
    #[inline(always)]
    fn for_each_column(&self, mut f: impl FnMut(Column)) {
        let size = self.axis * self.inner;
        for start in (0..self.outer).map(|outer| outer * size) {
            for first in start..start + self.inner {
                f((first..start + size).step_by(self.inner));
            }
        }
    }
}

vectorized! {
    fn forward(this: &Softmax, x: &[f32], y: &mut [f32]) = forward_body;

    fn backward(this: &Softmax, y: &[f32], dy: &[f32], dx: &mut [f32]) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(this: &Softmax, x: &[f32], y: &mut [f32]) {
    this.forward_inline(x, y);
}

#[inline(always)]
fn backward_body<L: Lanes>(this: &Softmax, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    this.backward_inline(y, dy, dx);
}

type Column = core::iter::StepBy<core::ops::Range<usize>>;

#[inline(always)]
fn forward_row(x: &[f32], y: &mut [f32]) {
    let (max, sum) = max_and_sum(x);
    for (y, &x) in y.iter_mut().zip(x) {
        *y = probability(x, max, sum);
    }
}

#[inline(always)]
fn forward_column(x: &[f32], y: &mut [f32], column: Column) {
    let values = column.clone().map(|i| x[i]);
    let max = values.clone().fold(f32::NEG_INFINITY, larger);
    let sum = sum_of_exponentials(values, max);
    for i in column {
        y[i] = probability(x[i], max, sum);
    }
}

/// max x and Σ e^(x - max x). The sum is at least 1, unless x holds NaN, a positive infinity or only
/// negative ones: then it is NaN.
#[inline(always)]
pub(crate) fn max_and_sum(x: &[f32]) -> (f32, f64) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, larger);
    (max, sum_of_exponentials(x.iter().copied(), max))
}

/// One element of a softmax.
#[inline(always)]
pub(crate) fn probability(x: f32, max: f32, sum: f64) -> f32 {
    exponential(x - max) / sum as f32
}

/// e^x for x ≤ 0, or 0 where that is no normal number: a CPU takes a hundred times as long for others.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    let vanishes = x < -87.0;
    let power = math::exp(if vanishes { 0.0 } else { x });
    if vanishes { 0.0 } else { power }
}

/// `probability`, or 0 if it is so small that what a gradient makes of it would be no normal number after some
/// layers.
#[inline(always)]
pub(crate) fn that_counts(probability: f32) -> f32 {
    const LEAST: f32 = 1.0 / (1u128 << 64) as f32;
    if probability < LEAST { 0.0 } else { probability }
}

#[inline(always)]
fn sum_of_exponentials(x: impl Iterator<Item = f32>, max: f32) -> f64 {
    let mut sum = 0.0;
    for x in x {
        sum += f64::from(exponential(x - max));
    }
    sum
}

#[inline(always)]
fn larger(max: f32, x: f32) -> f32 {
    if x > max { x } else { max }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, cases};

    fn softmax(x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        Softmax::new(1, x.len(), 1).forward(x, &mut y);
        y
    }

    #[test]
    fn published_values() {
        for (y, expected) in
            softmax(&[1.0, 2.0, 3.0]).iter().zip([0.090_030_6, 0.244_728_5, 0.665_241])
        {
            assert!((y - expected).abs() <= 1e-7);
        }
    }

    #[test]
    fn huge_logits_stay_finite() {
        assert_eq!(softmax(&[1e8, 1e8]), [0.5, 0.5]);
        assert_eq!(softmax(&[1e8, -1e8]), [1.0, 0.0]);
        assert_eq!(softmax(&[-1e8; 4]), [0.25; 4]);
        assert_eq!(softmax(&[f32::MAX, f32::MIN]), [1.0, 0.0]);
    }

    #[test]
    fn what_vanishes_is_zero() {
        for distance in 0..200 {
            let exact = (-f64::from(distance)).exp();
            let y = softmax(&[distance as f32, 0.0])[1];
            assert!(!y.is_subnormal(), "{distance}");
            assert!(
                (f64::from(y) - exact / (1.0 + exact)).abs() <= 3e-7 * exact + 2e-38,
                "{distance}"
            );
        }
    }

    #[test]
    fn nan_spreads() {
        assert!(softmax(&[1.0, f32::NAN, 2.0]).iter().all(|y| y.is_nan()));
        assert!(softmax(&[f32::NAN, 1.0]).iter().all(|y| y.is_nan()));
        assert!(softmax(&[f32::NEG_INFINITY; 2]).iter().all(|y| y.is_nan()));
    }

    /// An inner axis gives the same bits as the same numbers along the last one.
    #[test]
    fn axes_agree() {
        let (outer, axis, inner) = (2, 5, 3);
        let x: Vec<f32> = (0..outer * axis * inner).map(|i| (i * 37 % 19) as f32 - 9.0).collect();
        let mut y = vec![0.0; x.len()];
        Softmax::new(outer, axis, inner).forward(&x, &mut y);
        for o in 0..outer {
            for i in 0..inner {
                let at = |k: usize| (o * axis + k) * inner + i;
                let row: Vec<f32> = (0..axis).map(|k| x[at(k)]).collect();
                let column: Vec<f32> = (0..axis).map(|k| y[at(k)]).collect();
                assert_eq!(column, softmax(&row));
            }
        }
    }

    #[test]
    fn agrees_with_the_slow_oracle() {
        for n in [1, 2, 7, 8, 9, 1000] {
            let x: Vec<f32> = (0..n).map(|i| (i * 7919 % 257) as f32 / 16.0).collect();
            let dy: Vec<f32> = (0..n).map(|i| (i * 104_729 % 101) as f32 / 50.0 - 1.0).collect();
            let y = softmax(&x);
            let mut dx = vec![0.0; n];
            Softmax::new(1, n, 1).backward(&y, &dy, &mut dx);
            let exact = reference::softmax(&reference::widen(&x));
            let exact_dx = reference::softmax_backward(&exact, &reference::widen(&dy));
            for i in 0..n {
                assert!((f64::from(y[i]) - exact[i]).abs() <= 3e-7 * exact[i]);
                assert!((f64::from(dx[i]) - exact_dx[i]).abs() <= 4e-7 * exact[i]);
            }
        }
    }

    #[test]
    fn agrees_with_keras() {
        let mut count = 0;
        for case in cases::load("activations") {
            let args = case.args();
            if case.class() != "Softmax" && args["activation"] != "softmax" {
                continue;
            }
            let shape = case.batch_shape();
            let axis = args["axis"].as_u64().map_or(shape.len() - 1, |axis| axis as usize);
            let softmax = Softmax::new(
                shape[..axis].iter().product(),
                shape[axis],
                shape[axis + 1..].iter().product(),
            );
            let x = case.f32("input");
            let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            softmax.forward(&x, &mut y);
            softmax.backward(&y, &case.f32("upstream"), &mut dx);
            case.check("output", &y);
            case.check("grad/input", &dx);
            count += 1;
        }
        assert_eq!(count, 4);
    }
}
