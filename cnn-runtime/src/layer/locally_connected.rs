//! `LocallyConnected2D`: a convolution that shares no weights between places.

use super::At;
use crate::kernel::elementwise;
use crate::kernel::simd::{Lanes, vectorized};
use crate::network::Parts;

/// A layer of fixed shape with a kernel and biases for each place of its output: `y[p, q, o] =
/// bias[p, q, o] + sum over i, j, c of x[p s + i, q s + j, c] * kernel[p, q, i, j, c, o]`, then relu
/// if asked.
///
/// Input and output are height x width x channels. As every weight is used once an image, they are
/// read as they lie: kernels, then biases.
#[derive(Clone, Copy, Debug)]
pub struct LocallyConnected2D {
    input: [usize; 3],
    filters: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    bias: bool,
    relu: bool,
    at: At,
}

impl LocallyConnected2D {
    /// A layer of stride 1 with biases: `input` is height, width, channels; `kernel` is height,
    /// width.
    #[must_use]
    pub const fn new(input: [usize; 3], filters: usize, kernel: [usize; 2]) -> Self {
        let strides = [1, 1];
        Self { input, filters, kernel, strides, bias: true, relu: false, at: At::START }
    }

    /// Steps of the window, down and across.
    #[must_use]
    pub const fn strides(self, strides: [usize; 2]) -> Self {
        Self { strides, ..self }
    }

    /// Without biases.
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

    /// Rows and columns of the output.
    const fn size(&self) -> [usize; 2] {
        [
            (self.input[0] - self.kernel[0]) / self.strides[0] + 1,
            (self.input[1] - self.kernel[1]) / self.strides[1] + 1,
        ]
    }

    const fn places(&self) -> usize {
        self.size()[0] * self.size()[1]
    }

    /// Products summed for one output.
    const fn taps(&self) -> usize {
        self.kernel[0] * self.run()
    }

    /// Inputs side by side that a kernel's row covers.
    const fn run(&self) -> usize {
        self.kernel[1] * self.input[2]
    }

    const fn kernel_len(&self) -> usize {
        self.places() * self.taps() * self.filters
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.kernel_len() + if self.bias { self.places() * self.filters } else { 0 }
    }

