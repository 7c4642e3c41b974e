//! The kernel's gradient, by the way forward turned around: of `y = At [(G g Gt) * (Bt d B)] A` summed
//! over tiles it is `Gt [sum of (A dy At) * (Bt d B)] G`, at each place a product of channels by tiles
//! and tiles by filters.
//!
//! A shard keeps these sums; `Gt` and `G` come once a batch, since they are linear. With the last row of
//! `A` negative `dy` would need more steps, so that the sums' last row and column have the other sign.

use super::{GAP, PLACES, TransformInputs, Winograd};
use crate::kernel::matmul::even_runs;
use crate::kernel::simd::{
    COLUMNS, Ends, Kernel, Lanes, Product, Start, Tile, Vector, load_columns, load_rows, panels_of,
    store_rows, unrolled, vectorized,
};

/// Tiles that are worked on together, if a row of tiles is not longer: the longer the sums over them, the
/// rarer they are read and written. The transforms stay in the second-level cache.
const BLOCK: usize = 64;

/// Floats of a panel's row at all places.
pub(in crate::layer) const SUMS: usize = PLACES * COLUMNS;

/// The same at a kernel's places.
pub(in crate::layer) const TAPS: usize = 9 * COLUMNS;

impl Winograd {
    /// Floats of a kernel's gradient: place, channel, filters in whole vectors.
    pub const fn gradients_len(channels: usize, filters: usize) -> usize {
        PLACES * channels * filters.next_multiple_of(COLUMNS)
    }

    /// Floats of scratch: a block's tiles of inputs and of the outputs' gradients, transformed.
    pub const fn gradient_scratch(&self) -> usize {
        let tiles = self.rows_of(BLOCK) * self.tiles[1];
        PLACES * (tiles * (self.depth() + self.width()) + 2 * GAP)
    }

    /// Filters in whole vectors.
    const fn width(&self) -> usize {
        self.filters.next_multiple_of(COLUMNS)
    }
}

/// The gradient of a convolution's outputs.
#[derive(Clone, Copy)]
pub(in crate::layer) struct Outputs<'a> {
    /// Height, width and filters.
    pub shape: [usize; 3],
    /// The floats.
    pub dy: &'a [f32],
}

impl Outputs<'_> {
    /// Up to sixteen filters of a tile's four outputs; zeros where there is none.
    #[inline(always)]
    fn load<W: Vector>(&self, [row, column]: [usize; 2], filter: usize) -> [W; 4] {
        let [rows, columns, filters] = self.shape;
        let mut outputs = [W::splat(0.0); 4];
        unrolled!([0 1] 2, i => if row + i < rows {
            let line = &self.dy[((row + i) * columns + column) * filters + filter..];
            if column + 1 < columns {
                [outputs[2 * i], outputs[2 * i + 1]] = load_rows(line, filters, filters - filter);
            } else {
                outputs[2 * i] = load_columns(line, filters - filter);
            }
        });
        outputs
    }
}

vectorized! {
    /// Adds what one image brings to a shard's `sums`.
    pub(in crate::layer) fn kernel_gradient(
        this: &Winograd,
        x: &[f32],
        outputs: Outputs<'_>,
        sums: &mut [f32],
        scratch: &mut [f32],
    ) = kernel_gradient_body;

    /// Adds sixteen filters of a shard, whose places lie `stride` apart, to `sums`.
    pub(in crate::layer) fn add_places(shard: &[f32], stride: usize, sums: &mut [f32]) = add_places_body;

    /// `Gt m G`: sixteen filters of a kernel's gradient.
    pub(in crate::layer) fn turn_back(sums: &[f32], taps: &mut [f32]) = turn_back_body;
}

#[inline(always)]
fn kernel_gradient_body<L: Lanes>(
    this: &Winograd,
    x: &[f32],
    outputs: Outputs<'_>,
    sums: &mut [f32],
    scratch: &mut [f32],
) {
    let step = this.rows_of(BLOCK);
    for first in (0..this.tiles[0]).step_by(step) {
        let count = step.min(this.tiles[0] - first) * this.tiles[1];
        let (inputs, spread) = scratch.split_at_mut(PLACES * (count * this.depth() + GAP));
        L::call(TransformInputs::<4, PLACES> { this, x, first, count, inputs });
        L::call(SpreadOutputs { this, outputs, first, count, spread });
        add_products::<L>(this, inputs, spread, count, sums);
    }
}

