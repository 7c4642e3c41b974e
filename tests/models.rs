//! The two whole models against Keras, on a batch of eight digits: probabilities, loss, gradients,
//! and three steps of `RMSprop`.
//!
//! A result is close to Keras's if each number is: `|a - b| <= 1e-4 max(|b|, floor)`, the floor
//! being a hundredth of the tensor's largest magnitude. Of large tensors `tests/data` holds every
//! 29th number and eight dot products with vectors of signs, in which every number counts: these
//! may differ by 1e-5 times the root of the tensor's sum of squares, the usual size of such a
//! product.

use std::fs;
use std::path::Path;

use cnn::{MnistCnn, MnistMlp};
use cnn_runtime::data::{Examples, Inputs, Targets};
use cnn_runtime::network::{LossKind, Network};
use cnn_runtime::{Model, Settings, Trainer};
use safetensors::{Dtype, SafeTensors};

/// Images in the batch.
const ROWS: usize = 8;
/// Relative to the larger of a number and its tensor's floor.
const TOLERANCE: f64 = 1e-4;
/// Of a dot product, relative to the root of the tensor's sum of squares.
const DOT_TOLERANCE: f64 = 1e-5;
/// Relative to a tensor's largest number.
const FLOOR: f64 = 1e-2;
/// One in so many of a large tensor's numbers is in the file.
const STRIDE: usize = 29;

#[test]
fn mnist_cnn() {
    let names =
        [("conv1", "conv2d"), ("conv2", "conv2d_1"), ("dense1", "dense"), ("dense2", "dense_1")];
    check::<MnistCnn>("mnist_cnn", &names);
}

#[test]
fn mnist_mlp() {
    let names = [("dense1", "dense"), ("dense2", "dense_1"), ("dense3", "dense_2")];
    check::<MnistMlp>("mlp", &names);
}

/// `layers`: names in the file, and here.
fn check<N: Network>(file: &str, layers: &[(&str, &str)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{file}.safetensors"));
    let bytes = fs::read(path).unwrap();
    let keras = Keras(SafeTensors::deserialize(&bytes).unwrap());
    let tensors: Vec<(String, String)> = layers
        .iter()
        .flat_map(|(theirs, ours)| {
            ["kernel", "bias"]
                .map(|weight| (format!("{theirs}/{weight}"), format!("{ours}/{weight}")))
        })
        .collect();
    assert_eq!(tensors.len(), N::TENSORS.len());
    let mut model = Model::<N>::new(0);
    for (theirs, ours) in &tensors {
        let weights = keras.floats(&format!("w/{theirs}"));
        model.set_tensor(ours, &weights).unwrap();
    }

    let (input, classes) = (keras.floats("input"), keras.classes("labels"));
    let probabilities = |model: &Model<N>| {
        let rows = model.predict(Inputs::Floats(&input)).unwrap();
        rows.iter().map(|&p| f64::from(p)).collect::<Vec<_>>()
    };
    keras.check_within(1e-5, "probs", &probabilities(&model));

    let examples = Examples::from_slices(Inputs::Floats(&input), Targets::Classes(&classes), ROWS);
    let (examples, indices) = (examples.unwrap(), (0..ROWS).collect::<Vec<_>>());
    let mean = |totals: cnn_runtime::Totals| totals.loss / ROWS as f64;
    let mut trainer = Trainer::new(&mut model, Settings::of::<N>());
    keras.check_within(1e-6, "loss", &[mean(trainer.differentiate(&examples, &indices))]);
    for (theirs, ours) in &tensors {
        keras.check(&format!("grad/{theirs}"), trainer.gradient(ours).unwrap().iter());
    }
    let mut losses = Vec::new();
    for step in 1..=3 {
        losses.push(mean(trainer.step(&examples, &indices)));
        if step == 2 {
            continue;
        }
        for (theirs, ours) in &tensors {
            let weights = trainer.model().tensor(ours).unwrap();
            keras.check(&format!("after{step}/{theirs}"), weights.iter());
        }
    }
    keras.check_within(1e-6, "losses", &losses);
    let squares = &trainer.optimizer().slots()[0];
    for (theirs, ours) in &tensors {
        let info = N::TENSORS.iter().find(|info| info.name == ours).unwrap();
        keras.check(&format!("velocity3/{theirs}"), squares[info.offset..][..info.len()].iter());
    }
    keras.check_within(1e-5, "probs_after3", &probabilities(&model));
    let totals = model.score(&examples, LossKind::SoftmaxCrossentropy);
    keras.check_within(1e-6, "loss_after3", &[mean(totals)]);
}

/// What Keras found.
struct Keras<'a>(SafeTensors<'a>);

impl Keras<'_> {
    fn get(&self, name: &str) -> Option<Vec<f64>> {
        let view = self.0.tensor(name).ok()?;
        let bytes = view.data();
        Some(match view.dtype() {
            Dtype::F32 => {
                bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect()
            }
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
            Dtype::I32 => {
                bytes.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b).into()).collect()
            }
            other => panic!("no tensor of these files is {other:?}"),
        })
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.get(name).unwrap_or_else(|| panic!("the file has no {name}"))
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.numbers(name).iter().map(|&value| value as f32).collect()
    }

    fn classes(&self, name: &str) -> Vec<u32> {
        self.numbers(name).iter().map(|&class| u32::try_from(class as i64).unwrap()).collect()
    }

    fn check_within(&self, tolerance: f64, name: &str, found: &[f64]) {
        let expected = self.numbers(name);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= tolerance, "{name}[{i}] is {a}, Keras {b}");
        }
    }

    /// Whole tensors, or what the file holds of them.
    fn check<'f>(&self, name: &str, found: impl Iterator<Item = &'f f32>) {
        let found: Vec<f64> = found.map(|&value| value.into()).collect();
        if let Some(expected) = self.get(name) {
            return assert_close(name, &found, &expected);
        }
        let sample: Vec<f64> = found.iter().copied().step_by(STRIDE).collect();
        assert_close(name, &sample, &self.numbers(&format!("sample{STRIDE}/{name}")));
        let norm = found.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (j, expected) in (0..).zip(self.numbers(&format!("dots/{name}"))) {
            let dot: f64 = (0..).zip(&found).map(|(i, x)| sign(i, j) * x).sum();
            let error = (dot - expected).abs();
            assert!(
                error <= DOT_TOLERANCE * norm,
                "{name}: dot product {j} is {dot}, Keras {expected}"
            );
        }
    }
}

fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let floor = FLOOR * expected.iter().fold(0.0, |max: f64, b| max.max(b.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a - b).abs();
        assert!(error <= TOLERANCE * b.abs().max(floor), "{name}[{i}] is {a:e}, Keras {b:e}");
    }
}

/// Element `i` of sign vector `j`, as `tests/data/README.md` defines it.
fn sign(i: u32, j: u32) -> f64 {
    let mut h = i.wrapping_mul(0x9E37_79B1).wrapping_add((j + 1).wrapping_mul(0x85EB_CA6B));
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    if h >> 31 == 1 { -1.0 } else { 1.0 }
}
