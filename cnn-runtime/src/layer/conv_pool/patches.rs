//! Kernels as patches, one for each output channel, and back, sixteen by sixteen at a time.

use ndarray::{ArrayViewMut2, Axis};

use super::ConvPool;
use crate::kernel::elementwise::{self, copy_few};
use crate::kernel::simd::{COLUMNS, Lanes, Vector, load_columns, vectorized};
use crate::network::Parts;
use crate::team::{for_each_chunk, share};

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
        let kernel = &weights[self.conv.at.weights..][..self.conv.taps() * self.conv.filters];
        let transposed = &mut transposed[self.conv.at.transposed..][..self.transposed_len()];
        for_each_chunk(transposed, COLUMNS * self.patch(), &|group, patches| {
            cut_patches(self, kernel, group * COLUMNS, patches);
        });
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients(&self, shards: Parts<'_>, gradients: &mut [f32]) {
        let (filters, len) = (self.conv.filters, self.patch());
        let shards = shards.cut(self.conv.at.gradients, self.gradients_len());
        let gradients = &mut gradients[self.conv.at.weights..][..self.weights_len()];
        let (kernel, bias) = gradients.split_at_mut(self.conv.taps() * filters);
        let kernel = ArrayViewMut2::from_shape((self.conv.taps(), filters), kernel);
        let mut kernel = kernel.expect("as long as its taps");
        let some = kernel.axis_chunks_iter_mut(Axis(1), COLUMNS).enumerate();
        share(some, |(group, kernel)| {
            let patches = shards.cut(group * COLUMNS * len, kernel.ncols() * len);
            sum_patches(self, patches, kernel);
        });
        bias.fill(0.0);
        for shard in shards.iter() {
            elementwise::add(bias, &shard[filters * len..][..bias.len()]);
        }
    }
}

vectorized! {
    /// The patches of up to sixteen channels from `first` on.
    fn cut_patches(this: &ConvPool, kernel: &[f32], first: usize, patches: &mut [f32])
        = cut_patches_body;

    /// The sums of up to sixteen channels' patches, which become the columns of `kernel`.
    fn sum_patches(this: &ConvPool, shards: Parts<'_>, kernel: ArrayViewMut2<'_, f32>)
        = sum_patches_body;
}

#[inline(always)]
fn cut_patches_body<L: Lanes>(this: &ConvPool, kernel: &[f32], first: usize, patches: &mut [f32]) {
    let len = this.patch();
    let count = patches.len() / len;
    let mut rows = kernel.chunks_exact(this.conv.filters);
    let mut taps = this.taps();
    for place in (0..len).step_by(COLUMNS) {
        let places = COLUMNS.min(len - place);
        let mut square = [[0.0; COLUMNS]; COLUMNS];
        for (to, tap) in square[..places].iter_mut().zip(&mut taps) {
            if let Some(row) = tap.then(|| rows.next()).flatten() {
                copy_few(&mut to[..count], &row[first..first + count]);
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
