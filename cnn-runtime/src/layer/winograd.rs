//! Convolutions in steps of one by Winograd's algorithm: `y = At [(G g Gt) * (Bt d B)] A`, summed over
//! channels before the last step. Of 3x3 kernels F(2x2, 3x3) makes tiles of 2x2 outputs of 4x4 inputs with
//! 16 multiplications where the definition takes 36, and F(4x4, 3x3) tiles of 4x4 outputs with 36 where it
//! takes 144; of 2x2 kernels F(2x2, 2x2) takes 9 instead of 16.
//!
//! A value that is infinite or NaN reaches all outputs of the tiles that see it.
//!
//! Functions of `S` and `M` work on tiles of `S` by `S` inputs, which have as many places, and `M` by `M`
//! outputs.

use crate::kernel::matmul::even_runs;
use crate::kernel::simd::{
    COLUMNS, Ends, Kernel, Lanes, PANELS, Product, Sink, Start, Tile, Vector, load_columns,
    load_rows, panels_of, relu_rows, store_rows, unrolled, vectorized,
};
use crate::team::for_each_chunk;

pub(super) mod gradient;
mod transforms;

use transforms::{differences, means, totals};

/// Floats between what belongs to two places: without them places lie powers of two apart, where the
/// first cache has room for fewer lines than there are places.
const GAP: usize = COLUMNS;

/// F(outputs x outputs, kernel x kernel).
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// A tile's outputs, down and across: 2, or with 3x3 kernels 4.
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

    /// Lays weights out; `tap(place in the kernel, channel, filter)`, places in row-major order.
    pub fn pack(
        self,
        [channels, filters]: [usize; 2],
        tap: impl Fn(usize, usize, usize) -> f32 + Sync,
        bias: &[f32],
        packed: &mut [f32],
    ) {
        let (panel_len, places) = (self.panel_len(channels), self.kernel * self.kernel);
        let (panels, packed_bias) = packed.split_at_mut(filters.div_ceil(COLUMNS) * panel_len);
        packed_bias[..bias.len()].copy_from_slice(bias);
        for_each_chunk(panels, panel_len, &|p, panel| {
            let first = p * COLUMNS;
            let mut taps = [0.0; 9 * COLUMNS];
            for c in 0..channels {
                for (place, taps) in taps.chunks_exact_mut(COLUMNS).take(places).enumerate() {
                    for (column, value) in
                        taps[..COLUMNS.min(filters - first)].iter_mut().enumerate()
                    {
                        *value = tap(place, c, first + column);
                    }
                }
                transform_kernels(self, &taps, &mut panel[c * COLUMNS..], channels * COLUMNS);
            }
        });
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

    /// Rows of tiles that [`convolve`] takes at a time: the transformed tiles of all places take 32 KiB,
    /// about a first-level cache, if a row of tiles does not take more.
    const fn rows_in_block(&self) -> usize {
        let floats = if self.form.places() > 16 { 256 } else { 512 };
        self.rows_of(floats / self.depth())
    }

    /// Floats of scratch: a block's tiles, transformed, and what a tile's panels make of them.
    pub const fn scratch(&self) -> usize {
        let width = self.filters.next_multiple_of(COLUMNS);
        let width = if width < PANELS * COLUMNS { width } else { PANELS * COLUMNS };
        let tiles = self.rows_in_block() * self.tiles()[1];
        self.form.places() * (tiles * (self.depth() + width) + 2 * GAP)
    }
}

vectorized! {
    /// `G g Gt` of sixteen filters' kernels, its places `stride` apart.
    fn transform_kernels(form: Form, taps: &[f32], to: &mut [f32], stride: usize)
        = transform_kernels_body;
}

