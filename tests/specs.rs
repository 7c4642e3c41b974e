//! Every model of `specs/` in one step of training, and in a prediction.

use cnn::{Cifar10Cnn, MnistCnn, MnistMlp, ResNet20};
use cnn_runtime::buffer::Floats;
use cnn_runtime::data::{Examples, Inputs, Targets};
use cnn_runtime::{Model, Network, Settings, Trainer};

cnn_runtime::include_model!("mnist_tiny");
cnn_runtime::include_model!("lenet5");
cnn_runtime::include_model!("cifar10_vgg");
cnn_runtime::include_model!("cifar10_inception");
cnn_runtime::include_model!("cifar10_mobilenet");
cnn_runtime::include_model!("cifar10_densenet");
cnn_runtime::include_model!("sobel");

/// Some bytes that look like pictures' as far as a network is concerned.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7919 % 251) as u8).collect()
}

/// One step lowers the loss on its own batch, and moves every weight that learns and no other.
fn trains<N: Network>() {
    const BATCH: usize = 3;
    let images = bytes(BATCH * N::Input::LEN);
    let classes: Vec<u32> = (0..10).cycle().take(BATCH).collect();
    let (inputs, targets) = (Inputs::Bytes(&images), Targets::Classes(&classes));
    let examples = Examples::from_slices(inputs, targets, BATCH).unwrap();

    let mut model = Model::<N>::new(3);
    let before = model.clone();
    let settings = Settings { batch_size: BATCH, ..Settings::of::<N>() };
    let mut trainer = Trainer::new(&mut model, settings);
    let indices: Vec<usize> = (0..BATCH).collect();
    let totals = trainer.step(&examples, &indices);
    assert!(totals.loss.is_finite() && totals.loss > 0.0, "{}: {totals:?}", N::NAME);
    for info in N::TENSORS {
        let (old, new) = (before.tensor(info.name).unwrap(), model.tensor(info.name).unwrap());
        assert!(new.iter().all(|weight| weight.is_finite()), "{} of {}", info.name, N::NAME);
        // Moving statistics move as well, though nothing learns them.
        let moves = info.trainable || info.name.contains("/moving_");
        assert_eq!(old != new, moves, "{} of {}", info.name, N::NAME);
    }
    let found = model.predict(inputs).unwrap();
    for row in found.rows() {
        assert!((row.sum() - 1.0).abs() < 1e-5, "{}: {row}", N::NAME);
    }
}

macro_rules! tests {
    ($($name:ident: $model:ident;)*) => {$(
        #[test]
        fn $name() {
            trains::<$model>();
        }
    )*};
}

tests! {
    mnist_mlp: MnistMlp;
    mnist_cnn: MnistCnn;
    mnist_tiny: MnistTiny;
    lenet5: LeNet5;
    cifar10_cnn: Cifar10Cnn;
    cifar10_vgg: Cifar10Vgg;
    cifar10_inception: Cifar10Inception;
    cifar10_mobilenet: Cifar10MobileNet;
    cifar10_densenet: Cifar10DenseNet;
    resnet20: ResNet20;
}

/// A picture that is white from row 32 on has one horizontal edge; nothing learns.
#[test]
fn sobel() {
    let image: Vec<f32> = (0..64 * 64).map(|i| if i < 32 * 64 { 0.0 } else { 1.0 }).collect();
    let model = Model::<Sobel>::new(1);
    let edges = model.predict(Inputs::Floats(&image)).unwrap();
    for (i, &edge) in edges.iter().enumerate() {
        let (row, column) = (i / 64, i % 64);
        let inside = (1..63).contains(&column);
        let expected: f32 = match (row, inside) {
            (31 | 32, true) => 4.0,
            (31 | 32, false) => 3.0,
            // The frame is black, and the last row white.
            (63, true) => -4.0,
            (63, false) => -3.0,
            _ => 0.0,
        };
        assert_eq!(edge.to_bits(), expected.to_bits(), "{edge} at {row}, {column}");
    }
    assert_eq!((Sobel::PARAMS, Sobel::TRAINABLE_PARAMS), (9, 0));
}
