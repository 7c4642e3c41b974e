//! What happens between epochs: saving the weights, stopping early.

use std::path::{Path, PathBuf};

use super::EpochLog;

/// A figure to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Monitor {
    /// The loss on the training data.
    Loss,
    /// The accuracy on the training data.
    Accuracy,
    /// The loss on the validation data.
    #[default]
    ValLoss,
    /// The accuracy on the validation data.
    ValAccuracy,
}

impl Monitor {
    /// Keras's name: `val_loss`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::ValLoss => "val_loss",
            Self::ValAccuracy => "val_accuracy",
        }
    }

    /// Whether more is better: true of accuracies, false of losses.
    #[must_use]
    pub const fn is_maximized(self) -> bool {
        matches!(self, Self::Accuracy | Self::ValAccuracy)
    }

    /// Whether it takes validation data.
    #[must_use]
    pub const fn needs_validation(self) -> bool {
        matches!(self, Self::ValLoss | Self::ValAccuracy)
    }
}

/// The best value so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    monitor: Monitor,
    pub(super) value: f64,
}

impl Best {
    pub(super) const fn new(monitor: Monitor) -> Self {
        let value = if monitor.is_maximized() { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { monitor, value }
    }

    /// Whether `value` is better than all before. NaN is not, and blocks nothing after it.
    pub(super) fn improve(&mut self, value: f64) -> bool {
        let better =
            if self.monitor.is_maximized() { value > self.value } else { value < self.value };
        if better {
            self.value = value;
        }
        better
    }
}

/// Saves the weights after an epoch; all of them go to one file.
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    pub(super) path: PathBuf,
    pub(super) save_best_only: bool,
    best: Best,
}

impl ModelCheckpoint {
    /// Saves to `path` after every epoch.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), save_best_only: false, best: Best::new(Monitor::ValLoss) }
    }

    /// What decides which weights are the best: the validation loss unless said otherwise.
    #[must_use]
    pub const fn monitor(mut self, monitor: Monitor) -> Self {
        self.best = Best::new(monitor);
        self
    }

    /// The best value of the [monitored](Self::monitor) figure so far, when a run is resumed: only
    /// what is better will be saved.
    #[must_use]
    pub const fn initial_value_threshold(mut self, value: f64) -> Self {
        self.best.value = value;
        self
    }

    /// Whether to save only if the monitored figure improved.
    #[must_use]
    pub const fn save_best_only(mut self, save_best_only: bool) -> Self {
        self.save_best_only = save_best_only;
        self
    }

    /// The figure that this depends on, if on any.
    pub(super) fn depends_on(&self) -> Option<Monitor> {
        self.save_best_only.then_some(self.best.monitor)
    }

    /// Decides whether to save, and says so as Keras does.
    pub(super) fn after_epoch(&mut self, log: &EpochLog) -> (Option<&Path>, String) {
        let (epoch, path) = (log.epoch, self.path.display());
        if !self.save_best_only {
            return (Some(&self.path), format!("Epoch {epoch}: saving model to {path}"));
        }
        let (name, before) = (self.best.monitor.name(), self.best.value);
        let value = log.get(self.best.monitor).unwrap_or(f64::NAN);
        if !self.best.improve(value) {
            return (None, format!("Epoch {epoch}: {name} did not improve from {before:.5}"));
        }
        let said = format!(
            "Epoch {epoch}: {name} improved from {before:.5} to {value:.5}, saving model to {path}"
        );
        (Some(&self.path), said)
    }
}

/// Stops training when the monitored figure has not improved for a number of epochs.
#[derive(Clone, Copy, Debug)]
pub struct EarlyStopping {
    patience: usize,
    best: Best,
    waited: usize,
}

impl EarlyStopping {
    /// Stops after `patience` epochs in a row without a better validation loss.
    #[must_use]
    pub const fn new(patience: usize) -> Self {
        Self { patience, best: Best::new(Monitor::ValLoss), waited: 0 }
    }

    /// What has to improve: the validation loss unless said otherwise.
    #[must_use]
    pub const fn monitor(mut self, monitor: Monitor) -> Self {
        self.best = Best::new(monitor);
        self
    }

    pub(super) const fn depends_on(&self) -> Monitor {
        self.best.monitor
    }

    /// Whether to stop. As in Keras, never after the very first epoch.
    pub(super) fn after_epoch(&mut self, log: &EpochLog) -> bool {
        let value = log.get(self.best.monitor).unwrap_or(f64::NAN);
        self.waited = if self.best.improve(value) { 0 } else { self.waited + 1 };
        self.waited > 0 && self.waited >= self.patience && log.epoch > 1
    }
}
