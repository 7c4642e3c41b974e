//! The kernel's gradient, by the way forward turned around: of `y = At [(G g Gt) * (Bt d B)] A` summed
//! over tiles it is `Gt [sum of (A dy At) * (Bt d B)] G`, at each place a product of channels by tiles
//! and tiles by filters.
//!
//! A shard keeps these sums; `Gt` and `G` come once a batch, since they are linear. With the last row of
//! `A` negative `dy` would need more steps, so that the sums' last row and column have the other sign.

use ndarray::ArrayViewMut3;

use super::transforms::{Spread, Taps, of_tile};
use super::{GAP, TransformInputs, Winograd, load_tile, store_places};
use crate::kernel::matmul::even_runs;
use crate::kernel::simd::{
    COLUMNS, Ends, Kernel, Lanes, Product, Start, Tile, Vector, load_columns, load_rows, panels_of,
    store_rows, unrolled_for, vectorized,
};
use crate::network::Parts;

/// Tiles that are worked on together, if a row of tiles is not longer: the longer the sums over them, the
/// rarer they are read and written. The transforms stay in the second-level cache.
const BLOCK: usize = 64;

/// Sums that are added up together: they stay in the first cache.
const TOGETHER: usize = 4096;

impl Winograd {
    /// Floats of a kernel's gradient: place, channel, filters in whole vectors.
    pub const fn gradients_len(&self) -> usize {
        self.form.places() * self.input[2] * self.width()
    }

    /// Floats of scratch: a block's lines, framed, and its tiles of inputs and of the outputs' gradients,
    /// transformed.
    pub const fn gradient_scratch(&self) -> usize {
        let rows = self.rows_of(BLOCK);
        let tiles = rows * self.tiles()[1] * (self.depth() + self.width()) + 2 * GAP;
        self.frame_len(rows) + self.form.places() * tiles
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
    /// Up to sixteen filters of a tile's outputs; zeros where there is none.
    #[inline(always)]
    fn load<W: Vector, const M: usize>(
        &self,
        [row, column]: [usize; 2],
        filter: usize,
    ) -> [[W; M]; M] {
        let ([rows, columns, filters], mut outputs) = (self.shape, [[W::splat(0.0); M]; M]);
        let left = filters - filter;
        unrolled_for!(W: [0 1 2 3] M, i => if row + i < rows {
            let line = &self.dy[((row + i) * columns + column) * filters + filter..];
            if column + M <= columns {
                outputs[i] = load_rows(line, filters, left);
            } else {
                unrolled_for!(W: [0 1 2 3] M, j => if column + j < columns {
                    outputs[i][j] = load_columns(&line[j * filters..], left);
                });
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

    /// The gradient of some channels from `first` on, `Gt m G` of what the shards have summed, which is added up
    /// in their order. `kernel` is taps x channels x filters.
    pub(in crate::layer) fn gather(
        this: &Winograd,
        shards: Parts<'_>,
        first: usize,
        kernel: ArrayViewMut3<'_, f32>,
    ) = gather_body;
}

#[inline(always)]
fn kernel_gradient_body<L: Lanes>(
    this: &Winograd,
    x: &[f32],
    outputs: Outputs<'_>,
    sums: &mut [f32],
    scratch: &mut [f32],
) {
    match this.form.outputs {
        2 => kernel_gradient_of::<L, 4, 2>(this, x, outputs, sums, scratch),
        _ => kernel_gradient_of::<L, 6, 4>(this, x, outputs, sums, scratch),
    }
}

#[inline(always)]
fn kernel_gradient_of<L: Lanes, const S: usize, const M: usize>(
    this: &Winograd,
    x: &[f32],
    outputs: Outputs<'_>,
    sums: &mut [f32],
    scratch: &mut [f32],
) {
    let (step, [down, across]) = (this.rows_of(BLOCK), this.tiles());
    for first in (0..down).step_by(step) {
        let rows = step.min(down - first);
        let count = rows * across;
        let (framed, scratch) = scratch.split_at_mut(this.frame_len(rows));
        let (inputs, spread) = scratch.split_at_mut(S * S * (count * this.depth() + GAP));
        this.frame(x, first, rows, framed);
        L::call(TransformInputs::<S, M> { this, framed, rows, inputs });
        L::call(SpreadOutputs::<S, M> { this, outputs, first, rows, spread });
        L::call(AddProducts { this, inputs, spread, count, sums: &mut *sums });
    }
}

/// `A dy At` of `rows` rows of tiles from row `first` on: place, tile, filter.
struct SpreadOutputs<'a, const S: usize, const M: usize> {
    this: &'a Winograd,
    outputs: Outputs<'a>,
    first: usize,
    rows: usize,
    spread: &'a mut [f32],
}

impl<L: Lanes, const S: usize, const M: usize> Kernel<L> for SpreadOutputs<'_, S, M> {
    #[inline(always)]
    fn run(self) {
        let (columns, width) = (self.this.tiles()[1], self.this.width());
        let stride = self.rows * columns * width + GAP;
        for row in 0..self.rows {
            for column in 0..columns {
                let at = [M * (self.first + row), M * column];
                let to = &mut self.spread[(row * columns + column) * width..];
                for filter in (0..self.this.filters).step_by(COLUMNS) {
                    let outputs = self.outputs.load::<L::Wide, M>(at, filter);
                    let places = of_tile::<Spread, _, M, S>(outputs);
                    store_places(places, &mut to[filter..], stride);
                }
            }
        }
    }
}

/// For each place the product of channels by tiles and tiles by filters.
struct AddProducts<'a> {
    this: &'a Winograd,
    inputs: &'a [f32],
    spread: &'a [f32],
    /// Tiles.
    count: usize,
    sums: &'a mut [f32],
}

impl<L: Lanes> Kernel<L> for AddProducts<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { this, inputs, spread, count, sums } = self;
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
                let next = [place, [rows, 0, rows * width]];
                let times = [this.form.places(), times];
                Product { tile, ends }.repeat::<L>([rows, panels], times, next);
            }
        }
    }
}

