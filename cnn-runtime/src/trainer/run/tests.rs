use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::data::Targets;
use crate::trainer::fit::{Expected, Fit, FitError};
use crate::trainer::{Monitor, Verbose};

const PIXELS: usize = 2;
const EXPECTED: Expected = Expected { input_len: PIXELS, output_len: 10, batch_size: 4, epochs: 3 };

/// A model whose figures are written down beforehand.
#[derive(Default)]
struct Scripted {
    visited: Vec<Vec<usize>>,
    train: Vec<(f64, usize)>,
    validation: Vec<(f64, usize)>,
    saved_after: Vec<(usize, PathBuf)>,
    evaluations: usize,
}

impl Steps for Scripted {
    fn step(&mut self, _: &Examples<'_>, indices: &[usize]) -> Totals {
        self.visited.push(indices.to_vec());
        let (loss, correct) =
            self.train.get(self.visited.len() - 1).copied().unwrap_or((0.5, indices.len() / 2));
        Totals { samples: indices.len(), loss: loss * indices.len() as f64, correct }
    }

    fn evaluate(&mut self, examples: &Examples<'_>) -> Totals {
        let (loss, correct) = self.validation[self.evaluations];
        self.evaluations += 1;
        Totals { samples: examples.len(), loss: loss * examples.len() as f64, correct }
    }

    fn save(&mut self, path: &Path) -> Result<(), CheckpointError> {
        self.saved_after.push((self.evaluations, path.to_owned()));
        Ok(())
    }
}

struct Data(Vec<u8>, Vec<u32>);

impl Data {
    fn new(samples: usize) -> Self {
        Self(vec![0; samples * PIXELS], (0..samples as u32).map(|i| i % 10).collect())
    }

    fn examples(&self) -> Examples<'_> {
        Examples::from_slices(&self.0[..], &self.1[..], self.1.len()).unwrap()
    }
}

/// Runs and returns what was printed. Each look at the clock finds that 0.8 seconds have passed.
fn fit(
    model: &mut Scripted,
    examples: &Examples<'_>,
    fit: &Fit<'_>,
) -> Result<(History, String), FitError> {
    let plan = fit.plan(examples, &EXPECTED)?;
    let looks = AtomicU64::new(0);
    let clock = || Duration::from_millis(800 * looks.fetch_add(1, Ordering::Relaxed));
    let mut printed = Vec::new();
    let history = run(model, plan, &mut Log::new(fit.verbose, false, &mut printed, &clock))?;
    Ok((history, String::from_utf8(printed).unwrap()))
}

fn fails(examples: &Examples<'_>, settings: &Fit<'_>) -> String {
    let mut model = Scripted::default();
    let error = fit(&mut model, examples, settings).unwrap_err().to_string();
    assert!(model.visited.is_empty(), "found before training");
    error
}

/// Lightning-AI/pytorch-lightning#2924: batches of 256, 256 and 10 with accuracies 0.7, 0.8, 0.9.
#[test]
fn a_short_last_batch_weighs_what_it_holds() {
    let data = Data::new(522);
    let mut model =
        Scripted { train: vec![(0.7, 179), (0.8, 205), (0.9, 9)], ..Scripted::default() };
    let settings = Fit::new().batch_size(256).epochs(1);
    let (history, _) = fit(&mut model, &data.examples(), &settings).unwrap();
    let train = history.epochs[0].train;
    assert!((train.loss - 0.752_873_6).abs() < 1e-7, "{}", train.loss);
    assert!((train.accuracy - 0.752_873_6).abs() < 1e-7, "{}", train.accuracy);
    assert_eq!(train.samples, 522);
    assert_eq!(model.visited.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 10]);
}

