//! Max pooling.

use crate::kernel::simd::{Lanes, vectorized};
use core::ops::Range;

/// `MaxPooling2D` of one image (height x width x channels).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPooling2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the window.
    pub pool: [usize; 2],
    /// Steps of the window, down and to the right.
    pub strides: [usize; 2],
    /// Rows and columns around the input that never win: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Height, width and channels of the output.
    pub output: [usize; 3],
}

impl MaxPooling2D {
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

    /// Each output is the largest of the inputs under its window; NaN wins over everything.
    /// `route` gets the flat index of the input that won (the first in row-major order), as bits
    /// of a `u32` in an `f32`.
    pub fn forward(&self, x: &[f32], y: &mut [f32], route: Option<&mut [f32]>) {
        forward(self, x, y, route);
    }

    #[inline(always)]
    fn forward_inline(&self, x: &[f32], y: &mut [f32], mut route: Option<&mut [f32]>) {
        let [_, width, channels] = self.input;
        let [rows, columns, _] = self.output;
        for (cell, y) in y.chunks_exact_mut(channels).take(rows * columns).enumerate() {
            let (down, across) = (self.rows(cell / columns), self.columns(cell % columns));
            let first = (down.start * width + across.start) * channels;
            y.copy_from_slice(&x[first..][..channels]);
            let mut route = route.as_deref_mut().map(|r| &mut r[cell * channels..][..channels]);
            if let Some(route) = &mut route {
                number_from(first, route);
            }
            for row in down {
                for column in across.clone() {
                    let start = (row * width + column) * channels;
                    let x = &x[start..][..channels];
                    match &mut route {
                        Some(route) => take_larger_routed(x, start, y, route),
                        None => take_larger(x, y),
                    }
                }
            }
        }
    }

    /// dx = the sum of the gradients of the windows that each input won, in the order of the windows.
    pub fn backward(&self, route: &[f32], dy: &[f32], dx: &mut [f32]) {
        debug_assert_eq!(dx.len(), self.input.iter().product::<usize>());
        dx.fill(0.0);
        for (&winner, &dy) in route.iter().zip(dy) {
            dx[winner.to_bits() as usize] += dy;
        }
    }

    #[inline(always)]
    fn rows(&self, window: usize) -> Range<usize> {
        clip(window * self.strides[0], self.pool[0], self.padding[0], self.input[0])
    }

    #[inline(always)]
    fn columns(&self, window: usize) -> Range<usize> {
        clip(window * self.strides[1], self.pool[1], self.padding[2], self.input[1])
    }
}

