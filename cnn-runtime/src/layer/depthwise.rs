//! `DepthwiseConv2D`: each channel correlated with kernels of its own, channels last.

use super::At;
use crate::kernel::elementwise;
use crate::kernel::matmul::even_parts;
use crate::kernel::simd::{
    ChannelTile, LANES, Lanes, ROWS, channel_tile, store_channels, vectorized, with_rows,
};
use crate::network::Parts;

/// A depthwise convolution of fixed shape: `y[p, q, c m + k] = bias[c m + k] + sum over i, j of
/// x[p s - pad + i d, q s - pad + j d, c] * kernel[i, j, c, k]` for `m` kernels a channel, then relu
/// if asked.
///
/// Input and output are height x width x channels, the kernel height x width x in x m, followed by
/// the bias. Inside, each input channel is repeated `m` times, and pixels are whole vectors of
/// eight channels, so that one kind of loop does it all.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseConv2D {
    input: [usize; 3],
    multiplier: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 4],
    bias: bool,
    relu: bool,
    at: At,
}

impl DepthwiseConv2D {
    /// A `valid` convolution of stride 1 with one kernel a channel and bias: `input` is height,
    /// width, channels; `kernel` is height, width.
    #[must_use]
    pub const fn new(input: [usize; 3], kernel: [usize; 2]) -> Self {
        Self {
            input,
            multiplier: 1,
            kernel,
            strides: [1, 1],
            dilation: [1, 1],
            padding: [0; 4],
            bias: true,
            relu: false,
            at: At::START,
        }
    }

    /// Kernels for each channel: outputs that it makes.
    #[must_use]
    pub const fn multiplier(self, multiplier: usize) -> Self {
        Self { multiplier, ..self }
    }

    /// Steps of the window, down and across.
    #[must_use]
    pub const fn strides(self, strides: [usize; 2]) -> Self {
        Self { strides, ..self }
    }

    /// Distances between the kernel's taps, down and across.
    #[must_use]
    pub const fn dilation(self, dilation: [usize; 2]) -> Self {
        Self { dilation, ..self }
    }

    /// Zeros around the input: top, bottom, left, right; each less than the (dilated) kernel.
    #[must_use]
    pub const fn padding(self, padding: [usize; 4]) -> Self {
        Self { padding, ..self }
    }

    /// Without a bias.
    #[must_use]
    pub const fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Followed by a relu.
    #[must_use]
    pub const fn relu(self) -> Self {
        Self { relu: true, ..self }
    }

