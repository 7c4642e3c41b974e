//! The settings of a training run, and what can be wrong with them.

use std::fmt;
use std::io::Write;

use super::callbacks::{EarlyStopping, ModelCheckpoint, Monitor};
use super::run::Plan;
use crate::checkpoint::{CheckpointError, check_path};
use crate::data::{Examples, ExamplesError};
use crate::optimizer::OptimizerKind;

/// What training prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbose {
    /// Nothing (Keras: 0).
    Silent,
    /// A live progress bar on a terminal, and a line an epoch (Keras: 1).
    #[default]
    Bar,
    /// A line an epoch (Keras: 2).
    Line,
}

/// The settings of a training run. What is not said here is as the model's text has it.
///
/// ```
/// use cnn_runtime::trainer::{Fit, ModelCheckpoint, Verbose};
///
/// let fit = Fit::new()
///     .epochs(10)
///     .batch_size(64)
///     .validation_split(0.1)
///     .checkpoint(ModelCheckpoint::new("best.safetensors").save_best_only(true))
///     .verbose(Verbose::Line);
/// ```
#[must_use = "settings do nothing by themselves: give them to `Model::fit`"]
#[derive(Default)]
pub struct Fit<'a> {
    pub(super) optimizer: Option<OptimizerKind>,
    pub(super) threads: Option<usize>,
    pub(super) verbose: Verbose,
    pub(super) log: Option<&'a mut (dyn Write + Send)>,
    pub(super) seed: u64,
    epochs: Option<usize>,
    initial_epoch: usize,
    batch_size: Option<usize>,
    keep_order: bool,
    validation_data: Option<Examples<'a>>,
    validation_split: f64,
    checkpoints: Vec<ModelCheckpoint>,
    early_stopping: Option<EarlyStopping>,
}

impl<'a> Fit<'a> {
    /// The settings in the model's text, seed 0, shuffled, with a progress bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many epochs to train in all, those before [`initial_epoch`](Self::initial_epoch)
    /// included.
    pub const fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// How many epochs lie behind already: the run goes on with the next one, in the order of
    /// samples that it would have had.
    pub const fn initial_epoch(mut self, initial_epoch: usize) -> Self {
        self.initial_epoch = initial_epoch;
        self
    }

