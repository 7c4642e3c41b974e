//! Matrix products over panels of sixteen columns.

use super::panels::{PanelProduct, few_live, list_live_body, live_len};
use super::simd::{COLUMNS, LIST_SLACK, Lanes, Product, RowTimesPanels, Start, Tile, vectorized};

/// Terms of a sum that are worked off before the next rows: 256 rows of a panel fill half of a
/// common first-level cache.
pub(super) const DEPTH: usize = 256;

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

/// Writes one panel: row `i`, column `c` is `matrix(i, first + c)`, 0 beyond the last column.
pub(crate) fn pack_panel(
    panel: &mut [f32],
    first: usize,
    columns: usize,
    matrix: impl Fn(usize, usize) -> f32,
) {
    for (i, row) in panel.chunks_exact_mut(COLUMNS).enumerate() {
        for (c, value) in row.iter_mut().enumerate() {
            *value = if first + c < columns { matrix(i, first + c) } else { 0.0 };
        }
    }
}

/// Writes one panel: the columns of `matrix`, `width` of them in all, from `first` on.
pub(crate) fn copy_panel(panel: &mut [f32], first: usize, matrix: &[f32], width: usize) {
    let count = COLUMNS.min(width - first);
    for (to, from) in panel.chunks_exact_mut(COLUMNS).zip(matrix.chunks_exact(width)) {
        if count == COLUMNS {
            to.copy_from_slice(&from[first..first + COLUMNS]);
        } else {
            to[..count].copy_from_slice(&from[first..first + count]);
            to[count..].fill(0.0);
        }
    }
}

/// Writes one panel: its columns are `rows`, at most sixteen and each as long as the panel has rows, and
/// zeros where there are fewer.
pub(crate) fn transpose_panel<'a>(
    panel: &mut [f32],
    rows: &(impl Iterator<Item = &'a [f32]> + Clone),
) {
    // Sixteen by sixteen at a time, so that what is read and written stays in the first cache.
    for (block, panel) in panel.chunks_mut(COLUMNS * COLUMNS).enumerate() {
        let (first, count) = (block * COLUMNS, panel.len() / COLUMNS);
        let mut square = [[0.0; COLUMNS]; COLUMNS];
        for (to, row) in square.iter_mut().zip(rows.clone()) {
            to[..count].copy_from_slice(&row[first..first + count]);
        }
        turn(&mut square);
        panel.copy_from_slice(&square.as_flattened()[..panel.len()]);
    }
}

vectorized! {
    /// Turns rows into columns.
    fn turn(square: &mut [[f32; COLUMNS]; COLUMNS]) = turn_body;
}

#[inline(always)]
fn turn_body<L: Lanes>(square: &mut [[f32; COLUMNS]; COLUMNS]) {
    L::turn(square);
}

vectorized! {
    /// `y = x w + bias`, then relu if asked: `x` is rows x `inner`, `y` rows x `columns`, `panels`
    /// holds `w` (see [`pack_panel`]), `bias` is empty or padded to whole panels.
    pub(crate) fn multiply(
        x: &[f32],
        inner: usize,
        panels: &[f32],
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
        columns: usize,
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
    inner: usize,
    panels: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
    columns: usize,
) {
    let rows = x.len() / inner;
    if rows <= FEW {
        return multiply_few::<L>(x, inner, panels, bias, relu, y, columns);
    }
    let mut panel = [0.0; DEPTH * COLUMNS];
    let mut list = [0.0; live_len(DEPTH)];
    for from in (0..inner).step_by(DEPTH) {
        let depth = (inner - from).min(DEPTH);
        for (group, x) in x.chunks(COLUMNS * inner).enumerate() {
            // Side by side, since rows that lie powers of two apart displace each other in the cache.
            let part = x.chunks_exact(inner).map(|row| &row[from..from + depth]);
            let images = &mut panel[..depth * COLUMNS];
            transpose_panel(images, &part);
            list_live_body::<L>(images, &mut list);
            let y = &mut y[group * COLUMNS * columns..];
            let block = Block { images, rows: x.len() / inner, list: &list, from, inner };
            block.multiply::<L>(panels, bias, relu, y, columns);
        }
    }
}

/// Some terms of sixteen rows' products.
struct Block<'a> {
    /// A panel of the rows.
    images: &'a [f32],
    /// How many there are.
    rows: usize,
    /// Of those of the panel that are not zero.
    list: &'a [f32],
    /// The first term.
    from: usize,
    /// Terms in all.
    inner: usize,
}

