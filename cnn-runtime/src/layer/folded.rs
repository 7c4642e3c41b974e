//! A convolution with what follows it in predictions as one.

use super::{At, BatchNormalization, Conv2D};
use crate::kernel::elementwise;
use crate::team::Team;

/// `Conv2D` and the `BatchNormalization` behind it, for predictions: by moving averages a channel's
/// normalisation is a factor and a term, which go into the convolution's kernel and bias. So does a sum
/// with another array of the output's shape, as at the end of a residual block, and a relu behind either.
#[derive(Clone, Copy, Debug)]
pub struct Folded {
    conv: Conv2D,
    norm: BatchNormalization,
    relu: bool,
}

impl Folded {
    /// `conv` has no relu, and the channels of `norm`, the last axis, are its filters.
    #[must_use]
    pub const fn new(conv: Conv2D, norm: BatchNormalization) -> Self {
        Self { conv, norm, relu: norm.has_relu() }
    }

    /// Followed by a relu, behind the sum if there is one.
    #[must_use]
    pub const fn relu(self) -> Self {
        Self { relu: true, ..self }
    }

    /// Where its packed weights lie.
    #[must_use]
    pub const fn packed_at(self, packed: usize) -> Self {
        let at = At { packed, ..self.conv.at };
        Self { conv: self.conv.at(at), ..self }
    }

    /// Floats of its packed weights.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.conv.packed_len()
    }

    /// Lays kernel and bias out for [`predict`](Self::predict).
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        self.conv.pack_folded(weights, packed, |filter| self.norm.affine(weights, filter));
    }

    /// One image; `other` is what is added, if anything is.
    pub fn predict(
        &self,
        team: Team,
        packed: &[f32],
        x: &[f32],
        other: Option<&[f32]>,
        y: &mut [f32],
        scratch: &mut [f32],
    ) {
        self.conv(other).predict_then(team, packed, x, y, scratch, &self.then(other));
    }

    /// The same by two threads, whatever its size.
    #[cfg(test)]
    pub(super) fn in_two(
        &self,
        packed: &[f32],
        x: &[f32],
        other: Option<&[f32]>,
        y: &mut [f32],
        scratch: &mut [f32],
    ) {
        self.conv(other).in_two(packed, x, y, scratch, &self.then(other));
    }

    /// The convolution, with the relu unless a sum comes before that.
    const fn conv(&self, other: Option<&[f32]>) -> Conv2D {
        if self.relu && other.is_none() { self.conv.relu() } else { self.conv }
    }

    /// What becomes of a part of the output, which starts at its float `first`.
    fn then(&self, other: Option<&[f32]>) -> impl Fn(usize, &mut [f32]) + Sync {
        let relu = self.relu;
        move |first, y| {
            let Some(other) = other else { return };
            let other = &other[first..][..y.len()];
            if relu {
                elementwise::add_then_relu(y, other);
            } else {
                elementwise::add(y, other);
            }
        }
    }
}
