//! The macro as a function of tokens.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cnn_dsl::codegen::{self, Options};
use cnn_dsl::{Checked, Diagnostic, Sources, build, scan};
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
    let checked = cnn_dsl::check("cnn!", &flat.text, &resolve(""));
    let watch = watch(&checked.sources, 1, options);
    if !checked.failed() {
        let models = codegen::emit(&checked.models, options);
        return quote!(#watch #models);
    }
    let errors =
        mistakes_of(&checked).map(|mistake| at_tokens(&flat, &checked.sources, mistake, line));
    let skeletons = skeletons(&flat.text, options);
    quote!(#watch #(#errors)* #skeletons)
}

/// What is wrong. A macro cannot warn on stable Rust: warnings are for `cnn check` and build
/// scripts.
fn mistakes_of(checked: &Checked) -> impl Iterator<Item = &Diagnostic> {
    checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error())
}

/// A mistake at its tokens, or, if it lies in another file, at the `use` that leads there. A
/// `compile_error!` has one place only: other places go into the text.
fn at_tokens(flat: &Flat, sources: &Sources, mistake: &Diagnostic, line: Line) -> TokenStream {
    let mut place = &mistake.span;
    let mut message = mistake.plain();
    while let Some(used_at) = &sources.locate(place).0.used_at {
        message = rendered(sources, mistake);
        place = used_at;
    }
    if place == &mistake.span {
        for (span, label) in &mistake.secondary {
            let (file, _) = sources.locate(span);
            let text = cnn_dsl::diagnostics::quote(sources.text(span));
            let place = if file.used_at.is_some() {
                format!("{}, ", file.path)
            } else {
                let [first, _] = flat.spans(span);
                line(first).map_or_else(String::new, |line| format!("line {line}, "))
            };
            let _ = write!(message, "\nnote: {place}{text}: {label}");
        }
    }
    let ends = flat.spans(place).map(|span| {
        let mut end = Punct::new('.', Spacing::Alone);
        end.set_span(span);
        TokenTree::Punct(end)
    });
    syn::Error::new_spanned(TokenStream::from_iter(ends), message).to_compile_error()
}

/// As a build script prints it, without the word that rustc puts there itself.
fn rendered(sources: &Sources, mistake: &Diagnostic) -> String {
    let rendered = sources.render(std::slice::from_ref(mistake), false);
    rendered.trim_start_matches("error: ").trim_end().to_owned()
}

fn from_file(literal: &Literal, name: &str, options: &Options) -> TokenStream {
    let path = resolve(name);
    let error = |message: String| syn::Error::new(literal.span(), message).to_compile_error();
    let checked = match build::check(&path) {
        Ok(checked) => checked,
        Err(problem) => return error(problem),
    };
    let watch = watch(&checked.sources, 0, options);
    if !checked.failed() {
        let models = codegen::emit(&checked.models, options);
        return quote!(#watch #models);
    }
    let errors = mistakes_of(&checked).map(|mistake| error(rendered(&checked.sources, mistake)));
    let skeletons = skeletons(&checked.sources.files()[0].text, options);
    quote!(#watch #(#errors)* #skeletons)
}

/// Not read by anything, but makes the compiler watch the files from number `first` on.
fn watch(sources: &Sources, first: usize, options: &Options) -> TokenStream {
    let runtime = &options.runtime;
    let paths = sources.files()[first..].iter().map(|file| &file.path);
    quote! { #(const _: &[u8] = #runtime::__private::core::include_bytes!(#paths);)* }
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
