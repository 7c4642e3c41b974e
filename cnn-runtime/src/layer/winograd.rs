//! Convolutions of 3x3 kernels in steps of one, by Winograd's F(2x2, 3x3): tiles of 4x4 inputs become
//! tiles of 2x2 outputs with 16 multiplications where the definition takes 36.
//!
//! The transforms are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (2016), section 4.1: `y = At [(G g Gt) * (Bt d B)] A`, summed over channels before the last step.
//! Their factors are 0, 1/2 and 1, so that rounding errors stay within a few times the definition's.
//! A value that is infinite or NaN reaches all outputs of the tiles that see it.

use crate::kernel::matmul::even_parts;
use crate::kernel::simd::{
    COLUMNS, Kernel, Lanes, Product, Sink, Start, Tile, Vector, load_rows, relu_rows, store_rows,
    unrolled, vectorized,
};

pub(super) mod gradient;

/// Places in a transformed tile.
const PLACES: usize = 16;

/// Floats between what belongs to two places: without them places lie powers of two apart, where the
/// first cache has room for fewer lines than there are places.
const GAP: usize = COLUMNS;

/// Tiles that are worked on together, if a row of tiles is not longer: their transforms stay in the
/// second-level cache.
const BLOCK: usize = 64;

/// A convolution's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    /// Height, width and channels, without a frame.
    pub input: [usize; 3],
    /// Zeros above and to the left; to the right and below there are as many as it takes.
    pub frame: [usize; 2],
    /// Output channels.
    pub filters: usize,
    /// Tiles of two by two outputs, down and across.
    pub tiles: [usize; 2],
}

impl Winograd {
    /// Floats of packed weights, with a bias: panels of sixteen filters, each of them place by
    /// place.
    pub const fn packed_len(channels: usize, filters: usize) -> usize {
        filters.div_ceil(COLUMNS) * COLUMNS * (PLACES * channels + 1)
    }

    /// Floats of a panel.
    pub const fn panel_len(channels: usize) -> usize {
        PLACES * channels * COLUMNS
    }

    /// Channels in whole vectors.
    const fn depth(&self) -> usize {
        self.input[2].next_multiple_of(COLUMNS)
    }

    const fn rows_in_block(&self) -> usize {
        let rows = BLOCK / self.tiles[1];
        if rows == 0 {
            1
        } else if rows < self.tiles[0] {
            rows
        } else {
            self.tiles[0]
        }
    }

    /// Floats of scratch: a block's tiles, transformed, and what one panel makes of them.
    pub const fn scratch(&self) -> usize {
        PLACES * (self.rows_in_block() * self.tiles[1] * (self.depth() + COLUMNS) + 2 * GAP)
    }

    /// Lays weights out; `kernel(place in the kernel, channel, filter)`, places in row-major order.
    pub fn pack(
        channels: usize,
        filters: usize,
        kernel: impl Fn(usize, usize, usize) -> f32,
        bias: &[f32],
        packed: &mut [f32],
    ) {
        let panel_len = Self::panel_len(channels);
        let (panels, packed_bias) = packed.split_at_mut(filters.div_ceil(COLUMNS) * panel_len);
        packed_bias[..bias.len()].copy_from_slice(bias);
        for (p, panel) in panels.chunks_exact_mut(panel_len).enumerate() {
            let first = p * COLUMNS;
            let mut taps = [0.0; 9 * COLUMNS];
            for c in 0..channels {
                for (place, taps) in taps.chunks_exact_mut(COLUMNS).enumerate() {
                    for (column, tap) in taps[..COLUMNS.min(filters - first)].iter_mut().enumerate()
                    {
                        *tap = kernel(place, c, first + column);
                    }
                }
                transform_kernels(&taps, &mut panel[c * COLUMNS..], channels * COLUMNS);
            }
        }
    }
}

vectorized! {
    /// `G g Gt` of sixteen filters' kernels, its places `stride` apart.
    fn transform_kernels(taps: &[f32], to: &mut [f32], stride: usize) = transform_kernels_body;
}

