//! The loops over images. Where channels lie side by side, sixteen go at once: everything about
//! them is in arrays of that length, so that one turn of a loop is a few vectors.

use super::{BatchNormalization, Shared};
use crate::kernel::simd::{Lanes, prefetch, vectorized};

/// Channels that are worked on side by side.
const GROUP: usize = 16;

/// A number for each of them.
type Group = [f32; GROUP];

/// Sums in double width for each of them: rounding hides behind that of the result.
type Sums = [f64; GROUP];

/// What makes outputs of inputs: `(x - mean) scale + shift`.
#[derive(Clone, Copy)]
struct Constants {
    mean: Group,
    scale: Group,
    shift: Group,
    relu: bool,
}

/// What makes gradients of gradients.
#[derive(Clone, Copy)]
struct Pull {
    constants: Constants,
    inverse: Group,
    gradient: Group,
    slope: Group,
}

vectorized! {
    /// Of each channel the mean, and the sum of squared distances from it.
    pub(super) fn measure(this: &BatchNormalization, x: &[f32], sums: &mut [f32]) = measure_body;

    pub(super) fn forward(this: &BatchNormalization, constants: &[f32], x: &[f32], y: &mut [f32])
        = forward_body;

    /// Of each channel the sums of the gradient and of that times the normalised input.
    pub(super) fn measure_back(
        this: &BatchNormalization,
        batch: &[f32],
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
    ) = measure_back_body;

    pub(super) fn backward(
        this: &BatchNormalization,
        batch: &[f32],
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) = backward_body;
}

/// The numbers of up to sixteen channels from `from` on, and zeros.
#[inline(always)]
fn group(of: &[f32], from: usize) -> Group {
    let mut group = [0.0; GROUP];
    let count = GROUP.min(of.len() - from);
    group[..count].copy_from_slice(&of[from..from + count]);
    group
}

impl Constants {
    #[inline(always)]
    fn of(this: &BatchNormalization, constants: &[f32], from: usize) -> Self {
        let (mean, rest) = constants.split_at(this.channels);
        let (scale, shift) = rest.split_at(this.channels);
        Self {
            mean: group(mean, from),
            scale: group(scale, from),
            shift: group(&shift[..this.channels], from),
            relu: this.relu,
        }
    }

    /// Before the relu.
    #[inline(always)]
    fn output(&self, j: usize, x: f32) -> f32 {
        (x - self.mean[j]) * self.scale[j] + self.shift[j]
    }

    #[inline(always)]
    fn forward(&self, j: usize, x: f32) -> f32 {
        let y = self.output(j, x);
        if self.relu && y < 0.0 { 0.0 } else { y }
    }

    /// The gradient before the relu.
    #[inline(always)]
    fn passed(&self, j: usize, x: f32, dy: f32) -> f32 {
        if !self.relu || self.output(j, x) > 0.0 { dy } else { 0.0 }
    }
}

impl Pull {
    #[inline(always)]
    fn of(this: &BatchNormalization, batch: &[f32], from: usize) -> Self {
        let shared = |what| group(this.shared(batch, what), from);
        Self {
            constants: Constants::of(this, this.current(batch), from),
            inverse: shared(Shared::Inverse),
            gradient: shared(Shared::Gradient),
            slope: shared(Shared::Slope),
        }
    }

    #[inline(always)]
    fn backward(&self, j: usize, x: f32, dy: f32) -> f32 {
        let normalised = (x - self.constants.mean[j]) * self.inverse[j];
        let dy = self.constants.passed(j, x, dy);
        self.constants.scale[j] * (dy - self.gradient[j] - normalised * self.slope[j])
    }
}

/// Sixteen values from `at` on.
#[inline(always)]
fn sixteen(values: &[f32], at: usize) -> &Group {
    values[at..at + GROUP].first_chunk().expect("as long as a group")
}

/// Floats between what is read of an image and what is asked for meanwhile, since what has waited for the
/// whole batch comes from beyond the second cache.
const AHEAD: usize = 1024;

/// The same, and asks for those that come later.
#[inline(always)]
fn sixteen_ahead(values: &[f32], at: usize) -> &Group {
    prefetch(&values[(at + AHEAD).min(values.len() - 1)]);
    sixteen(values, at)
}

/// The same.
#[inline(always)]
fn sixteen_mut(values: &mut [f32], at: usize) -> &mut Group {
    values[at..at + GROUP].first_chunk_mut().expect("as long as a group")
}

impl BatchNormalization {
    /// Whether the channels from `from` on go sixteen at once.
    #[inline(always)]
    fn is_wide(&self, from: usize) -> bool {
        self.inner == 1 && self.channels - from >= GROUP
    }

    /// Calls `each` with every place of the channels in a group that starts with `from`, and the
    /// channel's number in the group.
    #[inline(always)]
    fn places_of(&self, from: usize, values: usize, mut each: impl FnMut(usize, usize)) {
        let count = GROUP.min(self.channels - from);
        for run in (from..values / self.inner).step_by(self.channels) {
            for j in 0..count {
                for k in 0..self.inner {
                    each((run + j) * self.inner + k, j);
                }
            }
        }
    }
}

