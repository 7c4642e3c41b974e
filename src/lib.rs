#![doc = include_str!("../README.md")]
//!
//! # This package
//!
//! The models of `specs/`, for the examples and the end-to-end tests.

cnn_runtime::include_model!("mnist_mlp");
cnn_runtime::include_model!("mnist_cnn");
cnn_runtime::include_model!("mnist_tiny");
cnn_runtime::include_model!("lenet5");
cnn_runtime::include_model!("cifar10_cnn");
cnn_runtime::include_model!("cifar10_vgg");
cnn_runtime::include_model!("cifar10_inception");
cnn_runtime::include_model!("cifar10_mobilenet");
cnn_runtime::include_model!("cifar10_densenet");
cnn_runtime::include_model!("resnet20");
cnn_runtime::include_model!("sobel");
