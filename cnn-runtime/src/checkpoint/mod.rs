//! Weights in safetensors files.
//!
//! Tensors have Keras's names, layouts and shapes (`conv2d/kernel`: height x width x in x out),
//! dtype F32. The metadata name the `model` and its `architecture`, a hash that loading compares; a
//! file without them, from another program, loads if names and shapes fit. The optimizer's state is
//! not saved: a run resumed from a checkpoint starts with a fresh optimizer.
//!
//! A file is replaced as a whole or not at all: it is written beside its place, brought to the disk
//! and then renamed.

mod error;
mod read;
mod replace;
mod write;

use std::path::Path;

pub use error::{CheckpointError, CheckpointProblem, Difference};

use crate::model::Model;
use crate::network::{Network, TensorInfo};

/// What a checkpoint of one architecture holds.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// The model's name, for messages.
    pub model: &'a str,
    /// Equal for models that can share a checkpoint.
    pub architecture: u64,
    /// The tensors and their places in the weights.
    pub tensors: &'a [TensorInfo],
}

impl Layout<'static> {
    /// The layout of a compiled network.
    #[must_use]
    pub const fn of<N: Network>() -> Self {
        Self { model: N::NAME, architecture: N::ARCHITECTURE_HASH, tensors: N::TENSORS }
    }
}

/// Saves a model's weights.
///
/// # Errors
/// If the file cannot be written; what was at `path` before is then still there.
pub fn save<N: Network>(model: &Model<N>, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
    save_weights(&Layout::of::<N>(), model.weights(), path)
}

/// Loads a model's weights.
///
/// # Errors
/// If the file cannot be read or holds other tensors than the model; the model is then unchanged.
pub fn load<N: Network>(
    model: &mut Model<N>,
    path: impl AsRef<Path>,
) -> Result<(), CheckpointError> {
    let mut loaded = model.weights().to_vec();
    load_weights(&Layout::of::<N>(), &mut loaded, path)?;
    model.update(|weights| weights.copy_from_slice(&loaded));
    Ok(())
}

/// Saves the tensors of `layout` out of a flat array of weights.
///
/// # Errors
/// If the file cannot be written; what was at `path` before is then still there.
///
/// # Panics
/// If a tensor reaches beyond `weights`.
pub fn save_weights(
    layout: &Layout<'_>,
    weights: &[f32],
    path: impl AsRef<Path>,
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    replace::replace(path, |file| write::write(file, layout, weights))
        .map_err(|problem| problem.at(path))
}

/// Loads the tensors of `layout` into a flat array of weights. F16 and BF16 are widened.
///
/// # Errors
/// If the file cannot be read or holds other tensors. `weights` are unchanged, unless the system
/// fails while the numbers themselves are read.
///
/// # Panics
/// If a tensor reaches beyond `weights`.
pub fn load_weights(
    layout: &Layout<'_>,
    weights: &mut [f32],
    path: impl AsRef<Path>,
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    read::read(path, layout, weights).map_err(|problem| problem.at(path))
}

/// Whether a checkpoint could be saved at `path`: its folder exists, and it is not one itself.
///
/// # Errors
/// If not.
pub fn check_path(path: impl AsRef<Path>) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    replace::place(path).map(drop).map_err(|problem| problem.at(path))
}

#[cfg(test)]
mod tests;
