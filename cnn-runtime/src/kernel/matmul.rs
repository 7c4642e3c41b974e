//! Matrix products over panels of sixteen columns.

use std::ops::Range;

use ndarray::{ArrayView2, Axis};

use super::elementwise::copy_few;
use super::panels::{Matrix, PanelProduct, Sixteen, few_live, live_len};
use super::simd::{
    COLUMNS, Ends, LIST_SLACK, Lanes, PANELS, Product, RowTimesPanels, Start, Tile, panels_of,
    vectorized,
};

/// Terms of a sum that are worked off before the next rows: 128 rows of two panels fill half of a
/// common first-level cache.
pub(super) const DEPTH: usize = 128;

/// Cuts `count` into parts of at most `most` whose sizes differ by at most one: (start, size).
#[inline(always)]
pub(crate) fn even_parts(count: usize, most: usize) -> EvenParts {
    let parts = count.div_ceil(most).max(1);
    EvenParts { start: 0, size: count / parts, longer: count % parts, end: count }
}

/// Parts in order, the longer ones first.
#[derive(Clone)]
pub(crate) struct EvenParts {
    start: usize,
    size: usize,
    longer: usize,
    end: usize,
}

impl Iterator for EvenParts {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let (start, size) = (self.start, self.size + usize::from(self.longer > 0));
        self.longer = self.longer.saturating_sub(1);
        self.start += size;
        (start < self.end).then_some((start, size))
    }
}

/// The parts of [`even_parts`] by their size: (the first's start, size, how many).
#[inline(always)]
pub(crate) fn even_runs(count: usize, most: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let EvenParts { size, longer, end, .. } = even_parts(count, most);
    let start = longer * (size + 1);
    let others = (end - start).checked_div(size).unwrap_or(0);
    [(0, size + 1, longer), (start, size, others)].into_iter().filter(|(.., parts)| *parts > 0)
}

/// How many floats a matrix of `inner` rows and `columns` columns takes in panels of sixteen.
pub(crate) const fn panels_len(inner: usize, columns: usize) -> usize {
    columns.div_ceil(COLUMNS) * inner * COLUMNS
}

/// Writes `matrix` into rows of panels of sixteen columns, `row` floats each, and zeros beyond its last column.
pub(crate) fn pack_rows(matrix: &ArrayView2<'_, f32>, panels: &mut [f32], row: usize) {
    if matrix.ncols() < row {
        panels.fill(0.0);
    }
    for (at, matrix) in (0..).step_by(COLUMNS).zip(matrix.axis_chunks_iter(Axis(1), COLUMNS)) {
        for (to, from) in panels.chunks_exact_mut(row).zip(matrix.rows()) {
            let from = from.to_slice().expect("columns lie side by side");
            copy_few(&mut to[at..][..from.len()], from);
        }
    }
}

/// The order in which products are summed: in columns before `column` all terms as they come, in the others
/// those from `term` on before those that come first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halves {
    /// A whole number of panels.
    pub column: usize,
    pub term: usize,
}

impl Halves {
    /// As they come, whatever their number.
    pub(crate) const NONE: Self = Self { column: usize::MAX, term: usize::MAX };

    /// The terms with which a column's sum begins, of `terms` in all.
    #[inline(always)]
    pub(crate) fn first(self, column: usize, terms: usize) -> Range<usize> {
        let term = self.term.min(terms);
        if column < self.column { 0..term } else { term..terms }
    }

    /// Those with which it ends.
    #[inline(always)]
    pub(crate) fn last(self, column: usize, terms: usize) -> Range<usize> {
        let term = self.term.min(terms);
        if column < self.column { term..terms } else { 0..term }
    }

    /// Blocks of up to `depth` terms and the columns that sum them then, in an order that fits all sums:
    /// (first term, how many, columns).
    #[inline(always)]
    fn blocks(
        self,
        terms: usize,
        columns: Range<usize>,
        depth: usize,
    ) -> impl Iterator<Item = (usize, usize, [Range<usize>; 2])> {
        let Range { start, end } = columns;
        let (term, column) = (self.term.min(terms), self.column.clamp(start, end));
        let [early, again] = [start < column, column < end].map(|any| if any { term } else { 0 });
        let steps = [
            (0..early, [start..column, 0..0]),
            (term..terms, [start..column, column..end]),
            (0..again, [column..end, 0..0]),
        ];
        steps.into_iter().flat_map(move |(terms, columns)| {
            let starts = terms.clone().step_by(depth);
            starts.map(move |from| (from, (terms.end - from).min(depth), columns.clone()))
        })
    }

