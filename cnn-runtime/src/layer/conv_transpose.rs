//! `Conv2DTranspose`: what a convolution's way back does, as a way forward.

use super::At;
use super::conv::{Conv2D, convolve, convolve_back, kernel_gradient};
use crate::kernel::elementwise;
use crate::kernel::simd::COLUMNS;
use crate::network::Parts;

/// A transposed convolution of fixed shape: `y[p s - pad + i d, q s - pad + j d, o] += x[p, q, c] *
/// kernel[i, j, o, c]` over all pixels and taps, plus bias, then relu if asked.
///
/// Input and output are height x width x channels, the kernel height x width x out x in, followed
/// by the bias. It is the gradient of the convolution that has its output for input and its input
/// for output, and is computed as that.
#[derive(Clone, Copy, Debug)]
pub struct Conv2DTranspose {
    /// The convolution that it transposes, without bias.
    conv: Conv2D,
    bias: bool,
    relu: bool,
    at: At,
}

impl Conv2DTranspose {
    /// A transposed convolution of stride 1 with bias from `input` to `output`: height, width,
    /// channels; `kernel` is height, width.
    #[must_use]
    pub const fn new(input: [usize; 3], output: [usize; 3], kernel: [usize; 2]) -> Self {
        let conv = Conv2D::new(output, input[2], kernel).no_bias();
        Self { conv, bias: true, relu: false, at: At::START }
    }

    /// Steps of the window in the output, down and across.
    #[must_use]
    pub const fn strides(self, strides: [usize; 2]) -> Self {
        Self { conv: self.conv.strides(strides), ..self }
    }

    /// Distances between the kernel's taps, down and across.
    #[must_use]
    pub const fn dilation(self, dilation: [usize; 2]) -> Self {
        Self { conv: self.conv.dilation(dilation), ..self }
    }

    /// Rows and columns cut off: top, bottom, left, right; each less than the (dilated) kernel.
    #[must_use]
    pub const fn padding(self, padding: [usize; 4]) -> Self {
        Self { conv: self.conv.padding(padding), ..self }
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
        // What one of the two packs, the other transposes.
        let swapped = At { packed: at.transposed, transposed: at.packed, ..at };
        Self { conv: self.conv.at(swapped), at, ..self }
    }

    const fn filters(&self) -> usize {
        self.conv.input[2]
    }

    const fn kernel_len(&self) -> usize {
        self.conv.weights_len()
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.kernel_len() + if self.bias { self.filters() } else { 0 }
    }

    /// Floats of its packed weights: panels of sixteen channels, and the bias.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.conv.transposed_len()
    }

    /// Floats of its transposed weights.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.conv.packed_len()
    }

    /// Floats of its gradients in a shard: as its weights.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        self.weights_len()
    }

    /// Scratch floats of `forward`: the framed input.
    #[must_use]
    pub const fn forward_scratch(&self) -> usize {
        self.conv.mirrored().padded_len()
    }

    /// Scratch floats of `backward`: the framed gradient and the framed input.
    #[must_use]
    pub const fn backward_scratch(&self) -> usize {
        self.conv.backward_scratch()
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        self.conv.transpose(weights, packed);
        if self.bias {
            let bias = &weights[self.at.weights + self.kernel_len()..][..self.filters()];
            let panels = self.conv.mirrored().packed_bias();
            packed[self.at.packed + panels..][..bias.len()].copy_from_slice(bias);
        }
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        self.conv.pack(weights, transposed);
    }

    /// One image: `x` and `y` are height x width x channels.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let framed = &mut scratch[..self.forward_scratch()];
        self.conv.frame_gradient(&[], x, framed);
        let packed = &packed[self.at.packed..][..self.packed_len()];
        convolve_back(&self.conv, self.relu, packed, framed, y);
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
        let (framed, scratch) = scratch.split_at_mut(self.conv.padded_len());
        self.frame(y, dy, framed);
        let input = &mut scratch[..self.forward_scratch() + COLUMNS];
        self.conv.frame_gradient(&[], x, input);
        let gradients = &mut gradients[self.at.gradients..][..self.weights_len()];
        let (kernel, bias) = gradients.split_at_mut(self.kernel_len());
        kernel_gradient(&self.conv, framed, input, kernel);
        if self.bias {
            let [rows, columns, filters] = self.conv.input;
            for row in 0..rows {
                let row = &framed[self.conv.row_at(row)..][..columns * filters];
                for pixel in row.chunks_exact(filters) {
                    elementwise::add(bias, pixel);
                }
            }
        }
        if let Some(dx) = dx {
            let panels = &transposed[self.at.transposed..][..self.transposed_len()];
            convolve(&self.conv, panels, framed, dx);
        }
    }

    /// The output's gradient behind the relu, with zeros where the output was cut off.
    fn frame(&self, y: &[f32], dy: &[f32], framed: &mut [f32]) {
        self.conv.pad(dy, framed);
        if self.relu {
            let len = self.conv.input[1] * self.filters();
            for (row, y) in y.chunks_exact(len).enumerate() {
                elementwise::mask(&mut framed[self.conv.row_at(row)..][..len], y);
            }
        }
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let gradients = &mut gradients[self.at.weights..][..self.weights_len()];
        gradients.fill(0.0);
        for shard in shards.iter() {
            elementwise::add(gradients, &shard[self.at.gradients..][..self.weights_len()]);
        }
    }
}
