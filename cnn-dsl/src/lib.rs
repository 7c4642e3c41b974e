//! Convolutional networks declared in a few lines, checked, counted and turned into Rust.
//!
//! The same text may stand in a `.cnn` file, compiled by a build script with [`build::compile`],
//! or inside `cnn! { … }`. Either way it goes through [`parse`], [`lower`] and `codegen`:
//! one grammar, one checker, one generator.
//!
//! ```
//! let models = cnn_dsl::compile(
//!     "model Digits { input(28, 28); Flatten; Dense(10, activation = softmax); }",
//! )
//! .unwrap();
//! assert_eq!(models[0].params(), 7_850);
//! ```

#![forbid(unsafe_code)]

pub mod ast;
pub mod bind;
pub mod build;
pub mod codegen;
pub mod count;
pub mod diagnostics;
pub mod format;
pub mod ir;
pub mod layer;
pub mod lower;
pub mod names;
pub mod parse;
pub mod passes;
pub mod scan;
pub mod source;
pub mod summary;

pub use diagnostics::{Diagnostic, render};

/// Parses and checks a text of any number of models.
///
/// # Errors
///
/// The mistakes found, in the order of the text: the first syntax error alone, or else all mistakes
/// of meaning, up to a number that nobody reads beyond.
pub fn compile(text: &str) -> Result<Vec<ir::Model>, Vec<Diagnostic>> {
    let models = parse::parse(text).map_err(|error| vec![error])?;
    lower::lower(&models)
}