    /// How the sums of these columns start before the terms from `from` on.
    #[inline(always)]
    fn start(self, column: usize, terms: usize, from: usize, bias: &[f32]) -> Start<'_> {
        match (from == self.first(column, terms).start, bias) {
            (true, []) => Start::Zero,
            (true, bias) => Start::Bias(&bias[column..]),
            _ => Start::Sum,
        }
    }

    /// Whether their last term is the one before `end`.
    #[inline(always)]
    fn ends(self, column: usize, terms: usize, end: usize) -> bool {
        let (first, last) = (self.first(column, terms), self.last(column, terms));
        end == if last.is_empty() { first.end } else { last.end }
    }
}

vectorized! {
    /// Some columns of `y = x w + bias`, then relu if asked: `x` has as many columns as `w` rows, `y` those
    /// that are meant, and `bias` is empty or padded to whole panels.
    pub(crate) fn multiply(
        x: &[f32],
        w: Matrix<'_>,
        columns: Range<usize>,
        halves: Halves,
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
    ) = multiply_body;

    /// `gradient[k] = sum over rows of x[row, first + k] * dz[row]`, for the kernel rows that
    /// `gradient` has room for; blocks of rows as [`Blocks`] says.
    pub(crate) fn outer_products(
        x: Blocks<'_>,
        dz: Blocks<'_>,
        first: usize,
        gradient: &mut [f32],
    ) = outer_products_body;
}

#[inline(always)]
fn multiply_body<L: Lanes>(
    x: &[f32],
    w: Matrix<'_>,
    columns: Range<usize>,
    halves: Halves,
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let (inner, width) = (w.rows, columns.len());
    if x.len() / inner <= FEW {
        return multiply_few::<L>(x, w, columns, halves, bias, relu, y);
    }
    if x.len() / inner < COLUMNS {
        return multiply_some::<L>(x, w, columns, halves, bias, relu, y);
    }
    // Side by side, since rows that lie powers of two apart displace each other in the cache.
    let mut images = [[0.0; DEPTH * COLUMNS]; GROUPS];
    let mut lists = [[0.0; live_len(DEPTH)]; GROUPS];
    let some = x.chunks(GROUPS * COLUMNS * inner).zip(y.chunks_mut(GROUPS * COLUMNS * width));
    for (x, y) in some {
        for (from, depth, some) in halves.blocks(inner, columns.clone(), DEPTH) {
            for ((x, images), list) in x.chunks(COLUMNS * inner).zip(&mut images).zip(&mut lists) {
                let rows = x.chunks_exact(inner).map(|row| &row[from..from + depth]);
                let rows = Sixteen::new(rows);
                rows.turn::<L>(&mut images[..depth * COLUMNS]);
                rows.list_live::<L>(list);
            }
            let rows = x.len() / inner;
            let block = Block { images: &images, lists: &lists, rows, depth, from, halves };
            for some in some {
                block.multiply::<L>(w, some, bias, relu, y, &columns);
            }
        }
    }
}

/// Panels of rows that are worked on together: they share what is read of the other matrix.
const GROUPS: usize = 2;

/// Some terms of some rows' products.
struct Block<'a> {
    /// Panels of the rows.
    images: &'a [[f32; DEPTH * COLUMNS]; GROUPS],
    /// Of those rows of a panel that are not zero.
    lists: &'a [[f32; live_len(DEPTH)]; GROUPS],
    /// How many rows there are.
    rows: usize,
    /// How many terms.
    depth: usize,
    /// The first term.
    from: usize,
    halves: Halves,
}

