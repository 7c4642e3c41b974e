//! Pictures for whoever works with convolutional networks: what is in the data, what a filter does
//! to a photograph, how a training went, what the layers learned.
//!
//! Every function takes plain slices or `ndarray` views, gives an image back ([`image::RgbImage`],
//! or [`Svg`] where lines and letters should stay sharp), and writes nothing: [`encode`] makes bytes
//! of an image, and the caller decides where they go. Letters are DejaVu Sans and colour maps come
//! with a crate; no font of the system is needed. Bad sizes are an [`Error`], never a panic.

#![forbid(unsafe_code)]

mod architecture;
mod channels;
mod chart;
mod confusion;
mod digit;
mod error;
mod file;
pub mod filter;
mod grid;
mod heat;
mod layers;
mod palette;
mod picture;
mod svg;
mod text;

pub use architecture::{Block, architecture, thousands};
pub use channels::{channels, grey, luma};
pub use chart::{History, Line, line_chart, training_curves};
pub use confusion::{confusion_matrix, count_confusions};
pub use digit::digit_values;
pub use error::Error;
pub use file::{Format, decode, encode};
pub use grid::{predictions_grid, sample_grid};
pub use heat::{heat_map, overlay};
pub use image;
pub use layers::{FeaturePatches, feature_maps, kernels, top_patches};
pub use palette::Palette;
pub use picture::{Picture, to_bytes};
pub use svg::Svg;
