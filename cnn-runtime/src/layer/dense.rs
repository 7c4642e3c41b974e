//! `Dense`: a matrix product over the last axis.

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis};

use super::At;
use crate::kernel::elementwise;
use crate::kernel::matmul::{Blocks, Halves, multiply, outer_products, pack_rows, panels_len};
use crate::kernel::panels::{Matrix, Sixteen, transpose_panel};
use crate::kernel::rmsprop::{self, Rule};
use crate::kernel::simd::{COLUMNS, PANELS};
use crate::network::Rows;
use crate::optimizer::{Learner, Own};
use crate::team::{Team, for_each_chunk, in_two, share};

/// Kernel rows whose gradients one task makes, whole panels of the transposed kernel.
const TASK_ROWS: usize = 3 * COLUMNS;

/// Units, of as many inputs or more, from which on there are [halves](Dense::halves): a task on the largest
/// tile for each of two threads.
const HALVED: usize = 2 * PANELS * COLUMNS;

/// Multiply-adds that take as long as to read a weight.
const PER_WEIGHT: u64 = 5;

/// A fully connected layer of fixed shape: `y = x kernel + bias`, then relu if asked. The kernel is
/// in x out, followed by the bias.
#[derive(Clone, Copy, Debug)]
pub struct Dense {
    pub(super) inputs: usize,
    pub(super) units: usize,
    positions: usize,
    pub(super) bias: bool,
    pub(super) relu: bool,
    pub(super) at: At,
}

impl Dense {
    /// With bias, on inputs of rank 1.
    #[must_use]
    pub const fn new(inputs: usize, units: usize) -> Self {
        Self { inputs, units, positions: 1, bias: true, relu: false, at: At::START }
    }

    /// On inputs of a higher rank, of which all axes but the last multiply to `positions`.
    #[must_use]
    pub const fn positions(self, positions: usize) -> Self {
        Self { positions, ..self }
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

    /// The order in which outputs sum their inputs. Half of the units begin with the later inputs, so that
    /// two threads can make all outputs from half of the inputs each (see `dense_batch.rs`).
    pub(super) const fn halves(&self) -> Halves {
        if self.inputs < HALVED || self.units < HALVED {
            return Halves::NONE;
        }
        Halves { column: self.middle(), term: (self.inputs / 2).next_multiple_of(COLUMNS) }
    }

    /// About half of the units: whole groups of panels, if there are many.
    const fn middle(&self) -> usize {
        let some = if self.units < HALVED { COLUMNS } else { self.row() };
        self.units.div_ceil(some) / 2 * some
    }

    /// Floats of a row of a group of panels.
    pub(super) const fn row(&self) -> usize {
        Matrix::beside(self.units) * COLUMNS
    }

    /// Its kernel in packed weights, and the bias.
    pub(super) fn packed<'a>(&self, packed: &'a [f32]) -> (Matrix<'a>, &'a [f32]) {
        let packed = &packed[self.at.packed..][..self.packed_len()];
        let (floats, bias) = packed.split_at(self.packed_kernel());
        let beside = Matrix::beside(self.units);
        (Matrix { floats, rows: self.inputs, beside }, if self.bias { bias } else { &[] })
    }

    pub(super) const fn kernel_len(&self) -> usize {
        self.inputs * self.units
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.kernel_len() + if self.bias { self.units } else { 0 }
    }

