//! Against the oracle, finite differences of it, and Keras.

use super::*;
use crate::reference::{self, cases, numeric_gradient, widen};
use crate::rng::Rng;

const AT: At = At { weights: 3, packed: 5, transposed: 7, gradients: 11, batch: 13, exchange: 2 };

/// What a layer makes of a batch in training.
struct Made {
    output: Vec<f32>,
    input_gradient: Vec<f32>,
    weight_gradient: Vec<f32>,
    /// After one update.
    moving: Vec<f32>,
}

/// Runs shards of `shard` images, the arenas holding nothing but what the layer sums up.
fn train(
    layer: BatchNormalization,
    weights: &[f32],
    x: &[f32],
    dy: &[f32],
    [images, shard]: [usize; 2],
) -> Made {
    let layer = layer.at(AT);
    let weights = [vec![f32::NAN; AT.weights], weights.to_vec()].concat();
    let len = x.len() / images;
    let cuts = || (0..images).step_by(shard).map(|i| i * len..(i + shard).min(images) * len);
    let mut batch = vec![f32::NAN; AT.batch + layer.batch_len()];
    let mut sums = vec![f32::NAN; cuts().count() * layer.sums_len()];
    let (mut y, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
    let mut gradients = vec![f32::NAN; weights.len()];
    let at = [0, layer.sums_len()];

    for (cut, sums) in cuts().zip(sums.chunks_mut(layer.sums_len())) {
        layer.measure(&x[cut], sums);
    }
    let left = Shards { floats: &sums, stride: layer.sums_len(), shard, count: images };
    layer.couple(&weights, &left, at, &mut batch);
    for (x, y) in x.chunks(len).zip(y.chunks_mut(len)) {
        layer.forward(layer.current(&batch), x, y);
    }
    for (cut, sums) in cuts().zip(sums.chunks_mut(layer.sums_len())) {
        layer.measure_back(&batch, &x[cut.clone()], &dy[cut], sums);
    }
    let left = Shards { floats: &sums, stride: layer.sums_len(), shard, count: images };
    layer.couple_back(&left, at, &mut batch, &mut gradients);
    for (i, dx) in dx.chunks_mut(len).enumerate() {
        let cut = i * len..(i + 1) * len;
        layer.backward(&batch, &x[cut.clone()], &dy[cut], dx);
    }
    let mut moved = weights.clone();
    layer.update(&batch, &mut moved);
    let own = AT.weights..AT.weights + layer.weights_len();
    let moving = moved[layer.places()[2]..].to_vec();
    Made { output: y, input_gradient: dx, weight_gradient: gradients[own].to_vec(), moving }
}

fn assert_close(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    for (i, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 1e-5 * largest.max(1e-3), "{what}[{i}]: {found:e}, {expected:e}");
    }
}

/// One image, one channel, groups of sixteen channels and one more or less, other axes, shards that
/// are not full, and values far from zero.
#[test]
fn agrees_with_the_oracle_and_its_differences() {
    let table = [
        ([1, 1, 1], [6, 8], 0.0, false),
        ([4, 1, 1], [3, 2], 1.0, false),
        ([6, 3, 1], [5, 2], -3.0, true),
        ([2, 15, 1], [4, 8], 0.0, false),
        ([3, 16, 1], [9, 4], 100.0, false),
        ([2, 17, 1], [3, 1], 0.5, true),
        ([1, 33, 1], [6, 8], 0.0, false),
        ([1, 4, 5], [5, 3], 2.0, true),
        ([3, 2, 2], [4, 3], 0.0, false),
    ];
    for (shape, [images, shard], center, relu) in table {
        let [outer, channels, inner] = shape;
        let mut rng = Rng::new(7, (outer * 100 + channels) as u64);
        let mut noise =
            |n: usize| -> Vec<f32> { (0..n).map(|_| 2.0 * rng.uniform() - 1.0).collect() };
        let len = outer * channels * inner;
        let x: Vec<f32> = noise(images * len).iter().map(|x| x + center).collect();
        let dy = noise(images * len);
        let gamma: Vec<f32> = noise(channels).iter().map(|g| 1.0 + 0.5 * g).collect();
        let beta = noise(channels);
        let weights =
            [gamma.clone(), beta.clone(), vec![0.0; channels], vec![1.0; channels]].concat();
        let mut layer = BatchNormalization::new(shape, 0.9, 1e-3);
        if relu {
            layer = layer.relu();
        }
        let made = train(layer, &weights, &x, &dy, [images, shard]);

        let slow = reference::BatchNormalization {
            shape: [images * outer, channels, inner],
            epsilon: f64::from(1e-3f32),
            gamma: widen(&gamma),
            beta: widen(&beta),
            relu,
        };
        let (x, dy) = (widen(&x), widen(&dy));
        let loss = |slow: &reference::BatchNormalization, x: &[f64]| -> f64 {
            slow.forward(x).iter().zip(&dy).map(|(y, dy)| y * dy).sum()
        };
        let note = format!("{shape:?}");
        // Of values far from zero f32 keeps fewer digits behind the point.
        if center.abs() < 50.0 {
            assert_close(&note, &made.output, &slow.forward(&x));
            assert_close(
                &note,
                &made.input_gradient,
                &numeric_gradient(|x| loss(&slow, x), &x, 1e-5),
            );
        }
        let by_gamma = |gamma: &[f64]| {
            loss(&reference::BatchNormalization { gamma: gamma.to_vec(), ..slow.clone() }, &x)
        };
        let by_beta = |beta: &[f64]| {
            loss(&reference::BatchNormalization { beta: beta.to_vec(), ..slow.clone() }, &x)
        };
        let expected = [
            numeric_gradient(by_gamma, &slow.gamma, 1e-5),
            numeric_gradient(by_beta, &slow.beta, 1e-5),
        ];
        if center.abs() < 50.0 {
            assert_close(&note, &made.weight_gradient[..2 * channels], &expected.concat());
        }
        let statistics = slow.statistics(&x);
        let means = statistics.iter().map(|[mean, _]| 0.1 * mean);
        let variances = statistics.iter().map(|[_, variance]| 0.9 + 0.1 * variance);
        assert_close(&note, &made.moving, &means.chain(variances).collect::<Vec<_>>());
    }
}

