//! Average pooling.

use core::ops::Range;

use super::pool::{clip, windows};
use crate::kernel::simd::{Lanes, vectorized};

/// `AveragePooling2D` of one image (height x width x channels).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePooling2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the window.
    pub pool: [usize; 2],
    /// Steps of the window, down and to the right.
    pub strides: [usize; 2],
    /// Rows and columns around the input that do not count: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Height, width and channels of the output.
    pub output: [usize; 3],
}

impl AveragePooling2D {
    /// Derives the output: floor((n + padding - pool) / stride) + 1 windows along each side.
    ///
    /// # Panics
    ///
    /// (In a `const`: does not compile.) If a size or stride is 0, a window does not fit, or one would
    /// lie in the padding altogether.
    #[must_use]
    pub const fn new(
        input: [usize; 3],
        pool: [usize; 2],
        strides: [usize; 2],
        padding: [usize; 4],
    ) -> Self {
        let [height, width, channels] = input;
        let [top, bottom, left, right] = padding;
        let output = [
            windows(height, pool[0], strides[0], top, bottom),
            windows(width, pool[1], strides[1], left, right),
            channels,
        ];
        Self { input, pool, strides, padding, output }
    }

    /// Each output is the mean of the inputs under its window, summed in row-major order.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        forward(self, x, y);
    }

    #[inline(always)]
    fn forward_inline(&self, x: &[f32], y: &mut [f32]) {
        let [_, width, channels] = self.input;
        for (cell, y) in y.chunks_exact_mut(channels).enumerate() {
            let (rows, columns, count) = self.window(cell);
            y.fill(0.0);
            for row in rows {
                for column in columns.clone() {
                    let x = &x[(row * width + column) * channels..][..channels];
                    for (sum, &x) in y.iter_mut().zip(x) {
                        *sum += x;
                    }
                }
            }
            for sum in y {
                *sum /= count;
            }
        }
    }

    /// dx = the sum of the gradients of the windows over each input, each divided by what the window
    /// counts, in the order of the windows.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        backward(self, dy, dx);
    }

    #[inline(always)]
    fn backward_inline(&self, dy: &[f32], dx: &mut [f32]) {
        let [_, width, channels] = self.input;
        dx.fill(0.0);
        for (cell, dy) in dy.chunks_exact(channels).enumerate() {
            let (rows, columns, count) = self.window(cell);
            for row in rows {
                for column in columns.clone() {
                    let dx = &mut dx[(row * width + column) * channels..][..channels];
                    for (dx, &dy) in dx.iter_mut().zip(dy) {
                        *dx += dy / count;
                    }
                }
            }
        }
    }

    /// Rows and columns of the input under a window, and how many elements that is.
    #[inline(always)]
    fn window(&self, cell: usize) -> (Range<usize>, Range<usize>, f32) {
        let columns = self.output[1];
        let along = |axis: usize, place: usize| {
            let start = place * self.strides[axis];
            clip(start, self.pool[axis], self.padding[2 * axis], self.input[axis])
        };
        let (rows, columns) = (along(0, cell / columns), along(1, cell % columns));
        let count = rows.len() * columns.len();
        (rows, columns, count as f32)
    }
}

vectorized! {
    fn forward(this: &AveragePooling2D, x: &[f32], y: &mut [f32]) = forward_body;

    fn backward(this: &AveragePooling2D, dy: &[f32], dx: &mut [f32]) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(this: &AveragePooling2D, x: &[f32], y: &mut [f32]) {
    this.forward_inline(x, y);
}

#[inline(always)]
fn backward_body<L: Lanes>(this: &AveragePooling2D, dy: &[f32], dx: &mut [f32]) {
    this.backward_inline(dy, dx);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, cases};
    use crate::rng::Rng;

    fn run(pool: &AveragePooling2D, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        pool.forward(x, &mut y);
        pool.backward(dy, &mut dx);
        (y, dx)
    }

    /// What lies in the padding counts neither above nor below the line.
    #[test]
    fn padding_does_not_count() {
        let pool = AveragePooling2D::new([2, 2, 1], [3, 3], [2, 2], [1, 1, 1, 1]);
        let (y, dx) = run(&pool, &[1., 2., 3., 6.], &[4.]);
        assert_eq!((y, dx), (vec![3.], vec![1.; 4]));
    }

    #[test]
    fn agrees_with_the_slow_oracle() {
        for (input, size, strides, padding) in [
            ([1, 1, 1], [1, 1], [1, 1], [0; 4]),
            ([5, 7, 3], [2, 2], [2, 2], [0; 4]),
            ([5, 7, 9], [2, 2], [2, 2], [0, 1, 0, 1]),
            ([6, 6, 8], [3, 3], [2, 2], [0, 1, 0, 1]),
            ([6, 5, 17], [3, 2], [1, 2], [1, 1, 0, 1]),
            ([4, 9, 16], [4, 5], [3, 1], [0, 0, 2, 2]),
            ([3, 3, 2], [5, 5], [2, 2], [2, 2, 2, 2]),
            ([9, 8, 7], [2, 2], [3, 3], [0; 4]),
        ] {
            let pool = AveragePooling2D::new(input, size, strides, padding);
            let slow = reference::AveragePooling2D { input, pool: size, strides, padding };
            assert_eq!(pool.output, slow.output());
            let noise = |n: usize, stream: u64| -> Vec<f32> {
                let mut rng = Rng::new(3, stream);
                (0..n).map(|_| 2.0 * rng.uniform() - 1.0).collect()
            };
            let x = noise(input.iter().product(), 1);
            let dy = noise(pool.output.iter().product(), 2);
            let (y, dx) = run(&pool, &x, &dy);
            let exact_y = slow.forward(&reference::widen(&x));
            let exact_dx = slow.backward(&reference::widen(&dy));
            let pairs = y.iter().zip(exact_y).chain(dx.iter().zip(exact_dx));
            for (found, exact) in pairs {
                assert!((f64::from(*found) - exact).abs() <= 1e-6, "{pool:?}: {found} {exact}");
            }
        }
    }

    #[test]
    fn agrees_with_keras() {
        let cases = cases::load("avgpool");
        assert_eq!(cases.len(), 15);
        for case in cases {
            let input: [usize; 3] = case.input_shape().try_into().unwrap();
            let size = case.pair("pool_size").unwrap();
            let strides = case.pair("strides").unwrap_or(size);
            let padding = case.padding(input, size, strides, [1, 1]);
            let pool = AveragePooling2D::new(input, size, strides, padding);
            let (x, dy) = (case.f32("input"), case.f32("upstream"));
            let (mut output, mut gradient) = (Vec::new(), Vec::new());
            let rows =
                x.chunks(input.iter().product()).zip(dy.chunks(pool.output.iter().product()));
            for (x, dy) in rows {
                let (y, dx) = run(&pool, x, dy);
                output.extend(y);
                gradient.extend(dx);
            }
            case.check("output", &output);
            case.check("grad/input", &gradient);
        }
    }
}
