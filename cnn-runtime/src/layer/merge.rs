//! Several inputs as one, element by element.

use core::ops::Range;

use super::pool::wins;
use crate::kernel::simd::{Lanes, vectorized};

/// Elements that are worked on at a time.
const CHUNK: usize = 256;

/// What becomes of the elements in one place of all inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Their sum.
    Add,
    /// The first less the others.
    Subtract,
    /// Their product.
    Multiply,
    /// Their sum divided by their number.
    Average,
    /// The largest; the first of several takes the gradient.
    Maximum,
    /// The smallest; the first of several takes the gradient.
    Minimum,
}

/// `Add`, `Subtract`, `Multiply`, `Average`, `Maximum` or `Minimum` of one image of each input.
///
/// Inputs have the output's shape or are repeated along axes where their size is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// What is computed.
    pub rule: Rule,
    /// Height, width and channels of the output; missing axes are 1.
    pub output: [usize; 3],
    /// The same of each input; none if all are as the output.
    pub inputs: &'static [[usize; 3]],
}

impl Merge {
    /// Merges inputs of the output's shape.
    #[must_use]
    pub const fn new(rule: Rule, output: [usize; 3]) -> Self {
        Self { rule, output, inputs: &[] }
    }

    /// Merges inputs of these shapes.
    ///
    /// # Panics
    ///
    /// (In a `const`: does not compile.) If a size is neither the output's nor 1.
    #[must_use]
    pub const fn of(mut self, inputs: &'static [[usize; 3]]) -> Self {
        let mut i = 0;
        while i < 3 * inputs.len() {
            let size = inputs[i / 3][i % 3];
            assert!(size == self.output[i % 3] || size == 1, "an input of another size");
            i += 1;
        }
        self.inputs = inputs;
        self
    }

    /// Merges the inputs, first to last.
    pub fn forward(&self, inputs: &[&[f32]], y: &mut [f32]) {
        forward(self, inputs, y);
    }

    #[inline(always)]
    fn forward_inline(&self, inputs: &[&[f32]], y: &mut [f32]) {
        let mut buffer = [0.0; CHUNK];
        let number = inputs.len() as f32;
        self.for_each_chunk(|row, range| {
            let start = row * self.row();
            let y = &mut y[start + range.start..start + range.end];
            self.load(inputs, 0, row, &range, y);
            let x = &mut buffer[..range.len()];
            for k in 1..inputs.len() {
                self.load(inputs, k, row, &range, x);
                match self.rule {
                    Rule::Add | Rule::Average => both(y, x, |y, x| y + x),
                    Rule::Subtract => both(y, x, |y, x| y - x),
                    Rule::Multiply => both(y, x, |y, x| y * x),
                    Rule::Maximum => both(y, x, |y, x| if wins(x, y) { x } else { y }),
                    Rule::Minimum => both(y, x, |y, x| if wins(-x, -y) { x } else { y }),
                }
            }
            if self.rule == Rule::Average {
                each(y, |y| y / number);
            }
        });
    }

    /// Writes the gradient of input `which`. A repeated input's is the sum over its places, in their
    /// order.
    pub fn backward(&self, which: usize, inputs: &[&[f32]], dy: &[f32], dx: &mut [f32]) {
        backward(self, which, inputs, dy, dx);
    }

    #[inline(always)]
    fn backward_inline(&self, which: usize, inputs: &[&[f32]], dy: &[f32], dx: &mut [f32]) {
        let (mut d, mut x, mut own) = ([0.0; CHUNK], [0.0; CHUNK], [0.0; CHUNK]);
        dx.fill(0.0);
        self.for_each_chunk(|row, range| {
            let start = row * self.row();
            let d = &mut d[..range.len()];
            d.copy_from_slice(&dy[start + range.start..start + range.end]);
            let (x, own) = (&mut x[..range.len()], &mut own[..range.len()]);
            self.load(inputs, which, row, &range, own);
            match self.rule {
                Rule::Add => {}
                Rule::Subtract if which == 0 => {}
                Rule::Subtract => each(d, |d| -d),
                Rule::Average => each(d, |d| d / inputs.len() as f32),
                Rule::Multiply | Rule::Maximum | Rule::Minimum => {
                    for other in (0..inputs.len()).filter(|&other| other != which) {
                        self.load(inputs, other, row, &range, x);
                        self.chain(which < other, d, own, x);
                    }
                }
            }
            self.give(which, row, &range, d, dx);
        });
    }

