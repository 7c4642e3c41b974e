//! Receptive fields, as the compiler works them out.

use std::ops::Range;

/// The pixels of a network's input that a layer's outputs can depend on, down (rows) and across
/// (columns), after Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Networks"
/// (Distill 2019).
///
/// The output at index `i` along an axis depends on no pixels but those from
/// `ceil((first + jump i) / parts)` to `floor((last + jump i) / parts)`, both included. Pixels of
/// negative index or beyond the image are padding. Of an input of two axes the second one is across,
/// of a vector the only one; features of an output have no place, so there the field across is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptiveField {
    /// The product of the strides before, in `parts` of a pixel; 0 where all outputs see the same.
    pub jump: [i64; 2],
    /// Where the field of the first output starts, in `parts` of a pixel.
    pub first: [i64; 2],
    /// The last place of the first output's field, in `parts` of a pixel.
    pub last: [i64; 2],
    /// Into how many a pixel is divided; 1 unless something was enlarged on the way.
    pub parts: [i64; 2],
}

impl ReceptiveField {
    /// Height and width in pixels, padding included; the largest, if not all are of one size.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        let pixels = |axis: usize| {
            let between = (self.last[axis] - self.first[axis]).div_euclid(self.parts[axis]);
            usize::try_from(between + 1).unwrap_or(0)
        };
        [pixels(0), pixels(1)]
    }

    /// How many pixels apart the fields of neighbouring outputs are; 0 where all see the same.
    #[must_use]
    pub fn jump(&self) -> [f64; 2] {
        [0, 1].map(|axis| self.jump[axis] as f64 / self.parts[axis] as f64)
    }

    /// Rows and columns that the output at a row and a column can depend on; some may lie in the
    /// padding.
    #[must_use]
    pub fn at(&self, [row, column]: [usize; 2]) -> [Range<i64>; 2] {
        let along = |axis: usize, index: usize| {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            let moved = self.jump[axis].saturating_mul(index);
            let parts = self.parts[axis];
            let start = -(-self.first[axis].saturating_add(moved)).div_euclid(parts);
            let end = self.last[axis].saturating_add(moved).div_euclid(parts);
            start..end.saturating_add(1)
        };
        [along(0, row), along(1, column)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_move_by_their_jump() {
        // A 3x3 convolution with padding, a pooling by 2, and rows doubled.
        let field = ReceptiveField { jump: [1, 2], first: [-1, -1], last: [2, 2], parts: [1, 1] };
        assert_eq!(field.size(), [4, 4]);
        assert_eq!(field.at([0, 0]), [-1..3, -1..3]);
        assert_eq!(field.at([3, 3]), [2..6, 5..9]);
        let halves = ReceptiveField { jump: [1, 1], first: [-1, 0], last: [1, 0], parts: [2, 1] };
        assert_eq!((halves.size(), halves.jump()), ([2, 1], [0.5, 1.0]));
        assert_eq!(halves.at([0, 0])[0], 0..1);
        assert_eq!(halves.at([1, 0])[0], 0..2);
    }
}
