//! The layers' arithmetic: one file a kind, each a description of constant shape with `forward`
//! and `backward`.
//!
//! A network's weights lie in one buffer. From it two more are derived after every change: the
//! *packed* weights, laid out for the forward pass, and the *transposed* ones, for the way back.
//! A layer knows [where its parts lie](At) in all of them.

pub mod activation;
pub mod add;
pub mod average_pool;
pub mod batch_normalization;
pub mod conv;
pub mod conv_pool;
pub mod conv_transpose;
pub mod dense;
mod dense_batch;
pub mod depthwise;
pub mod dropout;
pub mod folded;
pub mod frame;
pub mod global_pool;
pub mod layer_normalization;
pub mod locally_connected;
pub mod merge;
pub mod noise;
pub mod permute;
pub mod pool;
pub mod rescaling;
pub mod softmax;
pub mod up_sampling;
mod winograd;

pub use activation::Activation;
pub use add::Add;
pub use average_pool::AveragePooling2D;
pub use batch_normalization::{BatchNormalization, FixedBatchNormalization};
pub use conv::Conv2D;
pub use conv_pool::ConvPool;
pub use conv_transpose::Conv2DTranspose;
pub use dense::Dense;
pub use depthwise::DepthwiseConv2D;
pub use dropout::Dropout;
pub use folded::Folded;
pub use frame::{Cropping2D, ZeroPadding2D};
pub use global_pool::{GlobalAveragePooling2D, GlobalMaxPooling2D};
pub use layer_normalization::{LayerNormalization, Standardization};
pub use locally_connected::LocallyConnected2D;
pub use merge::{Concatenate, Merge, Rule};
pub use noise::GaussianNoise;
pub use permute::Permute;
pub use pool::MaxPooling2D;
pub use rescaling::Rescaling;
pub use softmax::Softmax;
pub use up_sampling::UpSampling2D;

/// Where a layer's parts start, in floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// In the weights (and in their gradients): kernel, then bias.
    pub weights: usize,
    /// In the packed weights.
    pub packed: usize,
    /// In the transposed weights.
    pub transposed: usize,
    /// In a shard's own gradients.
    pub gradients: usize,
    /// In what a batch's images share.
    pub batch: usize,
    /// In what each image has in the [`Exchange`](crate::exchange::Exchange).
    pub exchange: usize,
}

impl At {
    /// Everything at the start.
    pub const START: Self =
        Self { weights: 0, packed: 0, transposed: 0, gradients: 0, batch: 0, exchange: 0 };
}

/// Adds `more` to `sum`, element by element.
pub fn accumulate(sum: &mut [f32], more: &[f32]) {
    crate::kernel::elementwise::add(sum, more);
}

#[cfg(test)]
mod tests;
