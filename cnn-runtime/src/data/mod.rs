//! Training data: readers of the usual files, and the views a trainer takes.

mod cifar;
pub mod cifar10;
pub mod cifar100;
mod dataset;
#[cfg(feature = "download")]
pub mod download;
mod error;
mod examples;
mod file;
pub mod idx;
#[cfg(feature = "images")]
pub mod images;
pub mod mnist;
#[cfg(feature = "npy")]
pub mod npy;
mod split;
mod statistics;

pub use dataset::{Dataset, one_hot};
pub use error::{DataError, FileProblem};
pub use examples::{Examples, ExamplesError, Inputs, Targets};
pub use split::{ShareError, stratified};
pub use statistics::ChannelStatistics;
