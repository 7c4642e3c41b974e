//! The macro as a function of tokens.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cnn_dsl::codegen::{self, Options};
use cnn_dsl::{Diagnostic, scan, source};
use proc_macro2::{Delimiter, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote;

use crate::tokens::{Flat, string};

/// Gives the line of a span where it is known.
type Line = fn(Span) -> Option<usize>;

/// Expands `[runtime] models…` or `[runtime] "file.cnn"`.
///
/// On mistakes: one `compile_error!` each, and a skeleton of every model whose name is known.
pub fn expand(input: TokenStream, line: Line) -> TokenStream {
    let mut tokens = input.into_iter();
    let options = match tokens.next() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Options { runtime: group.stream(), ..Options::default() }
        }
        _ => {
            let message = "use `cnn_runtime::cnn!` instead";
            return syn::Error::new(Span::call_site(), message).to_compile_error();
        }
    };
    let tokens: Vec<TokenTree> = tokens.collect();
    match file_name(&tokens) {
        Some((literal, name)) => from_file(&literal, &name, &options),
        None => from_tokens(tokens.into_iter().collect(), &options, line),
    }
}

/// The file that a lone string literal names.
fn file_name(tokens: &[TokenTree]) -> Option<(Literal, String)> {
    let literal = match tokens {
        [TokenTree::Literal(literal)] => literal,
        [TokenTree::Literal(literal), TokenTree::Punct(end)] if end.as_char() == ';' => literal,
        _ => return None,
    };
    Some((literal.clone(), string(literal)?))
}

fn from_tokens(tokens: TokenStream, options: &Options, line: Line) -> TokenStream {
    let flat = Flat::new(tokens);
    match cnn_dsl::compile(&flat.text) {
        Ok(models) => codegen::emit(&models, options),
        Err(mistakes) => {
            let errors = mistakes.iter().map(|mistake| at_tokens(&flat, mistake, line));
            let skeletons = skeletons(&flat.text, options);
            quote!(#(#errors)* #skeletons)
        }
    }
}

/// A mistake at its tokens. A `compile_error!` has one place only: other places go into the text.
fn at_tokens(flat: &Flat, mistake: &Diagnostic, line: Line) -> TokenStream {
    let mut message = mistake.plain();
    for (span, label) in &mistake.secondary {
        let [first, _] = flat.spans(span);
        let text = cnn_dsl::diagnostics::quote(&flat.text[span.clone()]);
        let line = line(first).map_or_else(String::new, |line| format!("line {line}, "));
        let _ = write!(message, "\nnote: {line}{text}: {label}");
    }
    let ends = flat.spans(&mistake.span).map(|span| {
        let mut end = Punct::new('.', Spacing::Alone);
        end.set_span(span);
        TokenTree::Punct(end)
    });
    syn::Error::new_spanned(TokenStream::from_iter(ends), message).to_compile_error()
}

fn from_file(literal: &Literal, name: &str, options: &Options) -> TokenStream {
    let path = resolve(name);
    let error = |message: String| syn::Error::new(literal.span(), message).to_compile_error();
    let text = match source::read(&path) {
        Ok(text) => text,
        Err(problem) => return error(problem),
    };
    // Not read by anything, but makes the compiler watch the file.
    let shown = path.display().to_string();
    let runtime = &options.runtime;
    let watch = quote! {
        const _: &[u8] = #runtime::__private::core::include_bytes!(#shown);
    };
    match cnn_dsl::compile(&text) {
        Ok(models) => {
            let models = codegen::emit(&models, options);
            quote!(#watch #models)
        }
        Err(mistakes) => {
            let errors = mistakes.iter().map(|mistake| {
                let rendered = cnn_dsl::render(&shown, &text, std::slice::from_ref(mistake), false);
                error(rendered.trim_start_matches("error: ").trim_end().to_owned())
            });
            let skeletons = skeletons(&text, options);
            quote!(#watch #(#errors)* #skeletons)
        }
    }
}

/// Relative paths start at the package that is being compiled.
fn resolve(name: &str) -> PathBuf {
    match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => Path::new(&package).join(name),
        None => PathBuf::from(name),
    }
}

/// The types that a text with mistakes was to define, so that their users report nothing more.
fn skeletons(text: &str, options: &Options) -> TokenStream {
    scan::model_names(text).iter().map(|name| codegen::skeleton(name, options)).collect()
}

#[cfg(test)]
mod tests;
