//! What the examples that train share: flags, and the way from fresh weights to test accuracy.

use std::error::Error;
use std::path::{Path, PathBuf};

use bpaf::{Parser, construct, long};
use cnn_runtime::data::Examples;
use cnn_runtime::trainer::{Fit, ModelCheckpoint, Monitor, Verbose};
use cnn_runtime::{Model, Network, checkpoint};

/// Flags of every example that trains.
#[derive(Debug)]
pub struct Training {
    epochs: Option<usize>,
    batch_size: Option<usize>,
    threads: Option<usize>,
    pub seed: u64,
    verbose: u8,
    pub out: PathBuf,
}

/// Training images, those that tell which weights are best, and those that no training sees.
pub struct Sets<'a> {
    pub train: Examples<'a>,
    pub validation: Examples<'a>,
    pub test: Examples<'a>,
}

impl Training {
    pub fn flags() -> impl Parser<Self> {
        let epochs = long("epochs")
            .help("Passes over the training images; the model's own unless given")
            .argument("N")
            .optional();
        let batch_size = long("batch-size")
            .help("Images in a step; the model's own unless given")
            .argument("N")
            .optional();
        let threads = long("threads")
            .help("One for each core unless given. The result does not depend on it")
            .argument("N")
            .optional();
        let seed = long("seed")
            .help("For the fresh weights and the order of the images")
            .argument("N")
            .fallback(1)
            .display_fallback();
        let verbose = long("verbose")
            .help("0: silent, 1: a progress bar, 2: a line for each epoch")
            .argument("0|1|2")
            .guard(|verbose| *verbose <= 2, "expected 0, 1 or 2")
            .fallback(1)
            .display_fallback();
        let out = long("out")
            .help(
                "Folder for the best weights and what else the example makes; `runs` unless given",
            )
            .argument("DIR")
            .fallback("runs".into());
        construct!(Self { epochs, batch_size, threads, seed, verbose, out })
    }

    /// Trains a fresh model, loads back the weights with the lowest validation loss, and tests them.
    pub fn run<N: Network>(&self, sets: &Sets<'_>) -> Result<Model<N>, Box<dyn Error>> {
        std::fs::create_dir_all(&self.out)
            .map_err(|error| format!("cannot make the folder {}: {error}", self.out.display()))?;
        let weights = self.out.join(format!("{}.safetensors", N::NAME));
        let mut model = Model::<N>::new(self.seed);
        model.fit(&sets.train, self.fit(&weights).validation_data(sets.validation))?;

        checkpoint::load(&mut model, &weights)?;
        let test = model.evaluate(&sets.test)?;
        println!("\nBest weights: {}", weights.display());
        println!("Test loss: {:.4}", test.loss);
        println!("Test accuracy: {:.4}%", 100.0 * test.accuracy);
        Ok(model)
    }

    fn fit<'a>(&self, weights: &Path) -> Fit<'a> {
        let best = ModelCheckpoint::new(weights).monitor(Monitor::ValLoss).save_best_only(true);
        let mut fit = Fit::new().seed(self.seed).checkpoint(best).verbose(match self.verbose {
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
