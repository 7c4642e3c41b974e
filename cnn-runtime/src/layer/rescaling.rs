//! Another scale.

use crate::kernel::simd::{Lanes, vectorized};

/// `Rescaling`: x · scale + offset, with numbers for all channels or one for each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rescaling {
    /// One number, or one for each channel.
    pub scale: &'static [f32],
    /// One number, or one for each channel.
    pub offset: &'static [f32],
}

impl Rescaling {
    /// Multiplies by `scale` and adds `offset`.
    #[must_use]
    pub const fn new(scale: &'static [f32], offset: &'static [f32]) -> Self {
        Self { scale, offset }
    }

    /// y = x · scale + offset
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        rescale(self.scale, self.offset, x, y);
    }

    /// dx = dy · scale
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        rescale(self.scale, &[0.0], dy, dx);
    }
}

vectorized! {
    fn rescale(scale: &[f32], offset: &[f32], x: &[f32], y: &mut [f32]) = rescale_body;
}

#[inline(always)]
fn rescale_body<L: Lanes>(scale: &[f32], offset: &[f32], x: &[f32], y: &mut [f32]) {
    if let (&[scale], &[offset]) = (scale, offset) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * scale + offset;
        }
        return;
    }
    let channels = scale.len().max(offset.len());
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        let (scale, offset) = (scale.iter().cycle(), offset.iter().cycle());
        for (((y, &x), &scale), &offset) in y.iter_mut().zip(x).zip(scale).zip(offset) {
            *y = x * scale + offset;
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact results are meant")]
mod tests {
    use super::*;

    #[test]
    fn one_number_or_one_for_each_channel() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for (layer, y, dx) in [
            (Rescaling::new(&[2.0], &[1.0]), [3., 5., 7., 9., 11., 13.], [2.; 6]),
            (
                Rescaling::new(&[2.0, -1.0, 0.5], &[1.0]),
                [3., -1., 2.5, 9., -4., 4.],
                [2., -1., 0.5, 2., -1., 0.5],
            ),
            (Rescaling::new(&[2.0], &[0.0, 1.0]), [2., 5., 6., 9., 10., 13.], [2.; 6]),
            (
                Rescaling::new(&[3.0, 1.0], &[0.0, 1.0]),
                [3., 3., 9., 5., 15., 7.],
                [3., 1., 3., 1., 3., 1.],
            ),
        ] {
            let mut out = [f32::NAN; 6];
            layer.forward(&x, &mut out);
            assert_eq!(out, y);
            layer.backward(&[1.0; 6], &mut out);
            assert_eq!(out, dx);
        }
    }
}