vectorized! {
    fn forward(this: &MaxPooling2D, x: &[f32], y: &mut [f32], route: Option<&mut [f32]>)
        = forward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(
    this: &MaxPooling2D,
    x: &[f32],
    y: &mut [f32],
    route: Option<&mut [f32]>,
) {
    this.forward_inline(x, y, route);
}

pub(super) const fn windows(
    n: usize,
    pool: usize,
    stride: usize,
    before: usize,
    after: usize,
) -> usize {
    assert!(n > 0 && pool > 0 && stride > 0, "sizes and strides of a pooling are positive");
    assert!(before < pool && after < pool, "a pooling window must reach the input");
    assert!(n + before + after >= pool, "the pooling window is larger than the padded input");
    (n + before + after - pool) / stride + 1
}

/// The part of a window that lies on the input.
#[inline(always)]
pub(super) fn clip(start: usize, size: usize, before: usize, n: usize) -> Range<usize> {
    start.saturating_sub(before)..(start + size - before).min(n)
}

#[inline(always)]
fn number_from(start: usize, route: &mut [f32]) {
    for (route, flat) in route.iter_mut().zip(start as u32..) {
        *route = f32::from_bits(flat);
    }
}

/// Whether x replaces the maximum so far: it is larger, or the first NaN.
#[inline(always)]
pub(super) fn wins(x: f32, max: f32) -> bool {
    (x > max) | (x.is_nan() & !max.is_nan())
}

#[inline(always)]
pub(super) fn take_larger(x: &[f32], max: &mut [f32]) {
    for (max, &x) in max.iter_mut().zip(x) {
        *max = if wins(x, *max) { x } else { *max };
    }
}

#[inline(always)]
fn take_larger_routed(x: &[f32], start: usize, max: &mut [f32], route: &mut [f32]) {
    for (((max, route), &x), flat) in max.iter_mut().zip(route).zip(x).zip(start as u32..) {
        let won = wins(x, *max);
        *route = if won { f32::from_bits(flat) } else { *route };
        *max = if won { x } else { *max };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, cases};

    /// Output, and the input's gradient for this gradient of the output.
    fn run(pool: &MaxPooling2D, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let n = pool.output.iter().product();
        let (mut y, mut again) = (vec![0.0; n], vec![0.0; n]);
        let (mut route, mut dx) = (vec![0.0; n], vec![f32::NAN; x.len()]);
        pool.forward(x, &mut y, Some(&mut route));
        pool.forward(x, &mut again, None);
        let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&y), bits(&again), "with and without a route");
        pool.backward(&route, dy, &mut dx);
        (y, dx)
    }

    /// tensorflow/tensorflow#4886 and #51682
    #[test]
    fn the_first_of_equal_maxima_takes_the_gradient() {
        let pool = MaxPooling2D::new([2, 2, 1], [2, 2], [2, 2], [0; 4]);
        assert_eq!(run(&pool, &[1., 2., 2., 2.], &[1.]), (vec![2.], vec![0., 1., 0., 0.]));
        let pool = MaxPooling2D::new([3, 1, 1], [3, 1], [3, 1], [0; 4]);
        assert_eq!(run(&pool, &[0.6, 0.6, 0.3], &[1.]), (vec![0.6], vec![1., 0., 0.]));
        let pool = MaxPooling2D::new([1, 2, 1], [1, 2], [1, 2], [0; 4]);
        assert_eq!(run(&pool, &[-0.0, 0.0], &[1.]).1, [1., 0.]);
    }

    #[test]
    fn a_worked_example() {
        let x = [1., 1., 2., 4., 5., 6., 7., 8., 3., 2., 1., 0., 1., 2., 3., 4.];
        let pool = MaxPooling2D::new([4, 4, 1], [2, 2], [2, 2], [0; 4]);
        assert_eq!(run(&pool, &x, &[0.; 4]).0, [6., 8., 3., 4.]);
    }

    #[test]
    fn nan_and_infinities() {
        let pool = MaxPooling2D::new([1, 3, 1], [1, 3], [1, 3], [0; 4]);
        for x in [[f32::NAN, 1., f32::INFINITY], [1., f32::NAN, 2.], [1., 2., f32::NAN]] {
            let (y, dx) = run(&pool, &x, &[1.]);
            assert!(y[0].is_nan());
            let nan = x.iter().position(|x| x.is_nan());
            assert_eq!(dx.iter().position(|&dx| dx > 0.0), nan);
        }
        let lowest = [f32::NEG_INFINITY; 3];
        assert_eq!(run(&pool, &lowest, &[1.]), (vec![f32::NEG_INFINITY], vec![1., 0., 0.]));
    }

    #[test]
    fn agrees_with_the_slow_oracle() {
        let table = [
            ([1, 1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
            ([5, 7, 3], [2, 2], [2, 2], [0, 0, 0, 0]),
            ([5, 7, 3], [2, 2], [2, 2], [0, 1, 0, 1]),
            ([6, 6, 8], [3, 3], [2, 2], [0, 1, 0, 1]),
            ([6, 5, 9], [3, 2], [1, 2], [1, 1, 0, 1]),
            ([4, 9, 16], [4, 5], [3, 1], [0, 0, 2, 2]),
            ([3, 3, 17], [5, 5], [2, 2], [2, 2, 2, 2]),
            ([9, 8, 7], [2, 2], [3, 3], [0, 0, 0, 0]),
        ];
        for (input, size, strides, padding) in table {
            let pool = MaxPooling2D::new(input, size, strides, padding);
            let slow = reference::MaxPooling2D { input, pool: size, strides, padding };
            // Few distinct values: many ties.
            let noise = |n: usize, levels: u64| -> Vec<f32> {
                let mut rng = crate::rng::Rng::new(n as u64, levels);
                (0..n).map(|_| rng.below(levels as usize) as f32 - 2.0).collect()
            };
            for levels in [3, 1000] {
                let x = noise(input.iter().product(), levels);
                let dy = noise(pool.output.iter().product(), 16);
                let (y, dx) = run(&pool, &x, &dy);
                let x = reference::widen(&x);
                assert_eq!(pool.output, slow.output());
                assert_eq!(reference::widen(&y), slow.forward(&x));
                assert_eq!(reference::widen(&dx), slow.backward(&x, &reference::widen(&dy)));
            }
        }
    }

    #[test]
    fn agrees_with_keras() {
        let cases = cases::load("maxpool");
        assert_eq!(cases.len(), 15);
        for case in cases {
            let input: [usize; 3] = case.input_shape().try_into().unwrap();
            let size = case.pair("pool_size").unwrap();
            let strides = case.pair("strides").unwrap_or(size);
            let padding = case.padding(input, size, strides, [1, 1]);
            let pool = MaxPooling2D::new(input, size, strides, padding);
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
