//! `Dense`.

use super::{AT, CHANNELS, Made, Numbers, WIDTHS, part, unguarded};
use crate::layer::Dense;
use crate::network::Shards;
use crate::reference::{self, widen};

/// Images in a shard.
const SHARD: usize = 8;
/// What is read behind the last row.
const SLACK: usize = 15;

/// A layer and its batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    inputs: usize,
    units: usize,
    /// Rows that one image has.
    positions: usize,
    images: usize,
    bias: bool,
    relu: bool,
}

impl Entry {
    fn weights_len(&self) -> usize {
        self.inputs * self.units + if self.bias { self.units } else { 0 }
    }
}

/// Also around the depth of a block of products (256) and the rows of a task (48).
pub(super) fn table() -> Vec<Entry> {
    const INPUTS: [usize; 7] = [47, 48, 49, 97, 255, 256, 257];
    let mut table = Vec::new();
    let sizes = CHANNELS.into_iter().chain(INPUTS);
    let batches = WIDTHS.into_iter().chain([8, 9, 15, 16, 17]);
    for (i, (inputs, images)) in sizes.zip(batches.cycle()).enumerate() {
        for j in 0..4 {
            let k = i + j;
            let units = CHANNELS[(3 * k + 1) % CHANNELS.len()];
            let positions = [1, 2, 1, 5][k % 4];
            let (bias, relu) = (k % 3 > 0, k % 2 > 0);
            table.push(Entry { inputs, units, positions, images, bias, relu });
        }
    }
    table
}

/// Inputs, the output's gradients, weights.
fn draw(entry: &Entry, numbers: Numbers) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let rows = entry.images * entry.positions;
    let (x, dy) = (numbers.draw(rows * entry.inputs, 0), numbers.draw(rows * entry.units, 1));
    (x, dy, numbers.draw(entry.weights_len(), 2))
}

/// What the layer itself makes.
pub(super) fn run(entry: &Entry, numbers: Numbers) -> Made<f32> {
    let layer = Dense::new(entry.inputs, entry.units).positions(entry.positions).at(AT);
    let layer = if entry.bias { layer } else { layer.no_bias() };
    let layer = if entry.relu { layer.relu() } else { layer };
    let (x, dy, weights) = draw(entry, numbers);
    let weights = [part(AT.weights, 0, 0.0), weights].concat();
    let mut packed = part(AT.packed, layer.packed_len(), 0.0);
    let mut transposed = part(AT.transposed, layer.transposed_len(), 0.0);
    layer.pack(&weights, &mut packed);
    layer.transpose(&weights, &mut transposed);

    // Each shard has room for all of its images, inputs first, then gradients.
    let [x_len, y_len] = [entry.inputs, entry.units].map(|width| entry.positions * width);
    let stride = SHARD * (x_len + y_len) + SLACK;
    let mut floats = vec![f32::NAN; entry.images.div_ceil(SHARD) * stride];
    let mut made = Made::default();
    let batches = x.chunks(SHARD * x_len).zip(dy.chunks(SHARD * y_len));
    for (arena, (x, dy)) in floats.chunks_exact_mut(stride).zip(batches) {
        let (xs, dys) = arena.split_at_mut(SHARD * x_len);
        let (xs, dys) = (&mut xs[..x.len()], &mut dys[..dy.len()]);
        xs.copy_from_slice(x);
        dys.copy_from_slice(dy);
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        layer.forward(&packed, x, &mut y);
        let mut masked = dy.to_vec();
        layer.backward(&transposed, &y, dys, Some(&mut dx));
        layer.backward(&[], &y, &mut masked, None);
        assert_eq!(*dys, masked, "with and without an input gradient");
        made.output.extend(y);
        made.input_gradient.extend(dx);
    }
    let shards = Shards { floats: &floats, stride, shard: SHARD, count: entry.images };
    let mut gradients = part(AT.weights, layer.weights_len(), f32::NAN);
    layer.weight_gradients(shards.rows(0), shards.rows(SHARD * x_len), &mut gradients);
    made.weight_gradient = unguarded(AT.weights, &gradients);
    unguarded(AT.packed, &packed);
    unguarded(AT.transposed, &transposed);
    made
}

/// What the definition makes.
fn run_slow(entry: &Entry, numbers: Numbers) -> Made<f64> {
    let (x, dy, weights) = draw(entry, numbers);
    let (x, mut dy, weights) = (widen(&x), widen(&dy), widen(&weights));
    let slow = reference::Dense { inputs: entry.inputs, units: entry.units };
    let (kernel, bias) = weights.split_at(entry.inputs * entry.units);
    let none = vec![0.0; entry.units];
    let mut output = slow.forward(&x, kernel, if entry.bias { bias } else { &none });
    if entry.relu {
        output = output.into_iter().map(|y| y.max(0.0)).collect();
        dy.iter_mut().zip(&output).for_each(|(dy, &y)| *dy = if y > 0.0 { *dy } else { 0.0 });
    }
    let mut weight_gradient = slow.grad_kernel(&x, &dy);
    if entry.bias {
        weight_gradient.extend(slow.grad_bias(&dy));
    }
    Made { output, input_gradient: slow.grad_input(kernel, &dy), weight_gradient }
}

#[test]
fn dense_layers_are_exact() {
    for entry in table() {
        assert!(
            run(&entry, Numbers::Exact).widen() == run_slow(&entry, Numbers::Exact),
            "{entry:?}"
        );
    }
}
