//! `Conv2D`: correlation over height and width, channels last.

use std::ops::Range;

use ndarray::{ArrayView2, Axis, s};

use super::At;
use super::winograd::{self, Form, Square, Winograd};
use crate::kernel::elementwise::{self, copy_few};
use crate::kernel::matmul::pack_rows;
use crate::kernel::panels::turn;
use crate::kernel::simd::COLUMNS;
use crate::network::Parts;
use crate::team::{for_each_chunk, share};

mod kernels;
mod predict;
mod tiles;

pub(super) use kernels::{convolve, convolve_back, convolve_row, kernel_gradient};

/// Gradients that one task adds up.
const TASK: usize = 4096;

/// A convolution of fixed shape: `y[p, q, o] = bias[o] + sum over i, j, c of
/// x[p s - pad + i d, q s - pad + j d, c] * kernel[i, j, c, o]`, then relu if asked.
///
/// Input and output are height x width x channels, the kernel height x width x in x out, followed
/// by the bias. In groups, equal parts of the filters see equal parts of the channels, and the
/// kernel is height x width x in / groups x out.
#[derive(Clone, Copy, Debug)]
pub struct Conv2D {
    pub(super) input: [usize; 3],
    pub(super) filters: usize,
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    groups: usize,
    dilation: [usize; 2],
    padding: [usize; 4],
    bias: bool,
    pub(super) relu: bool,
    winograd: Option<Form>,
    pub(super) at: At,
}

/// Taps of a turned kernel, and what they take of the framed gradient.
#[derive(Clone, Copy)]
struct Meeting {
    /// The first tap.
    first: usize,
    /// From tap to tap.
    step: usize,
    count: usize,
    /// The pixel that the first one takes.
    from: usize,
    /// From pixel to pixel.
    advance: usize,
}

impl Conv2D {
    /// A `valid` convolution of stride 1 with bias: `input` is height, width, channels; `kernel`
    /// is height, width.
    #[must_use]
    pub const fn new(input: [usize; 3], filters: usize, kernel: [usize; 2]) -> Self {
        Self {
            input,
            filters,
            kernel,
            strides: [1, 1],
            groups: 1,
            dilation: [1, 1],
            padding: [0; 4],
            bias: true,
            relu: false,
            winograd: None,
            at: At::START,
        }
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

    /// Equal parts of the channels, each with filters of its own; divides channels and filters.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
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

    /// By Winograd's algorithm, with strides, dilation and groups of 1: 3x3 kernels take less than half
    /// of the multiplications, forward and back, 2x2 kernels little more than half, forward alone.
    #[must_use]
    pub const fn winograd(self) -> Self {
        assert!(matches!(self.kernel[0], 2 | 3));
        self.by(2)
    }

    /// The same with larger tiles: 3x3 kernels take a quarter of the multiplications, 2x2 kernels two fifths,
    /// and rounding errors are about twice those of the definition.
    #[must_use]
    pub const fn winograd4(self) -> Self {
        assert!(matches!(self.kernel[0], 2 | 3));
        self.by(4)
    }

    const fn by(self, outputs: usize) -> Self {
        let dense = self.strides[0] * self.strides[1] * self.dilation[0] * self.dilation[1] == 1;
        assert!(self.kernel[0] == self.kernel[1] && dense && self.groups == 1);
        Self { winograd: Some(Form { outputs, kernel: self.kernel[0] }), ..self }
    }

    /// Its sizes for Winograd's algorithm, if that is how it goes.
    pub(super) const fn as_winograd(&self) -> Option<Winograd> {
        let Some(form) = self.winograd else { return None };
        let ([top, _, left, _], [rows, columns, _]) = (self.padding, self.output());
        Some(Winograd {
            form,
            input: self.input,
            frame: [top, left],
            filters: self.filters,
            windows: [rows.div_ceil(2), columns.div_ceil(2)],
        })
    }

    /// How the way back goes by Winograd's algorithm, if it does.
    const fn form_back(&self) -> Option<Form> {
        match self.winograd {
            Some(form) if form.kernel == 3 => Some(form),
            _ => None,
        }
    }

    /// Where its weights lie.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self { at, ..self }
    }

