//! The other layers whose kernels slide over an image: `Conv2D` in groups, `DepthwiseConv2D`,
//! `Conv2DTranspose`, `LocallyConnected2D`.

use std::fmt::Debug;

use super::{AT, CHANNELS, Made, Numbers, WIDTHS, part, unguarded};
use crate::layer::{Conv2D, Conv2DTranspose, DepthwiseConv2D, LocallyConnected2D};
use crate::network::Parts;
use crate::reference::{self, same_padding, widen};

/// Images in a shard.
const SHARD: usize = 2;
/// Two shards, of which one is not full.
const IMAGES: usize = 3;

/// A layer as emitted code calls it.
trait Fast: Debug {
    /// Floats of the packed weights, the transposed ones, a shard's gradients, the weights, and of
    /// the scratch forward and back.
    fn lens(&self) -> [usize; 6];
    fn pack(&self, weights: &[f32], packed: &mut [f32]);
    fn transpose(&self, weights: &[f32], transposed: &mut [f32]);
    fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]);
    fn backward(
        &self,
        transposed: &[f32],
        image: [&[f32]; 3],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    );
    fn weight_gradients(&self, shards: &[Vec<f32>], gradients: &mut [f32]);
}

/// Kernel, then bias, and what the definition makes of them.
trait Slow: Debug {
    fn input(&self) -> [usize; 3];
    fn output(&self) -> [usize; 3];
    fn kernel_len(&self) -> usize;
    fn bias_len(&self) -> usize;
    fn forward(&self, x: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64>;
    fn grad_input(&self, kernel: &[f64], dy: &[f64]) -> Vec<f64>;
    fn grad_kernel(&self, x: &[f64], dy: &[f64]) -> Vec<f64>;
    fn grad_bias(&self, dy: &[f64]) -> Vec<f64>;
}

macro_rules! fast {
    ($($layer:ident),*) => {$(
        impl Fast for $layer {
            fn lens(&self) -> [usize; 6] {
                [
                    self.packed_len(), self.transposed_len(), self.gradients_len(),
                    self.weights_len(), self.forward_scratch(), self.backward_scratch(),
                ]
            }
            fn pack(&self, weights: &[f32], packed: &mut [f32]) {
                self.pack(weights, packed);
            }
            fn transpose(&self, weights: &[f32], transposed: &mut [f32]) {
                self.transpose(weights, transposed);
            }
            fn forward(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
                self.forward(packed, x, y, scratch);
            }
            fn backward(
                &self,
                transposed: &[f32],
                [x, y, dy]: [&[f32]; 3],
                dx: Option<&mut [f32]>,
                gradients: &mut [f32],
                scratch: &mut [f32],
            ) {
                self.backward(transposed, x, y, dy, dx, gradients, scratch);
            }
            fn weight_gradients(&self, shards: &[Vec<f32>], gradients: &mut [f32]) {
                let floats = shards.concat();
                self.weight_gradients(Parts::new(&floats, shards[0].len()), gradients);
            }
        }
    )*};
}
fast!(Conv2D, Conv2DTranspose, DepthwiseConv2D, LocallyConnected2D);

macro_rules! slow {
    ($($layer:ident: $bias:expr;)*) => {$(
        impl Slow for reference::$layer {
            fn input(&self) -> [usize; 3] {
                self.input
            }
            fn output(&self) -> [usize; 3] {
                self.output()
            }
            fn kernel_len(&self) -> usize {
                self.kernel_len()
            }
            fn bias_len(&self) -> usize {
                let bias: fn(&Self) -> usize = $bias;
                bias(self)
            }
            fn forward(&self, x: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64> {
                self.forward(x, kernel, bias)
            }
            fn grad_input(&self, kernel: &[f64], dy: &[f64]) -> Vec<f64> {
                self.grad_input(kernel, dy)
            }
            fn grad_kernel(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
                self.grad_kernel(x, dy)
            }
            fn grad_bias(&self, dy: &[f64]) -> Vec<f64> {
                self.grad_bias(dy)
            }
        }
    )*};
}
slow! {
    Conv2D: |layer| layer.filters;
    Conv2DTranspose: |layer| layer.filters;
    LocallyConnected2D: |layer| layer.output().iter().product();
}

/// A layer, and what it is by definition.
#[derive(Debug)]
pub(super) struct Entry {
    fast: Box<dyn Fast>,
    slow: Box<dyn Slow>,
    bias: bool,
    relu: bool,
}

type Size = [usize; 2];

/// Kernel size, strides, dilation, whether padded.
const WINDOWS: [(Size, Size, Size, bool); 11] = [
    ([1, 1], [1, 1], [1, 1], false),
    ([1, 1], [2, 3], [1, 1], false),
    ([2, 2], [3, 3], [1, 1], true),
    ([3, 3], [1, 1], [1, 1], true),
    ([3, 3], [2, 2], [1, 1], true),
    ([3, 3], [1, 1], [1, 1], false),
    ([5, 4], [2, 1], [1, 1], true),
    ([1, 7], [1, 1], [1, 1], true),
    ([3, 2], [1, 2], [1, 1], false),
    ([3, 3], [1, 1], [2, 2], true),
    ([2, 3], [2, 1], [2, 3], true),
];

/// A window over an image, where it fits, for every place in a table.
fn windows(inputs: impl Fn(usize) -> usize) -> Vec<(usize, reference::Conv2D)> {
    let mut table = Vec::new();
    for (w, (kernel_size, strides, dilation, padded)) in WINDOWS.into_iter().enumerate() {
        for i in 0..CHANNELS.len() {
            let input = [1 + (3 * i + w) % 7, WIDTHS[(i + w) % WIDTHS.len()], inputs(i)];
            let along = |axis: usize| {
                let size = (kernel_size[axis], strides[axis], dilation[axis]);
                let (before, after) = same_padding(input[axis], size.0, size.1, size.2);
                if padded { [before, after] } else { [0, 0] }
            };
            let ([top, bottom], [left, right]) = (along(0), along(1));
            let padding = [top, bottom, left, right];
            let fits = |axis: usize| {
                let padded = input[axis] + padding[2 * axis] + padding[2 * axis + 1];
                padded > (kernel_size[axis] - 1) * dilation[axis]
            };
            if fits(0) && fits(1) {
                let (filters, groups) = (1, 1);
                table.push((
                    i + w,
                    reference::Conv2D {
                        input,
                        filters,
                        kernel_size,
                        strides,
                        padding,
                        dilation,
                        groups,
                    },
                ));
            }
        }
    }
    table
}

fn depthwise() -> Vec<Entry> {
    let entry = |(i, window): (usize, reference::Conv2D)| {
        let (bias, relu, multiplier) = (i % 3 > 0, i % 2 > 0, [1, 1, 2, 5][i % 4]);
        let groups = window.input[2];
        let slow = reference::Conv2D { filters: groups * multiplier, groups, ..window };
        let fast = DepthwiseConv2D::new(slow.input, slow.kernel_size)
            .multiplier(multiplier)
            .strides(slow.strides)
            .dilation(slow.dilation)
            .padding(slow.padding)
            .at(AT);
        let fast = if bias { fast } else { fast.no_bias() };
        let fast = if relu { fast.relu() } else { fast };
        Entry { fast: Box::new(fast), slow: Box::new(slow), bias, relu }
    };
    windows(|i| CHANNELS[i]).into_iter().map(entry).collect()
}

/// Groups of as many channels and filters as there are in the table.
fn grouped() -> Vec<Entry> {
    let entry = |(i, window): (usize, reference::Conv2D)| {
        let (bias, relu, groups) = (i % 3 > 0, i % 2 > 0, 2 + i % 3);
        let (channels, filters) = (window.input[2], CHANNELS[(3 * i + 1) % CHANNELS.len()]);
        let input = [window.input[0], window.input[1], channels * groups];
        let slow = reference::Conv2D { input, filters: filters * groups, groups, ..window };
        let fast = Conv2D::new(slow.input, slow.filters, slow.kernel_size)
            .strides(slow.strides)
            .dilation(slow.dilation)
            .padding(slow.padding)
            .groups(groups)
            .at(AT);
        let fast = if bias { fast } else { fast.no_bias() };
        let fast = if relu { fast.relu() } else { fast };
        Entry { fast: Box::new(fast), slow: Box::new(slow), bias, relu }
    };
    windows(|i| CHANNELS[i]).into_iter().map(entry).collect()
}

/// Windows from the smaller image to the larger one, of which some rows and columns are cut off.
fn transposed() -> Vec<Entry> {
    let entry = |(i, window): (usize, reference::Conv2D)| {
        let (bias, relu) = (i % 3 > 0, i % 2 > 0);
        let (input, filters) = (window.output(), CHANNELS[(3 * i + 1) % CHANNELS.len()]);
        let [height, width, channels] = window.input;
        let input = [input[0], input[1], channels];
        let [top, _, left, _] = window.padding;
        let slow = reference::Conv2DTranspose {
            input,
            size: [height, width],
            filters,
            kernel_size: window.kernel_size,
            strides: window.strides,
            dilation: window.dilation,
            crop: [top, left],
        };
        let fast = Conv2DTranspose::new(input, [height, width, filters], slow.kernel_size)
            .strides(slow.strides)
            .dilation(slow.dilation)
            .padding(window.padding)
            .at(AT);
        let fast = if bias { fast } else { fast.no_bias() };
        let fast = if relu { fast.relu() } else { fast };
        Entry { fast: Box::new(fast), slow: Box::new(slow), bias, relu }
    };
    windows(|i| CHANNELS[i]).into_iter().map(entry).collect()
}

/// The windows without padding and dilation.
fn local() -> Vec<Entry> {
    let entry = |(i, window): (usize, reference::Conv2D)| {
        let (bias, relu) = (i % 3 > 0, i % 2 > 0);
        let reference::Conv2D { input, kernel_size, strides, .. } = window;
        let filters = CHANNELS[(3 * i + 1) % CHANNELS.len()];
        let slow = reference::LocallyConnected2D { input, filters, kernel_size, strides };
        let fast = LocallyConnected2D::new(input, filters, kernel_size).strides(strides).at(AT);
        let fast = if bias { fast } else { fast.no_bias() };
        let fast = if relu { fast.relu() } else { fast };
        Entry { fast: Box::new(fast), slow: Box::new(slow), bias, relu }
    };
    let plain = |window: &reference::Conv2D| window.padding == [0; 4] && window.dilation == [1, 1];
    let windows = windows(|i| CHANNELS[i]).into_iter().filter(|(_, window)| plain(window));
    windows.map(entry).collect()
}

pub(super) fn table() -> Vec<Entry> {
    let grouped = grouped().into_iter().step_by(7);
    let depthwise = depthwise().into_iter().step_by(3);
    let transposed = transposed().into_iter().step_by(5);
    grouped.chain(depthwise).chain(transposed).chain(local().into_iter().step_by(3)).collect()
}

/// Inputs, the output's gradients, weights.
fn draw(
    entry: &Entry,
    numbers: Numbers,
    images: usize,
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>, Vec<f32>) {
    let draw = |shape: [usize; 3], stream: u64| {
        let len = shape.iter().product();
        (0..images as u64).map(|image| numbers.draw(len, 2 * image + stream)).collect()
    };
    let bias = if entry.bias { entry.slow.bias_len() } else { 0 };
    let weights = numbers.draw(entry.slow.kernel_len() + bias, 9);
    (draw(entry.slow.input(), 0), draw(entry.slow.output(), 1), weights)
}

/// What the layer itself makes.
pub(super) fn run(entry: &Entry, numbers: Numbers, images: usize) -> Made<f32> {
    let (x, dy, weights) = draw(entry, numbers, images);
    let fast = &entry.fast;
    let [packed, transposed, gradients, weights_len, forward, backward] = fast.lens();
    assert_eq!(weights_len, weights.len(), "{entry:?}");
    let weights = [part(AT.weights, 0, 0.0), weights].concat();
    let (mut packed, mut transposed) =
        (part(AT.packed, packed, 0.0), part(AT.transposed, transposed, 0.0));
    fast.pack(&weights, &mut packed);
    fast.transpose(&weights, &mut transposed);
    unguarded(AT.packed, &packed);
    unguarded(AT.transposed, &transposed);
    let mut made = Made::default();
    let mut shards = Vec::new();
    for (x, dy) in x.chunks(SHARD).zip(dy.chunks(SHARD)) {
        let mut sums = part(AT.gradients, gradients, 0.0);
        let mut again = sums.clone();
        for (x, dy) in x.iter().zip(dy) {
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            let scratch = |len| vec![f32::NAN; len];
            fast.forward(&packed, x, &mut y, &mut scratch(forward));
            let image = [x.as_slice(), y.as_slice(), dy.as_slice()];
            fast.backward(&transposed, image, Some(&mut dx), &mut sums, &mut scratch(backward));
            fast.backward(&[], image, None, &mut again, &mut scratch(backward));
            made.output.extend(y);
            made.input_gradient.extend(dx);
        }
        assert_eq!(sums, again, "with and without an input gradient");
        unguarded(AT.gradients, &sums);
        shards.push(sums);
    }
    let mut gradients = part(AT.weights, weights_len, f32::NAN);
    fast.weight_gradients(&shards, &mut gradients);
    made.weight_gradient = unguarded(AT.weights, &gradients);
    made
}

/// What the definition makes.
fn run_slow(entry: &Entry, numbers: Numbers, images: usize) -> Made<f64> {
    let (x, dy, weights) = draw(entry, numbers, images);
    let (slow, weights) = (&entry.slow, widen(&weights));
    let (kernel, bias) = weights.split_at(slow.kernel_len());
    let none = vec![0.0; slow.bias_len()];
    let bias = if entry.bias { bias } else { &none };
    let mut made = Made { weight_gradient: vec![0.0; weights.len()], ..Made::default() };
    for (x, dy) in x.iter().zip(&dy) {
        let (x, mut dz) = (widen(x), widen(dy));
        let mut y = slow.forward(&x, kernel, bias);
        if entry.relu {
            y = y.into_iter().map(|y| y.max(0.0)).collect();
            dz.iter_mut().zip(&y).for_each(|(dz, &y)| *dz = if y > 0.0 { *dz } else { 0.0 });
        }
        made.output.extend(y);
        made.input_gradient.extend(slow.grad_input(kernel, &dz));
        let gradients = slow.grad_kernel(&x, &dz).into_iter().chain(slow.grad_bias(&dz));
        made.weight_gradient.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum += gradient);
    }
    made
}

#[track_caller]
fn assert_exact(table: &[Entry], least: usize) {
    assert!(table.len() >= least, "{} entries", table.len());
    for entry in table {
        let made = run(entry, Numbers::Exact, IMAGES).widen();
        assert!(made == run_slow(entry, Numbers::Exact, IMAGES), "{entry:?}");
    }
}

#[test]
fn depthwise_convolutions_are_exact() {
    assert_exact(&depthwise(), 90);
}

#[test]
fn convolutions_in_groups_are_exact() {
    assert_exact(&grouped(), 90);
}

#[test]
fn transposed_convolutions_are_exact() {
    assert_exact(&transposed(), 90);
}

#[test]
fn locally_connected_layers_are_exact() {
    assert_exact(&local(), 30);
}