#[inline(always)]
fn transform_kernels_body<L: Lanes>(form: Form, taps: &[f32], to: &mut [f32], stride: usize) {
    match form.inputs() {
        3 => transform_kernel::<L::Wide, 2, 3>(taps, to, stride),
        4 => transform_kernel::<L::Wide, 3, 4>(taps, to, stride),
        _ => transform_kernel::<L::Wide, 3, 6>(taps, to, stride),
    }
}

/// The same for kernels of `K` by `K`.
#[inline(always)]
fn transform_kernel<W: Vector, const K: usize, const S: usize>(
    taps: &[f32],
    to: &mut [f32],
    stride: usize,
) {
    let mut columns = [[W::splat(0.0); S]; K];
    unrolled!([0 1 2] K, j => {
        columns[j] = means::<W, K, S>(load_rows(&taps[j * COLUMNS..], K * COLUMNS, COLUMNS));
    });
    unrolled!([0 1 2 3 4 5] S, i => {
        let mut row = [columns[0][i]; K];
        unrolled!([0 1 2] K, j => row[j] = columns[j][i]);
        store_rows(means::<W, K, S>(row), &mut to[i * S * stride..], stride, COLUMNS);
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
        let count = step.min(down - first) * across;
        let (inputs, sums) = scratch.split_at_mut(S * S * (count * this.depth() + GAP));
        L::call(TransformInputs::<S, M> { this, x, first, count, inputs });
        for (filter, together) in panels_of::<L>(this.filters) {
            let panels = &panels[filter / COLUMNS * panel_len..];
            multiply::<L>(this, inputs, panels, count, together, sums);
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
                    count,
                    filter,
                    sink: &mut *sink,
                });
            }
        }
    }
}

struct TransformInputs<'a, const S: usize, const M: usize> {
    this: &'a Winograd,
    x: &'a [f32],
    first: usize,
    count: usize,
    inputs: &'a mut [f32],
}

impl<L: Lanes, const S: usize, const M: usize> Kernel<L> for TransformInputs<'_, S, M> {
    #[inline(always)]
    fn run(self) {
        transform_inputs::<L::Sixteenth, S, M>(
            self.this,
            self.x,
            self.first,
            self.count,
            self.inputs,
        );
    }
}