/// `A dy At` of `count` tiles from row `first` of tiles on: place, tile, filter.
struct SpreadOutputs<'a> {
    this: &'a Winograd,
    outputs: Outputs<'a>,
    first: usize,
    count: usize,
    spread: &'a mut [f32],
}

impl<L: Lanes> Kernel<L> for SpreadOutputs<'_> {
    #[inline(always)]
    fn run(self) {
        let (columns, width) = (self.this.tiles[1], self.this.width());
        let stride = self.count * width + GAP;
        for row in 0..self.count / columns {
            for column in 0..columns {
                let at = [2 * (self.first + row), 2 * column];
                let to = &mut self.spread[(row * columns + column) * width..];
                for filter in (0..self.this.filters).step_by(COLUMNS) {
                    let [a, b, c, d] = self.outputs.load::<L::Wide>(at, filter);
                    let (left, right) = (spread([a, c]), spread([b, d]));
                    let mut places = [a; PLACES];
                    unrolled!([0 1 2 3] 4, i => {
                        [places[4 * i], places[4 * i + 1], places[4 * i + 2], places[4 * i + 3]] =
                            spread([left[i], right[i]]);
                    });
                    store_rows(places, &mut to[filter..], stride, COLUMNS);
                }
            }
        }
    }
}

/// `A` times a column, but for the sign of the last.
#[inline(always)]
fn spread<W: Vector>([a, b]: [W; 2]) -> [W; 4] {
    [a, a.add(b), a.sub(b), b]
}

/// For each place the product of channels by tiles and tiles by filters.
#[inline(always)]
fn add_products<L: Lanes>(
    this: &Winograd,
    inputs: &[f32],
    spread: &[f32],
    count: usize,
    sums: &mut [f32],
) {
    let (channels, depth, width) = (this.input[2], this.depth(), this.width());
    for (c, rows, times) in even_runs(channels, L::ROWS) {
        for (filter, panels) in panels_of::<L>(width) {
            let tile = Tile {
                counts: [1, 1, count],
                a: inputs,
                a_at: c,
                a_row: 1,
                a_steps: [0, 0, depth],
                b: spread,
                b_at: filter,
                b_panel: COLUMNS,
                b_steps: [0, 0, width],
            };
            let (start, to) = (Start::Sum, &mut sums[c * width + filter..]);
            let (stride, columns) = (width, width - filter);
            let ends = Ends { start, relu: false, to, stride, panel: COLUMNS, columns };
            let place = [count * depth + GAP, count * width + GAP, channels * width];
            let (times, next) = ([PLACES, times], [place, [rows, 0, rows * width]]);
            Product { tile, ends }.repeat::<L>([rows, panels], times, next);
        }
    }
}

#[inline(always)]
fn add_places_body<L: Lanes>(shard: &[f32], stride: usize, sums: &mut [f32]) {
    let places: [L::Wide; PLACES] = load_rows(shard, stride, COLUMNS);
    let mut all: [L::Wide; PLACES] = load_rows(sums, COLUMNS, COLUMNS);
    unrolled!(PLACES, i => all[i] = all[i].add(places[i]));
    store_rows(all, sums, COLUMNS, COLUMNS);
}

#[inline(always)]
fn turn_back_body<L: Lanes>(sums: &[f32], taps: &mut [f32]) {
    let m: [L::Wide; PLACES] = load_rows(sums, COLUMNS, COLUMNS);
    let mut columns = [[m[0]; 3]; 4];
    unrolled!([0 1 2 3] 4, j => columns[j] = ends([m[j], m[4 + j], m[8 + j], m[12 + j]]));
    let mut rows = [m[0]; 9];
    unrolled!([0 1 2] 3, i => {
        [rows[3 * i], rows[3 * i + 1], rows[3 * i + 2]] =
            ends([columns[0][i], columns[1][i], columns[2][i], columns[3][i]]);
    });
    store_rows(rows, taps, COLUMNS, COLUMNS);
}

/// `Gt` times a column, whose last has the other sign.
#[inline(always)]
fn ends<W: Vector>([a, b, c, d]: [W; 4]) -> [W; 3] {
    let half = W::splat(0.5);
    let (sum, difference) = (b.add(c).mul(half), b.sub(c).mul(half));
    [a.add(sum), difference, sum.sub(d)]
}
