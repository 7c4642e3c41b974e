//! The same bits every time, whatever the number of threads and the width of the CPU's vectors.

use cnn::{MnistCnn, MnistMlp};
use cnn_promises_tests::{DIGITS, bits, train};
use cnn_runtime::trainer::{Fit, Verbose};
use cnn_runtime::{Network, Path};

cnn_runtime::cnn! {
    /// Every kind of layer, on images small enough for a debug build.
    model Mixed {
        input(28, 28, 1);
        MaxPooling2D(2);
        Conv2D(6, 3, strides = 2, activation = relu);
        Dropout(0.3);
        Conv2D(9, 2, padding = same, activation = relu);
        MaxPooling2D(2);
        Flatten;
        Dense(20, activation = tanh);
        Dropout(0.5);
        Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }
}

cnn_runtime::cnn! {
    /// Training goes over the batch in stages, and chains repeat.
    model Normalized {
        input(28, 28, 1);
        MaxPooling2D(4);
        Conv2D(17, 3, padding = same, use_bias = false);
        BatchNormalization;
        ReLU;
        Conv2D(17, 3, padding = same, use_bias = false);
        BatchNormalization;
        ReLU;
        Conv2D(17, 3, padding = same, use_bias = false);
        BatchNormalization(scale = false);
        Activation(tanh);
        Flatten;
        Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }
}

/// A build without optimisation is some fifty times slower, and takes as many fewer steps.
const STEPS: usize = if cfg!(debug_assertions) { 1 } else { 50 };

/// The same weights with 1, 2, 3 and 8 threads.
fn threads_never_show<N: Network>(steps: usize, batch: usize) {
    let one = train::<N>(1, STEPS * steps, batch, 1);
    for threads in [2, 3, 8] {
        let more = train::<N>(1, STEPS * steps, batch, threads);
        assert!(one == more, "{} differs between 1 and {threads} threads", N::NAME);
    }
}

#[test]
fn threads_never_show_in_mnist_cnn() {
    threads_never_show::<MnistCnn>(2, 17);
}

#[test]
fn threads_never_show_in_mnist_mlp() {
    threads_never_show::<MnistMlp>(3, 42);
}

#[test]
fn threads_never_show_with_dropout() {
    threads_never_show::<Mixed>(8, 60);
    assert_ne!(train::<Mixed>(1, 1, 8, 1), train::<Mixed>(2, 1, 8, 1), "seeds give other weights");
}

#[test]
fn threads_never_show_in_statistics_of_the_batch() {
    threads_never_show::<Normalized>(3, 37);
}

/// Through the whole trainer: shuffled, validated, with a short last batch.
#[test]
fn threads_never_show_in_fit() {
    let digits = DIGITS.train.examples().split_at(400).0;
    let fit = |threads, seed| {
        let mut model = Mixed::new(1);
        let fit = Fit::new().threads(threads).seed(seed).epochs(2).batch_size(64);
        let fit = fit.validation_split(0.1).verbose(Verbose::Silent);
        let history = model.fit(&digits, fit).unwrap();
        let figures = history.epochs.iter().map(|epoch| (epoch.train, epoch.validation));
        (bits(&model), figures.collect::<Vec<_>>())
    };
    let one = fit(1, 1);
    for threads in [2, 3, 8] {
        assert!(one == fit(threads, 1), "1 and {threads} threads");
    }
    assert_ne!(one.0, fit(2, 2).0, "another seed gives another order");
}

/// On a CPU without AVX2 there is one path only, and the test says less. The switch holds for the
/// whole process; a test that runs beside this one gets the same bits, which is the point.
#[test]
fn all_instruction_sets_give_the_same_bits() {
    fn all<N: Network>(steps: usize, batch: usize) {
        let best = train::<N>(3, STEPS * steps, batch, 2);
        for &path in &Path::all()[1..] {
            Path::force(Some(path));
            assert_eq!(Path::current(), path);
            let other = train::<N>(3, STEPS * steps, batch, 2);
            Path::force(None);
            assert!(best == other, "{} differs between {:?} and {path:?}", N::NAME, Path::best());
        }
    }
    all::<Mixed>(8, 20);
    all::<Normalized>(2, 20);
    all::<MnistCnn>(2, 3);
    all::<MnistMlp>(2, 3);
}