/// facebookresearch/ClassyVision#118, paiml/entrenar#110: one and the same order every epoch.
#[test]
fn each_epoch_has_an_order_of_its_own_and_each_run_the_same() {
    let data = Data::new(60);
    let orders = |initial_epoch, seed| {
        let mut model = Scripted::default();
        let settings = Fit::new().batch_size(7).epochs(2).initial_epoch(initial_epoch).seed(seed);
        fit(&mut model, &data.examples(), &settings).unwrap();
        model.visited.concat().chunks(60).map(<[usize]>::to_vec).collect::<Vec<_>>()
    };
    let first_run = orders(0, 7);
    assert_eq!(first_run.len(), 2);
    for order in &first_run {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..60).collect::<Vec<_>>());
        assert_ne!(*order, sorted);
    }
    assert_ne!(first_run[0], first_run[1]);
    assert_eq!(orders(0, 7), first_run);
    assert_eq!(orders(1, 7), first_run[1..], "resumed at the second epoch");
    assert_ne!(orders(0, 8), first_run);
}

#[test]
fn without_shuffling_samples_come_in_order() {
    let data = Data::new(10);
    let mut model = Scripted::default();
    fit(&mut model, &data.examples(), &Fit::new().epochs(1).shuffle(false)).unwrap();
    assert_eq!(model.visited, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
}

/// Lightning-AI/pytorch-lightning#2636 and #1008, Bjarten/early-stopping-pytorch#16.
#[test]
fn nan_neither_improves_nor_blocks() {
    let data = Data::new(8);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    let mut model = Scripted {
        validation: [f64::NAN, 0.9, 0.7, f64::NAN, 0.8, 0.1].map(|loss| (loss, 5)).to_vec(),
        ..Scripted::default()
    };
    let settings = Fit::new()
        .epochs(6)
        .validation_data(data.examples())
        .checkpoint(ModelCheckpoint::new(&path).save_best_only(true))
        .early_stopping(EarlyStopping::new(2));
    let (history, printed) = fit(&mut model, &data.examples(), &settings).unwrap();
    assert_eq!(model.saved_after, [(2, path.clone()), (3, path.clone())]);
    assert_eq!(history.epochs.len(), 5, "stopped after epoch 5");
    assert!(history.epochs[3].validation.unwrap().loss.is_nan());
    let best = history.best(Monitor::ValLoss).unwrap();
    assert_eq!((best.epoch, best.get(Monitor::ValLoss)), (3, Some(0.7)));
    let printed = printed.replace(&path.display().to_string(), "FILE");
    insta::assert_snapshot!(printed, @r"
    Epoch 1/6
    2/2 - 1s - loss: 0.5000 - accuracy: 0.5000 - val_loss: nan - val_accuracy: 0.6250
    Epoch 1: val_loss did not improve from inf
    Epoch 2/6
    2/2 - 1s - loss: 0.5000 - accuracy: 0.5000 - val_loss: 0.9000 - val_accuracy: 0.6250
    Epoch 2: val_loss improved from inf to 0.90000, saving model to FILE
    Epoch 3/6
    2/2 - 1s - loss: 0.5000 - accuracy: 0.5000 - val_loss: 0.7000 - val_accuracy: 0.6250
    Epoch 3: val_loss improved from 0.90000 to 0.70000, saving model to FILE
    Epoch 4/6
    2/2 - 1s - loss: 0.5000 - accuracy: 0.5000 - val_loss: nan - val_accuracy: 0.6250
    Epoch 4: val_loss did not improve from 0.70000
    Epoch 5/6
    2/2 - 1s - loss: 0.5000 - accuracy: 0.5000 - val_loss: 0.8000 - val_accuracy: 0.6250
    Epoch 5: val_loss did not improve from 0.70000
    Epoch 5: early stopping
    ");
}

#[test]
fn accuracies_are_maximized() {
    let (data, five) = (Data::new(8), Data::new(10));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    let mut model = Scripted {
        validation: vec![(0.1, 4), (0.1, 5), (0.1, 5), (0.1, 6)],
        ..Scripted::default()
    };
    let checkpoint = ModelCheckpoint::new(&path);
    let settings = Fit::new()
        .epochs(4)
        .validation_data(five.examples())
        .checkpoint(checkpoint.monitor(Monitor::ValAccuracy).save_best_only(true));
    let (history, printed) = fit(&mut model, &data.examples(), &settings).unwrap();
    assert_eq!(history.best(Monitor::ValAccuracy).unwrap().epoch, 4);
    let said: Vec<_> = printed.lines().filter(|line| line.contains("improve")).collect();
    let file = path.display();
    assert_eq!(
        said,
        [
            format!("Epoch 1: val_accuracy improved from -inf to 0.40000, saving model to {file}"),
            format!(
                "Epoch 2: val_accuracy improved from 0.40000 to 0.50000, saving model to {file}"
            ),
            "Epoch 3: val_accuracy did not improve from 0.50000".to_owned(),
            format!(
                "Epoch 4: val_accuracy improved from 0.50000 to 0.60000, saving model to {file}"
            ),
        ]
    );
    let mut best = crate::trainer::callbacks::Best::new(Monitor::ValAccuracy);
    assert_eq!([f64::NAN, 0.5, 0.6].map(|value| best.improve(value)), [false, true, true]);
    assert!((best.value - 0.6).abs() < f64::EPSILON);
}

#[test]
fn without_save_best_only_every_epoch_is_saved() {
    let data = Data::new(8);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("last.safetensors");
    let mut model = Scripted::default();
    let settings = Fit::new().epochs(2).checkpoint(ModelCheckpoint::new(&path));
    let (history, printed) = fit(&mut model, &data.examples(), &settings).unwrap();
    assert_eq!(model.saved_after.len(), 2);
    assert_eq!(history.epochs[1].validation, None);
    assert!(printed.contains(&format!("\nEpoch 2: saving model to {}\n", path.display())));
}

#[test]
fn a_resumed_run_does_not_replace_better_weights() {
    let data = Data::new(8);
    let dir = tempfile::tempdir().unwrap();
    let mut model = Scripted { validation: vec![(0.6, 4), (0.4, 4)], ..Scripted::default() };
    let checkpoint = ModelCheckpoint::new(dir.path().join("best.safetensors"))
        .save_best_only(true)
        .initial_value_threshold(0.5);
    let settings = Fit::new()
        .initial_epoch(1)
        .validation_data(data.examples())
        .early_stopping(EarlyStopping::new(5))
        .checkpoint(checkpoint);
    let (history, printed) = fit(&mut model, &data.examples(), &settings).unwrap();
    assert_eq!(history.epochs.iter().map(|log| log.epoch).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(model.saved_after.len(), 1);
    assert!(printed.contains("Epoch 2: val_loss did not improve from 0.50000\n"), "{printed}");
}

#[test]
fn lines_are_those_of_keras() {
    let (data, validation) = (Data::new(8), Data::new(1000));
    let run = |verbose| {
        let mut model = Scripted {
            train: vec![(0.25, 3), (0.15, 4), (f64::NAN, 0), (0.000_5, 4), (0.0, 0), (0.0, 0)],
            validation: vec![(0.072_9, 975), (f64::INFINITY, 1000), (0.5, 0)],
            ..Scripted::default()
        };
        let settings = Fit::new().verbose(verbose).validation_data(validation.examples());
        fit(&mut model, &data.examples(), &settings).unwrap().1
    };
    insta::assert_snapshot!(run(Verbose::Line), @r"
    Epoch 1/3
    2/2 - 1s - loss: 0.2000 - accuracy: 0.8750 - val_loss: 0.0729 - val_accuracy: 0.9750
    Epoch 2/3
    2/2 - 1s - loss: nan - accuracy: 0.5000 - val_loss: inf - val_accuracy: 1.0000
    Epoch 3/3
    2/2 - 1s - loss: 0.0000e+00 - accuracy: 0.0000e+00 - val_loss: 0.5000 - val_accuracy: 0.0000e+00
    ");
    assert_eq!(run(Verbose::Bar), run(Verbose::Line), "what is not a terminal gets no bar");
    assert_eq!(run(Verbose::Silent), "");
}

/// As in Keras: the last samples, taken before shuffling.
#[test]
fn the_validation_split_is_the_last_share() {
    let data = Data::new(10);
    let settings = Fit::new().validation_split(0.25);
    let plan = settings.plan(&data.examples(), &EXPECTED).unwrap();
    let validation = plan.validation.unwrap();
    assert_eq!((plan.train.len(), validation.len()), (7, 3));
    assert_eq!(validation.targets, Targets::Classes(&[7, 8, 9]));
    let both = settings.validation_data(data.examples());
    let plan = both.plan(&data.examples(), &EXPECTED).unwrap();
    assert_eq!((plan.train.len(), plan.validation.map(|v| v.len())), (10, Some(10)));
}

#[test]
fn a_batch_is_no_larger_than_the_data() {
    let data = Data::new(10);
    let plan = Fit::new().batch_size(usize::MAX).plan(&data.examples(), &EXPECTED).unwrap();
    assert_eq!(plan.batch_size, 10);
}

#[test]
fn what_cannot_be_is_said_before_training() {
    let data = Data::new(8);
    let examples = data.examples();
    let fails_with = |settings: Fit<'_>| fails(&examples, &settings);
    let nowhere = ModelCheckpoint::new("no/such/folder/best.safetensors");
    let errors = [
        fails_with(Fit::new().batch_size(0)),
        fails_with(Fit::new().epochs(0)),
        fails_with(Fit::new().initial_epoch(3)),
        fails_with(Fit::new().validation_split(1.0)),
        fails_with(Fit::new().validation_split(-0.5)),
        fails_with(Fit::new().validation_split(f64::NAN)),
        fails_with(Fit::new().checkpoint(nowhere.clone().save_best_only(true))),
        fails_with(Fit::new().early_stopping(EarlyStopping::new(1).monitor(Monitor::ValAccuracy))),
        fails(&Examples::from_slices(&[][..] as &[u8], &[][..] as &[u32], 0).unwrap(), &Fit::new()),
        fails(&Examples::from_slices(&[0_u8; 9][..], &[0_u32; 3][..], 3).unwrap(), &Fit::new()),
        fails(&Examples::from_slices(&[0_u8; 4][..], &[9_u32, 10][..], 2).unwrap(), &Fit::new()),
        fails(
            &Examples::from_slices(&[0_u8; 4][..], Targets::OneHot(&[0.0; 22]), 2).unwrap(),
            &Fit::new(),
        ),
        fails_with(
            Fit::new().validation_data(
                Examples::from_slices(&[0_u8; 4][..], &[0_u32, 11][..], 2).unwrap(),
            ),
        ),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r"
    batch_size is 0: expected at least 1
    epochs is 0: expected at least 1
    initial_epoch is 3 of 3 epochs: nothing is left to train
    validation_split is 1 with 8 samples: expected a share between 0 and 1 that leaves at least one sample for training and one for validation
    validation_split is -0.5 with 8 samples: expected a share between 0 and 1 that leaves at least one sample for training and one for validation
    validation_split is NaN with 8 samples: expected a share between 0 and 1 that leaves at least one sample for training and one for validation
    ModelCheckpoint monitors val_loss, which takes validation data: give `validation_data` or `validation_split`, or monitor `loss` or `accuracy`
    EarlyStopping monitors val_accuracy, which takes validation data: give `validation_data` or `validation_split`, or monitor `loss` or `accuracy`
    training data: there are no samples: expected at least one
    training data: each sample has 3 input values: the network expects 2
    training data: sample 1 has class 10: the network has 10 outputs, classes 0 to 9
    training data: each one-hot target has 11 values: the network has 10 outputs
    validation data: sample 1 has class 11: the network has 10 outputs, classes 0 to 9
    ");
    let error = fails_with(Fit::new().checkpoint(nowhere));
    assert!(error.ends_with("/no/such/folder does not exist"), "{error}");
}
