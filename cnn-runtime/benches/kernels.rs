//! One layer of one image at a time, on one thread:
//!
//! ```text
//! cargo bench -p cnn-runtime --bench kernels
//! ```
//!
//! The layers are those of the models in `specs/`. Rates count multiply-adds by the definition, half
//! of the FLOP.

use std::hint::black_box;

use cnn_runtime::buffer::Buffer;
use cnn_runtime::layer::{Conv2D, ConvPool};
use cnn_runtime::rng::Rng;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Numbers around 0.
fn noise(len: usize) -> Buffer {
    let (mut rng, mut floats) = (Rng::new(7, 0), Buffer::zeroed(len));
    floats.fill_with(|| (rng.uniform() - 0.5) * 0.5);
    floats
}

fn conv(criterion: &mut Criterion, name: &str, conv: Conv2D) {
    let mut group = criterion.benchmark_group(name);
    let weights = noise(conv.weights_len());
    let mut packed = Buffer::zeroed(conv.packed_len());
    let mut transposed = Buffer::zeroed(conv.transposed_len());
    conv.pack(&weights, &mut packed);
    conv.transpose(&weights, &mut transposed);
    let (inputs, outputs) = (conv.input().iter().product(), conv.output().iter().product());
    let (x, mut y, dy) = (noise(inputs), Buffer::zeroed(outputs), noise(outputs));
    let (mut dx, mut gradients) = (Buffer::zeroed(inputs), Buffer::zeroed(conv.gradients_len()));
    let mut scratch = Buffer::zeroed(conv.forward_scratch().max(conv.backward_scratch()));
    group.throughput(Throughput::Elements(conv.macs()));
    group.bench_function("forward", |b| {
        b.iter(|| conv.forward(&packed, black_box(&x), &mut y, &mut scratch));
    });
    group.throughput(Throughput::Elements(2 * conv.macs()));
    group.bench_function("backward", |b| {
        b.iter(|| {
            let dx = Some(&mut dx[..]);
            conv.backward(&transposed, black_box(&x), &y, &dy, dx, &mut gradients, &mut scratch);
        });
    });
}

/// Followed by 2x2 max pooling; the `first` layer of a network sends no gradient on.
fn conv_pool(criterion: &mut Criterion, name: &str, conv: Conv2D, first: bool) {
    let mut group = criterion.benchmark_group(name);
    let layer = ConvPool::new(conv, [2, 2]);
    let weights = noise(layer.weights_len());
    let mut packed = Buffer::zeroed(layer.packed_len());
    let mut transposed = Buffer::zeroed(layer.transposed_len());
    layer.pack(&weights, &mut packed);
    layer.transpose(&weights, &mut transposed);
    let (inputs, outputs) = (conv.input().iter().product(), layer.output().iter().product());
    let (x, mut y, mut route) = (noise(inputs), Buffer::zeroed(outputs), Buffer::zeroed(outputs));
    let (dy, mut dx) = (noise(outputs), Buffer::zeroed(inputs));
    let mut gradients = Buffer::zeroed(layer.gradients_len());
    let mut scratch = Buffer::zeroed(layer.forward_scratch().max(layer.backward_scratch()));
    group.throughput(Throughput::Elements(conv.macs()));
    group.bench_function("forward", |b| {
        b.iter(|| {
            layer.forward(&packed, black_box(&x), &mut y, Some(&mut route), &mut scratch);
        });
    });
    group.throughput(Throughput::Elements(if first { 1 } else { 2 } * conv.macs()));
    group.bench_function("backward", |b| {
        b.iter(|| {
            let (x, dx) = (black_box(&x), (!first).then_some(&mut dx[..]));
            layer.backward(&transposed, x, &route, &dy, dx, &mut gradients, &mut scratch);
        });
    });
}

fn benches(criterion: &mut Criterion) {
    let two = |input, filters| Conv2D::new(input, filters, [2, 2]).padding([0, 1, 0, 1]);
    let three = |input, filters| Conv2D::new(input, filters, [3, 3]).padding([1; 4]);
    conv_pool(criterion, "cifar10_cnn/conv2d", two([32, 32, 3], 16).relu(), true);
    conv_pool(criterion, "cifar10_cnn/conv2d_1", two([16, 16, 16], 32).relu(), false);
    conv_pool(criterion, "cifar10_cnn/conv2d_2", two([8, 8, 32], 64).relu(), false);
    conv_pool(criterion, "mnist_cnn/conv2d", three([28, 28, 1], 32).relu(), true);
    conv_pool(criterion, "mnist_cnn/conv2d_1", three([14, 14, 32], 64).relu().winograd(), false);
    conv(criterion, "resnet20/16 channels", three([32, 32, 16], 16).no_bias().winograd());
    let halved = |input, filters| Conv2D::new(input, filters, [3, 3]).padding([0, 1, 0, 1]);
    conv(criterion, "resnet20/16 to 32", halved([32, 32, 16], 32).strides([2, 2]).no_bias());
    conv(criterion, "resnet20/32 to 64", halved([16, 16, 32], 64).strides([2, 2]).no_bias());
    conv(criterion, "resnet20/32 channels", three([16, 16, 32], 32).no_bias().winograd());
    conv(criterion, "resnet20/64 channels", three([8, 8, 64], 64).no_bias().winograd());
}

criterion_group!(kernels, benches);
criterion_main!(kernels);
