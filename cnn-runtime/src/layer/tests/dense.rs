//! `Dense`.

use super::{AT, CHANNELS, Made, Numbers, WIDTHS, part, unguarded};
use crate::exchange::Exchange;
use crate::layer::Dense;
use crate::network::{Pass, Shards};
use crate::optimizer::{Optimizer, OptimizerKind};
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
    /// Whether most numbers of the input are zero, and some inputs in all images.
    sparse: bool,
}

impl Entry {
    fn weights_len(&self) -> usize {
        self.inputs * self.units + if self.bias { self.units } else { 0 }
    }
}

/// Also around the depth of a block of products (128; of one row 256) and the rows of a task (48).
pub(super) fn table() -> Vec<Entry> {
    const INPUTS: [usize; 10] = [47, 48, 49, 97, 127, 128, 129, 255, 256, 257];
    let mut table = Vec::new();
    let sizes = CHANNELS.into_iter().chain(INPUTS);
    let batches = WIDTHS.into_iter().chain([8, 9, 15, 16, 17]);
    for (i, (inputs, images)) in sizes.zip(batches.cycle()).enumerate() {
        for j in 0..4 {
            let k = i + j;
            let units = CHANNELS[(3 * k + 1) % CHANNELS.len()];
            let positions = [1, 2, 1, 5][k % 4];
            let (bias, relu) = (k % 3 > 0, k % 2 > 0);
            let sparse = k % 5 == 0;
            table.push(Entry { inputs, units, positions, images, bias, relu, sparse });
        }
    }
    // Large enough for their outputs to be summed in halves, and too small by a unit or an input.
    for (inputs, units, images) in
        [(256, 256, 1), (257, 263, 2), (300, 290, 17), (400, 272, 33), (256, 255, 9), (255, 256, 8)]
    {
        for (bias, relu) in [(true, true), (false, false)] {
            let (positions, sparse) = (1, !bias);
            table.push(Entry { inputs, units, positions, images, bias, relu, sparse });
        }
    }
    table
}

/// Of those, the layers that training may do over a whole batch; of sparse inputs too. And batches of which
/// lists of live inputs hold all rows of a task at once or only some.
pub(super) fn table_of_rows() -> Vec<Entry> {
    let large = [(120, 80), (140, 50), (300, 97)].map(|(images, units)| {
        let (inputs, positions, bias, relu, sparse) = (40, 1, true, true, true);
        Entry { inputs, units, positions, images, bias, relu, sparse }
    });
    let rows = table().into_iter().filter(|entry| entry.positions == 1);
    let rows = rows.flat_map(|entry| [false, true].map(|sparse| Entry { sparse, ..entry }));
    rows.chain(large).collect()
}

/// Inputs, the output's gradients, weights.
fn draw(entry: &Entry, numbers: Numbers) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let rows = entry.images * entry.positions;
    let (mut x, dy) = (numbers.draw(rows * entry.inputs, 0), numbers.draw(rows * entry.units, 1));
    if entry.sparse {
        for (index, x) in x.iter_mut().enumerate() {
            let (row, input) = (index / entry.inputs, index % entry.inputs);
            if input % 2 > 0 || (row + input) % 3 > 0 {
                *x = 0.0;
            }
        }
    }
    (x, dy, numbers.draw(entry.weights_len(), 2))
}