#[inline(always)]
fn transform_kernels_body<L: Lanes>(taps: &[f32], to: &mut [f32], stride: usize) {
    let g: [L::Wide; 9] = load_rows(taps, COLUMNS, COLUMNS);
    let mut columns = [[g[0]; 4]; 3];
    unrolled!([0 1 2] 3, j => columns[j] = means([g[j], g[3 + j], g[6 + j]]));
    let mut places = [g[0]; PLACES];
    unrolled!([0 1 2 3] 4, i => {
        [places[4 * i], places[4 * i + 1], places[4 * i + 2], places[4 * i + 3]] =
            means([columns[0][i], columns[1][i], columns[2][i]]);
    });
    store_rows(places, to, stride, COLUMNS);
}

/// `G` times a column.
#[inline(always)]
fn means<W: Vector>([a, b, c]: [W; 3]) -> [W; 4] {
    let half = W::splat(0.5);
    let (ends, middle) = (a.add(c).mul(half), b.mul(half));
    [a, ends.add(middle), ends.sub(middle), c]
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
    let panel_len = Winograd::panel_len(this.input[2]);
    let (panels, bias) = packed.split_at(this.filters.div_ceil(COLUMNS) * panel_len);
    let step = this.rows_in_block();
    for first in (0..this.tiles[0]).step_by(step) {
        let count = step.min(this.tiles[0] - first) * this.tiles[1];
        let (inputs, sums) = scratch.split_at_mut(PLACES * (count * this.depth() + GAP));
        L::call(TransformInputs { this, x, first, count, inputs });
        for (p, panel) in panels.chunks_exact(panel_len).enumerate() {
            multiply::<L>(this, inputs, panel, count, sums);
            let bias = &bias[p * COLUMNS..];
            L::call(TransformOutputs {
                this,
                sums,
                bias,
                first,
                count,
                panel: p,
                sink: &mut *sink,
            });
        }
    }
}

struct TransformInputs<'a> {
    this: &'a Winograd,
    x: &'a [f32],
    first: usize,
    count: usize,
    inputs: &'a mut [f32],
}

impl<L: Lanes> Kernel<L> for TransformInputs<'_> {
    #[inline(always)]
    fn run(self) {
        transform_inputs::<L::Wide>(self.this, self.x, self.first, self.count, self.inputs);
    }
}

struct TransformOutputs<'a, S> {
    this: &'a Winograd,
    sums: &'a [f32],
    bias: &'a [f32],
    first: usize,
    count: usize,
    panel: usize,
    sink: &'a mut S,
}

impl<L: Lanes, S: Sink> Kernel<L> for TransformOutputs<'_, S> {
    #[inline(always)]
    fn run(self) {
        let (columns, stride) = (self.this.tiles[1], self.count * COLUMNS + GAP);
        let bias = L::Wide::load(self.bias);
        for row in 0..self.count / columns {
            for column in 0..columns {
                let sums = &self.sums[(row * columns + column) * COLUMNS..];
                let outputs = transform_outputs(load_rows(sums, stride, COLUMNS), bias);
                self.sink.put(self.panel * COLUMNS, [self.first + row, column], [outputs]);
            }
        }
    }
}

/// `Bt d B` of `count` tiles from row `first` of tiles on: place, tile, channel.
#[inline(always)]
fn transform_inputs<W: Vector>(
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
            let square = Square::new(this, [2 * (first + row), 2 * column]);
            let inputs = &mut inputs[(row * columns + column) * depth..];
            for c in (0..channels).step_by(COLUMNS) {
                let (x, inputs) = (&x[c..], &mut inputs[c..]);
                if square.whole {
                    transform_input::<W>(square.load_whole(x, channels), inputs, stride);
                } else {
                    transform_input::<W>(square.load(x, channels - c), inputs, stride);
                }
            }
        }
    }
}

/// `Bt d B`, its places `stride` apart.
#[inline(always)]
fn transform_input<W: Vector>(mut d: [W; PLACES], to: &mut [f32], stride: usize) {
    unrolled!([0 1 2 3] 4, j => {
        let column = [d[j], d[4 + j], d[8 + j], d[12 + j]];
        [d[j], d[4 + j], d[8 + j], d[12 + j]] = differences(column);
    });
    unrolled!([0 1 2 3] 4, i => {
        let row = [d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]];
        [d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]] = differences(row);
    });
    store_rows(d, to, stride, COLUMNS);
}

/// Beyond an image's edge.
const OUTSIDE: usize = usize::MAX;

