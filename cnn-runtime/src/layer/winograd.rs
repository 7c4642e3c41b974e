//! Convolutions in steps of one by Winograd's algorithm: `y = At [(G g Gt) * (Bt d B)] A`, summed over
//! channels before the last step. Of 3x3 kernels F(2x2, 3x3) makes tiles of 2x2 outputs of 4x4 inputs with
//! 16 multiplications where the definition takes 36, and F(4x4, 3x3) tiles of 4x4 outputs with 36 where it
//! takes 144; of 2x2 kernels F(2x2, 2x2) takes 9 instead of 16, F(4x4, 2x2) 25 instead of 64.
//!
//! A value that is infinite or NaN reaches all outputs of the tiles that see it.
//!
//! Functions of `S` and `M` work on tiles of `S` by `S` inputs, which have as many places, and `M` by `M`
//! outputs.

use std::ops::Range;

use crate::kernel::matmul::even_runs;
use crate::kernel::simd::{
    COLUMNS, Ends, Kernel, Lanes, PANELS, Product, Sink, Start, Tile, Vector, load_rows, panels_of,
    relu_rows, store_rows, unrolled, unrolled_for, vectorized,
};

pub(super) mod gradient;
mod transforms;

use transforms::{Differences, Means, Totals, of_tile};

/// Floats between what belongs to two places: without them places lie powers of two apart, where the
/// first cache has room for fewer lines than there are places.
const GAP: usize = COLUMNS;

/// Sixteen by sixteen floats.
pub(super) type Square = [[f32; COLUMNS]; COLUMNS];

/// F(outputs x outputs, kernel x kernel).
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// A tile's outputs, down and across: 2 or 4.
    pub outputs: usize,
    /// The kernel's height and width: 2 or 3.
    pub kernel: usize,
}

/// A convolution's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    pub form: Form,
    /// Height, width and channels, without a frame.
    pub input: [usize; 3],
    /// Zeros above and to the left; to the right and below there are as many as it takes.
    pub frame: [usize; 2],
    /// Output channels.
    pub filters: usize,
    /// Windows of two by two outputs that are wanted, down and across.
    pub windows: [usize; 2],
}

impl Form {
    /// Where `rows` outputs are cut into two parts of whole tiles.
    pub fn middle(self, rows: usize) -> usize {
        (rows.div_ceil(2 * self.outputs) * self.outputs).min(rows)
    }

    /// Inputs of a tile, down and across.
    const fn inputs(self) -> usize {
        self.outputs + self.kernel - 1
    }

    /// Places in a transformed tile.
    const fn places(self) -> usize {
        self.inputs() * self.inputs()
    }

    /// Floats of packed weights, with a bias: panels of sixteen filters, each of them place by
    /// place.
    pub const fn packed_len(self, channels: usize, filters: usize) -> usize {
        filters.div_ceil(COLUMNS) * (self.panel_len(channels) + COLUMNS)
    }

    /// Floats of a panel.
    pub const fn panel_len(self, channels: usize) -> usize {
        self.places() * channels * COLUMNS
    }

    /// Lays out up to sixteen filters; `taps(place in the kernel, channels, rows)` writes a row of them for each
    /// of up to sixteen channels, and zeros; places in row-major order.
    pub fn pack_panel(
        self,
        channels: usize,
        taps: impl Fn(usize, Range<usize>, &mut Square),
        panel: &mut [f32],
    ) {
        let mut kernels = [[[0.0; COLUMNS]; COLUMNS]; 9];
        for first in (0..channels).step_by(COLUMNS) {
            let some = first..channels.min(first + COLUMNS);
            for (place, to) in kernels.iter_mut().take(self.kernel * self.kernel).enumerate() {
                taps(place, some.clone(), to);
            }
            let panel = &mut panel[first * COLUMNS..];
            transform_kernels(self, &kernels, some.len(), panel, channels * COLUMNS);
        }
    }
}

impl Winograd {
    /// Channels in whole vectors.
    const fn depth(&self) -> usize {
        self.input[2].next_multiple_of(COLUMNS)
    }

    /// Tiles, down and across.
    pub const fn tiles(&self) -> [usize; 2] {
        let windows = self.form.outputs / 2;
        [self.windows[0].div_ceil(windows), self.windows[1].div_ceil(windows)]
    }

    /// Rows of tiles that are worked on together: as many as make `tiles`, at least one.
    const fn rows_of(&self, tiles: usize) -> usize {
        let [down, across] = self.tiles();
        let rows = tiles / across;
        if rows == 0 {
            1
        } else if rows < down {
            rows
        } else {
            down
        }
    }

