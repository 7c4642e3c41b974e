//! The inner loops that layers are made of.

pub(crate) mod elementwise;
pub(crate) mod matmul;
pub(crate) mod panels;
pub(crate) mod products;
pub(crate) mod rmsprop;
pub(crate) mod simd;
