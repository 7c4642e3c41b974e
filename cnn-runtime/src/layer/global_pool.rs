//! Pooling over whole images.

use crate::kernel::simd::{Lanes, vectorized};

/// Channels that are summed up at a time, in double precision.
const BLOCK: usize = 16;

/// `GlobalAveragePooling2D`: the mean of each channel of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalAveragePooling2D {
    /// Pixels of the image.
    pub places: usize,
    /// Channels.
    pub channels: usize,
}

impl GlobalAveragePooling2D {
    /// Over an image of height x width x channels.
    #[must_use]
    pub const fn new([height, width, channels]: [usize; 3]) -> Self {
        Self { places: height * width, channels }
    }

    /// The means of the channels.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        average(self, x, y);
    }

    #[inline(always)]
    fn forward_inline(&self, x: &[f32], y: &mut [f32]) {
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            let mut sums = [0.0_f64; BLOCK];
            for place in x.chunks_exact(self.channels) {
                let x = &place[block * BLOCK..][..y.len()];
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum += f64::from(x);
                }
            }
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = (sum / self.places as f64) as f32;
            }
        }
    }

    /// Each pixel takes an equal share.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        let places = self.places as f32;
        for dx in dx.chunks_exact_mut(self.channels) {
            for (dx, &dy) in dx.iter_mut().zip(dy) {
                *dx = dy / places;
            }
        }
    }
}

/// `GlobalMaxPooling2D`: the largest value of each channel of one image.
///
/// Keras takes the maximum over two axes, of which `TensorFlow` shares the gradient between equal
/// maxima: unlike that of a window, where the first takes all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalMaxPooling2D {
    /// Channels.
    pub channels: usize,
}

impl GlobalMaxPooling2D {
    /// Over an image of height x width x channels.
    #[must_use]
    pub const fn new([_, _, channels]: [usize; 3]) -> Self {
        Self { channels }
    }

    /// The largest values of the channels; NaN wins over everything.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        largest(*self, x, y);
    }

    #[inline(always)]
    fn forward_inline(self, x: &[f32], y: &mut [f32]) {
        let mut places = x.chunks_exact(self.channels);
        if let Some(first) = places.next() {
            y.copy_from_slice(first);
        }
        for place in places {
            super::pool::take_larger(place, y);
        }
    }

    /// dx = dy / n where x is one of n equal maxima, else 0.
    pub fn backward(&self, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        share(*self, x, y, dy, dx);
    }

    #[inline(always)]
    #[allow(clippy::float_cmp, reason = "a maximum is one of its arguments")]
    fn backward_inline(self, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        for (block, (y, dy)) in y.chunks(BLOCK).zip(dy.chunks(BLOCK)).enumerate() {
            let mut counts = [0.0_f32; BLOCK];
            let range = block * BLOCK..block * BLOCK + y.len();
            for place in x.chunks_exact(self.channels) {
                for ((count, &x), &y) in counts.iter_mut().zip(&place[range.clone()]).zip(y) {
                    *count += if x == y { 1.0 } else { 0.0 };
                }
            }
            let places = x.chunks_exact(self.channels).zip(dx.chunks_exact_mut(self.channels));
            for (x, dx) in places {
                let (x, dx) = (&x[range.clone()], &mut dx[range.clone()]);
                for ((((dx, &x), &y), &dy), &count) in
                    dx.iter_mut().zip(x).zip(y).zip(dy).zip(&counts)
                {
                    // Of NaN there is none, and NaN spreads.
                    *dx = if x == y { 1.0 } else { 0.0 } / count * dy;
                }
            }
        }
    }
}

vectorized! {
    fn average(this: &GlobalAveragePooling2D, x: &[f32], y: &mut [f32]) = average_body;

    fn largest(this: GlobalMaxPooling2D, x: &[f32], y: &mut [f32]) = largest_body;

    fn share(this: GlobalMaxPooling2D, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32])
        = share_body;
}

