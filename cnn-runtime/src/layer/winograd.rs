//! Convolutions in steps of one by Winograd's algorithm. Of 3x3 kernels that is F(2x2, 3x3): tiles of 4x4
//! inputs become tiles of 2x2 outputs with 16 multiplications where the definition takes 36; of 2x2
//! kernels F(2x2, 2x2): tiles of 3x3 inputs, 9 multiplications where it takes 16.
//!
//! The transforms are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (2016), section 4.1: `y = At [(G g Gt) * (Bt d B)] A`, summed over channels before the last step;
//! for 2x2 kernels `d0 g0 + d1 g1 = (d0 - d1) g0 + d1 (g0 + g1)` and the same from the other end.
//! Their factors are 0, 1/2 and 1, so that rounding errors stay within a few times the definition's.
//! A value that is infinite or NaN reaches all outputs of the tiles that see it.
//!
//! Functions of `S` and `P` work on tiles of `S` by `S` inputs, which have `P` places.

use crate::kernel::matmul::even_runs;
use crate::kernel::simd::{
    COLUMNS, Ends, Kernel, Lanes, PANELS, Product, Sink, Start, Tile, Vector, load_rows, panels_of,
    relu_rows, store_rows, unrolled, vectorized,
};
use crate::team::for_each_chunk;

pub(super) mod gradient;

/// Places in a transformed tile of a 3x3 kernel.
const PLACES: usize = 16;

/// Floats between what belongs to two places: without them places lie powers of two apart, where the
/// first cache has room for fewer lines than there are places.
const GAP: usize = COLUMNS;

/// Floats of a place's tiles that are worked on together, if a row of tiles does not have more: the tiles of
/// all places take 32 KiB, about a first-level cache.
const BLOCK: usize = 512;

/// A convolution's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    /// Height, width and channels, without a frame.
    pub input: [usize; 3],
    /// Zeros above and to the left; to the right and below there are as many as it takes.
    pub frame: [usize; 2],
    /// Output channels.
    pub filters: usize,
    /// The kernel's height and width: 2 or 3.
    pub kernel: usize,
    /// Tiles of two by two outputs, down and across.
    pub tiles: [usize; 2],
}

impl Winograd {
    /// Floats of packed weights, with a bias: panels of sixteen filters, each of them place by
    /// place.
    pub const fn packed_len(kernel: usize, channels: usize, filters: usize) -> usize {
        filters.div_ceil(COLUMNS) * (Self::panel_len(kernel, channels) + COLUMNS)
    }

    /// Floats of a panel.
    pub const fn panel_len(kernel: usize, channels: usize) -> usize {
        (kernel + 1) * (kernel + 1) * channels * COLUMNS
    }

    /// Places in a transformed tile.
    const fn places(&self) -> usize {
        (self.kernel + 1) * (self.kernel + 1)
    }

    /// Channels in whole vectors.
    const fn depth(&self) -> usize {
        self.input[2].next_multiple_of(COLUMNS)
    }

    /// Rows of tiles that are worked on together: as many as make `tiles`, at least one.
    const fn rows_of(&self, tiles: usize) -> usize {
        let rows = tiles / self.tiles[1];
        if rows == 0 {
            1
        } else if rows < self.tiles[0] {
            rows
        } else {
            self.tiles[0]
        }
    }

    /// Rows of tiles that [`convolve`] takes at a time.
    const fn rows_in_block(&self) -> usize {
        self.rows_of(BLOCK / self.depth())
    }

    /// Floats of scratch: a block's tiles, transformed, and what a tile's panels make of them.
    pub const fn scratch(&self) -> usize {
        let width = self.filters.next_multiple_of(COLUMNS);
        let width = if width < PANELS * COLUMNS { width } else { PANELS * COLUMNS };
        self.places() * (self.rows_in_block() * self.tiles[1] * (self.depth() + width) + 2 * GAP)
    }

