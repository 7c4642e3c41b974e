//! `Conv2D`, relu and `MaxPooling2D` as one: the convolution's output is never stored, and the way
//! back visits only the one place in each window that won.

use super::{At, Conv2D};
use super::conv::convolve_row;
use crate::kernel::elementwise;
use crate::kernel::matmul::panels_len;
use crate::kernel::simd::{COLUMNS, LANES, Lanes, gather, load_columns, scatter, vectorized};

/// The most places in a window.
pub const MAX_WINDOW: usize = 64;

/// A convolution without dilation, followed by max pooling whose windows neither overlap nor are
/// padded. The first maximum in row-major order wins, as in Keras.
#[derive(Clone, Copy, Debug)]
pub struct ConvPool {
    conv: Conv2D,
    pool: [usize; 2],
}

impl ConvPool {
    /// `pool` is the window's height and width, at most [`MAX_WINDOW`] places.
    #[must_use]
    pub const fn new(conv: Conv2D, pool: [usize; 2]) -> Self {
        assert!(pool[0] * pool[1] <= MAX_WINDOW);
        Self { conv, pool }
    }

    /// Where its weights lie.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self { conv: self.conv.at(at), ..self }
    }

    /// Height, width and channels of the output.
    #[must_use]
    pub const fn output(&self) -> [usize; 3] {
        let [rows, columns, channels] = self.conv.output();
        [rows / self.pool[0], columns / self.pool[1], channels]
    }

    const fn places(&self) -> usize {
        self.output()[0] * self.output()[1]
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.conv.weights_len()
    }

    /// Floats of its packed weights.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.conv.packed_len()
    }

    /// A kernel row's products, in whole vectors.
    const fn run(&self) -> usize {
        (self.conv.kernel[1] * self.conv.input[2]).next_multiple_of(LANES)
    }

    /// One output channel's kernel, its rows in whole vectors.
    const fn patch(&self) -> usize {
        self.conv.kernel[0] * self.run()
    }

    /// Floats of its transposed weights: a patch for each output channel.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.conv.filters * self.patch()
    }

    /// Floats of its gradients in a shard: a patch for each output channel, and the bias.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        self.conv.filters * (self.patch() + 1)
    }

    /// Scratch floats of `forward`: the padded input, and the rows of one row of windows.
    #[must_use]
    pub const fn forward_scratch(&self) -> usize {
        self.conv.forward_scratch() + self.pool[0] * self.conv.output()[1] * COLUMNS
    }

    /// Scratch floats of `backward`: the padded input, its gradient, and the winners of sixteen
    /// channels.
    #[must_use]
    pub const fn backward_scratch(&self) -> usize {
        2 * self.image_len() + 2 * COLUMNS * self.places()
    }

    /// The padded input, and what a vector may read beyond it.
    const fn image_len(&self) -> usize {
        self.conv.padded_len() + LANES
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        self.conv.pack(weights, packed);
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let (filters, run) = (self.conv.filters, self.conv.kernel[1] * self.conv.input[2]);
        let kernel = &weights[self.conv.at.weights..][..self.conv.taps() * filters];
        let transposed = &mut transposed[self.conv.at.transposed..][..self.transposed_len()];
        for (o, patch) in transposed.chunks_exact_mut(self.patch()).enumerate() {
            for (i, row) in patch.chunks_exact_mut(self.run()).enumerate() {
                for (r, value) in row[..run].iter_mut().enumerate() {
                    *value = kernel[(i * run + r) * filters + o];
                }
            }
        }
    }

    /// One image. `route`, of `y`'s shape, takes what `backward` must know: the winner's place in
    /// its window, or -1 where the relu stops the gradient.
    pub fn forward(
        &self,
        packed: &[f32],
        x: &[f32],
        y: &mut [f32],
        route: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let packed = &packed[self.conv.at.packed..][..self.packed_len()];
        let (padded, rows) = scratch.split_at_mut(self.conv.forward_scratch());
        let image = if padded.is_empty() {
            x
        } else {
            self.conv.pad(x, padded);
            padded
        };
        forward(self, packed, image, y, route.unwrap_or_default(), rows);
    }

    /// One image: adds to the shard's `gradients`, and writes the input's gradient `dx` if there is
    /// one; `dy` is the gradient of `forward`'s output.
    pub fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        route: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) {
        let patches = if transposed.is_empty() {
            transposed
        } else {
            &transposed[self.conv.at.transposed..][..self.transposed_len()]
        };
        let gradients = &mut gradients[self.conv.at.gradients..][..self.gradients_len()];
        backward(self, patches, x, route, dy, dx, gradients, scratch);
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients<'a>(
        &self,
        shards: impl Iterator<Item = &'a [f32]>,
        gradients: &mut [f32],
    ) {
        let (filters, run) = (self.conv.filters, self.conv.kernel[1] * self.conv.input[2]);
        let gradients = &mut gradients[self.conv.at.weights..][..self.weights_len()];
        gradients.fill(0.0);
        for shard in shards {
            let shard = &shard[self.conv.at.gradients..][..self.gradients_len()];
            let (patches, shard_bias) = shard.split_at(filters * self.patch());
            let (kernel, bias) = gradients.split_at_mut(self.conv.taps() * filters);
            for (tap, row) in kernel.chunks_exact_mut(filters).enumerate() {
                let place = tap / run * self.run() + tap % run;
                for (value, patch) in row.iter_mut().zip(patches.chunks_exact(self.patch())) {
                    *value += patch[place];
                }
            }
            elementwise::add(bias, &shard_bias[..bias.len()]);
        }
    }

    /// Where a patch's vector lies in the padded image, from the patch's first pixel on.
    #[inline(always)]
    fn offset(&self, vector: usize) -> usize {
        let vectors = self.run() / LANES;
        vector / vectors * self.conv.padded()[1] * self.conv.input[2] + vector % vectors * LANES
    }
}

