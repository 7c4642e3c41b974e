//! Slow, obvious versions of every operation in `f64`, for tests to compare with.
//!
//! Each is written straight from its definition, a few loops and no cleverness, and shares no
//! code with the fast one. Layouts are those of the layers: images height x width x channels,
//! convolution kernels height x width x in x out, dense kernels in x out.

mod activation;
mod batch_normalization;
mod conv;
mod conv_transpose;
mod dense;
mod layer_normalization;
mod locally_connected;
mod loss;
mod merge;
mod numeric;
mod optimizer;
mod pool;
mod up_sampling;

#[cfg(test)]
pub(crate) mod cases;
#[cfg(test)]
mod tests;

pub use activation::{activation, activation_slope, erf, softmax, softmax_backward};
pub use batch_normalization::BatchNormalization;
pub use conv::Conv2D;
pub use conv_transpose::Conv2DTranspose;
pub use dense::Dense;
pub use layer_normalization::layer_normalization;
pub use locally_connected::LocallyConnected2D;
pub use loss::softmax_crossentropy;
pub use merge::{Merge, concatenate};
pub use numeric::{numeric_gradient, same_padding, widen};
pub use optimizer::RmsProp;
pub use pool::{AveragePooling2D, MaxPooling2D};
pub use up_sampling::up_sampling;
