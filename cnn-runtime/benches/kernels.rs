//! One layer of one image or one batch at a time, on one thread:
//!
//! ```text
//! cargo bench -p cnn-runtime --bench kernels
//! ```
//!
//! The layers are those of the models in `specs/`.

use std::hint::black_box;

use cnn_runtime::layer::{Conv2D, ConvPool};
use cnn_runtime::rng::Rng;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Normal-looking numbers around 0.
fn noise(len: usize) -> Vec<f32> {
    let mut rng = Rng::new(7, 0);
    (0..len).map(|_| (rng.uniform() - 0.5) * 0.5).collect()
}

/// Multiply-adds as elements, so that criterion's rate is half of the FLOP per second.
fn conv(criterion: &mut Criterion, name: &str, conv: Conv2D) {
    let mut group = criterion.benchmark_group(name);
    let [rows, columns, filters] = conv.output();
    let inputs = conv.input();
    let weights = noise(conv.weights_len());
    let (mut packed, mut transposed) =
        (vec![0.0; conv.packed_len()], vec![0.0; conv.transposed_len()]);
    conv.pack(&weights, &mut packed);
    conv.transpose(&weights, &mut transposed);
    let x = noise(inputs.iter().product());
    let (mut y, dy) = (vec![0.0; rows * columns * filters], noise(rows * columns * filters));
    let (mut dx, mut gradients) = (vec![0.0; x.len()], vec![0.0; conv.gradients_len()]);
    let mut scratch = vec![0.0; conv.forward_scratch().max(conv.backward_scratch())];
    group.throughput(Throughput::Elements(conv.macs()));
    group.bench_function("forward", |b| {
        b.iter(|| conv.forward(&packed, black_box(&x), &mut y, &mut scratch));
    });
    group.throughput(Throughput::Elements(2 * conv.macs()));
    group.bench_function("backward", |b| {
        b.iter(|| {
            let dx = Some(dx.as_mut_slice());
            conv.backward(&transposed, black_box(&x), &y, &dy, dx, &mut gradients, &mut scratch);
        });
    });
}

fn conv_pool(criterion: &mut Criterion, name: &str, conv: Conv2D, first: bool) {
    let mut group = criterion.benchmark_group(name);
    let layer = ConvPool::new(conv, [2, 2]);
    let weights = noise(layer.weights_len());
    let (mut packed, mut transposed) =
        (vec![0.0; layer.packed_len()], vec![0.0; layer.transposed_len()]);
    layer.pack(&weights, &mut packed);
    layer.transpose(&weights, &mut transposed);
    let x = noise(conv.input().iter().product());
    let len = layer.output().iter().product();
    let (mut y, mut route, dy) = (vec![0.0; len], vec![0.0; len], noise(len));
    let (mut dx, mut gradients) = (vec![0.0; x.len()], vec![0.0; layer.gradients_len()]);
    let mut scratch = vec![0.0; layer.forward_scratch().max(layer.backward_scratch())];
    group.throughput(Throughput::Elements(conv.macs()));
    group.bench_function("forward", |b| {
        b.iter(|| layer.forward(&packed, black_box(&x), &mut y, Some(&mut route), &mut scratch));
    });
    group.throughput(Throughput::Elements(if first { 1 } else { 2 } * conv.macs()));
    group.bench_function("backward", |b| {
        b.iter(|| {
            let dx = (!first).then_some(dx.as_mut_slice());
            layer.backward(
                &transposed,
                black_box(&x),
                &route,
                &dy,
                dx,
                &mut gradients,
                &mut scratch,
            );
        });
    });
}

fn benches(c: &mut Criterion) {
    let same = [0, 1, 0, 1];
    conv_pool(
        c,
        "cifar10_cnn/conv2d",
        Conv2D::new([32, 32, 3], 16, [2, 2]).padding(same).relu(),
        true,
    );
    conv_pool(
        c,
        "cifar10_cnn/conv2d_1",
        Conv2D::new([16, 16, 16], 32, [2, 2]).padding(same).relu(),
        false,
    );
    conv_pool(
        c,
        "cifar10_cnn/conv2d_2",
        Conv2D::new([8, 8, 32], 64, [2, 2]).padding(same).relu(),
        false,
    );
    conv_pool(
        c,
        "mnist_cnn/conv2d",
        Conv2D::new([28, 28, 1], 32, [3, 3]).padding([1; 4]).relu(),
        true,
    );
    conv_pool(
        c,
        "mnist_cnn/conv2d_1",
        Conv2D::new([14, 14, 32], 64, [3, 3]).padding([1; 4]).relu().winograd(),
        false,
    );
    let c1 = [1, 1, 1, 1];
    conv(c, "resnet20/16", Conv2D::new([32, 32, 16], 16, [3, 3]).padding(c1).no_bias());
}

criterion_group!(kernels, benches);
criterion_main!(kernels);