#[inline(always)]
fn measure_body<L: Lanes>(this: &BatchNormalization, x: &[f32], sums: &mut [f32]) {
    let (means, squares) = sums.split_at_mut(this.channels);
    let n = (x.len() / this.channels) as f64;
    for from in (0..this.channels).step_by(GROUP) {
        // Distances from a value of the channel, so that squares stay small beside what they are
        // subtracted from.
        let mut near: Sums = [0.0; GROUP];
        this.places_of(from, this.channels * this.inner, |at, j| near[j] = f64::from(x[at]));
        let [total, distances] = distances(this, from, x, &near);
        for j in 0..GROUP.min(this.channels - from) {
            let mean = near[j] + total[j] / n;
            means[from + j] = mean as f32;
            // About the mean that is passed on, which is rounded.
            let rounding = mean - f64::from(means[from + j]);
            let about_mean = distances[j] - total[j] * total[j] / n;
            let about_mean = if about_mean < 0.0 { 0.0 } else { about_mean };
            squares[from + j] = (about_mean + n * rounding * rounding) as f32;
        }
    }
}

/// Sums of `x - near` and of its square.
#[inline(always)]
fn distances(this: &BatchNormalization, from: usize, x: &[f32], near: &Sums) -> [Sums; 2] {
    let (mut total, mut squares): (Sums, Sums) = ([0.0; GROUP], [0.0; GROUP]);
    if this.is_wide(from) {
        for at in (from..x.len()).step_by(this.channels) {
            let x = sixteen_ahead(x, at);
            for j in 0..GROUP {
                let distance = f64::from(x[j]) - near[j];
                total[j] += distance;
                squares[j] += distance * distance;
            }
        }
    } else {
        this.places_of(from, x.len(), |at, j| {
            let distance = f64::from(x[at]) - near[j];
            total[j] += distance;
            squares[j] += distance * distance;
        });
    }
    [total, squares]
}

#[inline(always)]
fn forward_body<L: Lanes>(this: &BatchNormalization, constants: &[f32], x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    for from in (0..this.channels).step_by(GROUP) {
        let constants = Constants::of(this, constants, from);
        if this.is_wide(from) {
            for at in (from..x.len()).step_by(this.channels) {
                let (x, y) = (sixteen(x, at), sixteen_mut(y, at));
                for j in 0..GROUP {
                    y[j] = constants.forward(j, x[j]);
                }
            }
        } else {
            this.places_of(from, x.len(), |at, j| y[at] = constants.forward(j, x[at]));
        }
    }
}

#[inline(always)]
fn measure_back_body<L: Lanes>(
    this: &BatchNormalization,
    batch: &[f32],
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
) {
    let (gradients, slopes) = sums.split_at_mut(this.channels);
    let inverse = this.shared(batch, Shared::Inverse);
    for from in (0..this.channels).step_by(GROUP) {
        let constants = Constants::of(this, this.current(batch), from);
        let [gradient, slope] = slopes_of(this, from, &constants, x, dy);
        for j in 0..GROUP.min(this.channels - from) {
            gradients[from + j] = gradient[j] as f32;
            slopes[from + j] = (slope[j] * f64::from(inverse[from + j])) as f32;
        }
    }
}

/// Sums of the gradient and of that times the distance from the mean.
#[inline(always)]
fn slopes_of(
    this: &BatchNormalization,
    from: usize,
    constants: &Constants,
    x: &[f32],
    dy: &[f32],
) -> [Sums; 2] {
    let (mut gradient, mut slope): (Sums, Sums) = ([0.0; GROUP], [0.0; GROUP]);
    if this.is_wide(from) {
        for at in (from..x.len()).step_by(this.channels) {
            let (x, dy) = (sixteen_ahead(x, at), sixteen_ahead(dy, at));
            for j in 0..GROUP {
                let passed = f64::from(constants.passed(j, x[j], dy[j]));
                gradient[j] += passed;
                slope[j] += passed * f64::from(x[j] - constants.mean[j]);
            }
        }
    } else {
        this.places_of(from, x.len(), |at, j| {
            let passed = f64::from(constants.passed(j, x[at], dy[at]));
            gradient[j] += passed;
            slope[j] += passed * f64::from(x[at] - constants.mean[j]);
        });
    }
    [gradient, slope]
}

#[inline(always)]
fn backward_body<L: Lanes>(
    this: &BatchNormalization,
    batch: &[f32],
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    assert!(x.len() == dx.len() && dy.len() == dx.len());
    for from in (0..this.channels).step_by(GROUP) {
        let pull = Pull::of(this, batch, from);
        if this.is_wide(from) {
            for at in (from..x.len()).step_by(this.channels) {
                let (x, dy) = (sixteen_ahead(x, at), sixteen_ahead(dy, at));
                let dx = sixteen_mut(dx, at);
                for j in 0..GROUP {
                    dx[j] = pull.backward(j, x[j], dy[j]);
                }
            }
        } else {
            this.places_of(from, x.len(), |at, j| dx[at] = pull.backward(j, x[at], dy[at]));
        }
    }
}