impl Block<'_> {
    /// Adds them to `some` of the columns of `y`, which has those in `columns`.
    #[inline(always)]
    fn multiply<L: Lanes>(
        &self,
        w: Matrix<'_>,
        some: Range<usize>,
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
        columns: &Range<usize>,
    ) {
        let Self { images, lists, rows, depth, from, halves } = *self;
        let relu = relu && halves.ends(some.start, w.rows, from + depth);
        for (first, count) in panels_of::<L>(some.len()) {
            let first = some.start + first;
            let (panel, start) =
                (w.panel(first).from(from), halves.start(first, w.rows, from, bias));
            for group in 0..rows.div_ceil(COLUMNS) {
                let (row, images) = (group * COLUMNS, &images[group][..depth * COLUMNS]);
                let rows = (rows - row).min(COLUMNS);
                let live = few_live(&lists[group], depth).filter(|_| rows == COLUMNS);
                let stride = columns.len();
                let (to, left) =
                    (&mut y[row * stride + first - columns.start..], columns.end - first);
                let ends = Ends { start, relu, to, stride, panel: COLUMNS, columns: left };
                PanelProduct { images, panel, inputs: 0..depth, live, ends }
                    .compute::<L>(rows, count);
            }
        }
    }
}

/// Less than a panel of rows, which are read as they lie: to turn them takes as long as for a whole panel.
#[inline(always)]
fn multiply_some<L: Lanes>(
    x: &[f32],
    w: Matrix<'_>,
    columns: Range<usize>,
    halves: Halves,
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let (inner, stride) = (w.rows, columns.len());
    for (from, depth, some) in halves.blocks(inner, columns.clone(), DEPTH) {
        for Range { start: begin, end } in some {
            for (first, count) in panels_of::<L>(end - begin) {
                let first = begin + first;
                let (panel, left) = (w.panel(first).from(from), columns.end - first);
                for (row, rows) in even_parts(x.len() / inner, L::ROWS) {
                    let ends = Ends {
                        start: halves.start(first, inner, from, bias),
                        relu: relu && halves.ends(first, inner, from + depth),
                        to: &mut y[row * stride + first - columns.start..],
                        stride,
                        panel: COLUMNS,
                        columns: left,
                    };
                    let tile = Tile {
                        counts: [1, 1, depth],
                        a: x,
                        a_at: row * inner + from,
                        a_row: inner,
                        a_steps: [0, 0, 1],
                        b: panel.floats,
                        b_at: 0,
                        b_panel: panel.next,
                        b_steps: [0, 0, panel.row],
                    };
                    Product { tile, ends }.compute::<L>(rows, count);
                }
            }
        }
    }
}

/// Rows that are too few to hide the latency of a sum.
const FEW: usize = 2;

/// Their terms that are listed before they are worked off.
const LISTED: usize = 256;

/// A row at a time, and up to two panels at a time: what counts is how fast the panels stream in. Rows of
/// panels that a zero of `x` would meet are not read.
#[inline(always)]
fn multiply_few<L: Lanes>(
    x: &[f32],
    w: Matrix<'_>,
    columns: Range<usize>,
    halves: Halves,
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let [mut live, mut values] = [[0.0; LISTED + LIST_SLACK]; 2];
    let (inner, most) = (w.rows, RowTimesPanels::most::<L>() * COLUMNS);
    for (x, y) in x.chunks_exact(inner).zip(y.chunks_exact_mut(columns.len())) {
        for (from, depth, some) in halves.blocks(inner, columns.clone(), LISTED) {
            let len = L::pick(None, 0, &x[from..from + depth], &mut live, &mut values);
            for Range { start: mut first, end } in some {
                while first < end {
                    let next = end.min(first + most).min(w.reach(first));
                    let row = RowTimesPanels {
                        live: &live[..len],
                        values: &values[..len],
                        panel: w.panel(first).from(from),
                        depth,
                        start: halves.start(first, inner, from, bias),
                        relu: relu && halves.ends(first, inner, from + depth),
                        y: &mut y[first - columns.start..],
                    };
                    row.compute::<L>((next - first).div_ceil(COLUMNS));
                    first = next;
                }
            }
        }
    }
}

/// The rows of a matrix, in blocks of equal size that lie a stride apart; the last may be shorter.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    /// Where all blocks lie.
    pub floats: &'a [f32],
    /// Index of the first row.
    pub at: usize,
    /// Distance from block to block.
    pub stride: usize,
    /// Rows in a full block.
    pub block: usize,
    /// Rows in all.
    pub rows: usize,
    /// Floats in a row.
    pub width: usize,
}

