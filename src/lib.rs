#![doc = include_str!("../README.md")]
//!
//! # This package
//!
//! The models of `specs/`, for the examples and the end-to-end tests.

cnn_runtime::include_model!("mnist_mlp");
cnn_runtime::include_model!("mnist_cnn");
cnn_runtime::include_model!("cifar10_cnn");