    /// Rows of tiles that [`convolve`] takes at a time: the transformed tiles of up to sixteen places take
    /// 32 KiB, about a first-level cache. Of more places eight tiles do, as many as a product has rows.
    const fn rows_in_block(&self) -> usize {
        self.rows_of(if self.form.places() > 16 { 8 } else { 512 / self.depth() })
    }

    /// Floats of a line of a framed image.
    const fn line(&self) -> usize {
        (self.tiles()[1] * self.form.outputs + self.form.kernel - 1) * self.depth()
    }

    /// Floats of the framed lines that some rows of tiles see.
    const fn frame_len(&self, rows: usize) -> usize {
        (rows * self.form.outputs + self.form.kernel - 1) * self.line()
    }

    /// Floats of scratch: a block's lines, framed, its tiles, transformed, and what a tile's panels make of
    /// them.
    pub const fn scratch(&self) -> usize {
        let width = self.filters.next_multiple_of(COLUMNS);
        let width = if width < PANELS * COLUMNS { width } else { PANELS * COLUMNS };
        let (rows, columns) = (self.rows_in_block(), self.tiles()[1]);
        let tiles = rows * columns * (self.depth() + width) + 2 * GAP;
        self.frame_len(rows) + self.form.places() * tiles
    }

    /// Copies what `rows` rows of tiles from `first` on see into a frame of zeros, pixels in whole vectors.
    fn frame(&self, x: &[f32], first: usize, rows: usize, framed: &mut [f32]) {
        let ([height, width, channels], [top, left]) = (self.input, self.frame);
        let (depth, line) = (self.depth(), self.line());
        let lines = framed[..self.frame_len(rows)].chunks_exact_mut(line);
        for (row, to) in (first * self.form.outputs..).zip(lines) {
            if row < top || row - top >= height {
                to.fill(0.0);
                continue;
            }
            let x = &x[(row - top) * width * channels..][..width * channels];
            let (before, to) = to.split_at_mut((left * depth).min(line));
            before.fill(0.0);
            let (pixels, behind) = to.split_at_mut((width * depth).min(to.len()));
            behind.fill(0.0);
            if channels == depth {
                pixels.copy_from_slice(&x[..pixels.len()]);
                continue;
            }
            for (to, x) in pixels.chunks_exact_mut(depth).zip(x.chunks_exact(channels)) {
                let (to, rest) = to.split_at_mut(channels);
                to.copy_from_slice(x);
                rest.fill(0.0);
            }
        }
    }
}

vectorized! {
    /// `G g Gt` of sixteen filters' kernels, of some channels' rows at each place; its places `stride` apart.
    fn transform_kernels(
        form: Form,
        kernels: &[Square; 9],
        channels: usize,
        to: &mut [f32],
        stride: usize,
    ) = transform_kernels_body;
}

#[inline(always)]
fn transform_kernels_body<L: Lanes>(
    form: Form,
    kernels: &[Square; 9],
    channels: usize,
    to: &mut [f32],
    stride: usize,
) {
    for c in 0..channels {
        let to = &mut to[c * COLUMNS..];
        let kernel = &kernels.as_flattened().as_flattened()[c * COLUMNS..];
        match form.inputs() {
            3 => transform_kernel::<L::Wide, 2, 3>(kernel, to, stride),
            4 => transform_kernel::<L::Wide, 3, 4>(kernel, to, stride),
            5 => transform_kernel::<L::Wide, 2, 5>(kernel, to, stride),
            _ => transform_kernel::<L::Wide, 3, 6>(kernel, to, stride),
        }
    }
}

/// The same for one channel's kernels of `K` by `K`.
#[inline(always)]
fn transform_kernel<W: Vector, const K: usize, const S: usize>(
    kernel: &[f32],
    to: &mut [f32],
    stride: usize,
) {
    let place = COLUMNS * COLUMNS;
    let taps = load_tile::<W, K>(kernel, K * place, place);
    store_places(of_tile::<Means, W, K, S>(taps), to, stride);
}

/// Sixteen channels of a tile, whose rows and columns lie so far apart.
#[inline(always)]
fn load_tile<W: Vector, const A: usize>(x: &[f32], row: usize, column: usize) -> [[W; A]; A] {
    let mut tile = [[W::splat(0.0); A]; A];
    unrolled_for!(W: [0 1 2 3 4 5] A, i => tile[i] = load_rows(&x[i * row..], column, COLUMNS));
    tile
}

