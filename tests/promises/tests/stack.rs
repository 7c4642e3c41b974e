//! No large value crosses the stack: everything works in threads of 256 KiB.

use cnn::{MnistCnn, MnistMlp};
use cnn_promises_tests::{DIGITS, pool};
use cnn_runtime::buffer::Floats as _;
use cnn_runtime::data::Inputs;
use cnn_runtime::{Model, Network, Settings, Trainer};
use ndarray::arr2;

const STACK: usize = 256 << 10;

/// Runs `work` in a thread with a small stack. An overflow aborts the whole test program.
fn in_a_small_thread(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    thread.expect("the system gives a thread").join().expect("the work succeeds");
}

/// Built, used and dropped where `work` runs: in a plain thread and in rayon's.
fn everywhere(work: fn()) {
    in_a_small_thread(work);
    in_a_small_thread(move || pool(2, STACK).install(work));
}

fn train_one_step<N: Network>() {
    let examples = DIGITS.train.examples();
    let mut model = Model::<N>::new(1);
    let mut trainer = Trainer::new(&mut model, Settings::of::<N>());
    let indices: Vec<usize> = (0..16).collect();
    // How deep rayon's threads take each other's work differs from step to step.
    for _ in 0..8 {
        assert!(trainer.step(&examples, &indices).loss.is_finite());
    }
    drop(trainer);
    let copy = model.clone();
    let image = vec![0.5; 28 * 28];
    let sum: f32 = copy.predictor().predict(&image).floats().iter().sum();
    assert!((sum - 1.0).abs() < 1e-5);
    assert_eq!(copy.predict(Inputs::Floats(&image)).unwrap().dim(), (1, 10));
}

#[test]
fn mnist_cnn() {
    everywhere(train_one_step::<MnistCnn>);
}

#[test]
fn mnist_mlp() {
    everywhere(train_one_step::<MnistMlp>);
}

cnn_runtime::cnn! {
    /// A kernel of 64 MiB.
    model Large {
        input(64, 64, 64);
        Flatten;
        Dense(64);
    }
}

/// Arrays that overflow the stack in debug builds, even when boxed (`chelsea0x3b/dfdx#16`).
#[test]
fn a_kernel_of_64_mib() {
    assert_eq!(Large::PARAMS, 16_777_280);
    in_a_small_thread(|| {
        let mut model = Large::new(1);
        assert_eq!(model.tensor("dense/kernel").unwrap().len() * size_of::<f32>(), 67_108_864);
        let settings = Settings { batch_size: 1, ..Settings::of::<Large>() };
        let mut trainer = Trainer::new(&mut model, settings);
        // Zero but for two pixels, so that the results are known.
        let mut image = vec![0.0; 64 * 64 * 64];
        (image[5], image[262_143]) = (2.0, -1.0);
        let mut upstream = arr2(&[[0.0; 64]]);
        upstream[[0, 3]] = 0.5;
        let (outputs, _) = trainer.pull_back(Inputs::Floats(&image), upstream.view());

        let kernel = trainer.model().tensor("dense/kernel").unwrap();
        for unit in [0, 3, 63] {
            let expected = 2.0 * kernel[[5, unit]] - kernel[[262_143, unit]];
            assert!((outputs[[0, unit]] - expected).abs() < 1e-6, "unit {unit}");
        }
        // Exact: each is one product of powers of two.
        let gradient = trainer.gradient("dense/kernel").unwrap();
        assert_eq!(
            [gradient[[5, 3]], gradient[[262_143, 3]]].map(f32::to_bits),
            [1.0, -0.5].map(f32::to_bits)
        );
        assert_eq!(gradient.iter().filter(|g| g.abs() > 0.0).count(), 2);
        assert_eq!(trainer.gradient("dense/bias").unwrap()[3].to_bits(), 0.5_f32.to_bits());
    });
}