struct TransformOutputs<'a, Out, const S: usize, const M: usize> {
    this: &'a Winograd,
    sums: &'a [f32],
    /// From place to place of the sums.
    stride: usize,
    bias: &'a [f32],
    first: usize,
    count: usize,
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
        for row in 0..self.count / columns {
            for column in 0..columns {
                let sums = &self.sums[(row * columns + column) * COLUMNS..];
                let outputs = transform_output::<_, S, M>(sums, self.stride, bias);
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

/// `Bt d B` of `count` tiles from row `first` of tiles on: place, tile, channel.
#[inline(always)]
fn transform_inputs<W: Vector, const S: usize, const M: usize>(
    this: &Winograd,
    x: &[f32],
    first: usize,
    count: usize,
    inputs: &mut [f32],
) {
    let ([_, _, channels], depth, columns) = (this.input, this.depth(), this.tiles()[1]);
    let stride = count * depth + GAP;
    for row in 0..count / columns {
        for column in 0..columns {
            let square = Square::<S>::new(this, [M * (first + row), M * column]);
            let inputs = &mut inputs[(row * columns + column) * depth..];
            for c in (0..channels).step_by(W::LEN) {
                let (x, inputs) = (&x[c..], &mut inputs[c..]);
                if square.whole {
                    transform_input::<W, S>(square.load_whole(x), inputs, stride);
                } else {
                    transform_input::<W, S>(square.load(x, channels - c), inputs, stride);
                }
            }
        }
    }
}

/// `Bt d B`, its places `stride` apart.
#[inline(always)]
fn transform_input<W: Vector, const S: usize>(mut d: [[W; S]; S], to: &mut [f32], stride: usize) {
    unrolled!([0 1 2 3 4 5] S, j => {
        let mut column = [d[0][j]; S];
        unrolled!([0 1 2 3 4 5] S, i => column[i] = d[i][j]);
        let column = differences(column);
        unrolled!([0 1 2 3 4 5] S, i => d[i][j] = column[i]);
    });
    unrolled!([0 1 2 3 4 5] S, i => {
        store_rows(differences(d[i]), &mut to[i * S * stride..], stride, COLUMNS);
    });
}

/// How the pixels of a tile lie in an image.
struct Square<const S: usize> {
    /// Lines and columns of the tile that lie in the image: the first, and the one behind the last.
    lines: [usize; 2],
    columns: [usize; 2],
    /// The first pixel that does.
    at: usize,
    /// From line to line of the image.
    line: usize,
    channels: usize,
    /// Whether all of them lie in the image and have whole vectors.
    whole: bool,
}

impl<const S: usize> Square<S> {
    /// From a pixel of the framed image on.
    #[inline(always)]
    fn new(this: &Winograd, [row, column]: [usize; 2]) -> Self {
        let ([height, width, channels], [top, left]) = (this.input, this.frame);
        let inside = |first: usize, frame: usize, size: usize| {
            let before = frame.saturating_sub(first).min(S);
            [before, (frame + size).saturating_sub(first).clamp(before, S)]
        };
        let (lines, columns) = (inside(row, top, height), inside(column, left, width));
        let at = (row + lines[0]).saturating_sub(top) * width
            + (column + columns[0]).saturating_sub(left);
        let whole = lines == [0, S] && columns == [0, S] && channels % COLUMNS == 0;
        Self { lines, columns, at: at * channels, line: width * channels, channels, whole }
    }

    /// A vector of channels of each pixel of a whole one.
    #[inline(always)]
    fn load_whole<W: Vector>(&self, x: &[f32]) -> [[W; S]; S] {
        let (mut d, x) = ([[W::splat(0.0); S]; S], &x[self.at..]);
        unrolled!([0 1 2 3 4 5] S, i => {
            d[i] = load_rows(&x[i * self.line..], self.channels, COLUMNS);
        });
        d
    }

    /// Up to a vector of channels of each pixel of another; zeros outside.
    #[inline(always)]
    fn load<W: Vector>(&self, x: &[f32], left: usize) -> [[W; S]; S] {
        let mut d = [[W::splat(0.0); S]; S];
        unrolled!([0 1 2 3 4 5] S, i => if i >= self.lines[0] && i < self.lines[1] {
            let line = &x[self.at + (i - self.lines[0]) * self.line..];
            unrolled!([0 1 2 3 4 5] S, j => if j >= self.columns[0] && j < self.columns[1] {
                let pixel = (j - self.columns[0]) * self.channels;
                d[i][j] = load_columns(&line[pixel..], left);
            });
        });
        d
    }
}

/// For each place the product of its tiles by channels and channels by the filters of `together` panels, the
/// first of `panels`.
#[inline(always)]
fn multiply<L: Lanes>(
    this: &Winograd,
    inputs: &[f32],
    panels: &[f32],
    count: usize,
    together: usize,
    sums: &mut [f32],
) {
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

/// `At m A` plus `bias`, of places `stride` apart.
#[inline(always)]
fn transform_output<W: Vector, const S: usize, const M: usize>(
    sums: &[f32],
    stride: usize,
    bias: W,
) -> [[W; M]; M] {
    let (mut lines, mut rows) = ([[bias; S]; M], [[bias; M]; M]);
    unrolled!([0 1 2 3 4 5] S, j => {
        let column = totals::<W, S, M>(load_rows(&sums[j * stride..], S * stride, COLUMNS));
        unrolled!([0 1 2 3] M, i => lines[i][j] = column[i]);
    });
    unrolled!([0 1 2 3] M, i => {
        rows[i] = totals(lines[i]);
        unrolled!([0 1 2 3] M, j => rows[i][j] = rows[i][j].add(bias));
    });
    rows
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
