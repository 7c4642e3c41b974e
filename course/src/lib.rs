//! What teaches convolutional networks: the page that the example `lesson` writes, and what the
//! example `playground` serves. Both train the networks that they show.

pub mod book;
pub mod playground;
mod predictions;

pub use predictions::{classes, predictions};

/// The digits that ship with the repository.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist-sample");
