//! What the digit examples share: flags, data, and the run from summary to test accuracy.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use cnn_runtime::data::mnist;
use cnn_runtime::trainer::{Fit, ModelCheckpoint, Monitor, Verbose};
use cnn_runtime::{Model, Network, checkpoint};

/// The digits that ship with the repository.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist-sample");

/// Flags of the digit examples.
#[derive(Debug, Parser)]
pub struct Flags {
    /// Folder with the four IDX files of MNIST, plain or gzip; the shipped sample unless given.
    #[arg(long, value_name = "DIR", default_value = SAMPLE, hide_default_value = true)]
    data: PathBuf,
    /// Passes over the training digits; the model's own unless given.
    #[arg(long)]
    epochs: Option<usize>,
    /// Digits in a step; the model's own unless given.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Threads; one for each core unless given. The result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// For the fresh weights and the order of the digits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// 0: silent, 1: a progress bar, 2: a line for each epoch.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    verbose: u8,
    /// Folder for the best weights.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
}

/// Trains a fresh model, keeps the weights with the lowest validation loss, and tests them.
pub fn run<N: Network>() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    print!("{}", N::SUMMARY);

    let digits = mnist::load(&flags.data)?;
    println!(
        "\n{} training and {} test digits from {}",
        digits.train.len(),
        digits.test.len(),
        flags.data.display()
    );

    std::fs::create_dir_all(&flags.out)
        .map_err(|error| format!("cannot make the folder {}: {error}", flags.out.display()))?;
    let weights = flags.out.join(format!("{}.safetensors", N::NAME));
    let mut model = Model::<N>::new(flags.seed);
    model.fit(&digits.train.examples(), flags.fit(&weights))?;

    checkpoint::load(&mut model, &weights)?;
    let test = model.evaluate(&digits.test.examples())?;
    println!("\nBest weights: {}", weights.display());
    println!("Test loss: {:.4}", test.loss);
    println!("Test accuracy: {:.4}%", 100.0 * test.accuracy);
    Ok(())
}

impl Flags {
    /// The last tenth of the training digits tells which weights are best.
    fn fit(&self, weights: &std::path::Path) -> Fit<'static> {
        let best = ModelCheckpoint::new(weights).monitor(Monitor::ValLoss).save_best_only(true);
        let mut fit = Fit::new().seed(self.seed).validation_split(0.1).checkpoint(best);
        fit = fit.verbose(match self.verbose {
            0 => Verbose::Silent,
            1 => Verbose::Bar,
            _ => Verbose::Line,
        });
        if let Some(epochs) = self.epochs {
            fit = fit.epochs(epochs);
        }
        if let Some(batch_size) = self.batch_size {
            fit = fit.batch_size(batch_size);
        }
        if let Some(threads) = self.threads {
            fit = fit.threads(threads);
        }
        fit
    }
}
