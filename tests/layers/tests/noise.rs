//! Layers that draw random numbers: only in training, the same from the same seed.

use cnn_runtime::data::{Examples, Inputs, Targets};
use cnn_runtime::{Network, Settings, Trainer, cnn};

cnn! {
    model Noisy {
        input(4, 4, 3);
        GaussianNoise(0.5);
        SpatialDropout2D(0.5);
        Flatten;
        Dense(3, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop);
    }

    model Plain {
        input(4, 4, 3);
        Flatten;
        Dense(3, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop);
    }
}

const IMAGES: usize = 40;

fn images() -> Vec<f32> {
    (0..IMAGES * 48).map(|i| (i * 7919 % 101) as f32 / 101.0).collect()
}

/// The bits of the losses of two steps from this seed.
fn losses<N: Network>(seed: u64) -> [u64; 2] {
    let (images, classes) = (images(), vec![1_u32; IMAGES]);
    let examples =
        Examples::from_slices(Inputs::Floats(&images), Targets::Classes(&classes), IMAGES).unwrap();
    let mut model = cnn_runtime::Model::<N>::new(1);
    let settings = Settings { batch_size: IMAGES, seed, ..Settings::of::<N>() };
    let mut trainer = Trainer::new(&mut model, settings);
    let indices: Vec<usize> = (0..IMAGES).collect();
    [(); 2].map(|()| trainer.step(&examples, &indices).loss.to_bits())
}

#[test]
fn training_is_noisy_and_reproducible() {
    assert_eq!(losses::<Noisy>(5), losses::<Noisy>(5));
    assert_ne!(losses::<Noisy>(5), losses::<Noisy>(6));
    assert_ne!(losses::<Noisy>(5), losses::<Plain>(5));
    assert_eq!(losses::<Plain>(5), losses::<Plain>(6));
}

#[test]
fn predictions_are_not_noisy() {
    let images = images();
    let predict = |found: &cnn_runtime::Model<Noisy>| found.predict(Inputs::Floats(&images));
    let noisy = predict(&Noisy::new(3)).unwrap();
    let plain = Plain::new(3).predict(Inputs::Floats(&images)).unwrap();
    assert_eq!(noisy, plain);
}
