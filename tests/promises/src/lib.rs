//! What the tests of the promises share: the shipped digits, and short training runs.

use std::path::Path;
use std::sync::LazyLock;

use cnn_runtime::data::mnist::{self, Mnist};
use cnn_runtime::{Model, Network, Settings, Trainer};
use rayon::ThreadPool;

/// The digits in `data/mnist-sample`.
pub static DIGITS: LazyLock<Mnist> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/mnist-sample");
    mnist::load(folder).expect("the shipped digits can be read")
});

/// A pool of `threads` threads, each with a stack of `stack_size` bytes.
#[must_use]
pub fn pool(threads: usize, stack_size: usize) -> ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(stack_size).build();
    pool.expect("the system gives a few threads")
}

/// The weights' bits after `steps` steps of `batch` digits each, on `threads` threads.
#[must_use]
pub fn train<N: Network>(seed: u64, steps: usize, batch: usize, threads: usize) -> Vec<u32> {
    let examples = DIGITS.train.examples();
    let mut model = Model::<N>::new(seed);
    pool(threads, 2 << 20).install(|| {
        let settings = Settings { batch_size: batch, seed, ..Settings::of::<N>() };
        let mut trainer = Trainer::new(&mut model, settings);
        let order: Vec<usize> = (0..examples.len()).cycle().take(steps * batch).collect();
        for indices in order.chunks(batch) {
            trainer.step(&examples, indices);
        }
    });
    bits(&model)
}

/// A model's weights, compared by bits: NaN equals itself, and 0 is not -0.
#[must_use]
pub fn bits<N: Network>(model: &Model<N>) -> Vec<u32> {
    model.weights().iter().map(|weight| weight.to_bits()).collect()
}
