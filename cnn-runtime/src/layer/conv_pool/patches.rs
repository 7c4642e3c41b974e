//! Kernels as patches, one for each output channel, and back, sixteen by sixteen at a time.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use super::ConvPool;
use crate::kernel::elementwise::{self, copy_few};
use crate::kernel::rmsprop::{self, Rule};
use crate::kernel::simd::{COLUMNS, Lanes, Vector, load_columns, vectorized};
use crate::network::Parts;
use crate::optimizer::{Learner, Own};
use crate::team::share;

impl ConvPool {
    /// Floats of a kernel's row.
    const fn row_len(&self) -> usize {
        self.conv.kernel[1] * self.conv.input[2]
    }

    /// For each place of a patch whether it is a tap.
    fn taps(&self) -> impl Iterator<Item = bool> + use<> {
        let (rows, row_len, run) = (self.conv.kernel[0], self.row_len(), self.run());
        (0..rows).flat_map(move |_| (0..run).map(move |column| column < row_len))
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let kernels = self.conv.kernel(weights);
        let transposed = &mut transposed[self.conv.at.transposed..][..self.transposed_len()];
        let patches = transposed.chunks_mut(COLUMNS * self.patch());
        share(patches.zip(kernels.axis_chunks_iter(Axis(1), COLUMNS)), |(patches, kernel)| {
            cut_patches(self, &kernel, patches);
        });
    }

    /// Adds up the shards' gradients, in their order. Then, if the learner says so, steps and lays the weights
    /// out, for `backward` unless it is `first`, nothing before it learning.
    pub fn learn(&self, shards: Parts<'_>, first: bool, learner: &mut Learner<'_>) {
        let transposed = if first { 0 } else { self.transposed_len() };
        let lens = [self.weights_len(), self.packed_len(), transposed];
        let own = learner.own(self.conv.at, lens);
        match own.rule {
            Some(rule) => self.step(shards, rule, own),
            None => self.sum(shards, own.gradients),
        }
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        self.sum(shards, &mut gradients[self.conv.at.weights..][..self.weights_len()]);
    }

    fn sum(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let (kernel, bias) = gradients.split_at_mut(self.conv.taps() * self.conv.filters);
        let mut kernel = matrix(self.conv.filters, kernel);
        let kernels = kernel.axis_chunks_iter_mut(Axis(1), COLUMNS).enumerate();
        share(kernels, |(group, kernel)| {
            sum_patches(self, self.patches(shards, group, kernel.ncols()), kernel);
        });
        self.sum_bias(shards, bias);
    }

    /// Sixteen channels at a time, which stay in the first cache.
    fn step(&self, shards: Parts<'_>, rule: Rule, own: Own<'_>) {
        let Own { weights, packed, transposed, gradients, squares, .. } = own;
        let (filters, first) = (self.conv.filters, transposed.is_empty());
        let [(weights, bias), (gradients, bias_gradients), (squares, bias_squares)] =
            [weights, gradients, squares]
                .map(|floats| floats.split_at_mut(self.conv.taps() * filters));
        let (panels, packed_bias) = packed.split_at_mut(self.conv.packed_bias());
        let mut kernels = [weights, gradients, squares].map(|floats| matrix(filters, floats));
        let [weights, gradients, squares] =
            kernels.each_mut().map(|kernel| kernel.axis_chunks_iter_mut(Axis(1), COLUMNS));
        let shape = (filters, if first { 0 } else { self.patch() });
        let mut patches = ArrayViewMut2::from_shape(shape, transposed).expect("all of them");
        let laid_out = panels
            .chunks_exact_mut(self.conv.panel_len())
            .zip(patches.axis_chunks_iter_mut(Axis(0), COLUMNS));
        let groups = gradients.zip(weights).zip(squares).zip(laid_out).enumerate();
        share(groups, |(group, (((mut gradients, mut weights), squares), (panel, patches)))| {
            let sums = self.patches(shards, group, gradients.ncols());
            sum_patches(self, sums, gradients.view_mut());
            rmsprop::step_rows(rule, weights.view_mut(), &gradients.view(), squares);
            self.conv.pack_panel(&weights.view(), panel);
            if !first {
                let patches = patches.into_slice().expect("patches lie side by side");
                cut_patches(self, &weights.view(), patches);
            }
        });
        self.sum_bias(shards, bias_gradients);
        rmsprop::step(rule, bias, bias_gradients, bias_squares);
        packed_bias[..bias.len()].copy_from_slice(bias);
    }