fn layer_of(case: &cases::Case) -> BatchNormalization {
    let args = case.args();
    let number = |name: &str, default: f64| args[name].as_f64().unwrap_or(default);
    let shape = case.input_shape();
    let axis = args["axis"].as_u64().map_or(shape.len() - 1, |axis| axis as usize - 1);
    let sizes = [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()];
    let mut layer =
        BatchNormalization::new(sizes, number("momentum", 0.99), number("epsilon", 1e-3) as f32);
    if args["center"] == false {
        layer = layer.no_center();
    }
    if args["scale"] == false {
        layer = layer.no_scale();
    }
    layer
}

#[test]
fn agrees_with_keras() {
    let cases = cases::load("batchnorm");
    assert_eq!(cases.len(), 13);
    for case in cases {
        let layer = layer_of(&case);
        let names = ["gamma", "beta", "moving_mean", "moving_variance"];
        let has = |name: &str| (name != "gamma" || layer.scale) && (name != "beta" || layer.center);
        let names: Vec<&str> = names.into_iter().filter(|name| has(name)).collect();
        let weights: Vec<f32> =
            names.iter().flat_map(|name| case.f32(&format!("w/layer/{name}"))).collect();
        let (x, dy) = (case.f32("input"), case.f32("upstream"));
        let images = case.batch_shape()[0];
        let (output, input_gradient, weight_gradient) = if case.trains() {
            let made = train(layer, &weights, &x, &dy, [images, 3]);
            for (values, name) in made.moving.chunks(layer.channels).zip(["mean", "variance"]) {
                case.check(&format!("after1/layer/moving_{name}"), values);
            }
            (made.output, made.input_gradient, made.weight_gradient)
        } else {
            fixed(layer, &weights, &x, &dy, images)
        };
        case.check("output", &output);
        case.check("grad/input", &input_gradient);
        for (values, name) in weight_gradient.chunks(layer.channels).zip(names) {
            if !name.starts_with("moving") {
                case.check(&format!("grad/layer/{name}"), values);
            }
        }
    }
}

fn fixed(
    layer: BatchNormalization,
    weights: &[f32],
    x: &[f32],
    dy: &[f32],
    images: usize,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let layer = FixedBatchNormalization::new(layer);
    let mut packed = vec![0.0; layer.0.packed_len()];
    let mut transposed = vec![0.0; layer.transposed_len()];
    layer.pack(weights, &mut packed);
    layer.transpose(weights, &mut transposed);
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let mut own = vec![0.0; layer.gradients_len()];
    let len = x.len() / images;
    for i in 0..images {
        let cut = i * len..(i + 1) * len;
        layer.forward(&packed, &x[cut.clone()], &mut y[cut.clone()]);
        let dx = &mut dx[cut.clone()];
        layer.backward(&transposed, &x[cut.clone()], &y[cut.clone()], &dy[cut], Some(dx), &mut own);
    }
    let mut gradients = vec![f32::NAN; weights.len()];
    layer.weight_gradients(Parts::new(&own, own.len()), &mut gradients);
    (y, dx, gradients)
}

/// Sums of ten thousand values about 1000 keep their digits.
#[test]
fn statistics_far_from_zero_are_exact() {
    let mut rng = Rng::new(1, 2);
    let x: Vec<f32> = (0..10_000).map(|_| 1000.0 + rng.uniform()).collect();
    let layer = BatchNormalization::new([1000, 1, 1], 0.0, 1e-3);
    let made = train(layer, &[1.0, 0.0, 0.0, 0.0], &x, &x, [10, 4]);
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 1e4;
    assert!((f64::from(made.moving[0]) - mean).abs() < 1e-4);
    assert!((f64::from(made.moving[1]) / variance - 1.0).abs() < 1e-6, "{}", made.moving[1]);
}

#[test]
fn momentum_weighs_the_old_value() {
    let layer = BatchNormalization::new([1, 1, 1], 0.75, 1e-3);
    let made = train(layer, &[1.0, 0.0, 8.0, 4.0], &[2.0, 2.0], &[0.0, 0.0], [2, 8]);
    assert_eq!(made.moving, [0.75 * 8.0 + 0.25 * 2.0, 0.75 * 4.0]);
}

/// `1 - 0.9999` has four right digits in `f32`; the batch's share must have all of them.
#[test]
fn momentum_close_to_one_is_exact() {
    for momentum in [0.999, 0.9999, 0.999_99] {
        let layer = BatchNormalization::new([1, 1, 1], momentum, 1e-3);
        let x = [-1000.0, 3000.0];
        let made = train(layer, &[1.0, 0.0, 0.0, 0.0], &x, &[0.0, 0.0], [2, 8]);
        for (found, of) in made.moving.iter().zip([1000.0, 4e6]) {
            let expected = of * (1.0 - momentum);
            let error = f64::from(*found) / expected - 1.0;
            assert!(error.abs() < 1e-7, "{momentum}: {found}, not {expected}");
        }
    }
}
