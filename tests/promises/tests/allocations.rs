//! After construction nothing allocates, on any thread.

use std::alloc::System;
use std::hint::black_box;

use cnn::{Cifar10Cnn, MnistCnn, MnistMlp};
use cnn_promises_tests::{DIGITS, pool};
use cnn_runtime::buffer::Floats;
use cnn_runtime::data::{Examples, Inputs, Targets};
use cnn_runtime::{Model, Network, Settings, Trainer};
use rayon::ThreadPool;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

cnn_runtime::cnn! {
    /// Weights with a price, and layers that do not learn.
    model Priced {
        input(28, 28, 1);
        Conv2D(4, 5, strides = 2, activation = relu, kernel_regularizer = L1(0.01));
        Conv2D(4, 3, trainable = false);
        Flatten;
        Dense(300, activation = relu, kernel_regularizer = l2);
        Dense(10, activation = softmax, kernel_regularizer = l1_l2, bias_regularizer = l2);
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }
}

const BATCH: usize = 11;
const WARM_UP: usize = 2;
const COUNTED: usize = 6;

/// How often `work` calls the allocator, whatever the thread.
fn calls(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations + change.deallocations
}

/// The same at its fewest: while a test starts, its harness allocates now and then too.
fn fewest_calls(work: impl Fn()) -> usize {
    (0..20).map(|_| calls(&work)).min().unwrap_or(0)
}

/// Does `work` a few times, then counts.
fn calls_after_warm_up(mut work: impl FnMut()) -> usize {
    (0..WARM_UP).for_each(|_| work());
    calls(|| (0..COUNTED).for_each(|_| work()))
}

/// Predictions, and training steps on each of some pools.
fn check<N: Network>(pools: &[ThreadPool], examples: &Examples<'_>, image: &[f32]) {
    let mut model = Model::<N>::new(1);
    let mut predictor = model.predictor();
    let found = calls_after_warm_up(|| {
        black_box(predictor.predict(image));
    });
    assert_eq!(found, 0, "predictions of {}", N::NAME);

    let indices: Vec<usize> = (0..BATCH).collect();
    for pool in pools {
        let found = pool.install(|| {
            let settings = Settings { batch_size: BATCH, ..Settings::of::<N>() };
            let mut trainer = Trainer::new(&mut model, settings);
            // A shorter batch must not reshape anything either.
            let mut batches = [BATCH, BATCH - 5].into_iter().cycle();
            calls_after_warm_up(|| {
                let batch = batches.next().unwrap_or(BATCH);
                black_box(trainer.step(examples, &indices[..batch]));
            })
        });
        let threads = pool.current_num_threads();
        assert_eq!(found, 0, "training steps of {} on {threads} threads", N::NAME);
    }
}

/// One test only, because a second one's allocations would be counted too.
#[test]
fn predictions_and_training_steps_do_not_allocate() {
    let elsewhere = || drop(std::thread::spawn(|| black_box(vec![1_u8; 100])).join());
    let here = || drop(black_box(Box::new(1)));
    assert_eq!(fewest_calls(here), 2, "the counter counts one allocation and its end");
    let thread_alone = fewest_calls(|| drop(std::thread::spawn(|| ()).join()));
    assert!(fewest_calls(elsewhere) >= thread_alone + 2, "the counter counts other threads");

    // Alive until the end, since threads that start or end allocate.
    let pools = [1, 2].map(|threads| pool(threads, 2 << 20));
    for pool in &pools {
        pool.broadcast(|_| ());
    }

    let digits = DIGITS.train.examples();
    let digit = vec![0.5; 28 * 28];
    check::<MnistCnn>(&pools, &digits, &digit);
    check::<MnistMlp>(&pools, &digits, &digit);
    check::<Priced>(&pools, &digits, &digit);

    let len = <Cifar10Cnn as Network>::Input::LEN;
    let photographs: Vec<u8> = (0..BATCH * len).map(|i| (i * 7919 % 251) as u8).collect();
    let classes: Vec<u32> = (0..10).cycle().take(BATCH).collect();
    let (inputs, targets) = (Inputs::Bytes(&photographs), Targets::Classes(&classes));
    let photographs = Examples::from_slices(inputs, targets, BATCH).unwrap();
    check::<Cifar10Cnn>(&pools, &photographs, &vec![0.5; len]);
}
