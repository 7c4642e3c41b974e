//! Larger images out of smaller ones.

use crate::kernel::simd::{Lanes, vectorized};

/// `UpSampling2D` of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpSampling2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// How many times as high and as wide the output is.
    pub size: [usize; 2],
    /// Whether pixels are blended, or repeated.
    pub bilinear: bool,
}

impl UpSampling2D {
    /// Repeats each pixel.
    #[must_use]
    pub const fn new(input: [usize; 3], size: [usize; 2]) -> Self {
        Self { input, size, bilinear: false }
    }

    /// Blends the nearest four pixels, as `tf.image.resize` does: pixels are squares that have their
    /// colour in their centres; beyond the outermost centres their colour stays.
    #[must_use]
    pub const fn bilinear(mut self) -> Self {
        self.bilinear = true;
        self
    }

    /// The larger image.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        forward(self, x, y);
    }

    #[inline(always)]
    fn forward_inline(&self, x: &[f32], y: &mut [f32]) {
        let [_, width, channels] = self.input;
        let columns = width * self.size[1];
        for (place, y) in y.chunks_exact_mut(channels).enumerate() {
            let (row, column) = (self.along(0, place / columns), self.along(1, place % columns));
            let at =
                |row: usize, column: usize| &x[(row * width + column) * channels..][..channels];
            let near = at(row.first, column.first);
            if !self.bilinear {
                y.copy_from_slice(near);
                continue;
            }
            let (right, below) = (at(row.first, column.second), at(row.second, column.first));
            let across = at(row.second, column.second);
            let pixels = near.iter().zip(right).zip(below).zip(across);
            for (y, (((&near, &right), &below), &across)) in y.iter_mut().zip(pixels) {
                let top = near + (right - near) * column.share;
                let bottom = below + (across - below) * column.share;
                *y = top + (bottom - top) * row.share;
            }
        }
    }

    /// Each pixel's gradient is the sum of what the pixels made of it give, in their order.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        backward(self, dy, dx);
    }

    #[inline(always)]
    fn backward_inline(&self, dy: &[f32], dx: &mut [f32]) {
        let [_, width, channels] = self.input;
        let columns = width * self.size[1];
        dx.fill(0.0);
        for (place, dy) in dy.chunks_exact(channels).enumerate() {
            let (row, column) = (self.along(0, place / columns), self.along(1, place % columns));
            let mut give = |row: usize, column: usize, share: f32| {
                let dx = &mut dx[(row * width + column) * channels..][..channels];
                for (dx, &dy) in dx.iter_mut().zip(dy) {
                    *dx += share * dy;
                }
            };
            if !self.bilinear {
                give(row.first, column.first, 1.0);
                continue;
            }
            give(row.first, column.first, (1.0 - row.share) * (1.0 - column.share));
            give(row.first, column.second, (1.0 - row.share) * column.share);
            give(row.second, column.first, row.share * (1.0 - column.share));
            give(row.second, column.second, row.share * column.share);
        }
    }

    /// Which rows or columns of the input an output's are made of.
    #[inline(always)]
    fn along(&self, axis: usize, place: usize) -> Blend {
        let (n, size) = (self.input[axis], self.size[axis]);
        if !self.bilinear {
            return Blend { first: place / size, second: place / size, share: 0.0 };
        }
        // (place + 1/2) / size - 1/2, in units of 1/(2 size), and one row up so as not to be negative.
        let (unit, from) = (2 * size, 2 * place + 1 + size);
        let (floor, rest) = (from / unit, from % unit);
        Blend {
            first: floor.saturating_sub(1),
            second: floor.min(n - 1),
            share: rest as f32 / unit as f32,
        }
    }
}

/// Two rows or columns, and the share of the second.
struct Blend {
    first: usize,
    second: usize,
    share: f32,
}

vectorized! {
    fn forward(this: &UpSampling2D, x: &[f32], y: &mut [f32]) = forward_body;

    fn backward(this: &UpSampling2D, dy: &[f32], dx: &mut [f32]) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(this: &UpSampling2D, x: &[f32], y: &mut [f32]) {
    this.forward_inline(x, y);
}

#[inline(always)]
fn backward_body<L: Lanes>(this: &UpSampling2D, dy: &[f32], dx: &mut [f32]) {
    this.backward_inline(dy, dx);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::rng::Rng;

    fn noise(count: usize, stream: u64) -> Vec<f32> {
        let mut rng = Rng::new(8, stream);
        (0..count).map(|_| 2.0 * rng.uniform() - 1.0).collect()
    }

    /// Against the definition in double precision, and backward against differences of it: the map
    /// is linear, so these are exact.
    #[test]
    fn agrees_with_the_slow_oracle() {
        for (input, size) in [
            ([1, 1, 1], [1, 1]),
            ([1, 1, 2], [3, 4]),
            ([3, 4, 3], [2, 2]),
            ([4, 3, 9], [2, 3]),
            ([1, 5, 2], [3, 4]),
            ([2, 7, 17], [5, 1]),
        ] {
            for bilinear in [false, true] {
                let mut layer = UpSampling2D::new(input, size);
                if bilinear {
                    layer = layer.bilinear();
                }
                let count = input.iter().product::<usize>();
                let (x, dy) = (noise(count, 1), noise(count * size[0] * size[1], 2));
                let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; count]);
                layer.forward(&x, &mut y);
                layer.backward(&dy, &mut dx);
                let slow = |x: &[f64]| reference::up_sampling(input, size, bilinear, x);
                let (x, dy) = (reference::widen(&x), reference::widen(&dy));
                let total = |x: &[f64]| slow(x).iter().zip(&dy).map(|(y, dy)| y * dy).sum();
                let exact_dx = reference::numeric_gradient(total, &x, 0.5);
                let pairs = y.iter().zip(slow(&x)).chain(dx.iter().zip(exact_dx));
                for (found, exact) in pairs {
                    assert!((f64::from(*found) - exact).abs() <= 2e-6, "{layer:?}");
                }
            }
        }
    }
}
