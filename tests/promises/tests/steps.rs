//! One step of the optimizer, tensor by tensor, against its definition: also where a large dense layer
//! makes its gradient and steps at once, and where a regularizer keeps it from that.

use cnn_promises_tests::DIGITS;
use cnn_runtime::data::Dataset;
use cnn_runtime::{Model, Network, Settings, Trainer};

cnn_runtime::cnn! {
    /// Two layers that work on a batch as a whole, between ones that do not.
    model Large {
        input(28, 28, 1);
        Conv2D(8, 5, strides = 2, activation = relu);
        Flatten;
        Dense(40, activation = relu);
        Dropout(0.2);
        Dense(820, activation = tanh);
        Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = RMSprop(learning_rate = 0.01), metrics = [accuracy]);
    }

    /// The same with a penalty on a large one.
    model Penalised {
        input(28, 28, 1);
        Conv2D(8, 5, strides = 2, activation = relu);
        Flatten;
        Dense(40, kernel_regularizer = L2(0.1), activation = relu);
        Dropout(0.2);
        Dense(820, activation = tanh);
        Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = RMSprop(learning_rate = 0.01), metrics = [accuracy]);
    }
}

/// `v = 0.1 g²; w -= 0.01 g / sqrt(v + 1e-7)` from a fresh optimizer, on a batch whose last shard is short;
/// and what predictions read is what was learned.
fn a_step_follows_its_gradients<N: Network>() {
    let examples = DIGITS.train.examples();
    let indices: Vec<usize> = (3..24).collect();
    let mut model = Model::<N>::new(5);
    let before = model.clone();
    let mut trainer = Trainer::new(&mut model, Settings::of::<N>());
    trainer.differentiate(&examples, &indices);
    let gradients: Vec<Vec<f32>> = N::TENSORS
        .iter()
        .map(|info| trainer.gradient(info.name).unwrap().iter().copied().collect())
        .collect();
    trainer.step(&examples, &indices);
    drop(trainer);
    for (info, gradients) in N::TENSORS.iter().zip(gradients) {
        assert!(gradients.iter().any(|&g| g != 0.0), "{} learns", info.name);
        let [old, new] = [&before, &model].map(|model| model.tensor(info.name).unwrap());
        for ((&old, &new), g) in old.iter().zip(new).zip(gradients) {
            let g = f64::from(g);
            let expected = f64::from(old) - 0.01 * g / (0.1 * g * g + 1e-7).sqrt();
            assert!((f64::from(new) - expected).abs() < 1e-6, "{}: {new} {expected}", info.name);
        }
    }
    let mut fresh = Model::<N>::new(0);
    fresh.update(|weights| weights.copy_from_slice(model.weights()));
    let image = vec![0.5; 28 * 28];
    let [kept, renewed] = [&model, &fresh].map(|model| {
        let outputs = model.predict(cnn_runtime::data::Inputs::Floats(&image)).unwrap();
        outputs.iter().map(|output| output.to_bits()).collect::<Vec<_>>()
    });
    assert_eq!(kept, renewed);
}

#[test]
fn of_large_dense_layers() {
    assert_eq!(Large::MOVED.len(), 4, "all layers step at once");
    a_step_follows_its_gradients::<Large>();
}

#[test]
fn of_one_with_a_penalty() {
    a_step_follows_its_gradients::<Penalised>();
}

/// A weight that has nothing more to learn does not slow training down, as numbers below the smallest normal
/// one would, with which a CPU takes a hundred times as long.
#[test]
fn nothing_that_is_remembered_sinks_below_the_normal_numbers() {
    let mut model = Large::new(5);
    let mut trainer = Trainer::new(&mut model, Settings::of::<Large>());
    for _ in 0..3 {
        trainer.step(&DIGITS.train.examples(), &[0, 1, 2, 3]);
    }
    let black = Dataset::new(ndarray::Array4::zeros((1, 28, 28, 1)), ndarray::arr1(&[0])).unwrap();
    // The kernels' mean of squares is multiplied by 0.9 each time: 1e-6 is subnormal after 700.
    for _ in 0..1000 {
        trainer.step(&black.examples(), &[0]);
    }
    let squares = &trainer.optimizer().slots()[0];
    let below = squares.iter().filter(|square| square.is_subnormal()).count();
    assert_eq!(below, 0, "of {} means of squares", squares.len());
    assert!(model.weights().iter().all(|weight| !weight.is_subnormal()));
}