#[inline(always)]
fn gather_body<L: Lanes>(
    this: &Winograd,
    shards: Parts<'_>,
    first: usize,
    kernel: ArrayViewMut3<'_, f32>,
) {
    match this.form.outputs {
        2 => gather_of::<L, 4>(this, shards, first, kernel),
        _ => gather_of::<L, 6>(this, shards, first, kernel),
    }
}

#[inline(always)]
fn gather_of<L: Lanes, const S: usize>(
    this: &Winograd,
    shards: Parts<'_>,
    first: usize,
    mut kernel: ArrayViewMut3<'_, f32>,
) {
    let (width, filters, run) =
        (this.width(), this.filters, TOGETHER / (S * S) / COLUMNS * COLUMNS);
    let floats = first * width..(first + kernel.dim().1) * width;
    let mut taps = <[&mut [f32]; 9]>::default();
    for (to, tap) in taps.iter_mut().zip(kernel.outer_iter_mut()) {
        *to = tap.into_slice().expect("a tap's channels lie side by side");
    }
    // As long a run of each place as there is room for: places lie far apart.
    for from in floats.clone().step_by(run) {
        let len = run.min(floats.end - from);
        let mut sums = [0.0; TOGETHER];
        for shard in shards.iter() {
            let places = shard[from..].chunks(this.input[2] * width);
            for (sums, more) in sums.chunks_exact_mut(run).zip(places).take(S * S) {
                for (sum, value) in sums[..len].iter_mut().zip(&more[..len]) {
                    *sum += value;
                }
            }
        }
        for at in (0..len).step_by(COLUMNS) {
            let (channel, filter) = ((from + at) / width - first, (from + at) % width);
            let places = load_tile::<L::Wide, S>(&sums[at..], S * run, run);
            let turned = of_tile::<Taps, L::Wide, S, 3>(places);
            for (tap, turned) in taps.iter_mut().zip(turned.as_flattened()) {
                let to = &mut tap[channel * filters + filter..];
                store_rows([*turned], to, 0, filters - filter);
            }
        }
    }
}