impl Block<'_> {
    #[inline(always)]
    fn multiply<L: Lanes>(
        &self,
        panels: &[f32],
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
        columns: usize,
    ) {
        let Self { images, rows, list, from, inner } = *self;
        let depth = images.len() / COLUMNS;
        let live = few_live(list, depth).filter(|_| rows == COLUMNS);
        let relu = relu && from + depth == inner;
        for (p, panel) in panels.chunks_exact(inner * COLUMNS).enumerate() {
            let (panel, left) = (&panel[from * COLUMNS..], columns - p * COLUMNS);
            let start = match (from, bias) {
                (0, []) => Start::Zero,
                (0, bias) => Start::Bias(&bias[p * COLUMNS..]),
                _ => Start::Sum,
            };
            let (inputs, stride, columns) = (0..depth, columns, left);
            PanelProduct { images, panel, inputs, live, start, relu, stride, columns }
                .compute::<L>(rows, &mut y[p * COLUMNS..]);
        }
    }
}

/// Rows that are too few to hide the latency of a sum.
const FEW: usize = 2;

/// A row at a time, and up to eight panels at a time: what counts is how fast the panels stream in. Rows of
/// panels that a zero of `x` would meet are not read.
#[inline(always)]
fn multiply_few<L: Lanes>(
    x: &[f32],
    inner: usize,
    panels: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
    columns: usize,
) {
    let [mut live, mut values] = [[0.0; DEPTH + LIST_SLACK]; 2];
    for (x, y) in x.chunks_exact(inner).zip(y.chunks_exact_mut(columns)) {
        for from in (0..inner).step_by(DEPTH) {
            let depth = (inner - from).min(DEPTH);
            let len = L::pick(None, 0, &x[from..from + depth], &mut live, &mut values);
            let most = RowTimesPanels::most::<L>();
            for first in (0..columns).step_by(most * COLUMNS) {
                let start = match (from, bias) {
                    (0, []) => Start::Zero,
                    (0, bias) => Start::Bias(&bias[first..]),
                    _ => Start::Sum,
                };
                let row = RowTimesPanels {
                    live: &live[..len],
                    values: &values[..len],
                    panels: &panels[first * inner + from * COLUMNS..],
                    panel_len: inner * COLUMNS,
                    depth,
                    start,
                    relu: relu && from + depth == inner,
                    y: &mut y[first..],
                };
                row.compute::<L>((columns - first).div_ceil(COLUMNS).min(most));
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
    let (full, rest) = (x.rows / x.block, x.rows % x.block);
    for (k, count) in even_parts(gradient.len() / columns, L::ROWS) {
        for column in (0..columns).step_by(COLUMNS) {
            let tile = |block: usize, blocks: usize, rows: usize| Tile {
                counts: [blocks, 1, rows],
                a: x.floats,
                a_at: x.at + block * x.stride + first + k,
                a_row: 1,
                a_steps: [x.stride, 0, x.width],
                b: dz.floats,
                b_at: dz.at + block * dz.stride + column,
                b_steps: [dz.stride, 0, dz.width],
            };
            let mut add = |tile, start| {
                let to = &mut gradient[k * columns + column..];
                let (stride, left) = (columns, columns - column);
                Product { tile, start, relu: false, to, stride, columns: left }.compute::<L>(count);
            };
            if full > 0 {
                add(tile(0, full, x.block), Start::Zero);
            }
            if rest > 0 {
                add(tile(full, 1, rest), if full > 0 { Start::Sum } else { Start::Zero });
            }
        }
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