/// Places lie `stride` apart.
#[inline(always)]
fn store_places<W: Vector, const S: usize>(places: [[W; S]; S], to: &mut [f32], stride: usize) {
    unrolled_for!(W: [0 1 2 3 4 5] S, i => {
        store_rows(places[i], &mut to[i * S * stride..], stride, COLUMNS);
    });
}

/// A convolution of one image: all of its tiles' outputs to `sink`.
#[inline(always)]
pub(super) fn convolve<L: Lanes>(
    this: &Winograd,
    packed: &[f32],
    x: &[f32],
    scratch: &mut [f32],
    sink: &mut impl Sink,
) {
    match this.form.inputs() {
        3 => convolve_by::<L, 3, 2>(this, packed, x, scratch, sink),
        4 => convolve_by::<L, 4, 2>(this, packed, x, scratch, sink),
        5 => convolve_by::<L, 5, 4>(this, packed, x, scratch, sink),
        _ => convolve_by::<L, 6, 4>(this, packed, x, scratch, sink),
    }
}

#[inline(always)]
fn convolve_by<L: Lanes, const S: usize, const M: usize>(
    this: &Winograd,
    packed: &[f32],
    x: &[f32],
    scratch: &mut [f32],
    sink: &mut impl Sink,
) {
    assert!(this.form.inputs() == S && this.form.outputs == M);
    let panel_len = this.form.panel_len(this.input[2]);
    let (panels, bias) = packed.split_at(this.filters.div_ceil(COLUMNS) * panel_len);
    let (step, [down, across]) = (this.rows_in_block(), this.tiles());
    for first in (0..down).step_by(step) {
        let rows = step.min(down - first);
        let count = rows * across;
        let (framed, scratch) = scratch.split_at_mut(this.frame_len(rows));
        let (inputs, sums) = scratch.split_at_mut(S * S * (count * this.depth() + GAP));
        this.frame(x, first, rows, framed);
        L::call(TransformInputs::<S, M> { this, framed, rows, inputs });
        for (filter, together) in panels_of::<L>(this.filters) {
            let panels = &panels[filter / COLUMNS * panel_len..];
            L::call(Multiply { this, inputs, panels, count, together, sums });
            let stride = together * count * COLUMNS + GAP;
            for (panel, filter) in (filter..).step_by(COLUMNS).take(together).enumerate() {
                let sums = &sums[panel * count * COLUMNS..];
                let bias = &bias[filter..];
                L::call(TransformOutputs::<_, S, M> {
                    this,
                    sums,
                    stride,
                    bias,
                    first,
                    rows,
                    filter,
                    sink: &mut *sink,
                });
            }
        }
    }
}

/// `Bt d B` of some rows of tiles, the first lines of `framed`: place, tile, channel.
struct TransformInputs<'a, const S: usize, const M: usize> {
    this: &'a Winograd,
    framed: &'a [f32],
    rows: usize,
    inputs: &'a mut [f32],
}

impl<L: Lanes, const S: usize, const M: usize> Kernel<L> for TransformInputs<'_, S, M> {
    #[inline(always)]
    fn run(self) {
        let (depth, columns, line) = (self.this.depth(), self.this.tiles()[1], self.this.line());
        let stride = self.rows * columns * depth + GAP;
        for row in 0..self.rows {
            for column in 0..columns {
                let framed = &self.framed[M * (row * line + column * depth)..];
                let inputs = &mut self.inputs[(row * columns + column) * depth..];
                for c in (0..depth).step_by(L::Sixteenth::LEN) {
                    let tile = load_tile::<L::Sixteenth, S>(&framed[c..], line, depth);
                    store_places(of_tile::<Differences, _, S, S>(tile), &mut inputs[c..], stride);
                }
            }
        }
    }
}

/// `At m A` and a bias of some rows of tiles, of sixteen filters.
struct TransformOutputs<'a, Out, const S: usize, const M: usize> {
    this: &'a Winograd,
    sums: &'a [f32],
    /// From place to place of the sums.
    stride: usize,
    bias: &'a [f32],
    first: usize,
    rows: usize,
    filter: usize,
    sink: &'a mut Out,
}

impl<L: Lanes, Out: Sink, const S: usize, const M: usize> Kernel<L>
    for TransformOutputs<'_, Out, S, M>
{
    #[inline(always)]
    fn run(self) {
        let (windows, columns) = (self.this.windows, self.this.tiles()[1]);
        let bias = L::Wide::load(self.bias);
        for row in 0..self.rows {
            for column in 0..columns {
                let sums = &self.sums[(row * columns + column) * COLUMNS..];
                let places = load_tile::<L::Wide, S>(sums, S * self.stride, self.stride);
                let mut outputs = of_tile::<Totals, _, S, M>(places);
                unrolled_for!(L::Wide: [0 1 2 3] M, i => {
                    unrolled_for!(L::Wide: [0 1 2 3] M, j => outputs[i][j] = outputs[i][j].add(bias));
                });
                let at = [(self.first + row) * (M / 2), column * (M / 2)];
                put(outputs, windows, self.filter, at, self.sink);
            }
        }
    }
}

