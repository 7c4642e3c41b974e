//! A tile of a kernel's gradient, and at once the optimizer's step over it: the gradient never
//! leaves the first-level cache.

use super::tile::{OfRows, Rows, tile};
use super::{COLUMNS, Lanes, Tile, Vector, load_columns, prefetch, store_rows, unrolled};
use crate::kernel::rmsprop::Rule;

/// Some rows by sixteen columns of a kernel.
pub(crate) struct Descent<'a> {
    /// What the gradient sums.
    pub tile: Tile<'a>,
    /// The optimizer's rule.
    pub rule: Rule,
    /// The first row's first column.
    pub weights: &'a mut [f32],
    /// What the optimizer remembers, likewise.
    pub squares: &'a mut [f32],
    /// From row to row of both.
    pub stride: usize,
    /// How many columns there are, if fewer than sixteen.
    pub columns: usize,
    /// The rows in a panel, which take the new weights too.
    pub packed: &'a mut [f32],
}

impl Descent<'_> {
    /// Does `rows` rows, at most `L::ROWS`: [`even_parts`](crate::kernel::matmul::even_parts) of sixteen,
    /// or the last rows of a layer, one by one.
    #[inline(always)]
    pub(crate) fn go<L: Lanes>(mut self, rows: usize) {
        match rows {
            16 if const { L::ROWS == 16 } => L::call(Rows::<_, 16>(self)),
            6 if const { L::ROWS == 6 } => L::call(Rows::<_, 6>(self)),
            5 if const { L::ROWS == 6 } => L::call(Rows::<_, 5>(self)),
            2 if const { L::ROWS == 2 } => L::call(Rows::<_, 2>(self)),
            _ => (0..rows).for_each(|row| L::call(Rows::<_, 1>(self.row(row)))),
        }
    }

    #[inline(always)]
    fn row(&mut self, row: usize) -> Descent<'_> {
        let Tile { a_at, a_row, .. } = self.tile;
        Descent {
            tile: Tile { a_at: a_at + row * a_row, ..self.tile },
            weights: &mut self.weights[row * self.stride..],
            squares: &mut self.squares[row * self.stride..],
            packed: &mut self.packed[row * COLUMNS..],
            ..*self
        }
    }
}

impl OfRows for Descent<'_> {
    #[inline(always)]
    fn run<L: Lanes, const R: usize>(self) {
        let Descent { tile: product, rule, weights, squares, stride, columns, packed } = self;
        // What the step meets is on its way while the product is made.
        let last = COLUMNS.min(columns) - 1;
        for row in 0..R {
            let at = row * stride;
            for floats in [&*squares, &*weights] {
                prefetch(&floats[at]);
                prefetch(&floats[at + last]);
            }
            prefetch(&packed[row * COLUMNS]);
        }
        let sums = tile::<L::Wide, R>(product, [L::Wide::splat(0.0); R]);
        let mut gradient = [[0.0; COLUMNS]; R];
        unrolled!(R, row => sums[row].store(&mut gradient[row]));
        // A loop, since sixteen copies of a step took most of a small stack in debug builds.
        for (row, gradient) in gradient.iter().enumerate() {
            let (weights, squares) = (&mut weights[row * stride..], &mut squares[row * stride..]);
            let (weight, square) = rule.step(
                load_columns::<L::Wide>(weights, columns),
                L::Wide::load(gradient),
                load_columns::<L::Wide>(squares, columns),
            );
            store_rows([weight], weights, stride, columns);
            store_rows([square], squares, stride, columns);
            weight.store(&mut packed[row * COLUMNS..]);
        }
    }
}
