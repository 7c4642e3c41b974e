//! What a text says of its weights, kept from the first prediction to the last step of training.

use cnn_promises_tests::{DIGITS, bits};
use cnn_runtime::data::Examples;
use cnn_runtime::{Model, Network, Settings, Totals, Trainer};
use ndarray::ArrayViewD;

cnn_runtime::cnn! {
    /// Horizontal differences (Sobel and Feldman 1968).
    model Sobel {
        input(480, 640, 1);
        Conv2D(kernel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], padding = same, use_bias = false, trainable = false);
    }

    /// Both directions, then what they say of each other.
    model Edges {
        input(3, 3, 1);
        Conv2D(kernel = [[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]], bias = [0, 100]);
        Conv2D(kernel = [[[[1, 0.5], [-1, 0.25]]]], use_bias = false);
        DepthwiseConv2D(kernel = [[[2]], [[-4]]]);
        Flatten;
        Dense(kernel = [[1, 10], [1, -1]], bias = [0.5, -0.5]);
    }

    /// Fixed at either end and in the middle.
    model Frozen {
        input(28, 28, 1);
        edges: Conv2D(4, 5, strides = 3, activation = relu, trainable = false);
        first: Conv2D(4, 3, padding = same, activation = relu);
        fixed: Conv2D(4, 3, padding = same, use_bias = false, trainable = false);
        norm: BatchNormalization(trainable = false);
        MaxPooling2D(2);
        Flatten;
        middle: Dense(12, activation = tanh, trainable = false, kernel_regularizer = l2);
        Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = RMSprop(learning_rate = 0.004), metrics = [accuracy]);
        fit(batch_size = 16);
    }

    /// Nothing is left to learn.
    model Still {
        input(28, 28, 1);
        Flatten;
        Dense(10, activation = softmax, trainable = false);
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 16);
    }

    model Plain {
        input(28, 28, 1);
        conv: Conv2D(3, 5, strides = 4, activation = relu);
        Flatten;
        dense: Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 16);
    }

    /// The same with a price on some weights.
    model Priced {
        input(28, 28, 1);
        conv: Conv2D(3, 5, strides = 4, activation = relu, kernel_regularizer = L1(0.02), bias_regularizer = L2(0.5));
        Flatten;
        dense: Dense(10, activation = softmax, kernel_regularizer = L1L2(l1 = 0.001, l2 = 0.03));
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 16);
    }
}

fn digits(count: usize) -> Examples<'static> {
    DIGITS.train.examples().split_at(count).0
}

fn mean(totals: Totals) -> f64 {
    totals.loss / totals.samples as f64
}

/// A picture whose right half is white: its left edge, and the right one against the zeros around.
#[test]
fn a_sobel_filter_finds_edges_without_training() {
    let [height, width, _] = Sobel::INPUT_SHAPE;
    let image: Vec<f32> =
        (0..height * width).map(|i| f32::from(u8::from(i % width >= 320))).collect();
    let model = Sobel::new(7);
    assert_eq!(bits(&model), bits(&Sobel::new(8)));
    let mut predictor = model.predictor();
    let edges = predictor.predict(&image);
    for row in 0..height {
        // The rows of zeros above and below weigh one in four.
        let weight = if row == 0 || row == height - 1 { 3.0 } else { 4.0 };
        for column in 0..width {
            let expected = match column {
                319 | 320 => weight,
                639 => -weight,
                _ => 0.0,
            };
            let found: f32 = edges[row * width + column];
            assert_eq!(found.to_bits(), (expected + 0.0_f32).to_bits(), "{row} {column}");
        }
    }
    assert_eq!([Sobel::TRAINABLE_PARAMS, Sobel::NON_TRAINABLE_PARAMS], [0, 9]);
}