    /// Samples a step. The last step of an epoch takes what is left.
    pub const fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = Some(batch_size);
        self
    }

    /// How to step.
    pub const fn optimizer(mut self, optimizer: OptimizerKind) -> Self {
        self.optimizer = Some(optimizer);
        self
    }

    /// What the order of the samples and dropout are drawn from.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether each epoch takes the samples in another order.
    pub const fn shuffle(mut self, shuffle: bool) -> Self {
        self.keep_order = !shuffle;
        self
    }

    /// What to print.
    pub const fn verbose(mut self, verbose: Verbose) -> Self {
        self.verbose = verbose;
        self
    }

    /// Where to print, in place of the standard output. There will be no bar, only lines.
    pub fn log_to(mut self, log: &'a mut (dyn Write + Send)) -> Self {
        self.log = Some(log);
        self
    }

    /// Trains on this many threads of its own (0: one for each core) in place of rayon's current
    /// ones. The result does not depend on it.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Samples to evaluate after every epoch. Overrides [`validation_split`](Self::validation_split).
    pub const fn validation_data(mut self, validation_data: Examples<'a>) -> Self {
        self.validation_data = Some(validation_data);
        self
    }

    /// Holds this share of the training samples back to evaluate after every epoch: the last ones,
    /// before shuffling.
    pub const fn validation_split(mut self, share: f64) -> Self {
        self.validation_split = share;
        self
    }

    /// Saves the weights after epochs. May be called more than once.
    pub fn checkpoint(mut self, checkpoint: ModelCheckpoint) -> Self {
        self.checkpoints.push(checkpoint);
        self
    }

    /// Stops when the model no longer improves.
    pub const fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Checks everything that can be checked before training.
    pub(super) fn plan<'e>(
        &self,
        examples: &Examples<'e>,
        model: &Expected,
    ) -> Result<Plan<'e>, FitError>
    where
        'a: 'e,
    {
        let batch_size = self.batch_size.unwrap_or(model.batch_size);
        let epochs = self.epochs.unwrap_or(model.epochs);
        if batch_size == 0 {
            return Err(FitError::BatchSize);
        }
        if epochs == 0 {
            return Err(FitError::Epochs);
        }
        if self.initial_epoch >= epochs {
            return Err(FitError::InitialEpoch { initial_epoch: self.initial_epoch, epochs });
        }
        examples.check(model.input_len, model.output_len).map_err(FitError::TrainingData)?;
        let (train, validation) = self.split(examples)?;
        if let Some(validation) = validation {
            let checked = validation.check(model.input_len, model.output_len);
            checked.map_err(FitError::ValidationData)?;
        }
        self.check_callbacks(validation.is_some())?;
        Ok(Plan {
            train,
            validation,
            batch_size: batch_size.min(train.len()),
            initial_epoch: self.initial_epoch,
            epochs,
            seed: self.seed,
            shuffle: !self.keep_order,
            checkpoints: self.checkpoints.clone(),
            early_stopping: self.early_stopping,
        })
    }

    /// Training and validation samples.
    fn split<'e>(
        &self,
        examples: &Examples<'e>,
    ) -> Result<(Examples<'e>, Option<Examples<'e>>), FitError>
    where
        'a: 'e,
    {
        let share = self.validation_split;
        if self.validation_data.is_some() || share == 0.0 {
            return Ok((*examples, self.validation_data));
        }
        let (train, validation) = examples.split_last(share);
        if !(0.0..1.0).contains(&share) || train.is_empty() || validation.is_empty() {
            return Err(FitError::ValidationSplit { share, samples: examples.len() });
        }
        Ok((train, Some(validation)))
    }

    fn check_callbacks(&self, validated: bool) -> Result<(), FitError> {
        let checkpoints = self.checkpoints.iter().filter_map(ModelCheckpoint::depends_on);
        let stopping = self.early_stopping.iter().map(EarlyStopping::depends_on);
        let watched = checkpoints
            .map(|monitor| ("ModelCheckpoint", monitor))
            .chain(stopping.map(|monitor| ("EarlyStopping", monitor)));
        for (callback, monitor) in watched {
            if monitor.needs_validation() && !validated {
                return Err(FitError::NothingToMonitor { callback, monitor });
            }
        }
        for checkpoint in &self.checkpoints {
            check_path(&checkpoint.path)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fit")
            .field("epochs", &self.epochs)
            .field("initial_epoch", &self.initial_epoch)
            .field("batch_size", &self.batch_size)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// What a run has to know of the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) input_len: usize,
    pub(super) output_len: usize,
    pub(super) batch_size: usize,
    pub(super) epochs: usize,
}

/// Why a run did not start, or did not end. All but [`Checkpoint`](Self::Checkpoint) are found
/// before anything is trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// A batch of nothing.
    #[error("batch_size is 0: expected at least 1")]
    BatchSize,
    /// No epochs.
    #[error("epochs is 0: expected at least 1")]
    Epochs,
    /// Nothing left to train.
    #[error("initial_epoch is {initial_epoch} of {epochs} epochs: nothing is left to train")]
    InitialEpoch {
        /// Epochs that lie behind.
        initial_epoch: usize,
        /// The number of the last epoch.
        epochs: usize,
    },
    /// The training samples do not fit the model.
    #[error("training data: {0}")]
    TrainingData(#[source] ExamplesError),
    /// The validation samples do not fit the model.
    #[error("validation data: {0}")]
    ValidationData(#[source] ExamplesError),
    /// A share that leaves nothing on one side.
    #[error(
        "validation_split is {share} with {samples} samples: expected a share between 0 and 1 that \
         leaves at least one sample for training and one for validation"
    )]
    ValidationSplit {
        /// The share asked for.
        share: f64,
        /// The samples to split.
        samples: usize,
    },
    /// A callback watches a figure that there will not be.
    #[error(
        "{callback} monitors {}, which takes validation data: give `validation_data` or \
         `validation_split`, or monitor `loss` or `accuracy`",
        monitor.name()
    )]
    NothingToMonitor {
        /// The callback.
        callback: &'static str,
        /// The figure it watches.
        monitor: Monitor,
    },
    /// The system gave no threads.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// The number asked for.
        threads: usize,
        /// What the system says.
        source: rayon::ThreadPoolBuildError,
    },
    /// The weights could not be saved.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