    /// Where its weights lie.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self { at, ..self }
    }

    /// Channels of the output.
    const fn channels(&self) -> usize {
        self.input[2] * self.multiplier
    }

    /// Floats of a pixel inside: the output's channels in whole vectors.
    const fn lanes(&self) -> usize {
        self.channels().next_multiple_of(LANES)
    }

    const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rows or columns that the kernel covers.
    const fn extent(&self) -> [usize; 2] {
        [(self.kernel[0] - 1) * self.dilation[0] + 1, (self.kernel[1] - 1) * self.dilation[1] + 1]
    }

    /// Rows and columns of the framed input.
    const fn framed(&self) -> [usize; 2] {
        let [top, bottom, left, right] = self.padding;
        [self.input[0] + top + bottom, self.input[1] + left + right]
    }

    /// Rows and columns of the output's gradient, spread out by the strides and framed so that the
    /// turned kernel over it makes the input's gradient.
    const fn spread(&self) -> [usize; 2] {
        let [down, across] = self.extent();
        [self.input[0] + down - 1, self.input[1] + across - 1]
    }

    /// Height, width and channels of the output.
    #[must_use]
    pub const fn output(&self) -> [usize; 3] {
        let ([rows, columns], [down, across]) = (self.framed(), self.extent());
        [
            (rows - down) / self.strides[0] + 1,
            (columns - across) / self.strides[1] + 1,
            self.channels(),
        ]
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.taps() * self.channels() + if self.bias { self.channels() } else { 0 }
    }

    /// Floats of its packed weights: a pixel for each tap, and the bias.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        (self.taps() + 1) * self.lanes()
    }

    /// Floats of its transposed weights: a pixel for each tap, turned by half a turn.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.taps() * self.lanes()
    }

    /// Floats of its gradients in a shard: as its packed weights.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        self.packed_len()
    }

    /// Scratch floats of `forward`: the framed input.
    #[must_use]
    pub const fn forward_scratch(&self) -> usize {
        self.framed()[0] * self.framed()[1] * self.lanes()
    }

    /// Scratch floats of `backward`: the framed input and the spread out gradient.
    #[must_use]
    pub const fn backward_scratch(&self) -> usize {
        self.forward_scratch() + self.spread()[0] * self.spread()[1] * self.lanes()
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let weights = &weights[self.at.weights..][..self.weights_len()];
        let packed = &mut packed[self.at.packed..][..self.packed_len()];
        let rows = weights.chunks_exact(self.channels());
        for (pixel, row) in packed.chunks_exact_mut(self.lanes()).zip(rows) {
            pixel[..row.len()].copy_from_slice(row);
        }
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let kernel = &weights[self.at.weights..][..self.taps() * self.channels()];
        let turned = &mut transposed[self.at.transposed..][..self.transposed_len()];
        let rows = kernel.chunks_exact(self.channels()).rev();
        for (pixel, row) in turned.chunks_exact_mut(self.lanes()).zip(rows) {
            pixel[..row.len()].copy_from_slice(row);
        }
    }

    /// Copies an image into a frame of zeros, each channel as often as it has kernels.
    fn frame(&self, x: &[f32], framed: &mut [f32]) {
        let [_, columns, channels] = self.input;
        let ([top, _, left, _], lanes) = (self.padding, self.lanes());
        framed.fill(0.0);
        for (i, pixel) in x.chunks_exact(channels).enumerate() {
            let (row, column) = (top + i / columns, left + i % columns);
            let to = &mut framed[(row * self.framed()[1] + column) * lanes..][..lanes];
            if self.multiplier == 1 {
                to[..channels].copy_from_slice(pixel);
            } else {
                for (to, &value) in to.chunks_exact_mut(self.multiplier).zip(pixel) {
                    to.fill(value);
                }
            }
        }
    }

    /// One image: `x` and `y` are height x width x channels.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let packed = &packed[self.at.packed..][..self.packed_len()];
        let (kernel, bias) = packed.split_at(self.taps() * self.lanes());
        let framed = &mut scratch[..self.forward_scratch()];
        self.frame(x, framed);
        convolve(self.window(), kernel, Some(bias), framed, self.relu, y);
    }

    /// The way forward: windows over the framed input.
    const fn window(&self) -> Window {
        Window {
            columns: self.framed()[1],
            kernel: self.kernel,
            strides: self.strides,
            dilation: self.dilation,
            output: self.output(),
        }
    }

    /// One image: adds to the shard's `gradients` and writes the input's gradient `dx` if there is
    /// one; `y` is what `forward` made, `dy` its gradient.
    pub fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) {
        let lanes = self.lanes();
        let (framed, scratch) = scratch.split_at_mut(self.forward_scratch());
        self.frame(x, framed);
        let spread = &mut scratch[..self.spread()[0] * self.spread()[1] * lanes];
        self.spread_out(y, dy, spread);
        let gradients = &mut gradients[self.at.gradients..][..self.gradients_len()];
        let (kernel, bias) = gradients.split_at_mut(self.taps() * lanes);
        let gradient = Pixels {
            floats: spread,
            at: self.spread_index(0),
            steps: [self.strides[0] * self.spread()[1] * lanes, self.strides[1] * lanes],
        };
        kernel_gradient(self.window(), framed, gradient, kernel);
        if self.bias {
            for pixel in 0..self.output()[0] * self.output()[1] {
                elementwise::add(bias, &spread[self.spread_index(pixel)..][..lanes]);
            }
        }
        if let Some(dx) = dx {
            let turned = &transposed[self.at.transposed..][..self.transposed_len()];
            let window = Window {
                columns: self.spread()[1],
                strides: [1, 1],
                output: [self.input[0], self.input[1], self.channels()],
                ..self.window()
            };
            if self.multiplier == 1 {
                convolve(window, turned, None, spread, false, dx);
            } else {
                // The framed input has served its purpose.
                let repeated = &mut framed[..dx.len() * self.multiplier];
                convolve(window, turned, None, spread, false, repeated);
                for (sum, each) in dx.iter_mut().zip(repeated.chunks_exact(self.multiplier)) {
                    *sum = each.iter().fold(0.0, |sum, value| sum + value);
                }
            }
        }
    }

    /// Index in the spread out gradient of an output pixel.
    const fn spread_index(&self, pixel: usize) -> usize {
        let ([down, across], [_, columns, _]) = (self.extent(), self.output());
        let row = down - 1 - self.padding[0] + pixel / columns * self.strides[0];
        let column = across - 1 - self.padding[2] + pixel % columns * self.strides[1];
        (row * self.spread()[1] + column) * self.lanes()
    }

    /// The output's gradient behind the relu, its pixels a stride apart in a field of zeros.
    fn spread_out(&self, y: &[f32], dy: &[f32], spread: &mut [f32]) {
        let channels = self.channels();
        spread.fill(0.0);
        for (i, pixel) in dy.chunks_exact(channels).enumerate() {
            let gradient = &mut spread[self.spread_index(i)..][..channels];
            gradient.copy_from_slice(pixel);
            if self.relu {
                elementwise::mask(gradient, &y[i * channels..][..channels]);
            }
        }
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let gradients = &mut gradients[self.at.weights..][..self.weights_len()];
        gradients.fill(0.0);
        for shard in shards.iter() {
            let pixels = shard[self.at.gradients..].chunks_exact(self.lanes());
            for (sums, pixel) in gradients.chunks_exact_mut(self.channels()).zip(pixels) {
                elementwise::add(sums, &pixel[..sums.len()]);
            }
        }
    }
}

