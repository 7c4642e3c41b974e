//! The inner loops that layers are made of.

pub(crate) mod elementwise;
pub(crate) mod matmul;
pub(crate) mod simd;
