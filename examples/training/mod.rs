//! What the examples that train share: flags, and the way from fresh weights to test accuracy.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use cnn_runtime::data::Examples;
use cnn_runtime::trainer::{Fit, ModelCheckpoint, Monitor, Verbose};
use cnn_runtime::{Model, Network, checkpoint};

/// Flags of every example that trains.
#[derive(Debug, Args)]
pub struct Training {
    /// Passes over the training images; the model's own unless given.
    #[arg(long)]
    epochs: Option<usize>,
    /// Images in a step; the model's own unless given.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Threads; one for each core unless given. The result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// For the fresh weights and the order of the images.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// 0: silent, 1: a progress bar, 2: a line for each epoch.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    verbose: u8,
    /// Folder for the best weights and what else the example makes.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
}

/// Training images, those that tell which weights are best, and those that no training sees.
pub struct Sets<'a> {
    pub train: Examples<'a>,
    pub validation: Examples<'a>,
    pub test: Examples<'a>,
}

impl Training {
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