/// Gives `sink` those windows of a tile that are wanted; the first is at a row and a column.
#[inline(always)]
fn put<W: Vector, const M: usize>(
    outputs: [[W; M]; M],
    [down, across]: [usize; 2],
    filter: usize,
    [row, column]: [usize; 2],
    sink: &mut impl Sink,
) {
    unrolled!([0 1] M / 2, i => if row + i < down {
        let (above, below) = (outputs[2 * i], outputs[2 * i + 1]);
        let mut windows = [[above[0], above[1], below[0], below[1]]; 2];
        if M == 4 {
            windows[1] = [above[2], above[3], below[2], below[3]];
        }
        if M == 4 && column + 1 < across {
            sink.put(filter, [row + i, column], windows);
        } else {
            sink.put(filter, [row + i, column], [windows[0]]);
        }
    });
}

/// For each place the product of its tiles by channels and channels by the filters of `together` panels, the
/// first of `panels`.
struct Multiply<'a> {
    this: &'a Winograd,
    inputs: &'a [f32],
    panels: &'a [f32],
    /// Tiles.
    count: usize,
    together: usize,
    sums: &'a mut [f32],
}

impl<L: Lanes> Kernel<L> for Multiply<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { this, inputs, panels, count, together, sums } = self;
        let (channels, depth) = (this.input[2], this.depth());
        for (first, rows, times) in even_runs(count, L::ROWS) {
            let tile = Tile {
                counts: [1, 1, channels],
                a: inputs,
                a_at: first * depth,
                a_row: depth,
                a_steps: [0, 0, 1],
                b: panels,
                b_at: 0,
                b_panel: this.form.panel_len(channels),
                b_steps: [0, 0, COLUMNS],
            };
            // All tiles of a place, which share a part of the panels, before the next.
            let (panel, columns) = (count * COLUMNS, together * COLUMNS);
            let place = [count * depth + GAP, channels * COLUMNS, together * panel + GAP];
            let next = [place, [rows * depth, 0, rows * COLUMNS]];
            let (start, stride, to) = (Start::Zero, COLUMNS, &mut sums[first * COLUMNS..]);
            let ends = Ends { start, relu: false, to, stride, panel, columns };
            let times = [this.form.places(), times];
            Product { tile, ends }.repeat::<L>([rows, together], times, next);
        }
    }
}

/// Outputs as they are: height x width x channels.
pub(super) struct Image<'a> {
    /// Height, width and channels.
    pub shape: [usize; 3],
    /// Whether a relu follows.
    pub relu: bool,
    /// The floats.
    pub y: &'a mut [f32],
}

impl Sink for Image<'_> {
    #[inline(always)]
    fn put<W: Vector, const N: usize>(
        &mut self,
        filter: usize,
        [row, first]: [usize; 2],
        outputs: [[W; 4]; N],
    ) {
        let ([rows, columns, channels], row) = (self.shape, 2 * row);
        for (tile, outputs) in outputs.into_iter().enumerate() {
            let column = 2 * (first + tile);
            let outputs = if self.relu { relu_rows(outputs) } else { outputs };
            unrolled!([0 1] 2, i => if row + i < rows {
                let to = &mut self.y[((row + i) * columns + column) * channels + filter..];
                if column + 1 < columns {
                    let outputs = [outputs[2 * i], outputs[2 * i + 1]];
                    store_rows(outputs, to, channels, channels - filter);
                } else {
                    store_rows([outputs[2 * i]], to, channels, channels - filter);
                }
            });
        }
    }
}

vectorized! {
    /// One image to `y`, its pixels' channels side by side.
    pub(super) fn convolve_image(
        this: &Winograd,
        packed: &[f32],
        x: &[f32],
        y: Image<'_>,
        scratch: &mut [f32],
    ) = convolve_image_body;
}

#[inline(always)]
fn convolve_image_body<L: Lanes>(
    this: &Winograd,
    packed: &[f32],
    x: &[f32],
    mut y: Image<'_>,
    scratch: &mut [f32],
) {
    convolve::<L>(this, packed, x, scratch, &mut y);
}