impl<'a> Blocks<'a> {
    /// Each row in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        (0..self.rows).map(move |row| {
            let start = self.at + row / self.block * self.stride + row % self.block * self.width;
            &self.floats[start..start + self.width]
        })
    }
}

#[inline(always)]
fn outer_products_body<L: Lanes>(
    x: Blocks<'_>,
    dz: Blocks<'_>,
    first: usize,
    gradient: &mut [f32],
) {
    let columns = dz.width;
    if columns < COLUMNS {
        return narrow_products::<L>(x, dz, first, gradient);
    }
    for (k, rows) in even_parts(gradient.len() / columns, L::ROWS) {
        for (column, panels) in panels_of::<L>(columns) {
            let (to, left) = (&mut gradient[k * columns + column..], columns - column);
            let (start, stride, panel) = (Start::Zero, columns, COLUMNS);
            let ends = Ends { start, relu: false, to, stride, panel, columns: left };
            sum_products::<L>((x, first + k), (dz, column), ends, [rows, panels]);
        }
    }
}

/// The same where a row has less than a panel's columns: the other way round, in panels of `x`, and turned.
#[inline(always)]
fn narrow_products<L: Lanes>(x: Blocks<'_>, dz: Blocks<'_>, first: usize, gradient: &mut [f32]) {
    let (columns, square) = (dz.width, COLUMNS * COLUMNS);
    for (k, panels) in panels_of::<L>(gradient.len() / columns) {
        let mut turned = [[[0.0; COLUMNS]; COLUMNS]; PANELS];
        for (column, rows) in even_parts(columns, L::ROWS) {
            let to = &mut turned.as_flattened_mut().as_flattened_mut()[column * COLUMNS..];
            let (start, stride, panel) = (Start::Zero, COLUMNS, square);
            let ends = Ends { start, relu: false, to, stride, panel, columns: panels * COLUMNS };
            sum_products::<L>((dz, column), (x, first + k), ends, [rows, panels]);
        }
        turned.iter_mut().take(panels).for_each(L::turn);
        let rows = gradient[k * columns..].chunks_exact_mut(columns);
        for (to, from) in rows.zip(turned[..panels].as_flattened()) {
            copy_few(to, &from[..columns]);
        }
    }
}

/// `sum over rows of a[row, first of a + i] * b[row, first of b + j]` for some columns of `a` by some panels
/// of columns of `b`.
#[inline(always)]
fn sum_products<L: Lanes>(
    (a, a_first): (Blocks<'_>, usize),
    (b, b_first): (Blocks<'_>, usize),
    ends: Ends<'_>,
    [count, panels]: [usize; 2],
) {
    let (full, rest) = (a.rows / a.block, a.rows % a.block);
    let tile = |block: usize, blocks: usize, rows: usize| Tile {
        counts: [blocks, 1, rows],
        a: a.floats,
        a_at: a.at + block * a.stride + a_first,
        a_row: 1,
        a_steps: [a.stride, 0, a.width],
        b: b.floats,
        b_at: b.at + block * b.stride + b_first,
        b_panel: COLUMNS,
        b_steps: [b.stride, 0, b.width],
    };
    if full > 0 {
        let ends = Ends { to: &mut *ends.to, ..ends };
        Product { tile: tile(0, full, a.block), ends }.compute::<L>(count, panels);
    }
    if rest > 0 {
        let start = if full > 0 { Start::Sum } else { Start::Zero };
        let ends = Ends { start, ..ends };
        Product { tile: tile(full, 1, rest), ends }.compute::<L>(count, panels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_parts_by_size() {
        for count in 0..40 {
            for most in 1..8 {
                let runs = even_runs(count, most).flat_map(|(start, size, parts)| {
                    (0..parts).map(move |part| (start + part * size, size))
                });
                let parts: Vec<_> = even_parts(count, most).collect();
                assert_eq!(runs.collect::<Vec<_>>(), parts, "{count} in parts of {most}");
            }
        }
    }
}