    /// Rows and columns of the padded input.
    pub(super) const fn padded(&self) -> [usize; 2] {
        let [top, bottom, left, right] = self.padding;
        [self.input[0] + top + bottom, self.input[1] + left + right]
    }

    /// Rows or columns that the kernel covers.
    const fn extent(&self) -> [usize; 2] {
        [(self.kernel[0] - 1) * self.dilation[0] + 1, (self.kernel[1] - 1) * self.dilation[1] + 1]
    }

    /// Height, width and channels of the output.
    #[must_use]
    pub const fn output(&self) -> [usize; 3] {
        let ([rows, columns], [down, across]) = (self.padded(), self.extent());
        [
            (rows - down) / self.strides[0] + 1,
            (columns - across) / self.strides[1] + 1,
            self.filters,
        ]
    }

    /// Height, width and channels of the input.
    #[must_use]
    pub const fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Multiply-adds for one image by the definition.
    #[must_use]
    pub const fn macs(&self) -> u64 {
        let [rows, columns, filters] = self.output();
        (rows * columns * filters * self.taps()) as u64
    }

    /// The same without its relu.
    pub(super) const fn without_relu(self) -> Self {
        Self { relu: false, ..self }
    }

    /// Products summed for one output.
    pub(super) const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group()[0]
    }

    /// Channels and filters of a group.
    const fn group(&self) -> [usize; 2] {
        [self.input[2] / self.groups, self.filters / self.groups]
    }

    const fn bias_len(&self) -> usize {
        if self.bias { self.filters } else { 0 }
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.taps() * self.filters + self.bias_len()
    }

    /// Floats of its packed weights: of each group panels of sixteen channels, and the bias.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.groups * self.packed_group()
    }

    const fn packed_group(&self) -> usize {
        let [_, filters] = self.group();
        self.packed_bias() + filters.next_multiple_of(COLUMNS)
    }

    /// Where a group's bias starts: behind its panels.
    pub(super) const fn packed_bias(&self) -> usize {
        let [_, filters] = self.group();
        filters.div_ceil(COLUMNS) * self.panel_len()
    }

    /// Floats of a panel of sixteen filters.
    pub(super) const fn panel_len(&self) -> usize {
        match self.winograd {
            Some(form) => form.panel_len(self.input[2]),
            None => self.taps() * COLUMNS,
        }
    }

    /// Floats of its transposed weights.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.mirrored().packed_len()
    }

    /// Floats of its gradients in a shard: as its weights, or a kernel's at Winograd's places.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        if let Some([kernel, _]) = self.tiles_back() {
            return kernel.gradients_len() + self.bias_len();
        }
        self.weights_len()
    }

    /// Scratch floats of `forward`: the padded input, or Winograd's tiles.
    #[must_use]
    pub const fn forward_scratch(&self) -> usize {
        if let Some(winograd) = self.as_winograd() {
            winograd.scratch()
        } else if self.is_padded() {
            self.padded_len()
        } else {
            0
        }
    }

    /// Scratch floats of `backward`: the padded input and the framed gradient; by Winograd's algorithm
    /// the gradient behind the relu, and tiles for the kernel's gradient or the input's.
    #[must_use]
    pub const fn backward_scratch(&self) -> usize {
        if let Some([kernel, input]) = self.tiles_back() {
            let (kernel, input) = (kernel.gradient_scratch(), input.scratch());
            return self.masked_len() + if kernel > input { kernel } else { input };
        }
        let [rows, columns, channels] = self.mirrored().input;
        self.padded_len() + rows * columns * channels + COLUMNS
    }

    const fn is_padded(&self) -> bool {
        self.padded()[0] != self.input[0] || self.padded()[1] != self.input[1]
    }

    pub(super) const fn padded_len(&self) -> usize {
        self.padded()[0] * self.padded()[1] * self.input[2]
    }

    /// The convolution that makes the input's gradient out of the output's, framed: kernel turned by
    /// half a turn, inputs and outputs swapped. Where strides are longer than one only its sizes count:
    /// see [`convolve_back`].
    pub(super) const fn mirrored(&self) -> Self {
        let [rows, columns, _] = self.output();
        let ([top, bottom], [left, right]) = (self.frame(0), self.frame(1));
        Self {
            input: [top + rows + bottom, left + columns + right, self.filters],
            filters: self.input[2],
            strides: [1, 1],
            padding: [0; 4],
            bias: false,
            relu: false,
            winograd: self.form_back(),
            ..*self
        }
    }

    /// Zeros before and behind the output's gradient, so that each pixel of the input finds all taps
    /// that meet it.
    const fn frame(&self, axis: usize) -> [usize; 2] {
        let (origin, stride) = (self.spread_origin()[axis], self.strides[axis]);
        let last = self.input[axis] + self.extent()[axis] - 2 - origin;
        [origin / stride, last / stride + 1 - self.output()[axis]]
    }

    /// The taps of the turned kernel that meet a row or column of the input on the way back.
    #[inline(always)]
    fn meeting(&self, axis: usize, pixel: usize) -> Meeting {
        let (stride, dilation) = (self.strides[axis], self.dilation[axis]);
        let (origin, kernel) = (self.spread_origin()[axis] % stride, self.kernel[axis]);
        let step = (1..stride).find(|step| step * dilation % stride == 0).unwrap_or(stride);
        let meets = |tap: &usize| (pixel + tap * dilation) % stride == origin;
        let first = (0..step).find(meets).unwrap_or(kernel);
        let count = kernel.saturating_sub(first).div_ceil(step);
        let from = if count == 0 { 0 } else { (pixel + first * dilation - origin) / stride };
        Meeting { first, step, count, from, advance: step * dilation / stride }
    }

    /// Its kernel, a row for each tap.
    pub(super) fn kernel<'a>(&self, weights: &'a [f32]) -> ArrayView2<'a, f32> {
        let kernel = &weights[self.at.weights..][..self.taps() * self.filters];
        ArrayView2::from_shape((self.taps(), self.filters), kernel).expect("as long as its taps")
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let kernel = self.kernel(weights);
        let bias = &weights[self.at.weights + kernel.len()..][..self.bias_len()];
        let packed = &mut packed[self.at.packed..][..self.packed_len()];
        let [_, filters] = self.group();
        for (g, packed) in packed.chunks_exact_mut(self.packed_group()).enumerate() {
            let (panels, packed_bias) = packed.split_at_mut(self.packed_bias());
            let kernel = kernel.slice(s![.., g * filters..(g + 1) * filters]);
            let kernels = kernel.axis_chunks_iter(Axis(1), COLUMNS);
            share(panels.chunks_exact_mut(self.panel_len()).zip(kernels), |(panel, kernel)| {
                self.pack_panel(&kernel, panel);
            });
            if self.bias {
                packed_bias[..filters].copy_from_slice(&bias[g * filters..][..filters]);
            }
        }
    }

    /// Lays out up to sixteen filters, the columns of `kernel`.
    pub(super) fn pack_panel(&self, kernel: &ArrayView2<'_, f32>, panel: &mut [f32]) {
        let Some(form) = self.winograd else {
            return pack_rows(kernel, panel, COLUMNS);
        };
        let channels = self.input[2];
        let taps = |place: usize, some: Range<usize>, to: &mut Square| {
            let of_place = place * channels..(place + 1) * channels;
            let kernel = kernel.slice_axis(Axis(0), of_place.into());
            pack_rows(&kernel.slice_axis(Axis(0), some.into()), to.as_flattened_mut(), COLUMNS);
        };
        form.pack_panel(channels, taps, panel);
    }

    /// The same for `factor * y + shift` instead of `y`, with `affine(filter)` the two numbers.
    pub(super) fn pack_folded(
        &self,
        weights: &[f32],
        packed: &mut [f32],
        affine: impl Fn(usize) -> [f32; 2],
    ) {
        self.pack(weights, packed);
        let packed = &mut packed[self.at.packed..][..self.packed_len()];
        let [_, filters] = self.group();
        for (g, packed) in packed.chunks_exact_mut(self.packed_group()).enumerate() {
            let (panels, bias) = packed.split_at_mut(self.packed_bias());
            let panels = panels.chunks_exact_mut(self.panel_len());
            let panels = panels.zip(bias.chunks_exact_mut(COLUMNS));
            for (p, (panel, bias)) in panels.enumerate() {
                let mut factors = [0.0; COLUMNS];
                for c in 0..COLUMNS.min(filters - p * COLUMNS) {
                    let [factor, shift] = affine(g * filters + p * COLUMNS + c);
                    factors[c] = factor;
                    bias[c] = shift + if self.bias { factor * bias[c] } else { 0.0 };
                }
                // Winograd's transform is linear, so that it too is scaled column by column.
                for row in panel.chunks_exact_mut(COLUMNS) {
                    for (value, factor) in row.iter_mut().zip(factors) {
                        *value *= factor;
                    }
                }
            }
        }
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let kernel = &weights[self.at.weights..][..self.taps() * self.filters];
        let ([height, width], [channels, filters]) = (self.kernel, self.group());
        let mirrored = self.mirrored();
        let panels = &mut transposed[self.at.transposed..][..mirrored.packed_len()];
        let tap = |place: usize, c: usize| &kernel[(place * channels + c) * self.filters..];
        let last = height * width - 1;
        for (g, panels) in panels.chunks_exact_mut(mirrored.packed_group()).enumerate() {
            let panels = &mut panels[..mirrored.packed_bias()];
            for_each_chunk(panels, mirrored.panel_len(), &|p, panel| {
                let some = p * COLUMNS..channels.min((p + 1) * COLUMNS);
                let turned = |place: usize, others: Range<usize>, to: &mut Square| {
                    *to = Square::default();
                    for (to, c) in to.iter_mut().zip(some.clone()) {
                        let from = &tap(last - place, c)[g * filters..][others.clone()];
                        copy_few(&mut to[..from.len()], from);
                    }
                    turn(to);
                };
                if let Some(form) = mirrored.winograd {
                    return form.pack_panel(filters, turned, panel);
                }
                for (place, panel) in panel.chunks_exact_mut(filters * COLUMNS).enumerate() {
                    for (block, rows) in panel.chunks_mut(COLUMNS * COLUMNS).enumerate() {
                        let mut square = Square::default();
                        let first = block * COLUMNS;
                        turned(place, first..first + rows.len() / COLUMNS, &mut square);
                        rows.copy_from_slice(&square.as_flattened()[..rows.len()]);
                    }
                }
            });
        }
    }

    /// Copies an image into a frame of zeros.
    pub(super) fn pad(&self, x: &[f32], padded: &mut [f32]) {
        let len = self.input[1] * self.input[2];
        copy_rows(x, len, padded, self.row_at(0), self.padded()[1] * self.input[2]);
    }

    /// Where a row of the image starts in its frame.
    pub(super) const fn row_at(&self, row: usize) -> usize {
        let [top, _, left, _] = self.padding;
        ((row + top) * self.padded()[1] + left) * self.input[2]
    }

    /// Takes an image out of its frame.
    pub(super) fn crop(&self, padded: &[f32], x: &mut [f32]) {
        let len = self.input[1] * self.input[2];
        for (row, x) in x.chunks_exact_mut(len).enumerate() {
            x.copy_from_slice(&padded[self.row_at(row)..][..len]);
        }
    }

    /// One image: `x` and `y` are height x width x channels.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let packed = &packed[self.at.packed..][..self.packed_len()];
        if let Some(winograd) = self.as_winograd() {
            let y = winograd::Image { shape: self.output(), relu: self.relu, y };
            winograd::convolve_image(&winograd, packed, x, y, scratch);
        } else if self.is_padded() {
            let padded = &mut scratch[..self.padded_len()];
            self.pad(x, padded);
            convolve(self, packed, padded, y);
        } else {
            convolve(self, packed, x, y);
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
        let gradients = &mut gradients[self.at.gradients..][..self.gradients_len()];
        if let Some(tiles) = self.tiles_back() {
            return self.backward_tiles(tiles, transposed, x, y, dy, dx, gradients, scratch);
        }
        let (padded, scratch) = scratch.split_at_mut(self.padded_len());
        let image = if self.is_padded() {
            self.pad(x, padded);
            padded
        } else {
            x
        };
        let mirrored = self.mirrored();
        let framed = &mut scratch[..mirrored.padded_len() + COLUMNS];
        self.frame_gradient(y, dy, framed);
        let (kernel, bias) = gradients.split_at_mut(self.taps() * self.filters);
        kernel_gradient(self, image, framed, kernel);
        if self.bias {
            for pixel in self.gradient_pixels(framed) {
                elementwise::add(bias, &pixel[..bias.len()]);
            }
        }
        if let Some(dx) = dx {
            let panels = &transposed[self.at.transposed..][..mirrored.packed_len()];
            convolve_back(self, false, panels, framed, dx);
        }
    }

    /// Where the output's gradient would start if its pixels were spread out by the strides and framed
    /// by as many zeros as the kernel reaches.
    const fn spread_origin(&self) -> [usize; 2] {
        let [down, across] = self.extent();
        [down - 1 - self.padding[0], across - 1 - self.padding[2]]
    }

    /// Index in the framed gradient of an output pixel.
    const fn framed_index(&self, row: usize, column: usize) -> usize {
        let ([top, _], [left, _]) = (self.frame(0), self.frame(1));
        let [_, columns, channels] = self.mirrored().input;
        ((top + row) * columns + left + column) * channels
    }

    /// The output's gradient behind the relu, in a frame of zeros.
    pub(super) fn frame_gradient(&self, y: &[f32], dy: &[f32], framed: &mut [f32]) {
        let [_, columns, channels] = self.output();
        let (len, width) = (columns * channels, self.mirrored().input[1] * channels);
        let first = self.framed_index(0, 0);
        copy_rows(dy, len, framed, first, width);
        if self.relu {
            for (row, y) in y.chunks_exact(len).enumerate() {
                elementwise::mask(&mut framed[first + row * width..][..len], y);
            }
        }
    }

    fn gradient_pixels<'a>(&self, framed: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let [rows, columns, channels] = self.output();
        let this = *self;
        (0..rows * columns).map(move |pixel| {
            let at = this.framed_index(pixel / columns, pixel % columns);
            &framed[at..at + channels]
        })
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let shards = shards.cut(self.at.gradients, self.gradients_len());
        let gradients = &mut gradients[self.at.weights..][..self.weights_len()];
        if let Some([kernel, _]) = self.tiles_back() {
            return self.gather_places(&kernel, shards, gradients);
        }
        for_each_chunk(gradients, TASK, &|task, gradients| {
            gradients.fill(0.0);
            for shard in shards.iter() {
                elementwise::add(gradients, &shard[task * TASK..][..gradients.len()]);
            }
        });
    }

    /// The loops over a kernel's taps: counts, and steps in an image of padded size. Taps that lie
    /// side by side in memory are one loop.
    #[inline(always)]
    pub(super) fn tap_loops(&self) -> ([usize; 3], [usize; 3]) {
        let ([height, width], [channels, _]) = (self.kernel, self.group());
        let row = self.padded()[1] * self.input[2] * self.dilation[0];
        if self.dilation[1] == 1 && self.groups == 1 {
            ([height, 1, width * channels], [row, 0, 1])
        } else {
            ([height, width, channels], [row, self.input[2] * self.dilation[1], 1])
        }
    }
}

/// Copies rows of `len` floats into a field of zeros, the first to `first` and the others behind it
/// in steps of `step`.
fn copy_rows(x: &[f32], len: usize, field: &mut [f32], first: usize, step: usize) {
    let mut done = 0;
    for (row, x) in x.chunks_exact(len).enumerate() {
        let at = first + row * step;
        field[done..at].fill(0.0);
        field[at..at + len].copy_from_slice(x);
        done = at + len;
    }
    field[done..].fill(0.0);
}