/// Where the pixels of a tile lie in an image.
struct Square {
    pixels: [usize; PLACES],
    /// From line to line.
    line: usize,
    /// Whether all of them lie in the image and have whole vectors: then only the first is noted.
    whole: bool,
}

impl Square {
    /// From a pixel of the framed image on.
    #[inline(always)]
    fn new(this: &Winograd, [row, column]: [usize; 2]) -> Self {
        let ([height, width, channels], [top, left]) = (this.input, this.frame);
        let inside = |first: usize, frame, size| first >= frame && first + 4 <= frame + size;
        let whole = inside(row, top, height) && inside(column, left, width);
        let whole = whole && channels % COLUMNS == 0;
        let mut pixels = [OUTSIDE; PLACES];
        if whole {
            pixels[0] = ((row - top) * width + column - left) * channels;
        } else {
            for (place, pixel) in pixels.iter_mut().enumerate() {
                let row = (row + place / 4).wrapping_sub(top);
                let column = (column + place % 4).wrapping_sub(left);
                if row < height && column < width {
                    *pixel = (row * width + column) * channels;
                }
            }
        }
        Self { pixels, line: width * channels, whole }
    }

    /// Sixteen channels of each pixel of a whole one.
    #[inline(always)]
    fn load_whole<W: Vector>(&self, x: &[f32], channels: usize) -> [W; PLACES] {
        let (mut d, x) = ([W::splat(0.0); PLACES], &x[self.pixels[0]..]);
        unrolled!([0 1 2 3] 4, i => {
            [d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]] =
                load_rows(&x[i * self.line..], channels, COLUMNS);
        });
        d
    }

    /// Up to sixteen channels of each pixel of another; zeros outside.
    #[inline(always)]
    fn load<W: Vector>(&self, x: &[f32], left: usize) -> [W; PLACES] {
        if left < COLUMNS {
            let mut padded = [0.0; PLACES * COLUMNS];
            for (padded, &pixel) in padded.chunks_exact_mut(COLUMNS).zip(&self.pixels) {
                if pixel != OUTSIDE {
                    padded[..left].copy_from_slice(&x[pixel..][..left]);
                }
            }
            return load_rows(&padded, COLUMNS, COLUMNS);
        }
        let mut d = [W::splat(0.0); PLACES];
        unrolled!(PLACES, i => if self.pixels[i] != OUTSIDE {
            d[i] = W::load(&x[self.pixels[i]..]);
        });
        d
    }
}

/// `Bt` times a column.
#[inline(always)]
fn differences<W: Vector>([a, b, c, d]: [W; 4]) -> [W; 4] {
    [a.sub(c), b.add(c), c.sub(b), b.sub(d)]
}

/// For each place the product of its tiles by channels and channels by sixteen filters.
#[inline(always)]
fn multiply<L: Lanes>(
    this: &Winograd,
    inputs: &[f32],
    panel: &[f32],
    count: usize,
    sums: &mut [f32],
) {
    let (channels, depth) = (this.input[2], this.depth());
    for (t, rows) in even_parts(count, L::ROWS) {
        let tile = Tile {
            counts: [1, 1, channels],
            a: inputs,
            a_at: t * depth,
            a_row: depth,
            a_steps: [0, 0, 1],
            b: panel,
            b_at: 0,
            b_steps: [0, 0, COLUMNS],
        };
        let to = &mut sums[t * COLUMNS..];
        let (start, stride, columns) = (Start::Zero, COLUMNS, COLUMNS);
        let next = [count * depth + GAP, channels * COLUMNS, count * COLUMNS + GAP];
        Product { tile, start, relu: false, to, stride, columns }.repeat::<L>(rows, PLACES, next);
    }
}

/// `At m A` plus `bias`.
#[inline(always)]
fn transform_outputs<W: Vector>(m: [W; PLACES], bias: W) -> [W; 4] {
    let mut upper = [bias; 4];
    let mut lower = [bias; 4];
    unrolled!(4, j => [upper[j], lower[j]] = totals([m[j], m[4 + j], m[8 + j], m[12 + j]]));
    let ([a, b], [c, d]) = (totals(upper), totals(lower));
    [a.add(bias), b.add(bias), c.add(bias), d.add(bias)]
}

/// `At` times a column.
#[inline(always)]
fn totals<W: Vector>([a, b, c, d]: [W; 4]) -> [W; 2] {
    [a.add(b).add(c), b.sub(c).sub(d)]
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
