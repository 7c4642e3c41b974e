#![doc = include_str!("../README.md")]
//!
//! # This package
//!
//! The models of `specs/` that examples and other packages use; those that only `tests/specs.rs` needs
//! are compiled there.

cnn_runtime::include_model!("mnist_mlp");
cnn_runtime::include_model!("mnist_cnn");
cnn_runtime::include_model!("cifar10_cnn");
cnn_runtime::include_model!("resnet20");