    /// Floats of its packed weights: the weights.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.weights_len()
    }

    /// Floats of its transposed weights: each place's kernel, taps innermost.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.kernel_len()
    }

    /// Floats of its gradients in a shard: as its weights.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        self.weights_len()
    }

    /// Scratch floats of `forward`: none.
    #[must_use]
    pub const fn forward_scratch(&self) -> usize {
        0
    }

    /// Scratch floats of `backward`: one place's gradient.
    #[must_use]
    pub const fn backward_scratch(&self) -> usize {
        self.filters
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let len = self.weights_len();
        packed[self.at.packed..][..len].copy_from_slice(&weights[self.at.weights..][..len]);
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let kernels = &weights[self.at.weights..][..self.kernel_len()];
        let transposed = &mut transposed[self.at.transposed..][..self.kernel_len()];
        let (taps, filters) = (self.taps(), self.filters);
        let places = transposed.chunks_exact_mut(taps * filters);
        for (to, kernel) in places.zip(kernels.chunks_exact(taps * filters)) {
            for (i, value) in to.iter_mut().enumerate() {
                *value = kernel[i % taps * filters + i / taps];
            }
        }
    }

    /// Where the rows of a place's inputs start.
    fn rows(&self, place: usize) -> impl Iterator<Item = usize> + use<> {
        let [_, columns] = self.size();
        let row = place / columns * self.strides[0];
        let column = place % columns * self.strides[1];
        let (width, channels) = (self.input[1], self.input[2]);
        (row..row + self.kernel[0]).map(move |row| (row * width + column) * channels)
    }

    /// One image: `x` and `y` are height x width x channels.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32], _scratch: &mut [f32]) {
        forward(self, &packed[self.at.packed..][..self.packed_len()], x, y);
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
        let dz = &mut scratch[..self.filters];
        let gradients = &mut gradients[self.at.gradients..][..self.weights_len()];
        weight_gradients(self, x, y, dy, dz, gradients);
        if let Some(dx) = dx {
            let kernels = &transposed[self.at.transposed..][..self.transposed_len()];
            input_gradient(self, kernels, y, dy, dz, dx);
        }
    }

    /// A place's gradient behind the relu.
    #[inline(always)]
    fn gradient(&self, place: usize, y: &[f32], dy: &[f32], dz: &mut [f32]) {
        let at = place * self.filters;
        dz.copy_from_slice(&dy[at..][..self.filters]);
        if self.relu {
            elementwise::mask(dz, &y[at..][..self.filters]);
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

vectorized! {
    fn forward(layer: &LocallyConnected2D, weights: &[f32], x: &[f32], y: &mut [f32])
        = forward_body;

    /// Adds to the gradients of kernels and biases.
    fn weight_gradients(
        layer: &LocallyConnected2D,
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        dz: &mut [f32],
        gradients: &mut [f32],
    ) = weight_gradients_body;

    fn input_gradient(
        layer: &LocallyConnected2D,
        kernels: &[f32],
        y: &[f32],
        dy: &[f32],
        dz: &mut [f32],
        dx: &mut [f32],
    ) = input_gradient_body;
}

/// `sums[i] += factor * values[i]`, rounded once.
#[inline(always)]
fn add_scaled(sums: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum = factor.mul_add(value, *sum);
    }
}

#[inline(always)]
fn forward_body<L: Lanes>(layer: &LocallyConnected2D, weights: &[f32], x: &[f32], y: &mut [f32]) {
    let (kernels, biases) = weights.split_at(layer.kernel_len());
    let filters = layer.filters;
    for (place, y) in y.chunks_exact_mut(filters).enumerate() {
        if layer.bias {
            y.copy_from_slice(&biases[place * filters..][..filters]);
        } else {
            y.fill(0.0);
        }
        let kernel = &kernels[place * layer.taps() * filters..][..layer.taps() * filters];
        for (at, kernel) in layer.rows(place).zip(kernel.chunks_exact(layer.run() * filters)) {
            for (&x, kernel) in x[at..].iter().zip(kernel.chunks_exact(filters)) {
                add_scaled(y, x, kernel);
            }
        }
        if layer.relu {
            for y in y {
                *y = if *y < 0.0 { 0.0 } else { *y };
            }
        }
    }
}

#[inline(always)]
fn weight_gradients_body<L: Lanes>(
    layer: &LocallyConnected2D,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dz: &mut [f32],
    gradients: &mut [f32],
) {
    let (kernels, biases) = gradients.split_at_mut(layer.kernel_len());
    let filters = layer.filters;
    for (place, kernel) in kernels.chunks_exact_mut(layer.taps() * filters).enumerate() {
        layer.gradient(place, y, dy, dz);
        if layer.bias {
            add_scaled(&mut biases[place * filters..][..filters], 1.0, dz);
        }
        for (at, kernel) in layer.rows(place).zip(kernel.chunks_exact_mut(layer.run() * filters)) {
            for (&x, kernel) in x[at..].iter().zip(kernel.chunks_exact_mut(filters)) {
                add_scaled(kernel, x, dz);
            }
        }
    }
}

#[inline(always)]
fn input_gradient_body<L: Lanes>(
    layer: &LocallyConnected2D,
    kernels: &[f32],
    y: &[f32],
    dy: &[f32],
    dz: &mut [f32],
    dx: &mut [f32],
) {
    let run = layer.run();
    dx.fill(0.0);
    for (place, kernel) in kernels.chunks_exact(layer.taps() * layer.filters).enumerate() {
        layer.gradient(place, y, dy, dz);
        for (&dz, kernel) in dz.iter().zip(kernel.chunks_exact(layer.taps())) {
            for (at, kernel) in layer.rows(place).zip(kernel.chunks_exact(run)) {
                add_scaled(&mut dx[at..at + run], dz, kernel);
            }
        }
    }
}
