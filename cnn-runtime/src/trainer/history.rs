//! What training found, epoch by epoch.

use super::callbacks::{Best, Monitor};
use crate::engine::Totals;

/// Loss and accuracy over a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The mean loss.
    pub loss: f64,
    /// The share of samples whose largest output is the right one, 0 to 1.
    pub accuracy: f64,
    /// The number of samples.
    pub samples: usize,
}

impl From<Totals> for Evaluation {
    /// Means over samples, not over batches: a short last batch weighs what it holds.
    fn from(totals: Totals) -> Self {
        let samples = totals.samples as f64;
        Self {
            loss: totals.loss / samples,
            accuracy: totals.correct as f64 / samples,
            samples: totals.samples,
        }
    }
}

/// One epoch of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochLog {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// On the training data, while the weights were changing.
    pub train: Evaluation,
    /// On the validation data, after the epoch.
    pub validation: Option<Evaluation>,
    /// Seconds that the epoch took, validation included.
    pub seconds: f64,
}

impl EpochLog {
    /// The figure that `monitor` names; `None` for a validation figure without validation.
    #[must_use]
    pub fn get(&self, monitor: Monitor) -> Option<f64> {
        match monitor {
            Monitor::Loss => Some(self.train.loss),
            Monitor::Accuracy => Some(self.train.accuracy),
            Monitor::ValLoss => self.validation.map(|validation| validation.loss),
            Monitor::ValAccuracy => self.validation.map(|validation| validation.accuracy),
        }
    }
}

/// All epochs of a run. A loss that became NaN is kept as such.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The epochs in order.
    pub epochs: Vec<EpochLog>,
}

impl History {
    /// One figure over the epochs, as Keras's `history.history["val_loss"]`.
    pub fn values(&self, monitor: Monitor) -> impl Iterator<Item = f64> {
        self.epochs.iter().filter_map(move |epoch| epoch.get(monitor))
    }

    /// The first epoch with the best figure; NaN is never the best.
    #[must_use]
    pub fn best(&self, monitor: Monitor) -> Option<&EpochLog> {
        let mut best = Best::new(monitor);
        let improving = |epoch: &&EpochLog| epoch.get(monitor).is_some_and(|v| best.improve(v));
        self.epochs.iter().filter(improving).last()
    }
}
