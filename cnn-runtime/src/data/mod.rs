//! Training data: readers of the usual files, and the views a trainer takes.

mod dataset;
mod error;
mod examples;
pub mod idx;
pub mod mnist;

pub use dataset::{Dataset, one_hot};
pub use error::{DataError, FileProblem};
pub use examples::{Examples, ExamplesError, Inputs, Targets};
