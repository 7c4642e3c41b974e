//! The product of sixteen images and sixteen units from those inputs alone that are not zero in all of the
//! images: relu leaves few, and pictures have margins.

use super::tile::{OfRows, Rows, relu_rows, start, store_rows};
use super::{COLUMNS, Lanes, Start, Vector, unrolled};

/// Sums over live inputs, and where they go.
pub(crate) struct LiveProduct<'a> {
    /// The inputs to sum over, in order, as `u32` bits.
    pub live: &'a [f32],
    /// Sixteen images: of each input a row.
    pub images: &'a [f32],
    /// A kernel's panel: of each input a row of sixteen units.
    pub panel: &'a [f32],
    /// The first of the images that are meant.
    pub first: usize,
    pub start: Start<'a>,
    /// Whether a relu follows.
    pub relu: bool,
    /// For each image from the first on sixteen floats.
    pub to: &'a mut [f32],
}

impl LiveProduct<'_> {
    /// Computes `rows` images, of which [`even_parts`](crate::kernel::matmul::even_parts) of sixteen are
    /// made.
    #[inline(always)]
    pub(crate) fn compute<L: Lanes>(self, rows: usize) {
        match rows {
            16 if const { L::ROWS == 16 } => L::call(Rows::<_, 16>(self)),
            6 if const { L::ROWS == 6 } => L::call(Rows::<_, 6>(self)),
            5 if const { L::ROWS == 6 } => L::call(Rows::<_, 5>(self)),
            2 if const { L::ROWS == 2 } => L::call(Rows::<_, 2>(self)),
            _ => unreachable!("{rows} rows are no part of sixteen"),
        }
    }
}

impl OfRows for LiveProduct<'_> {
    #[inline(always)]
    fn run<L: Lanes, const R: usize>(self) {
        let Self { live, images, panel, first, relu, to, .. } = self;
        assert!(first + R <= COLUMNS);
        let inputs = images.len().min(panel.len()) / COLUMNS;
        let mut sums = start::<L::Wide, R>(self.start, to, COLUMNS, COLUMNS);
        for input in live {
            let input = input.to_bits() as usize;
            assert!(input < inputs, "a live input is an input");
            // SAFETY: both have a row of sixteen for this input, and `first + R` is at most sixteen.
            unsafe {
                let units = L::Wide::read(panel.as_ptr().add(input * COLUMNS));
                let images = images.as_ptr().add(input * COLUMNS + first);
                unrolled!(R, row => {
                    sums[row] = L::Wide::splat(*images.add(row)).mul_add(units, sums[row]);
                });
            }
        }
        store_rows(if relu { relu_rows(sums) } else { sums }, to, COLUMNS, COLUMNS);
    }
}
