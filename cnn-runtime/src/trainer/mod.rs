//! Training by epochs, with Keras's settings and log lines.

mod callbacks;
mod fit;
mod history;
mod log;
mod run;

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::Instant;

pub use callbacks::{EarlyStopping, ModelCheckpoint, Monitor};
pub use fit::{Fit, FitError, Verbose};
pub use history::{EpochLog, Evaluation, History};

use crate::buffer::Floats;
use crate::checkpoint::{self, CheckpointError};
use crate::data::{Examples, ExamplesError};
use crate::engine::{Settings, Totals, Trainer};
use crate::model::Model;
use crate::network::Network;
use fit::Expected;
use log::Log;

impl<N: Network> Model<N> {
    /// Trains on `examples` and returns what was found after each epoch. The model keeps the
    /// weights of the last epoch.
    ///
    /// A loss that becomes NaN does not stop the run; the history shows it.
    ///
    /// # Errors
    /// Before anything is trained if a setting or the data cannot be; during training only if a
    /// checkpoint cannot be saved.
    pub fn fit(&mut self, examples: &Examples<'_>, mut fit: Fit<'_>) -> Result<History, FitError> {
        let plan = fit.plan(examples, &expected::<N>())?;
        let pool = fit.threads.map(pool).transpose()?;
        let settings = Settings {
            loss: N::DEFAULTS.loss,
            optimizer: fit.optimizer.unwrap_or(N::DEFAULTS.optimizer),
            batch_size: plan.batch_size,
            seed: fit.seed,
        };
        let (start, live) = (Instant::now(), fit.log.is_none() && stdout().is_terminal());
        let clock = move || start.elapsed();
        let mut stdout = stdout();
        let sink = fit.log.take().unwrap_or(&mut stdout);
        let mut log = Log::new(fit.verbose, live, sink, &clock);
        let train = || {
            let mut trainer = Trainer::new(self, settings);
            let steps_an_epoch = plan.train.len().div_ceil(plan.batch_size);
            trainer.resume_at((plan.initial_epoch * steps_an_epoch) as u64);
            let mut steps = TrainerSteps(trainer);
            run::run(&mut steps, plan, &mut log)
        };
        // All of a run in one pool: a step that changed pools would allocate.
        Ok(match &pool {
            Some(pool) => pool.install(train),
            None => rayon::scope(|_| train()),
        }?)
    }

    /// Mean loss and accuracy over `examples`, without dropout, on rayon's current threads.
    ///
    /// # Errors
    /// If there are no samples, or they do not fit the model.
    pub fn evaluate(&self, examples: &Examples<'_>) -> Result<Evaluation, ExamplesError> {
        examples.check(N::Input::LEN, N::Output::LEN)?;
        Ok(self.score(examples, N::DEFAULTS.loss).into())
    }
}

fn expected<N: Network>() -> Expected {
    Expected {
        input_len: N::Input::LEN,
        output_len: N::Output::LEN,
        batch_size: N::DEFAULTS.batch_size,
        epochs: N::DEFAULTS.epochs,
    }
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, FitError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|source| FitError::Threads { threads, source })
}

struct TrainerSteps<'m, N: Network>(Trainer<'m, N>);

impl<N: Network> run::Steps for TrainerSteps<'_, N> {
    fn step(&mut self, examples: &Examples<'_>, indices: &[usize]) -> Totals {
        self.0.step(examples, indices)
    }

    fn evaluate(&mut self, examples: &Examples<'_>) -> Totals {
        self.0.model().score(examples, N::DEFAULTS.loss)
    }

    fn save(&mut self, path: &Path) -> Result<(), CheckpointError> {
        checkpoint::save(self.0.model(), path)
    }
}