/// Every form of written kernels, computed by hand.
#[test]
fn kernels_written_out_are_used_as_written() {
    let model = Edges::new(1);
    let mut predictor = model.predictor();
    // Across: (3 - 1) + 2 (6 - 4) + (9 - 7) = 8. Down: (7 - 1) + 2 (8 - 2) + (9 - 3) = 24, and 100.
    // Mixed: 8 - 124 = -116, and 4 + 31 = 35. Times 2, times -4: -232, -140.
    // In the end: -232 - 140 + 0.5, and -2320 + 140 - 0.5.
    let found = predictor.predict(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_eq!(found.map(f32::to_bits), [-371.5_f32, -2180.5].map(f32::to_bits));
}

/// The bits of one tensor.
fn tensor<N: Network>(model: &Model<N>, name: &str) -> Vec<u32> {
    model.tensor(name).unwrap().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn frozen_layers_stay_to_the_bit_while_others_learn() {
    let examples = digits(512);
    let indices: Vec<usize> = (0..512).collect();
    let mut model = Frozen::new(3);
    let frozen = [
        "edges/kernel",
        "edges/bias",
        "fixed/kernel",
        "norm/gamma",
        "norm/beta",
        "norm/moving_mean",
        "norm/moving_variance",
        "middle/kernel",
        "middle/bias",
    ];
    let learning = ["first/kernel", "first/bias", "dense/kernel", "dense/bias"];
    let before = [
        frozen.map(|name| tensor(&model, name)).to_vec(),
        learning.map(|name| tensor(&model, name)).to_vec(),
    ];
    let loss = mean(model.score(&examples, Frozen::DEFAULTS.loss));
    let mut trainer = Trainer::new(&mut model, Settings::of::<Frozen>());
    for _ in 0..3 {
        for batch in indices.chunks(16) {
            trainer.step(&examples, batch);
            for name in frozen {
                assert!(trainer.gradient(name).unwrap().iter().all(|&g| g == 0.0), "{name}");
            }
        }
    }
    for name in learning {
        assert!(trainer.gradient(name).unwrap().iter().any(|&g| g != 0.0), "{name}");
    }
    for (name, before) in frozen.iter().zip(&before[0]) {
        assert_eq!(tensor(&model, name), *before, "{name}");
    }
    for (name, before) in learning.iter().zip(&before[1]) {
        assert_ne!(tensor(&model, name), *before, "{name}");
    }
    let after = mean(model.score(&examples, Frozen::DEFAULTS.loss));
    assert!(after < 0.95 * loss, "{loss} to {after}");
    let fixed = 4 * (25 + 1) + 9 * 16 + 4 * 4 + 12 * (4 * 4 * 4 + 1);
    let learnt = 4 * (9 * 4 + 1) + 10 * (12 + 1);
    assert_eq!([Frozen::NON_TRAINABLE_PARAMS, Frozen::TRAINABLE_PARAMS], [fixed, learnt]);
}

#[test]
fn a_model_that_cannot_learn_takes_steps_and_stays() {
    let examples = digits(16);
    let mut model = Still::new(3);
    let before = bits(&model);
    let mut trainer = Trainer::new(&mut model, Settings::of::<Still>());
    let first = trainer.step(&examples, &(0..16).collect::<Vec<_>>());
    let second = trainer.step(&examples, &(0..16).collect::<Vec<_>>());
    assert_eq!(first, second);
    assert_eq!(bits(&model), before);
}

/// `l1 * sum |w| + l2 * sum w²`, in `f64`.
fn price<N: Network>(model: &Model<N>, name: &str, l1: f64, l2: f64) -> f64 {
    let values = model.tensor(name).unwrap();
    values.iter().map(|&w| f64::from(w)).map(|w| l1 * w.abs() + l2 * w * w).sum()
}

#[test]
fn the_price_of_weights_is_in_every_loss_and_in_the_gradient() {
    let examples = digits(24);
    let indices: Vec<usize> = (0..16).collect();
    let (mut plain, mut priced) = (Plain::new(5), Priced::new(5));
    assert_eq!(bits(&plain), bits(&priced));
    let bias = [0.25, -0.5, 0.0];
    plain.set_tensor("conv/bias", &bias).unwrap();
    priced.set_tensor("conv/bias", &bias).unwrap();
    let terms =
        [("conv/kernel", 0.02, 0.0), ("conv/bias", 0.0, 0.5), ("dense/kernel", 0.001, 0.03)];
    let expected: f64 = terms.iter().map(|&(name, l1, l2)| price(&priced, name, l1, l2)).sum();
    assert!(expected > 0.5, "{expected}");

    let loss = Plain::DEFAULTS.loss;
    let scored = mean(priced.score(&examples, loss)) - mean(plain.score(&examples, loss));
    assert!((scored - expected).abs() < 1e-9 * expected, "{scored} {expected}");
    assert!(
        (priced.evaluate(&examples).unwrap().loss
            - plain.evaluate(&examples).unwrap().loss
            - expected)
            .abs()
            < 1e-6
    );

    let weights = priced.clone();
    let mut plain = Trainer::new(&mut plain, Settings::of::<Plain>());
    let mut priced = Trainer::new(&mut priced, Settings::of::<Priced>());
    let trained = mean(priced.differentiate(&examples, &indices))
        - mean(plain.differentiate(&examples, &indices));
    assert!((trained - expected).abs() < 1e-9 * expected, "{trained} {expected}");
    for (name, l1, l2) in terms.into_iter().chain([("dense/bias", 0.0, 0.0)]) {
        let (with, without) = (priced.gradient(name).unwrap(), plain.gradient(name).unwrap());
        for ((&w, &with), &without) in weights.tensor(name).unwrap().iter().zip(&with).zip(&without)
        {
            let w = f64::from(w);
            let sign = if w == 0.0 { 0.0 } else { w.signum() };
            let expected = f64::from(without) + l1 * sign + 2.0 * l2 * w;
            assert!((f64::from(with) - expected).abs() < 1e-6, "{name}: {with} {expected}");
        }
    }
    // Steps do what differentiate found.
    let step = mean(priced.step(&examples, &indices)) - mean(plain.step(&examples, &indices));
    assert!((step - expected).abs() < 1e-9 * expected, "{step} {expected}");
}

/// The slope of the whole loss along a tensor's gradient, by differences, is the gradient's square.
fn check_slope<N: Network>(mut model: Model<N>, name: &str) {
    let examples = digits(16);
    let mut trainer = Trainer::new(&mut model, Settings::of::<N>());
    trainer.differentiate(&examples, &(0..16).collect::<Vec<_>>());
    let floats = |values: ArrayViewD<'_, f32>| values.iter().copied().collect::<Vec<f32>>();
    let gradient = floats(trainer.gradient(name).unwrap());
    let at = floats(model.tensor(name).unwrap());
    let square: f64 = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
    let mut loss = |step: f32| {
        let moved: Vec<f32> = at.iter().zip(&gradient).map(|(w, g)| w + step * g).collect();
        model.set_tensor(name, &moved).unwrap();
        mean(model.score(&examples, N::DEFAULTS.loss))
    };
    let slope = (loss(2e-3) - loss(-2e-3)) / 4e-3;
    assert!((slope / square - 1.0).abs() < 1e-2, "{name}: {slope} {square}");
}

#[test]
fn gradients_with_a_price_are_slopes_of_the_loss() {
    let mut model = Priced::new(9);
    // Where pictures are black, a bias of 0 would sit on the relu's kink.
    model.set_tensor("conv/bias", &[0.3, -0.2, 0.1]).unwrap();
    for name in ["conv/kernel", "conv/bias", "dense/kernel"] {
        check_slope(model.clone(), name);
    }
}

/// Also through a frozen `BatchNormalization`, which goes by its moving statistics.
#[test]
fn gradients_pass_frozen_layers() {
    let mut model = Frozen::new(9);
    model.set_tensor("norm/moving_mean", &[0.1, -0.2, 0.3, 0.0]).unwrap();
    model.set_tensor("norm/moving_variance", &[0.5, 2.0, 0.1, 1.5]).unwrap();
    model.set_tensor("first/bias", &[0.3, -0.2, 0.1, 0.2]).unwrap();
    model.set_tensor("norm/gamma", &[1.5, -0.5, 1.0, 0.7]).unwrap();
    for name in ["first/kernel", "first/bias", "dense/bias"] {
        check_slope(model.clone(), name);
    }
}