fn layer(entry: &Entry) -> Dense {
    let layer = Dense::new(entry.inputs, entry.units).positions(entry.positions).at(AT);
    let layer = if entry.bias { layer } else { layer.no_bias() };
    if entry.relu { layer.relu() } else { layer }
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// A layer that works on its batch as a whole.
struct Batch {
    layer: Dense,
    weights: Vec<f32>,
    packed: Vec<f32>,
    exchange: Exchange,
    /// Of all shards: inputs, then the outputs' gradients.
    floats: Vec<f32>,
    stride: usize,
    images: usize,
    x_len: usize,
}

impl Batch {
    fn new(entry: &Entry, numbers: Numbers) -> Self {
        let layer = layer(entry);
        let (x, _, weights) = draw(entry, numbers);
        let weights = [part(AT.weights, 0, 0.0), weights].concat();
        let mut packed = part(AT.packed, layer.packed_len(), 0.0);
        layer.pack(&weights, &mut packed);
        let stride = SHARD * (entry.inputs + entry.units);
        let mut floats = vec![f32::NAN; entry.images.div_ceil(SHARD) * stride];
        for (arena, x) in floats.chunks_exact_mut(stride).zip(x.chunks(SHARD * entry.inputs)) {
            arena[..x.len()].copy_from_slice(x);
        }
        // One that has held a larger batch.
        let mut exchange = Exchange::new(entry.images + 20, AT.exchange + layer.exchange_len());
        exchange.part_mut(0).fill(f32::NAN);
        let (images, x_len) = (entry.images, entry.inputs);
        Self { layer, weights, packed, exchange, floats, stride, images, x_len }
    }

    fn shards(&self) -> Shards<'_> {
        Shards { floats: &self.floats, stride: self.stride, shard: SHARD, count: self.images }
    }

    /// The passes of the shards, by number and images.
    fn passes(&self) -> impl Iterator<Item = (usize, Pass, usize)> + use<> {
        let images = self.images;
        (0..images).step_by(SHARD).enumerate().map(move |(shard, first)| {
            let pass = Pass::Training { seed: 0, step: 0, first: first as u64 };
            (shard, pass, SHARD.min(images - first))
        })
    }

    fn forward(&mut self, units: usize) -> Vec<f32> {
        let (layer, mut exchange) =
            (self.layer, std::mem::replace(&mut self.exchange, Exchange::new(0, 0)));
        layer.couple(&self.packed, self.shards().rows(0), &mut exchange);
        self.exchange = exchange;
        let mut y = Vec::new();
        for (_, pass, count) in self.passes() {
            let mut rows = vec![f32::NAN; count * units];
            layer.take(&self.exchange, pass, &mut rows);
            y.extend(rows);
        }
        y
    }

    /// The input's gradients, and the weights'; with `moves` the optimizer's step instead.
    fn backward(
        &mut self,
        y: &[f32],
        dy: &[f32],
        units: usize,
        optimizer: &mut Optimizer,
        moves: bool,
    ) -> [Vec<f32>; 2] {
        for (shard, _, count) in self.passes().collect::<Vec<_>>() {
            let at = shard * self.stride + SHARD * self.x_len;
            let own = shard * SHARD * units..(shard * SHARD + count) * units;
            let rows = &mut self.floats[at..at + count * units];
            rows.copy_from_slice(&dy[own.clone()]);
            self.layer.stop(&y[own], rows);
        }
        let (mut weights, mut packed) = (self.weights.clone(), self.packed.clone());
        let mut exchange = std::mem::replace(&mut self.exchange, Exchange::new(0, 0));
        let mut gradients = part(AT.weights, self.layer.weights_len(), f32::NAN);
        let laid_out = [packed.as_mut_slice(), &mut []];
        let mut learner = optimizer.learner(moves, &mut weights, laid_out, &mut gradients);
        let dy = self.shards().rows(SHARD * self.x_len);
        self.layer.couple_back(dy, false, &mut exchange, &mut learner);
        (self.exchange, self.weights, self.packed) = (exchange, weights, packed);
        let mut dx = Vec::new();
        for (_, pass, count) in self.passes() {
            let mut rows = vec![f32::NAN; count * self.x_len];
            self.layer.take_back(&self.exchange, pass, &mut rows);
            dx.extend(rows);
        }
        [dx, unguarded(AT.weights, &gradients)]
    }
}

fn optimizer(layer: &Dense) -> Optimizer {
    Optimizer::new(OptimizerKind::RMSPROP, AT.weights + layer.weights_len())
}

/// What a layer makes that works on its batch as a whole.
pub(super) fn run_batch(entry: &Entry, numbers: Numbers) -> Made<f32> {
    let (_, dy, _) = draw(entry, numbers);
    let mut batch = Batch::new(entry, numbers);
    let output = batch.forward(entry.units);
    let mut optimizer = optimizer(&batch.layer);
    let [input_gradient, weight_gradient] =
        batch.backward(&output, &dy, entry.units, &mut optimizer, false);
    Made { output, input_gradient, weight_gradient }
}

/// What the layer itself makes.
pub(super) fn run(entry: &Entry, numbers: Numbers) -> Made<f32> {
    let layer = layer(entry);
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
        for (x, y) in x.chunks_exact(entry.inputs).zip(y.chunks_exact(entry.units)) {
            let mut shared = vec![f32::NAN; entry.units];
            layer.in_two(&packed, x, &mut shared);
            assert_eq!(bits(y), bits(&shared), "{entry:?} by two threads");
        }
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

/// On noise to the last bit: both sum in one order.
#[test]
fn a_batch_as_a_whole_is_like_its_shards() {
    for entry in table_of_rows() {
        for numbers in [Numbers::Exact, Numbers::Noise] {
            let (whole, shards) = (run_batch(&entry, numbers), run(&entry, numbers));
            assert!(whole.bits() == shards.bits(), "{entry:?} {numbers:?}");
        }
    }
}

#[test]
fn a_step_at_once_is_like_gradients_and_a_step() {
    for entry in table_of_rows() {
        let (_, dy, _) = draw(&entry, Numbers::Noise);
        let [at_once, apart] = [true, false].map(|moves| {
            let mut batch = Batch::new(&entry, Numbers::Noise);
            let layer = batch.layer;
            let mut optimizer = optimizer(&layer);
            let mut dx = Vec::new();
            for _ in 0..2 {
                let y = batch.forward(entry.units);
                let [back, gradients] = batch.backward(&y, &dy, entry.units, &mut optimizer, moves);
                dx.push(back);
                if !moves {
                    let gradients = [part(AT.weights, 0, 0.0), gradients].concat();
                    let range = AT.weights..gradients.len();
                    optimizer.step(&mut batch.weights, &gradients, &[range]);
                    layer.pack(&batch.weights, &mut batch.packed);
                }
            }
            (batch.weights, batch.packed, optimizer.slots()[0].to_vec(), dx)
        });
        assert!(at_once == apart, "{entry:?}");
    }
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
