//! What emitted code names beside the runtime's public parts. No promise is made about it.

pub use ::core;
pub use ::core::option::Option::{self, None, Some};

#[cfg(feature = "macros")]
pub use cnn_macros::cnn_impl;