vectorized! {
    fn forward(
        this: &ConvPool,
        packed: &[f32],
        image: &[f32],
        y: &mut [f32],
        route: &mut [f32],
        rows: &mut [f32],
    ) = forward_body;

    fn backward(
        this: &ConvPool,
        patches: &[f32],
        x: &[f32],
        route: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(
    this: &ConvPool,
    packed: &[f32],
    image: &[f32],
    y: &mut [f32],
    route: &mut [f32],
    rows: &mut [f32],
) {
    let conv = this.conv.without_relu();
    let ([height, columns, channels], [down, _]) = (this.output(), this.pool);
    let width = conv.output()[1] * COLUMNS;
    let (panels, bias) = packed.split_at(panels_len(conv.taps(), channels));
    for (p, panel) in panels.chunks_exact(conv.taps() * COLUMNS).enumerate() {
        let bias = load_columns(&bias[p * COLUMNS..], COLUMNS);
        let count = (channels - p * COLUMNS).min(COLUMNS);
        for row in 0..height {
            for (i, values) in rows.chunks_exact_mut(width).take(down).enumerate() {
                let row = row * down + i;
                convolve_row::<L>(&conv, image, panel, bias, row, values, COLUMNS, COLUMNS);
            }
            for column in 0..columns {
                let (best, places) = pool_window(this, rows, column);
                let at = (row * columns + column) * channels + p * COLUMNS;
                y[at..at + count].copy_from_slice(&best[..count]);
                if !route.is_empty() {
                    route[at..at + count].copy_from_slice(&places[..count]);
                }
            }
        }
    }
}

/// The maxima of one window for sixteen channels, and their places; behind the relu if there is
/// one, then with -1 for places where it is flat.
#[inline(always)]
fn pool_window(this: &ConvPool, rows: &[f32], column: usize) -> ([f32; COLUMNS], [f32; COLUMNS]) {
    let [down, across] = this.pool;
    let width = this.conv.output()[1] * COLUMNS;
    let mut best = [0.0; COLUMNS];
    best.copy_from_slice(&rows[column * across * COLUMNS..][..COLUMNS]);
    let mut places = [0.0; COLUMNS];
    for place in 1..down * across {
        let (i, j) = (place / across, place % across);
        let values = &rows[i * width + (column * across + j) * COLUMNS..][..COLUMNS];
        for c in 0..COLUMNS {
            // NaN wins and stays.
            let wins = values[c] > best[c] || values[c].is_nan();
            best[c] = if wins { values[c] } else { best[c] };
            places[c] = if wins { place as f32 } else { places[c] };
        }
    }
    if this.conv.relu {
        for c in 0..COLUMNS {
            places[c] = if best[c] > 0.0 { places[c] } else { -1.0 };
            best[c] = if best[c] < 0.0 { 0.0 } else { best[c] };
        }
    }
    (best, places)
}

#[inline(always)]
fn backward_body<L: Lanes>(
    this: &ConvPool,
    patches: &[f32],
    x: &[f32],
    route: &[f32],
    dy: &[f32],
    dx: Option<&mut [f32]>,
    gradients: &mut [f32],
    scratch: &mut [f32],
) {
    let conv = &this.conv;
    let (image, scratch) = scratch.split_at_mut(this.image_len());
    let (image_gradient, scratch) = scratch.split_at_mut(this.image_len());
    let (places, values) = scratch.split_at_mut(COLUMNS * this.places());
    conv.pad(x, image);
    if dx.is_some() {
        image_gradient.fill(0.0);
    }
    let (patch_gradients, bias) = gradients.split_at_mut(conv.filters * this.patch());
    for first in (0..conv.filters).step_by(COLUMNS) {
        let lens = list_winners(this, route, dy, first, places, values);
        for (c, &len) in lens.iter().enumerate().take(conv.filters - first) {
            let o = first + c;
            let places = &places[c * this.places()..][..len];
            let values = &values[c * this.places()..][..len];
            for value in values {
                bias[o] += value;
            }
            let sums = &mut patch_gradients[o * this.patch()..][..this.patch()];
            gather::<L>(places, values, image, |v| this.offset(v), sums);
            if dx.is_some() {
                let patch = &patches[o * this.patch()..][..this.patch()];
                scatter::<L>(places, values, patch, |v| this.offset(v), image_gradient);
            }
        }
    }
    if let Some(dx) = dx {
        conv.crop(image_gradient, dx);
    }
}

/// Lists, for sixteen channels, where in the padded image each non-zero gradient's patch starts
/// (as bits) and the gradient itself. Gives the lists' lengths.
#[inline(always)]
fn list_winners(
    this: &ConvPool,
    route: &[f32],
    dy: &[f32],
    first: usize,
    places: &mut [f32],
    values: &mut [f32],
) -> [usize; COLUMNS] {
    let ([rows, columns, channels], [down, across]) = (this.output(), this.pool);
    let ([sy, sx], inputs) = (this.conv.strides, this.conv.input[2]);
    let width = this.conv.padded()[1];
    let count = (channels - first).min(COLUMNS);
    let mut in_window = [0; MAX_WINDOW];
    for (place, offset) in in_window.iter_mut().enumerate().take(down * across) {
        *offset = (place / across * sy * width + place % across * sx) * inputs;
    }
    let mut lens = [0; COLUMNS];
    for pixel in 0..rows * columns {
        let (row, column) = (pixel / columns, pixel % columns);
        let start = (row * down * sy * width + column * across * sx) * inputs;
        let winners = &route[pixel * channels + first..][..count];
        let gradients = &dy[pixel * channels + first..][..count];
        for c in 0..count {
            let place = start + in_window[winners[c].max(0.0) as usize % MAX_WINDOW];
            let at = c * this.places() + lens[c];
            places[at] = f32::from_bits(place as u32);
            values[at] = gradients[c];
            lens[c] += usize::from(winners[c] >= 0.0 && gradients[c] != 0.0);
        }
    }
    lens
}