    /// What another input `x`, behind or before this one, does to its gradient.
    #[inline(always)]
    fn chain(&self, first: bool, d: &mut [f32], own: &[f32], x: &[f32]) {
        if self.rule == Rule::Multiply {
            both(d, x, |d, x| d * x);
            return;
        }
        let sign = if self.rule == Rule::Minimum { -1.0 } else { 1.0 };
        for ((d, &own), &x) in d.iter_mut().zip(own).zip(x) {
            let (own, x) = (sign * own, sign * x);
            let won = if first { !wins(x, own) } else { wins(own, x) };
            *d = if won { *d } else { 0.0 };
        }
    }

    /// Elements in a row: all, unless an input is repeated.
    #[inline(always)]
    fn row(&self) -> usize {
        let [height, width, channels] = self.output;
        if self.inputs.is_empty() { height * width * channels } else { channels }
    }

    /// Calls `f` for each row and a range in it.
    #[inline(always)]
    fn for_each_chunk(&self, mut f: impl FnMut(usize, Range<usize>)) {
        let rows = if self.inputs.is_empty() { 1 } else { self.output[0] * self.output[1] };
        for row in 0..rows {
            for start in (0..self.row()).step_by(CHUNK) {
                f(row, start..(start + CHUNK).min(self.row()));
            }
        }
    }

    /// Where a row of an input starts, and whether it is a single element.
    #[inline(always)]
    fn place(&self, which: usize, row: usize) -> (usize, bool) {
        let Some(&[height, width, channels]) = self.inputs.get(which) else { return (0, false) };
        let (down, across) = (row / self.output[1], row % self.output[1]);
        let down = if height == 1 { 0 } else { down };
        let across = if width == 1 { 0 } else { across };
        ((down * width + across) * channels, channels < self.output[2])
    }

    /// A chunk of a row of an input.
    #[inline(always)]
    fn load(
        &self,
        inputs: &[&[f32]],
        which: usize,
        row: usize,
        range: &Range<usize>,
        to: &mut [f32],
    ) {
        match self.place(which, row) {
            (start, true) => to.fill(inputs[which][start]),
            (start, false) => {
                to.copy_from_slice(&inputs[which][start + range.start..start + range.end]);
            }
        }
    }

    /// Adds a chunk's gradients to those of an input.
    #[inline(always)]
    fn give(&self, which: usize, row: usize, range: &Range<usize>, d: &[f32], dx: &mut [f32]) {
        match self.place(which, row) {
            (start, true) => d.iter().for_each(|d| dx[start] += d),
            (start, false) => {
                both(&mut dx[start + range.start..start + range.end], d, |sum, d| sum + d);
            }
        }
    }
}

vectorized! {
    fn forward(this: &Merge, inputs: &[&[f32]], y: &mut [f32]) = forward_body;

    fn backward(this: &Merge, which: usize, inputs: &[&[f32]], dy: &[f32], dx: &mut [f32])
        = backward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(this: &Merge, inputs: &[&[f32]], y: &mut [f32]) {
    this.forward_inline(inputs, y);
}

#[inline(always)]
fn backward_body<L: Lanes>(
    this: &Merge,
    which: usize,
    inputs: &[&[f32]],
    dy: &[f32],
    dx: &mut [f32],
) {
    this.backward_inline(which, inputs, dy, dx);
}

/// `y[i] = f(y[i], x[i])`
#[inline(always)]
fn both(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(*y, x);
    }
}

/// `y[i] = f(y[i])`
#[inline(always)]
fn each(y: &mut [f32], f: impl Fn(f32) -> f32) {
    for y in y {
        *y = f(*y);
    }
}

/// Inputs side by side along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concatenate {
    /// The product of the sizes before the axis.
    pub outer: usize,
    /// For each input, the product of the sizes from the axis on.
    pub inner: &'static [usize],
}

impl Concatenate {
    /// Of inputs that have `outer` runs each, of these lengths.
    #[must_use]
    pub const fn new(outer: usize, inner: &'static [usize]) -> Self {
        Self { outer, inner }
    }

    /// The runs of all inputs by turns.
    pub fn forward(&self, inputs: &[&[f32]], y: &mut [f32]) {
        for (which, x) in inputs.iter().enumerate() {
            let run = self.inner[which];
            for (outer, x) in x.chunks_exact(run).enumerate() {
                y[self.start(outer, which)..][..run].copy_from_slice(x);
            }
        }
    }

    /// Writes the gradient of input `which`: its part of the output's.
    pub fn backward(&self, which: usize, dy: &[f32], dx: &mut [f32]) {
        let run = self.inner[which];
        for (outer, dx) in dx.chunks_exact_mut(run).enumerate() {
            dx.copy_from_slice(&dy[self.start(outer, which)..][..run]);
        }
    }

    fn start(&self, outer: usize, which: usize) -> usize {
        let sum = |runs: &[usize]| runs.iter().sum::<usize>();
        outer * sum(self.inner) + sum(&self.inner[..which])
    }
}

#[cfg(test)]
mod tests;
