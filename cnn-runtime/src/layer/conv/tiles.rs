//! A convolution's way back by Winograd's algorithm.

use ndarray::{ArrayViewMut3, Axis};

use super::{Conv2D, TASK};
use crate::kernel::elementwise;
use crate::layer::winograd::gradient::{self, Outputs};
use crate::layer::winograd::{self, Form, Winograd};
use crate::network::Parts;
use crate::team::share;

/// Tiles from which on a kernel's gradient is summed at the places of larger ones: fewer do not make up for
/// the sums of more places.
const MANY: usize = 32;

impl Conv2D {
    /// Winograd's sizes for the kernel's gradient and for the input's, if that is how the way back goes.
    pub(super) const fn tiles_back(&self) -> Option<[Winograd; 2]> {
        let (Some(tiles), Some(form)) = (self.as_winograd(), self.form_back()) else { return None };
        let [down, across] = tiles.tiles();
        let outputs = if down * across < MANY { 2 } else { form.outputs };
        let kernel = Winograd { form: Form { outputs, ..form }, ..tiles };
        let [rows, columns, channels] = self.input;
        let input = Winograd {
            form,
            input: self.output(),
            frame: self.spread_origin(),
            filters: channels,
            windows: [rows.div_ceil(2), columns.div_ceil(2)],
        };
        Some([kernel, input])
    }

    /// Floats of the output's gradient where a relu changes it.
    pub(super) const fn masked_len(&self) -> usize {
        let [rows, columns, channels] = self.output();
        if self.relu { rows * columns * channels } else { 0 }
    }

    /// `backward` by Winograd's algorithm, which brings frames of its own.
    pub(super) fn backward_tiles(
        &self,
        [kernel, input]: [Winograd; 2],
        transposed: &[f32],
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (masked, scratch) = scratch.split_at_mut(self.masked_len());
        let dy = if self.relu {
            masked.copy_from_slice(dy);
            elementwise::mask(masked, y);
            masked
        } else {
            dy
        };
        let (sums, bias) = gradients.split_at_mut(gradients.len() - self.bias_len());
        let outputs = Outputs { shape: self.output(), dy };
        gradient::kernel_gradient(&kernel, x, outputs, sums, scratch);
        if self.bias {
            for pixel in dy.chunks_exact(self.filters) {
                elementwise::add(bias, pixel);
            }
        }
        if let Some(dx) = dx {
            let len = input.form.packed_len(self.filters, self.input[2]);
            let panels = &transposed[self.at.transposed..][..len];
            let dx = winograd::Image { shape: self.input, relu: false, y: dx };
            winograd::convolve_image(&input, panels, dy, dx, scratch);
        }
    }

    /// `weight_gradients` where shards have their sums at Winograd's places, channel by channel.
    pub(super) fn gather_places(&self, tiles: &Winograd, shards: Parts<'_>, gradients: &mut [f32]) {
        let (channels, filters) = (self.input[2], self.filters);
        let (kernel, bias) = gradients.split_at_mut(9 * channels * filters);
        let kernel = ArrayViewMut3::from_shape((9, channels, filters), kernel);
        let mut kernel = kernel.expect("as long as its taps");
        let together = TASK.div_ceil(9 * filters);
        let tasks = kernel.axis_chunks_iter_mut(Axis(1), together).enumerate();
        share(tasks, |(task, kernel)| gradient::gather(tiles, shards, task * together, kernel));
        bias.fill(0.0);
        for shard in shards.iter() {
            elementwise::add(bias, &shard[tiles.gradients_len()..]);
        }
    }
}