    /// Floats of its packed weights: panels of sixteen units, in groups, and the bias.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.packed_kernel() + self.units.next_multiple_of(COLUMNS)
    }

    /// Floats of its kernel there.
    pub(super) const fn packed_kernel(&self) -> usize {
        self.inputs * self.units.next_multiple_of(self.row())
    }

    /// Floats of its transposed weights: panels of sixteen inputs.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        panels_len(self.units, self.inputs)
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let weights = &weights[self.at.weights..][..self.weights_len()];
        let (kernel, bias) = weights.split_at(self.kernel_len());
        let packed = &mut packed[self.at.packed..][..self.packed_len()];
        let (panels, packed_bias) = packed.split_at_mut(self.packed_kernel());
        let (row, kernel) = (self.row(), self.matrix(kernel));
        let groups = panels.chunks_exact_mut(self.inputs * row);
        share(groups.zip(kernel.axis_chunks_iter(Axis(1), row)), |(panels, kernel)| {
            pack_rows(&kernel, panels, row);
        });
        packed_bias[..bias.len()].copy_from_slice(bias);
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let kernel = &weights[self.at.weights..][..self.kernel_len()];
        let panels = &mut transposed[self.at.transposed..][..self.transposed_len()];
        for_each_chunk(panels, TASK_ROWS * self.units, &|task, panels| {
            self.turn(&kernel[task * TASK_ROWS * self.units..], panels);
        });
    }

    /// Any number of images: `x` holds their inputs one after the other, `y` takes the outputs.
    pub fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32]) {
        let (kernel, bias) = self.packed(packed);
        multiply(x, kernel, 0..self.units, self.halves(), bias, self.relu, y);
    }

    /// The same; a single image by one thread or two.
    pub fn predict(&self, team: Team, packed: &[f32], x: &[f32], y: &mut [f32]) {
        // Its weights are read once, which takes longer than their products.
        let work = PER_WEIGHT * self.kernel_len() as u64;
        if x.len() == self.inputs && self.units > COLUMNS && team.shares(work) {
            self.in_two(packed, x, y);
        } else {
            self.forward(packed, x, y);
        }
    }

    /// A single image, half of the units on each of two threads.
    pub(super) fn in_two(&self, packed: &[f32], x: &[f32], y: &mut [f32]) {
        let (kernel, bias) = self.packed(packed);
        in_two(self.units, self.middle(), y, &mut [], |units, y, _| {
            multiply(x, kernel, units, self.halves(), bias, self.relu, y);
        });
    }

    /// Any number of images: turns `dy`, the gradient of the output `y`, into that before the relu,
    /// and writes the input's gradient `dx` if there is one.
    pub fn backward(&self, transposed: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        if self.relu {
            elementwise::mask(dy, y);
        }
        if let Some(dx) = dx {
            let floats = &transposed[self.at.transposed..][..self.transposed_len()];
            let kernel = Matrix { floats, rows: self.units, beside: 1 };
            multiply(dy, kernel, 0..self.inputs, Halves::NONE, &[], false, dx);
        }
    }

    /// Makes the [gradients](Self::weight_gradients). Then, if the learner says so, steps and lays the weights
    /// out, for `backward` unless it is `first`, nothing before it learning: some inputs at a time, whose
    /// weights stay in the first cache.
    pub fn learn(&self, x: Rows<'_>, dy: Rows<'_>, first: bool, learner: &mut Learner<'_>) {
        let transposed = if first { 0 } else { self.transposed_len() };
        let lens = [self.weights_len(), self.packed_len(), transposed];
        let own = learner.own(self.at, lens);
        match own.rule {
            Some(rule) => self.step(x, dy, rule, own),
            None => self.sum(x, dy, own.gradients),
        }
    }

    fn step(&self, x: Rows<'_>, dy: Rows<'_>, rule: Rule, own: Own<'_>) {
        let Own { weights, packed, transposed, gradients, squares, .. } = own;
        let (x, dy) = (self.blocks(x, self.inputs), self.blocks(dy, self.units));
        let [(weights, bias), (gradients, bias_gradients), (squares, bias_squares)] =
            [weights, gradients, squares].map(|floats| floats.split_at_mut(self.kernel_len()));
        let (panels, packed_bias) = packed.split_at_mut(self.packed_kernel());
        let (row, mut packed) = (self.row(), self.groups(panels));
        let (turned, first) = (self.inputs.div_ceil(COLUMNS), transposed.is_empty());
        let shape = (turned, transposed.len() / turned);
        let mut transposed = ArrayViewMut2::from_shape(shape, transposed).expect("whole panels");
        let task = TASK_ROWS * self.units;
        let moved = gradients.chunks_mut(task).zip(weights.chunks_mut(task));
        let moved = moved.zip(squares.chunks_mut(task));
        let laid_out = packed.axis_chunks_iter_mut(Axis(1), TASK_ROWS);
        let laid_out = laid_out.zip(transposed.axis_chunks_iter_mut(Axis(0), TASK_ROWS / COLUMNS));
        share(moved.zip(laid_out).enumerate(), |(i, (moved, (mut packed, transposed)))| {
            let ((gradients, weights), squares) = moved;
            outer_products(x, dy, i * TASK_ROWS, gradients);
            rmsprop::step(rule, weights, gradients, squares);
            let kernel = self.matrix(weights);
            let groups = kernel.axis_chunks_iter(Axis(1), row);
            for (kernel, to) in groups.zip(packed.outer_iter_mut()) {
                pack_rows(&kernel, to.into_slice().expect("whole rows"), row);
            }
            if !first {
                let panels = transposed.into_slice().expect("whole panels");
                self.turn(weights, panels);
            }
        });
        sum_rows(dy, bias_gradients);
        rmsprop::step(rule, bias, bias_gradients, bias_squares);
        packed_bias[..bias.len()].copy_from_slice(bias);
    }

    /// Over the whole batch: `x` and `dy` are the inputs and what `backward` left of the outputs'
    /// gradients.
    ///
    /// # Panics
    /// If fewer than 15 floats, of any value, lie behind the last row of `x` or of `dy`: one of them is read in
    /// whole panels.
    pub fn weight_gradients(&self, x: Rows<'_>, dy: Rows<'_>, gradients: &mut [f32]) {
        self.sum(x, dy, &mut gradients[self.at.weights..][..self.weights_len()]);
    }

    fn sum(&self, x: Rows<'_>, dy: Rows<'_>, gradients: &mut [f32]) {
        let (x, dy) = (self.blocks(x, self.inputs), self.blocks(dy, self.units));
        let (kernel, bias) = gradients.split_at_mut(self.kernel_len());
        for_each_chunk(kernel, TASK_ROWS * self.units, &|task, kernel| {
            outer_products(x, dy, task * TASK_ROWS, kernel);
        });
        sum_rows(dy, bias);
    }

    /// Its packed kernel: groups of panels x inputs x a group's units.
    pub(super) fn groups<'a>(&self, panels: &'a mut [f32]) -> ArrayViewMut3<'a, f32> {
        let shape = (self.units.div_ceil(self.row()), self.inputs, self.row());
        ArrayViewMut3::from_shape(shape, panels).expect("as long as its panels")
    }

    /// Weights of some inputs, a row for each.
    fn matrix<'a>(&self, weights: &'a [f32]) -> ArrayView2<'a, f32> {
        let shape = (weights.len() / self.units, self.units);
        ArrayView2::from_shape(shape, weights).expect("whole rows")
    }

    /// Weights of some inputs into panels of sixteen.
    fn turn(&self, weights: &[f32], panels: &mut [f32]) {
        let some = panels.chunks_exact_mut(self.units * COLUMNS);
        for (panel, weights) in some.zip(weights.chunks(COLUMNS * self.units)) {
            transpose_panel(&Sixteen::new(weights.chunks_exact(self.units)), panel);
        }
    }

    pub(super) fn blocks<'a>(&self, rows: Rows<'a>, width: usize) -> Blocks<'a> {
        Blocks {
            floats: rows.floats,
            at: rows.at,
            stride: rows.stride,
            block: rows.shard * self.positions,
            rows: rows.count * self.positions,
            width,
        }
    }
}

/// As much of the sum of all rows as there is room for.
pub(super) fn sum_rows(rows: Blocks<'_>, sums: &mut [f32]) {
    sums.fill(0.0);
    for row in rows.iter() {
        elementwise::add(sums, row);
    }
}
