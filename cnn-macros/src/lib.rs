//! The procedural macro behind `cnn_runtime::cnn!`, which is the way to call it.

#![forbid(unsafe_code)]

mod expand;
mod tokens;

/// Compiles models written between the brackets, or in the file that a string literal names.
///
/// The paths in `use "…";` start at the package. Warnings are not shown, as a macro cannot warn on
/// stable Rust: build scripts and `cnn check` show them.
///
/// The first token is a group `[path to the runtime]`, which `cnn_runtime::cnn!` puts there.
#[proc_macro]
pub fn cnn_impl(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand::expand(input.into(), |span| Some(span.unwrap().line())).into()
}
