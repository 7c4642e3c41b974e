//! A convolution's loops over tiles.

use super::Conv2D;
use crate::kernel::matmul::{even_parts, panels_len};
use crate::kernel::simd::{COLUMNS, Lanes, Product, Start, Tile, vectorized};

vectorized! {
    /// `packed` holds panels and, if there is one, the bias; `image` is padded already.
    pub(in crate::layer) fn convolve(conv: &Conv2D, packed: &[f32], image: &[f32], y: &mut [f32]) = convolve_body;

    /// The input's gradient out of the output's, which is framed; `packed` holds the turned kernel's
    /// panels and a bias.
    pub(in crate::layer) fn convolve_back(
        conv: &Conv2D,
        relu: bool,
        packed: &[f32],
        framed: &[f32],
        dx: &mut [f32],
    ) = convolve_back_body;

    /// Adds `sum over pixels of image[pixel + tap] * gradient[pixel]` to `kernel`; the output's gradient
    /// is framed.
    pub(in crate::layer) fn kernel_gradient(conv: &Conv2D, image: &[f32], framed: &[f32], kernel: &mut [f32])
        = kernel_gradient_body;
}

#[inline(always)]
fn convolve_body<L: Lanes>(conv: &Conv2D, packed: &[f32], image: &[f32], y: &mut [f32]) {
    let ([rows, columns, channels], [inputs, filters]) = (conv.output(), conv.group());
    for (g, packed) in packed.chunks_exact(conv.packed_group()).enumerate() {
        let (image, first) = (&image[g * inputs..], g * filters);
        let (panels, bias) = packed.split_at(panels_len(conv.taps(), filters));
        for (p, panel) in panels.chunks_exact(conv.taps() * COLUMNS).enumerate() {
            let bias = &bias[p * COLUMNS..];
            let left = filters - p * COLUMNS;
            for row in 0..rows {
                let y = &mut y[row * columns * channels + first + p * COLUMNS..];
                convolve_row::<L>(conv, image, panel, bias, row, y, channels, left);
            }
        }
    }
}

/// One row of up to sixteen channels: output pixels lie `stride` apart in `y`.
#[inline(always)]
pub(in crate::layer) fn convolve_row<L: Lanes>(
    conv: &Conv2D,
    image: &[f32],
    panel: &[f32],
    bias: &[f32],
    row: usize,
    y: &mut [f32],
    stride: usize,
    channels: usize,
) {
    let (counts, a_steps) = conv.tap_loops();
    let (width, inputs) = (conv.padded()[1], conv.input[2]);
    for (column, count) in even_parts(conv.output()[1], L::ROWS) {
        let tile = Tile {
            counts,
            a: image,
            a_at: (row * conv.strides[0] * width + column * conv.strides[1]) * inputs,
            a_row: conv.strides[1] * inputs,
            a_steps,
            b: panel,
            b_at: 0,
            b_steps: [counts[1] * counts[2] * COLUMNS, counts[2] * COLUMNS, COLUMNS],
        };
        let (start, relu, to) = (Start::Bias(bias), conv.relu, &mut y[column * stride..]);
        Product { tile, start, relu, to, stride, columns: channels }.compute::<L>(count);
    }
}

#[inline(always)]
fn convolve_back_body<L: Lanes>(
    conv: &Conv2D,
    relu: bool,
    packed: &[f32],
    framed: &[f32],
    dx: &mut [f32],
) {
    let (mirrored, [rows, columns, channels]) = (conv.mirrored(), conv.input);
    let [filters, inputs] = mirrored.group();
    for (g, packed) in packed.chunks_exact(mirrored.packed_group()).enumerate() {
        let (framed, first) = (&framed[g * filters..], g * inputs);
        let (panels, bias) = packed.split_at(panels_len(mirrored.taps(), inputs));
        for (p, panel) in panels.chunks_exact(mirrored.taps() * COLUMNS).enumerate() {
            let bias = &bias[p * COLUMNS..];
            let left = inputs - p * COLUMNS;
            for row in 0..rows {
                let dx = &mut dx[row * columns * channels + first + p * COLUMNS..];
                convolve_back_row::<L>(conv, relu, framed, panel, bias, row, dx, left);
            }
        }
    }
}

