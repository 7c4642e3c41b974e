//! Kernels as patches, one for each output channel, and back, sixteen by sixteen at a time.

use ndarray::{ArrayView1, ArrayViewMut2, Axis};

use super::ConvPool;
use crate::kernel::elementwise;
use crate::kernel::panels::{Sixteen, transpose_panel};
use crate::kernel::simd::COLUMNS;
use crate::team::share;

/// Places of a patch that are summed together.
const TOGETHER: usize = 256;

impl ConvPool {
    /// Floats of a kernel's row.
    const fn row_len(&self) -> usize {
        self.conv.kernel[1] * self.conv.input[2]
    }

    /// Lays its weights out for `backward`.
    pub fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
        let (filters, row_len, len) = (self.conv.filters, self.row_len(), self.patch());
        let kernel = &weights[self.conv.at.weights..][..self.conv.taps() * filters];
        let transposed = &mut transposed[self.conv.at.transposed..][..self.transposed_len()];
        let some = transposed.chunks_mut(COLUMNS * len).enumerate();
        share(some, |(group, patches)| {
            let (first, count) = (group * COLUMNS, patches.len() / len);
            for (i, from) in kernel.chunks_exact(row_len * filters).enumerate() {
                for (place, from) in (0..).step_by(COLUMNS).zip(from.chunks(COLUMNS * filters)) {
                    let rows = from.chunks_exact(filters).map(|row| &row[first..first + count]);
                    let (places, turned) = (from.len() / filters, turn(rows, count));
                    let patches = patches.chunks_exact_mut(len);
                    for (patch, turned) in patches.zip(&turned) {
                        let to = &mut patch[i * self.run() + place..][..places];
                        to.copy_from_slice(&turned[..places]);
                    }
                }
            }
        });
    }

    /// Adds up the shards' gradients, in their order.
    pub fn weight_gradients<'a>(
        &self,
        shards: impl Iterator<Item = &'a [f32]> + Clone + Sync,
        gradients: &mut [f32],
    ) {
        let (filters, row_len, len) = (self.conv.filters, self.row_len(), self.patch());
        let shards = shards.map(|shard| &shard[self.conv.at.gradients..][..self.gradients_len()]);
        let gradients = &mut gradients[self.conv.at.weights..][..self.weights_len()];
        let (kernel, bias) = gradients.split_at_mut(self.conv.taps() * filters);
        let kernel = ArrayViewMut2::from_shape((self.conv.taps(), filters), kernel);
        let mut kernel = kernel.expect("as long as its taps");
        let some = kernel.axis_chunks_iter_mut(Axis(1), COLUMNS).enumerate();
        share(some, |(group, mut kernel)| {
            let (first, count) = (group * COLUMNS, kernel.ncols());
            let mut sums = [[0.0; TOGETHER]; COLUMNS];
            for first_place in (0..len).step_by(TOGETHER) {
                let places = TOGETHER.min(len - first_place);
                sums.as_flattened_mut().fill(0.0);
                for shard in shards.clone() {
                    let patches = shard[first * len..].chunks_exact(len).take(count);
                    for (sums, patch) in sums.iter_mut().zip(patches) {
                        elementwise::add(
                            &mut sums[..places],
                            &patch[first_place..first_place + places],
                        );
                    }
                }
                for at in (0..places).step_by(COLUMNS) {
                    let columns = COLUMNS.min(places - at);
                    let rows = sums[..count].iter().map(|sums| &sums[at..at + columns]);
                    for (turned, place) in
                        turn(rows, columns).iter().zip(first_place + at..first_place + places)
                    {
                        let (row, column) = (place / self.run(), place % self.run());
                        if column < row_len {
                            let mut to = kernel.row_mut(row * row_len + column);
                            to.assign(&ArrayView1::from(&turned[..count]));
                        }
                    }
                }
            }
        });
        bias.fill(0.0);
        for shard in shards {
            elementwise::add(bias, &shard[filters * len..][..bias.len()]);
        }
    }
}

/// The first `columns` columns of up to sixteen rows, as rows.
fn turn<'a>(rows: impl Iterator<Item = &'a [f32]>, columns: usize) -> [[f32; COLUMNS]; COLUMNS] {
    let mut turned = [[0.0; COLUMNS]; COLUMNS];
    transpose_panel(&Sixteen::new(rows), turned[..columns].as_flattened_mut());
    turned
}
