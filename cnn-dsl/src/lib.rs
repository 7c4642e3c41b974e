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

// For what pest generated.
extern crate alloc;

pub mod ast;
pub mod bind;
pub mod build;
pub mod codegen;
pub mod count;
pub mod diagnostics;
pub mod explain;
pub mod format;
pub mod ir;
pub mod layer;
pub mod load;
pub mod lower;
pub mod names;
pub mod parse;
pub mod passes;
pub mod receptive;
pub mod scan;
pub mod source;
pub mod summary;

use std::path::Path;

pub use diagnostics::{Diagnostic, render};
pub use source::Sources;

/// What is to be said of a text, and its models.
#[derive(Debug)]
pub struct Checked {
    /// The text, and those that it uses.
    pub sources: Sources,
    /// Empty if there is any mistake.
    pub models: Vec<ir::Model>,
    /// Mistakes and warnings in the order of the text: the first syntax error of each file alone,
    /// or else all of meaning, up to a number that nobody reads beyond.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether there is any mistake.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// All diagnostics as rustc prints them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        self.sources.render(&self.diagnostics, color)
    }
}

/// Parses and checks a text of any number of models. `path` is how messages call it; the paths in
/// its `use` lines start at `folder`.
#[must_use]
pub fn check(path: &str, text: &str, folder: &Path) -> Checked {
    let mut sources = Sources::new(path, text);
    let (models, diagnostics) = match load::load(&mut sources, folder) {
        Ok(program) => lower::lower(&program),
        Err(errors) => (Vec::new(), errors),
    };
    Checked { sources, models, diagnostics }
}

/// [`check`]s a text for its models alone; `use` starts at the current folder.
///
/// # Errors
///
/// The mistakes found; warnings are left out.
pub fn compile(text: &str) -> Result<Vec<ir::Model>, Vec<Diagnostic>> {
    let Checked { models, mut diagnostics, .. } = check("", text, Path::new(""));
    diagnostics.retain(Diagnostic::is_error);
    if diagnostics.is_empty() { Ok(models) } else { Err(diagnostics) }
}