#[inline(always)]
fn average_body<L: Lanes>(this: &GlobalAveragePooling2D, x: &[f32], y: &mut [f32]) {
    this.forward_inline(x, y);
}

#[inline(always)]
fn largest_body<L: Lanes>(this: GlobalMaxPooling2D, x: &[f32], y: &mut [f32]) {
    this.forward_inline(x, y);
}

#[inline(always)]
fn share_body<L: Lanes>(
    this: GlobalMaxPooling2D,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    this.backward_inline(x, y, dy, dx);
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact results are meant")]
mod tests {
    use super::*;
    use crate::reference::cases;
    use crate::rng::Rng;

    const SHAPES: [[usize; 3]; 6] =
        [[1, 1, 1], [5, 4, 7], [3, 3, 16], [7, 2, 17], [1, 9, 33], [40, 50, 3]];

    /// Few distinct values, so that sums are exact and maxima equal.
    fn draw(count: usize, stream: u64) -> Vec<f32> {
        let mut rng = Rng::new(1, stream);
        (0..count).map(|_| rng.below(9) as f32 / 4.0 - 1.0).collect()
    }

    fn channel(x: &[f32], [_, _, channels]: [usize; 3], channel: usize) -> Vec<f32> {
        x.iter().copied().skip(channel).step_by(channels).collect()
    }

    fn average(shape: [usize; 3], x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let layer = GlobalAveragePooling2D::new(shape);
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        layer.forward(x, &mut y);
        layer.backward(dy, &mut dx);
        (y, dx)
    }

    fn largest(shape: [usize; 3], x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let layer = GlobalMaxPooling2D::new(shape);
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        layer.forward(x, &mut y);
        layer.backward(x, &y, dy, &mut dx);
        (y, dx)
    }

    #[test]
    fn each_channel_by_its_definition() {
        for shape in SHAPES {
            let [height, width, channels] = shape;
            let (x, dy) = (draw(height * width * channels, 1), draw(channels, 2));
            let places = (height * width) as f32;
            let (y, dx) = average(shape, &x, &dy);
            let (top, share) = largest(shape, &x, &dy);
            for c in 0..channels {
                let values = channel(&x, shape, c);
                assert_eq!(y[c], values.iter().sum::<f32>() / places);
                assert!(channel(&dx, shape, c).iter().all(|&dx| dx == dy[c] / places));
                assert_eq!(Some(top[c]), values.iter().copied().reduce(f32::max));
                let count = values.iter().filter(|&&x| x == top[c]).count() as f32;
                for (x, dx) in values.iter().zip(channel(&share, shape, c)) {
                    assert_eq!(dx, if *x == top[c] { 1.0 / count * dy[c] } else { 0.0 });
                }
            }
        }
    }

    #[test]
    fn nan_spreads() {
        let x = [1.0, f32::NAN, 2.0];
        assert!(average([3, 1, 1], &x, &[1.0]).0[0].is_nan());
        let (y, dx) = largest([3, 1, 1], &x, &[1.0]);
        assert!(y[0].is_nan() && dx.iter().all(|dx| dx.is_nan()));
    }

    #[test]
    fn agrees_with_keras() {
        let cases = cases::load("global_pooling");
        assert_eq!(cases.len(), 6);
        for case in cases {
            let shape: [usize; 3] = case.input_shape().try_into().unwrap();
            let run = if case.class() == "GlobalMaxPooling2D" { largest } else { average };
            let (x, dy) = (case.f32("input"), case.f32("upstream"));
            let rows = x.chunks(shape.iter().product()).zip(dy.chunks(shape[2]));
            let (output, gradient): (Vec<_>, Vec<_>) =
                rows.map(|(x, dy)| run(shape, x, dy)).unzip();
            case.check("output", &output.concat());
            case.check("grad/input", &gradient.concat());
        }
    }
}
