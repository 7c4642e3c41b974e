//! Panels of sixteen columns out of rows, images most of all: which of a panel's rows hold anything, and products
//! that read only these.

use std::ops::Range;

use super::matmul::even_parts;
use super::simd::{
    COLUMNS, Ends, LIST_SLACK, Lanes, LiveProduct, PANELS, Product, Tile, Vector, vectorized,
};

/// A matrix in panels of sixteen columns.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    /// Groups of panels, in each one row after the other.
    pub floats: &'a [f32],
    /// How many rows there are.
    pub rows: usize,
    /// Panels of a group, a power of two: their parts of a row lie side by side.
    pub beside: usize,
}

impl<'a> Matrix<'a> {
    /// The most panels of a group: as many as a tile takes. Of a kernel whose rows are wider a single image so
    /// reads two lines side by side for each of its inputs, and a block of a tile's rows still lies in one piece.
    pub(crate) const BESIDE: usize = PANELS;

    /// Panels of a group, for so many columns. The last group has as many, whether there are columns for them
    /// or not.
    pub(crate) const fn beside(columns: usize) -> usize {
        if columns > COLUMNS { Self::BESIDE } else { 1 }
    }

    /// The panel that starts at a column.
    #[inline(always)]
    pub(crate) fn panel(self, column: usize) -> Panel<'a> {
        let row = self.beside * COLUMNS;
        let next = if self.beside > 1 { COLUMNS } else { self.rows * COLUMNS };
        let first = column & (row - 1);
        let floats = &self.floats[(column - first) * self.rows + first..];
        Panel { floats, row, next }
    }

    /// Behind the last column that [`Panel::next`] leads to from this one.
    #[inline(always)]
    pub(crate) fn reach(self, column: usize) -> usize {
        let row = self.beside * COLUMNS;
        if self.beside > 1 { (column | (row - 1)) + 1 } else { usize::MAX }
    }
}

/// A panel in a matrix, and those behind it.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    /// From its first float on.
    pub floats: &'a [f32],
    /// From row to row.
    pub row: usize,
    /// From panel to panel of the group, or of the matrix if each is a group by itself.
    pub next: usize,
}

impl Panel<'_> {
    /// The rows from `row` on.
    #[inline(always)]
    pub(crate) fn from(self, row: usize) -> Self {
        Self { floats: &self.floats[row * self.row..], ..self }
    }

    /// How many rows of so many panels there are.
    #[inline(always)]
    pub(crate) fn rows(self, panels: usize) -> usize {
        let first = (panels - 1) * self.next + COLUMNS;
        // What is read without a check relies on it; a division would take longer than some tiles.
        assert!(self.row.is_power_of_two(), "rows of {} floats", self.row);
        let rows = |rest: usize| (rest >> self.row.trailing_zeros()) + 1;
        self.floats.len().checked_sub(first).map_or(0, rows)
    }
}

/// Up to sixteen rows of equal length, which become the columns of a panel.
pub(crate) struct Sixteen<'a> {
    rows: [&'a [f32]; COLUMNS],
    count: usize,
}