    /// Lays weights out; `tap(place in the kernel, channel, filter)`, places in row-major order.
    pub fn pack(
        kernel: usize,
        channels: usize,
        filters: usize,
        tap: impl Fn(usize, usize, usize) -> f32 + Sync,
        bias: &[f32],
        packed: &mut [f32],
    ) {
        let (panel_len, places) = (Self::panel_len(kernel, channels), kernel * kernel);
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
                transform_kernels(kernel, &taps, &mut panel[c * COLUMNS..], channels * COLUMNS);
            }
        });
    }
}

vectorized! {
    /// `G g Gt` of sixteen filters' kernels, its places `stride` apart.
    fn transform_kernels(kernel: usize, taps: &[f32], to: &mut [f32], stride: usize)
        = transform_kernels_body;
}

#[inline(always)]
fn transform_kernels_body<L: Lanes>(kernel: usize, taps: &[f32], to: &mut [f32], stride: usize) {
    match kernel {
        2 => transform_kernel::<L::Wide, 2, 4, 3, 9>(taps, to, stride),
        _ => transform_kernel::<L::Wide, 3, 9, 4, 16>(taps, to, stride),
    }
}

/// The same for kernels of `K` by `K`, which have `T` taps.
#[inline(always)]
fn transform_kernel<W: Vector, const K: usize, const T: usize, const S: usize, const P: usize>(
    taps: &[f32],
    to: &mut [f32],
    stride: usize,
) {
    let g: [W; T] = load_rows(taps, COLUMNS, COLUMNS);
    let mut columns = [[g[0]; S]; K];
    unrolled!([0 1 2] K, j => columns[j] = means::<W, S>(&g, j, K));
    let mut places = [g[0]; P];
    unrolled!([0 1 2 3] S, i => {
        let mut row = [g[0]; K];
        unrolled!([0 1 2] K, j => row[j] = columns[j][i]);
        let row = means::<W, S>(&row, 0, 1);
        unrolled!([0 1 2 3] S, j => places[i * S + j] = row[j]);
    });
    store_rows(places, to, stride, COLUMNS);
}

/// `G` times a column, from `at` on in steps of `step`.
#[inline(always)]
fn means<W: Vector, const S: usize>(g: &[W], at: usize, step: usize) -> [W; S] {
    let (a, b) = (g[at], g[at + step]);
    let mut means = [a; S];
    if S == 3 {
        [means[1], means[2]] = [a.add(b), b];
    } else {
        let (half, c) = (W::splat(0.5), g[at + 2 * step]);
        let (ends, middle) = (a.add(c).mul(half), b.mul(half));
        [means[1], means[2], means[3]] = [ends.add(middle), ends.sub(middle), c];
    }
    means
}

