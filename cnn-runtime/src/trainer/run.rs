//! The loop over epochs and batches. It knows no network: what it drives is a [`Steps`].

use std::path::Path;

use super::callbacks::{EarlyStopping, ModelCheckpoint};
use super::log::Log;
use super::{EpochLog, History};
use crate::checkpoint::CheckpointError;
use crate::data::Examples;
use crate::engine::Totals;
use crate::rng::{Rng, stream};

/// Keeps the order of samples apart from other uses of one seed.
const SHUFFLE: u64 = u64::from_be_bytes(*b"shuffle\0");

/// What the loop does to a model.
pub(super) trait Steps {
    /// One training step on the samples at `indices`.
    fn step(&mut self, examples: &Examples<'_>, indices: &[usize]) -> Totals;
    /// Loss and right answers over all samples, without training.
    fn evaluate(&mut self, examples: &Examples<'_>) -> Totals;
    /// Saves the weights.
    fn save(&mut self, path: &Path) -> Result<(), CheckpointError>;
}

/// What to run, checked beforehand: no number is 0, except for `initial_epoch`.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) train: Examples<'a>,
    pub(super) validation: Option<Examples<'a>>,
    pub(super) batch_size: usize,
    pub(super) initial_epoch: usize,
    pub(super) epochs: usize,
    pub(super) seed: u64,
    pub(super) shuffle: bool,
    pub(super) checkpoints: Vec<ModelCheckpoint>,
    pub(super) early_stopping: Option<EarlyStopping>,
}

/// Trains. After the order of the samples nothing is allocated within an epoch.
pub(super) fn run(
    steps: &mut impl Steps,
    mut plan: Plan<'_>,
    log: &mut Log<'_>,
) -> Result<History, CheckpointError> {
    let mut history = History::default();
    let mut order: Vec<usize> = (0..plan.train.len()).collect();
    for epoch in plan.initial_epoch..plan.epochs {
        if plan.shuffle {
            shuffle(&mut order, plan.seed, epoch);
        }
        let epoch_log = run_epoch(steps, &plan, epoch, &order, log);
        history.epochs.push(epoch_log);
        for checkpoint in &mut plan.checkpoints {
            let (path, said) = checkpoint.after_epoch(&epoch_log);
            log.say(said);
            path.map_or(Ok(()), |path| steps.save(path))?;
        }
        if plan.early_stopping.as_mut().is_some_and(|stopping| stopping.after_epoch(&epoch_log)) {
            log.say(format_args!("Epoch {}: early stopping", epoch_log.epoch));
            break;
        }
    }
    Ok(history)
}

fn run_epoch(
    steps: &mut impl Steps,
    plan: &Plan<'_>,
    epoch: usize,
    order: &[usize],
    log: &mut Log<'_>,
) -> EpochLog {
    let batches = order.len().div_ceil(plan.batch_size);
    log.start_epoch(epoch + 1, plan.epochs, batches);
    let mut totals = Totals::default();
    for (batch, indices) in order.chunks(plan.batch_size).enumerate() {
        totals += steps.step(&plan.train, indices);
        log.step(batch + 1, batches, totals);
    }
    let validation = plan.validation.map(|validation| steps.evaluate(&validation).into());
    let seconds = log.seconds();
    let epoch_log = EpochLog { epoch: epoch + 1, train: totals.into(), validation, seconds };
    log.end_epoch(&epoch_log, batches);
    epoch_log
}

/// The order of one epoch. It depends on the seed and the epoch alone, so that a resumed run goes
/// on as if it had not stopped.
fn shuffle(order: &mut [usize], seed: u64, epoch: usize) {
    for (place, sample) in order.iter_mut().enumerate() {
        *sample = place;
    }
    Rng::new(seed, stream([SHUFFLE, epoch as u64])).shuffle(order);
}

#[cfg(test)]
mod tests;
