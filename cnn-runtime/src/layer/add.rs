//! `Add` of inputs that are all of one shape.

use crate::kernel::elementwise;
use crate::kernel::simd::{Lanes, vectorized};

/// The sum of several inputs, element by element, then relu if asked: one image of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Add {
    len: usize,
    relu: bool,
}

impl Add {
    /// Of any number of inputs of `len` floats.
    #[must_use]
    pub const fn new(len: usize) -> Self {
        Self { len, relu: false }
    }

    /// Followed by a relu.
    #[must_use]
    pub const fn relu(self) -> Self {
        Self { relu: true, ..self }
    }

    /// Adds the inputs up, first to last.
    pub fn forward(&self, inputs: &[&[f32]], y: &mut [f32]) {
        let y = &mut y[..self.len];
        let Some((&first, others)) = inputs.split_first() else { return y.fill(0.0) };
        let Some((&last, middle)) = others.split_last() else { return y.copy_from_slice(first) };
        if middle.is_empty() {
            sum(first, last, self.relu, y);
            return;
        }
        y.copy_from_slice(first);
        for x in middle {
            more(x, false, y);
        }
        more(last, self.relu, y);
    }

    /// Writes the gradient of an input, which is the same for all; `y` is what `forward` made.
    pub fn backward(&self, _which: usize, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        if self.relu {
            masked(y, dy, dx);
        } else {
            dx.copy_from_slice(dy);
        }
    }

    /// The same where the output's gradient lies, which becomes that of each input.
    pub fn backward_in_place(&self, y: &[f32], d: &mut [f32]) {
        if self.relu {
            elementwise::mask(d, y);
        }
    }
}

vectorized! {
    fn sum(a: &[f32], b: &[f32], relu: bool, y: &mut [f32]) = sum_body;

    fn more(x: &[f32], relu: bool, y: &mut [f32]) = more_body;

    fn masked(y: &[f32], dy: &[f32], dx: &mut [f32]) = masked_body;
}

/// NaN passes.
#[inline(always)]
fn clip(relu: bool, y: f32) -> f32 {
    if relu && y < 0.0 { 0.0 } else { y }
}

#[inline(always)]
fn sum_body<L: Lanes>(a: &[f32], b: &[f32], relu: bool, y: &mut [f32]) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = clip(relu, a + b);
    }
}

#[inline(always)]
fn more_body<L: Lanes>(x: &[f32], relu: bool, y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = clip(relu, *y + x);
    }
}

#[inline(always)]
fn masked_body<L: Lanes>(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
        *dx = if y > 0.0 { dy } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (Add, &'a [&'a [f32]], [f32; 3], [f32; 3]);

    /// Sums, with and without a relu behind, of two and of three inputs; gradients pass where the
    /// output is above 0.
    #[test]
    fn adds_and_masks() {
        let (a, b, c) = ([1.0, -2.0, 3.0], [0.5, 1.0, -3.0], [1.0, 2.0, -1.0]);
        let dy = [5.0, 6.0, 7.0];
        let table: [Case<'_>; 4] = [
            (Add::new(3), &[&a, &b], [1.5, -1.0, 0.0], dy),
            (Add::new(3).relu(), &[&a, &b], [1.5, 0.0, 0.0], [5.0, 0.0, 0.0]),
            (Add::new(3), &[&a, &b, &c], [2.5, 1.0, -1.0], dy),
            (Add::new(3).relu(), &[&a, &b, &c], [2.5, 1.0, 0.0], [5.0, 6.0, 0.0]),
        ];
        for (add, inputs, sums, gradients) in table {
            let (mut y, mut dx) = ([f32::NAN; 3], [f32::NAN; 3]);
            add.forward(inputs, &mut y);
            add.backward(1, &y, &dy, &mut dx);
            assert_eq!((y, dx), (sums, gradients), "{add:?} of {}", inputs.len());
            let mut d = dy;
            add.backward_in_place(&y, &mut d);
            assert_eq!((y, d), (sums, gradients), "{add:?} in place");
        }
        let mut y = [0.0];
        Add::new(1).relu().forward(&[&[f32::NAN], &[1.0]], &mut y);
        assert!(y[0].is_nan());
    }
}