/// A convolution of one image: all of its tiles' outputs to `sink`.
#[inline(always)]
pub(super) fn convolve<L: Lanes, const S: usize, const P: usize>(
    this: &Winograd,
    packed: &[f32],
    x: &[f32],
    scratch: &mut [f32],
    sink: &mut impl Sink,
) {
    assert!(this.kernel + 1 == S && S * S == P);
    let panel_len = Winograd::panel_len(this.kernel, this.input[2]);
    let (panels, bias) = packed.split_at(this.filters.div_ceil(COLUMNS) * panel_len);
    let step = this.rows_in_block();
    for first in (0..this.tiles[0]).step_by(step) {
        let count = step.min(this.tiles[0] - first) * this.tiles[1];
        let (inputs, sums) = scratch.split_at_mut(P * (count * this.depth() + GAP));
        L::call(TransformInputs::<S, P> { this, x, first, count, inputs });
        for (filter, together) in panels_of::<L>(this.filters) {
            let panels = &panels[filter / COLUMNS * panel_len..];
            multiply::<L>(this, inputs, panels, count, together, sums);
            let stride = together * count * COLUMNS + GAP;
            for (panel, filter) in (filter..).step_by(COLUMNS).take(together).enumerate() {
                let sums = &sums[panel * count * COLUMNS..];
                let bias = &bias[filter..];
                L::call(TransformOutputs::<_, S, P> {
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

struct TransformInputs<'a, const S: usize, const P: usize> {
    this: &'a Winograd,
    x: &'a [f32],
    first: usize,
    count: usize,
    inputs: &'a mut [f32],
}

impl<L: Lanes, const S: usize, const P: usize> Kernel<L> for TransformInputs<'_, S, P> {
    #[inline(always)]
    fn run(self) {
        transform_inputs::<L::Sixteenth, S, P>(
            self.this,
            self.x,
            self.first,
            self.count,
            self.inputs,
        );
    }
}

struct TransformOutputs<'a, Out, const S: usize, const P: usize> {
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

impl<L: Lanes, Out: Sink, const S: usize, const P: usize> Kernel<L>
    for TransformOutputs<'_, Out, S, P>
{
    #[inline(always)]
    fn run(self) {
        let columns = self.this.tiles[1];
        let bias = L::Wide::load(self.bias);
        for row in 0..self.count / columns {
            for column in 0..columns {
                let sums = &self.sums[(row * columns + column) * COLUMNS..];
                let outputs =
                    transform_outputs::<_, S, P>(load_rows(sums, self.stride, COLUMNS), bias);
                self.sink.put(self.filter, [self.first + row, column], [outputs]);
            }
        }
    }
}

/// `Bt d B` of `count` tiles from row `first` of tiles on: place, tile, channel.
#[inline(always)]
fn transform_inputs<W: Vector, const S: usize, const P: usize>(
    this: &Winograd,
    x: &[f32],
    first: usize,
    count: usize,
    inputs: &mut [f32],
) {
    let ([_, _, channels], depth, columns) = (this.input, this.depth(), this.tiles[1]);
    let stride = count * depth + GAP;
    for row in 0..count / columns {
        for column in 0..columns {
            let square = Square::<S, P>::new(this, [2 * (first + row), 2 * column]);
            let inputs = &mut inputs[(row * columns + column) * depth..];
            for c in (0..channels).step_by(W::LEN) {
                let (x, inputs) = (&x[c..], &mut inputs[c..]);
                if square.whole {
                    transform_input::<W, S, P>(square.load_whole(x, channels), inputs, stride);
                } else {
                    transform_input::<W, S, P>(square.load(x, channels - c), inputs, stride);
                }
            }
        }
    }
}

/// `Bt d B`, its places `stride` apart.
#[inline(always)]
fn transform_input<W: Vector, const S: usize, const P: usize>(
    mut d: [W; P],
    to: &mut [f32],
    stride: usize,
) {
    unrolled!([0 1 2 3] S, j => differences::<W, S>(&mut d, j, S));
    unrolled!([0 1 2 3] S, i => differences::<W, S>(&mut d, i * S, 1));
    store_rows(d, to, stride, COLUMNS);
}

/// Beyond an image's edge.
const OUTSIDE: usize = usize::MAX;

/// Where the pixels of a tile lie in an image.
struct Square<const S: usize, const P: usize> {
    pixels: [usize; P],
    /// From line to line.
    line: usize,
    /// Whether all of them lie in the image and have whole vectors: then only the first is noted.
    whole: bool,
}

impl<const S: usize, const P: usize> Square<S, P> {
    /// From a pixel of the framed image on.
    #[inline(always)]
    fn new(this: &Winograd, [row, column]: [usize; 2]) -> Self {
        let ([height, width, channels], [top, left]) = (this.input, this.frame);
        let inside = |first: usize, frame, size| first >= frame && first + S <= frame + size;
        let whole = inside(row, top, height) && inside(column, left, width);
        let whole = whole && channels % COLUMNS == 0;
        let mut pixels = [OUTSIDE; P];
        if whole {
            pixels[0] = ((row - top) * width + column - left) * channels;
        } else {
            for (place, pixel) in pixels.iter_mut().enumerate() {
                let row = (row + place / S).wrapping_sub(top);
                let column = (column + place % S).wrapping_sub(left);
                if row < height && column < width {
                    *pixel = (row * width + column) * channels;
                }
            }
        }
        Self { pixels, line: width * channels, whole }
    }

    /// A vector of channels of each pixel of a whole one.
    #[inline(always)]
    fn load_whole<W: Vector>(&self, x: &[f32], channels: usize) -> [W; P] {
        let (mut d, x) = ([W::splat(0.0); P], &x[self.pixels[0]..]);
        unrolled!([0 1 2 3] S, i => {
            let line: [W; S] = load_rows(&x[i * self.line..], channels, COLUMNS);
            unrolled!([0 1 2 3] S, j => d[i * S + j] = line[j]);
        });
        d
    }

    /// Up to a vector of channels of each pixel of another; zeros outside.
    #[inline(always)]
    fn load<W: Vector>(&self, x: &[f32], left: usize) -> [W; P] {
        if left < W::LEN {
            let mut padded = [[0.0; COLUMNS]; P];
            for (padded, &pixel) in padded.iter_mut().zip(&self.pixels) {
                if pixel != OUTSIDE {
                    padded[..left].copy_from_slice(&x[pixel..][..left]);
                }
            }
            return load_rows(padded.as_flattened(), COLUMNS, COLUMNS);
        }
        let mut d = [W::splat(0.0); P];
        unrolled!(P, i => if self.pixels[i] != OUTSIDE {
            d[i] = W::load(&x[self.pixels[i]..]);
        });
        d
    }
}

/// `Bt` times a column, from `at` on in steps of `step`.
#[inline(always)]
fn differences<W: Vector, const S: usize>(d: &mut [W], at: usize, step: usize) {
    let [a, b, c] = [d[at], d[at + step], d[at + 2 * step]];
    if S == 3 {
        [d[at], d[at + 2 * step]] = [a.sub(b), c.sub(b)];
    } else {
        let last = b.sub(d[at + 3 * step]);
        [d[at], d[at + step], d[at + 2 * step], d[at + 3 * step]] =
            [a.sub(c), b.add(c), c.sub(b), last];
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
            b_panel: Winograd::panel_len(this.kernel, channels),
            b_steps: [0, 0, COLUMNS],
        };
        // All tiles of a place, which share a part of the panels, before the next.
        let (panel, columns) = (count * COLUMNS, together * COLUMNS);
        let place = [count * depth + GAP, channels * COLUMNS, together * panel + GAP];
        let next = [place, [rows * depth, 0, rows * COLUMNS]];
        let (start, stride, to) = (Start::Zero, COLUMNS, &mut sums[first * COLUMNS..]);
        let ends = Ends { start, relu: false, to, stride, panel, columns };
        let times = [this.places(), times];
        Product { tile, ends }.repeat::<L>([rows, together], times, next);
    }
}

/// `At m A` plus `bias`.
#[inline(always)]
fn transform_outputs<W: Vector, const S: usize, const P: usize>(m: [W; P], bias: W) -> [W; 4] {
    let mut lines = [[bias; S]; 2];
    unrolled!([0 1 2 3] S, j => [lines[0][j], lines[1][j]] = totals::<W, S>(&m, j, S));
    let ([a, b], [c, d]) = (totals::<W, S>(&lines[0], 0, 1), totals::<W, S>(&lines[1], 0, 1));
    [a.add(bias), b.add(bias), c.add(bias), d.add(bias)]
}

/// `At` times a column, from `at` on in steps of `step`.
#[inline(always)]
fn totals<W: Vector, const S: usize>(m: &[W], at: usize, step: usize) -> [W; 2] {
    let [a, b, c] = [m[at], m[at + step], m[at + 2 * step]];
    if S == 3 {
        return [a.add(b), b.add(c)];
    }
    [a.add(b).add(c), b.sub(c).sub(m[at + 3 * step])]
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
    match this.kernel {
        2 => convolve::<L, 3, 9>(this, packed, x, scratch, &mut y),
        _ => convolve::<L, 4, 16>(this, packed, x, scratch, &mut y),
    }
}
