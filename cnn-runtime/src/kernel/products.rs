//! The three products of a dense layer over a whole batch, of which each task does one panel.
//!
//! Images lie in panels of sixteen, with a row of sixteen numbers for each input or unit: both
//! factors of every product are then read side by side, whatever the layer's width.

use super::matmul::{DEPTH, even_parts, transpose_panel};
use super::rmsprop::Rule;
use super::simd::{COLUMNS, Descent, Lanes, Product, Start, Tile, vectorized};

vectorized! {
    /// Sixteen units for all images: `y[image, unit] = bias[unit] + sum over inputs of x * kernel`,
    /// then relu if asked. `images` are panels of `inputs` rows, `panel` is the kernel's, and `y` has
    /// sixteen floats for each image, in whole panels; no bias if it is empty.
    pub(crate) fn forward(
        images: &[f32],
        inputs: usize,
        panel: &[f32],
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
    ) = forward_body;

    /// The gradients of some inputs, at most sixteen, for all images: `dx[image, input] = sum over
    /// units of dy * kernel`. `kernel` holds those inputs' rows, `images` the outputs' gradients in
    /// panels of `units` rows, and `dx` has sixteen floats for each image.
    pub(crate) fn backward(kernel: &[f32], units: usize, images: &[f32], dx: &mut [f32])
        = backward_body;

    /// The gradient of some rows of a kernel, at most sixteen: `gradient[input, unit] = sum over
    /// images of x * dy`.
    pub(crate) fn gradients(outer: Outer<'_>, gradient: &mut [f32]) = gradients_body;

    /// The same, and at once the optimizer's step. `packed` gives for each panel of units those rows'
    /// place in it.
    pub(crate) fn descend(
        outer: Outer<'_>,
        rule: Rule,
        weights: &mut [f32],
        squares: &mut [f32],
        packed: &mut dyn Iterator<Item = &mut [f32]>,
    ) = descend_body;
}

/// Factors of a kernel's gradient.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'a> {
    /// The inputs, in panels of images.
    pub images: &'a [f32],
    /// Inputs of the layer.
    pub inputs: usize,
    /// The first of the rows.
    pub first: usize,
    /// The outputs' gradients: for each sixteen units a row of sixteen for each image, 0 for units
    /// and images that are not there.
    pub gradients: &'a [f32],
    /// From sixteen units to the next.
    pub stride: usize,
    /// Units of the layer.
    pub units: usize,
}

impl<'a> Outer<'a> {
    /// What the gradient of rows from `row` and of units from `unit` sums.
    #[inline(always)]
    fn tile(&self, row: usize, unit: usize) -> Tile<'a> {
        let square = COLUMNS * COLUMNS;
        Tile {
            counts: [self.images.len() / (self.inputs * COLUMNS), 1, COLUMNS],
            a: self.images,
            a_at: (self.first + row) * COLUMNS,
            a_row: COLUMNS,
            a_steps: [self.inputs * COLUMNS, 0, 1],
            b: self.gradients,
            b_at: unit / COLUMNS * self.stride,
            b_steps: [square, 0, COLUMNS],
        }
    }
}

#[inline(always)]
fn forward_body<L: Lanes>(
    images: &[f32],
    inputs: usize,
    panel: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    for from in (0..inputs).step_by(DEPTH) {
        let depth = (inputs - from).min(DEPTH);
        for (group, images) in images.chunks_exact(inputs * COLUMNS).enumerate() {
            for (row, count) in even_parts(COLUMNS, L::ROWS) {
                let tile = Tile {
                    counts: [1, 1, depth],
                    a: images,
                    a_at: from * COLUMNS + row,
                    a_row: 1,
                    a_steps: [0, 0, COLUMNS],
                    b: panel,
                    b_at: from * COLUMNS,
                    b_steps: [0, 0, COLUMNS],
                };
                let start = match (from, bias) {
                    (0, []) => Start::Zero,
                    (0, bias) => Start::Bias(bias),
                    _ => Start::Sum,
                };
                let relu = relu && from + depth == inputs;
                let to = &mut y[(group * COLUMNS + row) * COLUMNS..];
                Product { tile, start, relu, to, stride: COLUMNS, columns: COLUMNS }
                    .compute::<L>(count);
            }
        }
    }
}

#[inline(always)]
fn backward_body<L: Lanes>(kernel: &[f32], units: usize, images: &[f32], dx: &mut [f32]) {
    let rows = kernel.len() / units;
    let groups = images.chunks_exact(units * COLUMNS);
    for (images, dx) in groups.zip(dx.chunks_exact_mut(COLUMNS * COLUMNS)) {
        // For each input its gradients in sixteen images.
        let mut turned = [0.0; COLUMNS * COLUMNS];
        for (row, count) in even_parts(rows, L::ROWS) {
            let tile = Tile {
                counts: [1, 1, units],
                a: kernel,
                a_at: row * units,
                a_row: units,
                a_steps: [0, 0, 1],
                b: images,
                b_at: 0,
                b_steps: [0, 0, COLUMNS],
            };
            let to = &mut turned[row * COLUMNS..];
            let (start, relu) = (Start::Zero, false);
            Product { tile, start, relu, to, stride: COLUMNS, columns: COLUMNS }
                .compute::<L>(count);
        }
        transpose_panel(dx, &turned.chunks_exact(COLUMNS));
    }
}

#[inline(always)]
fn gradients_body<L: Lanes>(outer: Outer<'_>, gradient: &mut [f32]) {
    let units = outer.units;
    for (row, count) in even_parts(gradient.len() / units, L::ROWS) {
        for unit in (0..units).step_by(COLUMNS) {
            let (tile, start) = (outer.tile(row, unit), Start::Zero);
            let to = &mut gradient[row * units + unit..];
            Product { tile, start, relu: false, to, stride: units, columns: units - unit }
                .compute::<L>(count);
        }
    }
}

#[inline(always)]
fn descend_body<L: Lanes>(
    outer: Outer<'_>,
    rule: Rule,
    weights: &mut [f32],
    squares: &mut [f32],
    packed: &mut dyn Iterator<Item = &mut [f32]>,
) {
    let units = outer.units;
    for (unit, packed) in (0..units).step_by(COLUMNS).zip(packed) {
        for (row, count) in even_parts(weights.len() / units, L::ROWS) {
            Descent {
                tile: outer.tile(row, unit),
                rule,
                weights: &mut weights[row * units + unit..],
                squares: &mut squares[row * units + unit..],
                stride: units,
                columns: units - unit,
                packed: &mut packed[row * COLUMNS..],
            }
            .go::<L>(count);
        }
    }
}