impl<'a> Sixteen<'a> {
    /// The first sixteen of `rows`.
    #[inline(always)]
    pub(crate) fn new(rows: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut these = Self { rows: [&[]; COLUMNS], count: 0 };
        for (to, row) in these.rows.iter_mut().zip(rows) {
            *to = row;
            these.count += 1;
        }
        these
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[&'a [f32]] {
        &self.rows[..self.count]
    }

    /// Writes a panel of as many rows as these are long; columns of zeros where there are fewer than sixteen.
    #[inline(always)]
    pub(super) fn turn<L: Lanes>(&self, panel: &mut [f32]) {
        let rows = &self.rows[..self.count];
        // Sixteen by sixteen at a time, so that what is read and written stays in the first cache.
        let (squares, last) = panel.as_chunks_mut::<COLUMNS>().0.as_chunks_mut::<COLUMNS>();
        let (whole, left) = (squares.len() * COLUMNS, last.len());
        for (first, square) in (0..).step_by(COLUMNS).zip(squares) {
            for (to, row) in square.iter_mut().zip(rows) {
                to.copy_from_slice(&row[first..first + COLUMNS]);
            }
            square[self.count..].fill([0.0; COLUMNS]);
            L::turn(square);
        }
        if left > 0 {
            let mut square = [[0.0; COLUMNS]; COLUMNS];
            for (to, row) in square.iter_mut().zip(rows) {
                L::Wide::load_some(&row[whole..], left).store(to);
            }
            L::turn(&mut square);
            last.copy_from_slice(&square[..left]);
        }
    }

    /// Lists, as `u32` bits, in how many columns a row is not zero, and then which, in [`live_len`] floats.
    #[inline(always)]
    pub(super) fn list_live<L: Lanes>(&self, live: &mut [f32]) {
        let (count, list) = live.split_at_mut(1);
        let (mut len, mut picked) = (0, [0.0; 2 * COLUMNS]);
        let width = self.rows[0].len();
        let whole = width - width % COLUMNS;
        for first in (0..whole).step_by(COLUMNS) {
            // Not one call for both: here the compiler knows the number of columns.
            let some = self.some(first, COLUMNS);
            len += L::pick(None, first as u32, &some, &mut list[len..], &mut picked);
        }
        if whole < width {
            let some = self.some(whole, width - whole);
            len += L::pick(None, whole as u32, &some, &mut list[len..], &mut picked);
        }
        count[0] = f32::from_bits(len as u32);
    }

    /// For `columns` columns from `first` on a float that is zero if all rows are.
    #[inline(always)]
    fn some(&self, first: usize, columns: usize) -> [f32; COLUMNS] {
        let mut any = [0; COLUMNS];
        for row in &self.rows[..self.count] {
            for (any, x) in any.iter_mut().zip(&row[first..first + columns]) {
                // All bits but the sign, which a zero may have.
                *any |= x.to_bits() & !(1 << 31);
            }
        }
        let mut some = [0.0; COLUMNS];
        some.iter_mut().zip(any).for_each(|(some, any)| *some = f32::from_bits(any));
        some
    }
}

vectorized! {
    /// Writes one panel: its columns are the rows, and zeros where there are fewer.
    pub(crate) fn transpose_panel(rows: &Sixteen<'_>, panel: &mut [f32]) = transpose_panel_body;

    /// Turns sixteen rows into columns.
    pub(crate) fn turn(square: &mut [[f32; COLUMNS]; COLUMNS]) = turn_body;

    /// Lists, as `u32` bits, in how many columns a row is not zero, and then which, in [`live_len`] floats.
    pub(crate) fn list_live(rows: &Sixteen<'_>, live: &mut [f32]) = list_live_body;
}

#[inline(always)]
fn transpose_panel_body<L: Lanes>(rows: &Sixteen<'_>, panel: &mut [f32]) {
    rows.turn::<L>(panel);
}

#[inline(always)]
fn turn_body<L: Lanes>(square: &mut [[f32; COLUMNS]; COLUMNS]) {
    L::turn(square);
}

#[inline(always)]
fn list_live_body<L: Lanes>(rows: &Sixteen<'_>, live: &mut [f32]) {
    rows.list_live::<L>(live);
}

/// Floats of the list of a panel of `rows` rows.
pub(crate) const fn live_len(rows: usize) -> usize {
    1 + rows.next_multiple_of(COLUMNS) + LIST_SLACK
}

/// What [`list_live`] listed of `rows` rows, if it is less than three quarters of them: otherwise a list
/// takes longer to read than it saves.
#[inline(always)]
pub(super) fn few_live(live: &[f32], rows: usize) -> Option<&[f32]> {
    let (count, list) = live.split_at(1);
    let count = count[0].to_bits() as usize;
    (4 * count < 3 * rows).then(|| &list[..count])
}

/// Images of a panel by some panels of units, summed over some of the inputs.
pub(super) struct PanelProduct<'a> {
    /// Sixteen images: of each input a row.
    pub images: &'a [f32],
    /// A kernel's panels: of each input a row of sixteen units.
    pub panel: Panel<'a>,
    /// The inputs to sum over.
    pub inputs: Range<usize>,
    /// Of these, what [`few_live`] gave; only for sixteen images.
    pub live: Option<&'a [f32]>,
    /// A row for each image.
    pub ends: Ends<'a>,
}

impl PanelProduct<'_> {
    /// Computes the first `rows` images by `panels` panels, at most `L::PANELS`.
    #[inline(always)]
    pub(super) fn compute<L: Lanes>(self, rows: usize, panels: usize) {
        let Self { images, panel, inputs, live, ends } = self;
        for (first, count) in even_parts(rows, L::ROWS) {
            let ends = Ends { to: &mut ends.to[first * ends.stride..], ..ends };
            if let Some(live) = live {
                LiveProduct { live, images, panel, first, ends }.compute::<L>(count, panels);
                continue;
            }
            let tile = Tile {
                counts: [1, 1, inputs.len()],
                a: images,
                a_at: inputs.start * COLUMNS + first,
                a_row: 1,
                a_steps: [0, 0, COLUMNS],
                b: panel.floats,
                b_at: inputs.start * panel.row,
                b_panel: panel.next,
                b_steps: [0, 0, panel.row],
            };
            Product { tile, ends }.compute::<L>(count, panels);
        }
    }
}
