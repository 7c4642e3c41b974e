//! A convolution's loops over tiles.

use super::Conv2D;
use crate::kernel::matmul::{even_parts, panels_len};
use crate::kernel::simd::{COLUMNS, Ends, Lanes, Product, Start, Tile, panels_of, vectorized};

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
        for (filter, count) in panels_of::<L>(filters) {
            let panels = &panels[filter * conv.taps()..];
            for row in 0..rows {
                let mut ends = Ends {
                    start: Start::Bias(&bias[filter..]),
                    relu: conv.relu,
                    to: &mut y[row * columns * channels + first + filter..],
                    stride: channels,
                    panel: COLUMNS,
                    columns: filters - filter,
                };
                convolve_row::<L>(conv, image, panels, count, row, &mut ends);
            }
        }
    }
}

/// One row of the channels of `count` panels, the first of `panels`; a row of `ends` for each pixel.
#[inline(always)]
pub(in crate::layer) fn convolve_row<L: Lanes>(
    conv: &Conv2D,
    image: &[f32],
    panels: &[f32],
    count: usize,
    row: usize,
    ends: &mut Ends<'_>,
) {
    let (counts, a_steps) = conv.tap_loops();
    let (width, inputs) = (conv.padded()[1], conv.input[2]);
    for (column, rows) in even_parts(conv.output()[1], L::ROWS) {
        let tile = Tile {
            counts,
            a: image,
            a_at: (row * conv.strides[0] * width + column * conv.strides[1]) * inputs,
            a_row: conv.strides[1] * inputs,
            a_steps,
            b: panels,
            b_at: 0,
            b_panel: conv.taps() * COLUMNS,
            b_steps: [counts[1] * counts[2] * COLUMNS, counts[2] * COLUMNS, COLUMNS],
        };
        let ends = Ends { to: &mut ends.to[column * ends.stride..], ..*ends };
        Product { tile, ends }.compute::<L>(rows, count);
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
        for (input, count) in panels_of::<L>(inputs) {
            let panels = &panels[input * mirrored.taps()..];
            for row in 0..rows {
                let mut ends = Ends {
                    start: Start::Bias(&bias[input..]),
                    relu,
                    to: &mut dx[row * columns * channels + first + input..],
                    stride: channels,
                    panel: COLUMNS,
                    columns: inputs - input,
                };
                convolve_back_row::<L>(conv, framed, panels, count, row, &mut ends);
            }
        }
    }
}

/// One row of the channels of `count` panels, the first of `panels`; a row of `ends` for each pixel. Pixels
/// that lie a stride apart meet the same taps, which are the fewer the longer the stride.
#[inline(always)]
fn convolve_back_row<L: Lanes>(
    conv: &Conv2D,
    framed: &[f32],
    panels: &[f32],
    count: usize,
    row: usize,
    ends: &mut Ends<'_>,
) {
    let ([_, columns, _], [_, filters]) = (conv.input, conv.group());
    let (mirrored, across, tap) = (conv.mirrored(), conv.strides[1], filters * COLUMNS);
    let (width, panel) = (mirrored.input[1], mirrored.taps() * COLUMNS);
    let rows = conv.meeting(0, row);
    for phase in 0..across.min(columns) {
        let taps = conv.meeting(1, phase);
        // Taps that lie side by side are one loop.
        let joined = filters == conv.filters && taps.step == 1 && taps.advance == 1;
        let inner = if joined { [1, taps.count * filters] } else { [taps.count, filters] };
        for (column, pixels) in even_parts((columns - phase).div_ceil(across), L::ROWS) {
            let tile = Tile {
                counts: [rows.count, inner[0], inner[1]],
                a: framed,
                a_at: (rows.from * width + taps.from + column) * conv.filters,
                a_row: conv.filters,
                a_steps: [rows.advance * width * conv.filters, taps.advance * conv.filters, 1],
                b: panels,
                b_at: (rows.first * conv.kernel[1] + taps.first) * tap,
                b_panel: panel,
                b_steps: [rows.step * conv.kernel[1] * tap, taps.step * tap, COLUMNS],
            };
            let to = &mut ends.to[(phase + column * across) * ends.stride..];
            let ends = Ends { to, stride: across * ends.stride, ..*ends };
            Product { tile, ends }.compute::<L>(pixels, count);
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
    let (origin, (counts, steps)) = (conv.framed_index(0, 0), conv.tap_loops());
    for outer in 0..counts[0] * counts[1] {
        let (i, j) = (outer / counts[1], outer % counts[1]);
        for (tap, count) in even_parts(counts[2], L::ROWS) {
            for (channel, panels) in panels_of::<L>(filters) {
                let tile = Tile {
                    counts: [rows, 1, columns],
                    a: image,
                    a_at: i * steps[0] + j * steps[1] + first_input + tap,
                    a_row: 1,
                    a_steps: [conv.strides[0] * width, 0, conv.strides[1] * inputs],
                    b: framed,
                    b_at: origin + first + channel,
                    b_panel: COLUMNS,
                    b_steps: [framed_width, 0, channels],
                };
                let to = &mut kernel[(outer * counts[2] + tap) * channels + first + channel..];
                let (start, relu, columns) = (Start::Sum, false, filters - channel);
                let ends = Ends { start, relu, to, stride: channels, panel: COLUMNS, columns };
                Product { tile, ends }.compute::<L>(count, panels);
            }
        }
    }
}