    /// The shards' gradients of `count` channels from a group's first one on, as patches.
    fn patches<'a>(&self, shards: Parts<'a>, group: usize, count: usize) -> Parts<'a> {
        let at = self.conv.at.gradients + group * COLUMNS * self.patch();
        shards.cut(at, count * self.patch())
    }

    fn sum_bias(&self, shards: Parts<'_>, bias: &mut [f32]) {
        let at = self.conv.at.gradients + self.conv.filters * self.patch();
        bias.fill(0.0);
        for shard in shards.cut(at, bias.len()).iter() {
            elementwise::add(bias, shard);
        }
    }
}

/// Rows of so many floats.
fn matrix(columns: usize, floats: &mut [f32]) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((floats.len() / columns, columns), floats).expect("whole rows")
}

vectorized! {
    /// The patches of up to sixteen channels, the columns of `kernel`.
    fn cut_patches(this: &ConvPool, kernel: &ArrayView2<'_, f32>, patches: &mut [f32])
        = cut_patches_body;

    /// The sums of up to sixteen channels' patches, which become the columns of `kernel`.
    fn sum_patches(this: &ConvPool, shards: Parts<'_>, kernel: ArrayViewMut2<'_, f32>)
        = sum_patches_body;
}

#[inline(always)]
fn cut_patches_body<L: Lanes>(this: &ConvPool, kernel: &ArrayView2<'_, f32>, patches: &mut [f32]) {
    let (len, count) = (this.patch(), kernel.ncols());
    let mut rows = kernel.rows().into_iter();
    let mut taps = this.taps();
    for place in (0..len).step_by(COLUMNS) {
        let places = COLUMNS.min(len - place);
        let mut square = [[0.0; COLUMNS]; COLUMNS];
        for (to, tap) in square[..places].iter_mut().zip(&mut taps) {
            if let Some(row) = tap.then(|| rows.next()).flatten() {
                let row = row.to_slice().expect("channels lie side by side");
                copy_few(&mut to[..count], row);
            }
        }
        L::turn(&mut square);
        for (from, patch) in square.iter().zip(patches.chunks_exact_mut(len)) {
            copy_few(&mut patch[place..place + places], &from[..places]);
        }
    }
}

#[inline(always)]
fn sum_patches_body<L: Lanes>(
    this: &ConvPool,
    shards: Parts<'_>,
    mut kernel: ArrayViewMut2<'_, f32>,
) {
    let (len, count) = (this.patch(), kernel.ncols());
    let mut rows = kernel.rows_mut().into_iter();
    let mut taps = this.taps();
    for place in (0..len).step_by(COLUMNS) {
        let places = COLUMNS.min(len - place);
        let mut square = [[0.0; COLUMNS]; COLUMNS];
        for shard in shards.iter() {
            for (sums, patch) in square.iter_mut().zip(shard.chunks_exact(len)) {
                let more = load_columns::<L::Wide>(&patch[place..], places);
                L::Wide::load(sums).add(more).store(sums);
            }
        }
        L::turn(&mut square);
        for (from, tap) in square[..places].iter().zip(&mut taps) {
            if let Some(row) = tap.then(|| rows.next()).flatten() {
                let row = row.into_slice().expect("channels lie side by side");
                copy_few(row, &from[..count]);
            }
        }
    }
}