/// Windows that slide over an image of pixels in whole vectors.
#[derive(Clone, Copy)]
struct Window {
    /// Pixels in a row of the image.
    columns: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    /// Rows, columns and channels; the last pixel's vectors may be cut short.
    output: [usize; 3],
}

impl Window {
    #[inline(always)]
    const fn lanes(&self) -> usize {
        self.output[2].next_multiple_of(LANES)
    }

    /// Distances in the image from output pixel to output pixel, down and across.
    #[inline(always)]
    const fn pixels(&self) -> [usize; 2] {
        [self.strides[0] * self.columns * self.lanes(), self.strides[1] * self.lanes()]
    }

    /// Distances in the image from tap to tap, down and across.
    #[inline(always)]
    const fn taps(&self) -> [usize; 2] {
        [self.dilation[0] * self.columns * self.lanes(), self.dilation[1] * self.lanes()]
    }
}

/// Pixels that lie some steps apart, down and across.
#[derive(Clone, Copy)]
struct Pixels<'a> {
    floats: &'a [f32],
    at: usize,
    steps: [usize; 2],
}

vectorized! {
    /// `y[p] = bias + sum over taps of image[p + tap] * kernel[tap]`, then relu if asked.
    fn convolve(
        window: Window,
        kernel: &[f32],
        bias: Option<&[f32]>,
        image: &[f32],
        relu: bool,
        y: &mut [f32],
    ) = convolve_body;

    /// Adds `sum over pixels of image[pixel + tap] * gradient[pixel]` to each tap of `kernel`.
    fn kernel_gradient(window: Window, image: &[f32], gradient: Pixels<'_>, kernel: &mut [f32])
        = kernel_gradient_body;
}

#[inline(always)]
fn convolve_body<L: Lanes>(
    window: Window,
    kernel: &[f32],
    bias: Option<&[f32]>,
    image: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let [rows, columns, channels] = window.output;
    let [down, across] = window.pixels();
    for row in 0..rows {
        for channel in (0..channels).step_by(LANES) {
            let bias = bias.map_or(L::splat(0.0), |bias| L::load(&bias[channel..]));
            for (column, count) in even_parts(columns, ROWS) {
                let products = ChannelTile {
                    counts: window.kernel,
                    a: image,
                    a_at: row * down + column * across + channel,
                    a_row: across,
                    a_steps: window.taps(),
                    b: kernel,
                    b_at: channel,
                    b_steps: [window.kernel[1] * window.lanes(), window.lanes()],
                };
                let y = &mut y[(row * columns + column) * channels + channel..];
                with_rows!(count, R => {
                    let mut sums = channel_tile::<L, R>(products, [bias; R]);
                    if relu {
                        sums = sums.map(L::relu);
                    }
                    for (pixel, sum) in sums.into_iter().enumerate() {
                        store_channels(sum, &mut y[pixel * channels..], channels - channel);
                    }
                });
            }
        }
    }
}

#[inline(always)]
fn kernel_gradient_body<L: Lanes>(
    window: Window,
    image: &[f32],
    gradient: Pixels<'_>,
    kernel: &mut [f32],
) {
    let ([down, across], lanes) = (window.taps(), window.lanes());
    for row in 0..window.kernel[0] {
        for (column, count) in even_parts(window.kernel[1], ROWS) {
            for channel in (0..lanes).step_by(LANES) {
                let products = ChannelTile {
                    counts: [window.output[0], window.output[1]],
                    a: image,
                    a_at: row * down + column * across + channel,
                    a_row: across,
                    a_steps: window.pixels(),
                    b: gradient.floats,
                    b_at: gradient.at + channel,
                    b_steps: gradient.steps,
                };
                let to = &mut kernel[(row * window.kernel[1] + column) * lanes + channel..];
                with_rows!(count, R => {
                    let sums: [L; R] = std::array::from_fn(|tap| L::load(&to[tap * lanes..]));
                    for (tap, sum) in channel_tile::<L, R>(products, sums).into_iter().enumerate() {
                        sum.store(&mut to[tap * lanes..]);
                    }
                });
            }
        }
    }
}
