//! A convolution's way back by Winograd's algorithm.

use super::{Conv2D, TASK};
use crate::kernel::elementwise;
use crate::kernel::simd::COLUMNS;
use crate::layer::winograd::gradient::{self, Outputs};
use crate::layer::winograd::{self, Winograd};
use crate::team::share;

impl Conv2D {
    /// Winograd's sizes for the input's gradient.
    pub(super) const fn turned(&self) -> Winograd {
        let [rows, columns, channels] = self.input;
        Winograd {
            input: self.output(),
            frame: self.spread_origin(),
            filters: channels,
            kernel: 3,
            tiles: [rows.div_ceil(2), columns.div_ceil(2)],
        }
    }

    /// Floats of the output's gradient where a relu changes it.
    pub(super) const fn masked_len(&self) -> usize {
        let [rows, columns, channels] = self.output();
        if self.relu { rows * columns * channels } else { 0 }
    }

    /// `backward` by Winograd's algorithm, which brings frames of its own.
    pub(super) fn backward_tiles(
        &self,
        winograd: &Winograd,
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
        gradient::kernel_gradient(winograd, x, outputs, sums, scratch);
        if self.bias {
            for pixel in dy.chunks_exact(self.filters) {
                elementwise::add(bias, pixel);
            }
        }
        if let Some(dx) = dx {
            let turned = self.turned();
            let len = Winograd::packed_len(3, self.filters, self.input[2]);
            let panels = &transposed[self.at.transposed..][..len];
            let dx = winograd::Image { shape: self.input, relu: false, y: dx };
            winograd::convolve_image(&turned, panels, dy, dx, scratch);
        }
    }

    /// `weight_gradients` where shards have their sums at Winograd's places, channel by channel.
    pub(super) fn gather_places<'a>(
        &self,
        shards: impl Iterator<Item = &'a [f32]> + Clone + Sync,
        gradients: &mut [f32],
    ) {
        let (channels, filters) = (self.input[2], self.filters);
        let (kernel, bias) = gradients.split_at_mut(9 * channels * filters);
        let width = filters.next_multiple_of(COLUMNS);
        let mut taps = kernel.chunks_exact_mut(channels * filters);
        let together = TASK.div_ceil(9 * filters);
        let mut tap = || taps.next().unwrap_or_default().chunks_mut(together * filters);
        let tasks = tap().zip(tap()).zip(tap()).zip(tap()).zip(tap());
        let tasks = tasks.zip(tap()).zip(tap()).zip(tap()).zip(tap()).enumerate();
        share(tasks, |(task, ((((((((a, b), d), e), f), g), h), i), j))| {
            let mut taps = [a, b, d, e, f, g, h, i, j];
            for channel in 0..taps[0].len() / filters {
                let from = (task * together + channel) * width;
                for filter in (0..filters).step_by(COLUMNS) {
                    let (mut sums, mut turned) = ([0.0; gradient::SUMS], [0.0; gradient::TAPS]);
                    for shard in shards.clone() {
                        gradient::add_places(&shard[from + filter..], channels * width, &mut sums);
                    }
                    gradient::turn_back(&sums, &mut turned);
                    let count = COLUMNS.min(filters - filter);
                    for (tap, turned) in taps.iter_mut().zip(turned.chunks_exact(COLUMNS)) {
                        let to = &mut tap[channel * filters + filter..][..count];
                        to.copy_from_slice(&turned[..count]);
                    }
                }
            }
        });
        bias.fill(0.0);
        for shard in shards {
            elementwise::add(bias, &shard[Winograd::gradients_len(channels, filters)..]);
        }
    }
}
