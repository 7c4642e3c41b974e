//! One step of the optimizer, tensor by tensor, against its definition: also where a layer makes its gradient
//! and steps at once, and where a regularizer keeps it from that.

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

    /// Convolutions with their pooling, by lists, by both of Winograd's algorithms that stand before pooling, and
    /// with fewer and more filters than a panel has; one that does not learn; and layers that leave their step
    /// to the optimizer.
    model Pooled {
        input(28, 28, 1);
        Conv2D(20, 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(33, 3, padding = same, use_bias = false);
        MaxPooling2D(2);
        Conv2D(40, 2, padding = same, activation = relu);
        MaxPooling2D(2);
        BatchNormalization;
        Conv2D(9, 2, activation = relu, trainable = false);
        Conv2D(24, 1, activation = relu);
        Flatten;
        Dense(37, activation = relu);
        Dense(10, use_bias = false, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = RMSprop(learning_rate = 0.01), metrics = [accuracy]);
    }

    /// The same as the first with a penalty on a large one.
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
/// and what predictions and the next step read is what was learned.
fn a_step_follows_its_gradients<N: Network>() {
    let (examples, indices) = (DIGITS.train.examples(), (3..24).collect::<Vec<usize>>());
    let mut model = Model::<N>::new(5);
    let before = model.clone();
    let mut trainer = Trainer::new(&mut model, Settings::of::<N>());
    trainer.differentiate(&examples, &indices);
    let gradients = gradients(&trainer);
    trainer.step(&examples, &indices);
    let mut fresh = Model::<N>::new(0);
    fresh.update(|weights| weights.copy_from_slice(trainer.model().weights()));
    trainer.differentiate(&examples, &indices);
    let next = self::gradients(&trainer);
    let mut other = Trainer::new(&mut fresh, Settings::of::<N>());
    other.resume_at(trainer.steps());
    other.differentiate(&examples, &indices);
    for ((info, next), others) in N::TENSORS.iter().zip(next).zip(self::gradients(&other)) {
        assert_eq!(bits(&next), bits(&others), "the next gradient of {}", info.name);
    }
    for (info, gradients) in N::TENSORS.iter().zip(gradients) {
        assert_eq!(gradients.iter().any(|&g| g != 0.0), info.trainable, "{}", info.name);
        let [old, new] = [&before, &model].map(|model| model.tensor(info.name).unwrap());
        if !info.trainable && !info.name.contains("moving") {
            assert_eq!(old, new, "{}", info.name);
        }
        for ((&old, &new), g) in old.iter().zip(new).zip(gradients).filter(|_| info.trainable) {
            let g = f64::from(g);
            let expected = f64::from(old) - 0.01 * g / (0.1 * g * g + 1e-7).sqrt();
            assert!((f64::from(new) - expected).abs() < 1e-6, "{}: {new} {expected}", info.name);
        }
    }
    let image = vec![0.5; 28 * 28];
    let [kept, renewed] = [&model, &fresh].map(|model| {
        let outputs = model.predict(cnn_runtime::data::Inputs::Floats(&image)).unwrap();
        bits(outputs.as_slice().unwrap())
    });
    assert_eq!(kept, renewed);
}

/// Of each tensor.
fn gradients<N: Network>(trainer: &Trainer<'_, N>) -> Vec<Vec<f32>> {
    let tensors = N::TENSORS.iter();
    tensors.map(|info| trainer.gradient(info.name).unwrap().iter().copied().collect()).collect()
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

#[test]
fn of_large_dense_layers() {
    assert_eq!(Large::MOVED.len(), 3, "dense layers step at once");
    a_step_follows_its_gradients::<Large>();
}

#[test]
fn of_convolutions_with_their_pooling() {
    assert_eq!(Pooled::MOVED.len(), 5, "those with pooling, and dense layers, step at once");
    a_step_follows_its_gradients::<Pooled>();
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