/// One row of up to sixteen channels. Pixels that lie a stride apart meet the same taps, which are the
/// fewer the longer the stride.
#[inline(always)]
fn convolve_back_row<L: Lanes>(
    conv: &Conv2D,
    relu: bool,
    framed: &[f32],
    panel: &[f32],
    bias: &[f32],
    row: usize,
    dx: &mut [f32],
    left: usize,
) {
    let ([_, columns, channels], [_, filters]) = (conv.input, conv.group());
    let (width, across, tap) = (conv.mirrored().input[1], conv.strides[1], filters * COLUMNS);
    let rows = conv.meeting(0, row);
    for phase in 0..across.min(columns) {
        let taps = conv.meeting(1, phase);
        // Taps that lie side by side are one loop.
        let joined = filters == conv.filters && taps.step == 1 && taps.advance == 1;
        let inner = if joined { [1, taps.count * filters] } else { [taps.count, filters] };
        for (column, count) in even_parts((columns - phase).div_ceil(across), L::ROWS) {
            let tile = Tile {
                counts: [rows.count, inner[0], inner[1]],
                a: framed,
                a_at: (rows.from * width + taps.from + column) * conv.filters,
                a_row: conv.filters,
                a_steps: [rows.advance * width * conv.filters, taps.advance * conv.filters, 1],
                b: panel,
                b_at: (rows.first * conv.kernel[1] + taps.first) * tap,
                b_steps: [rows.step * conv.kernel[1] * tap, taps.step * tap, COLUMNS],
            };
            let to = &mut dx[(phase + column * across) * channels..];
            let (start, stride) = (Start::Bias(bias), across * channels);
            Product { tile, start, relu, to, stride, columns: left }.compute::<L>(count);
        }
    }
}

#[inline(always)]
fn kernel_gradient_body<L: Lanes>(
    conv: &Conv2D,
    image: &[f32],
    framed: &[f32],
    kernel: &mut [f32],
) {
    for group in 0..conv.groups {
        group_gradient::<L>(conv, image, framed, kernel, group);
    }
}

/// One group's part of the kernel's gradient.
#[inline(always)]
fn group_gradient<L: Lanes>(
    conv: &Conv2D,
    image: &[f32],
    framed: &[f32],
    kernel: &mut [f32],
    group: usize,
) {
    let ([rows, columns, channels], inputs) = (conv.output(), conv.input[2]);
    let [group_inputs, filters] = conv.group();
    let (first_input, first) = (group * group_inputs, group * filters);
    let (width, framed_width) = (conv.padded()[1] * inputs, conv.mirrored().input[1] * channels);
    let (counts, steps) = conv.tap_loops();
    for outer in 0..counts[0] * counts[1] {
        let (i, j) = (outer / counts[1], outer % counts[1]);
        for (tap, count) in even_parts(counts[2], L::ROWS) {
            for channel in (0..filters).step_by(COLUMNS) {
                let tile = Tile {
                    counts: [rows, 1, columns],
                    a: image,
                    a_at: i * steps[0] + j * steps[1] + first_input + tap,
                    a_row: 1,
                    a_steps: [conv.strides[0] * width, 0, conv.strides[1] * inputs],
                    b: framed,
                    b_at: conv.framed_index(0, 0) + first + channel,
                    b_steps: [framed_width, 0, channels],
                };
                let to = &mut kernel[(outer * counts[2] + tap) * channels + first + channel..];
                let (start, columns) = (Start::Sum, filters - channel);
                Product { tile, start, relu: false, to, stride: channels, columns }
                    .compute::<L>(count);
            }
        }
    }
}
