//! From a plan to Rust.
//!
//! For each model: a type with its constants, and an anonymous constant around everything else, so
//! that nothing but the type's name can meet the user's names. Inside, all names come from `use`,
//! and nothing from the prelude, which the user may have shadowed or switched off.

mod consts;
mod inspect;
mod passes;
mod predict;
mod repeats;
mod skeleton;
mod stages;
mod storage;

use std::collections::{BTreeSet, HashSet};

use proc_macro2::{Ident, Literal, Span, TokenStream, TokenTree};
use quote::quote;

use crate::ir::Model;
use crate::passes::{Plan, plan_with};

pub use skeleton::skeleton;

/// How code is emitted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the runtime crate as the user's crate sees it.
    pub runtime: TokenStream,
    /// Whether `backward` goes on to the input's gradient, which training does not need.
    pub input_gradient: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { runtime: quote!(::cnn_runtime), input_gradient: false }
    }
}

/// The code of all models.
#[must_use]
pub fn emit(models: &[Model], options: &Options) -> TokenStream {
    models.iter().map(|model| emit_one(model, options)).collect()
}

/// So many operations keep every function within clippy's hundred lines.
const MANY_STEPS: usize = 12;

fn emit_one(model: &Model, options: &Options) -> TokenStream {
    let plan = plan_with(model, options.input_gradient);
    let mut code = Code { model, plan: &plan, runtime: &options.runtime, chains: Vec::new() };
    code.chains = code.find_chains();
    let public = code.public();
    let parts = [
        code.layer_constants(),
        code.folded_constants(),
        code.slots(),
        code.storage(),
        code.functions(),
        code.network(),
    ];
    let body: TokenStream = parts.into_iter().collect();
    let uses = uses(&options.runtime, &body, &code.kinds());
    let inspect = model.inspect.then(|| inspect::emit(model, options));
    // A line or more for each layer, and there may be hundreds.
    let long = (plan.steps.len() > MANY_STEPS).then(|| quote!(#[allow(clippy::too_many_lines)]));
    quote! {
        #public

        #long
        const _: () = {
            #uses
            #body
        };

        #inspect
    }
}

/// Names of the runtime that emitted code may use, by module, beside the layers' own.
const NAMES: &[(&str, &[&str])] = &[
    ("__private", &["None", "Option", "Some"]),
    ("buffer", &["Carve", "Slot"]),
    ("inspect", &["Inspect", "View"]),
    (
        "network",
        &[
            "Defaults",
            "Distribution",
            "Exchange",
            "Initializer",
            "LayerInfo",
            "Learner",
            "LossKind",
            "Network",
            "Pass",
            "ReceptiveField",
            "Regularizer",
            "Shards",
            "Team",
            "TensorInfo",
        ],
    ),
    ("optimizer", &["OptimizerKind"]),
];

/// Imports of exactly the names that the code uses, for the sake of the user's lints.
fn uses(runtime: &TokenStream, body: &TokenStream, kinds: &[String]) -> TokenStream {
    let mut used = HashSet::new();
    collect(body.clone(), &mut used);
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let (before, behind) = NAMES.split_at(NAMES.partition_point(|(module, _)| *module < "layer"));
    let modules = before.iter().copied().chain([("layer", kinds.as_slice())]);
    modules
        .chain(behind.iter().copied())
        .map(|(module, names)| {
            let names: Vec<_> =
                names.iter().filter(|name| used.contains(**name)).map(|name| ident(name)).collect();
            let module = ident(module);
            match names.as_slice() {
                [] => TokenStream::new(),
                [name] => quote!(use #runtime::#module::#name;),
                names => quote!(use #runtime::#module::{#(#names),*};),
            }
        })
        .collect()
}

/// The types that paths in some code start with.
fn roots(tokens: TokenStream, into: &mut BTreeSet<String>) {
    let mut inside_path = false;
    for tree in tokens {
        match &tree {
            TokenTree::Ident(ident) if !inside_path => {
                let name = ident.to_string();
                if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                    into.insert(name);
                }
            }
            TokenTree::Group(group) => roots(group.stream(), into),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        inside_path = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ':');
    }
}

/// All identifiers in some code.
fn collect(tokens: TokenStream, into: &mut HashSet<String>) {
    for tree in tokens {
        match tree {
            TokenTree::Ident(ident) => {
                into.insert(ident.to_string());
            }
            TokenTree::Group(group) => collect(group.stream(), into),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// One model's code in the making.
struct Code<'a> {
    model: &'a Model,
    plan: &'a Plan,
    runtime: &'a TokenStream,
    /// Of all segments that take one image, in both directions.
    chains: Vec<repeats::Chain>,
}

impl Code<'_> {
    /// The runtime's types and functions for layers: those that the descriptions name.
    fn kinds(&self) -> Vec<String> {
        let mut kinds = BTreeSet::from(["At", "Folded", "accumulate"].map(String::from));
        for step in &self.plan.steps {
            kinds.insert(step.op.kind.to_owned());
            roots(step.op.descriptor.clone(), &mut kinds);
        }
        kinds.into_iter().collect()
    }

    fn name(&self) -> Ident {
        ident(&self.model.name)
    }
}

/// A size or a count: digits in groups of three, no suffix.
#[must_use]
pub fn number(value: u64) -> Literal {
    grouped(value).parse().unwrap_or_else(|_| Literal::u64_unsuffixed(value))
}

/// A parameter that reads `len` floats. An array of the size of a pointer or less is passed as a
/// slice, since clippy would have it passed by value.
pub(super) fn shared(len: u64) -> TokenStream {
    let count = number(len);
    if len <= 2 { quote!(&[f32]) } else { quote!(&[f32; #count]) }
}

/// `1_234_567`; up to five digits stay together, as clippy wants them.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    if digits.len() <= 5 {
        return digits;
    }
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

/// `-0.001`, `1e-7`: the shortest digits that give the number back, in groups of three, no suffix.
pub fn decimal<T: std::fmt::Debug>(value: T) -> TokenStream {
    let text = format!("{value:?}");
    let sign = text.starts_with('-').then(|| quote!(-));
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_at(text.find('e').unwrap_or(text.len()));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut out = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    if !fraction.is_empty() {
        out.push('.');
        for (i, digit) in fraction.chars().enumerate() {
            if i > 0 && i.is_multiple_of(3) && fraction.len() > 5 {
                out.push('_');
            }
            out.push(digit);
        }
    }
    out.push_str(exponent);
    let literal: Literal = out.parse().unwrap_or_else(|_| Literal::string(&out));
    quote!(#sign #literal)
}

fn ident(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

fn doc(text: &str) -> TokenStream {
    let text = format!(" {text}");
    quote!(#[doc = #text])
}

/// Emitted code as a person would lay it out.
#[must_use]
pub fn pretty(tokens: TokenStream) -> String {
    let plain = tokens.to_string();
    // Emitted tokens are a file of Rust; if ever not, rustc says where better than we could.
    syn::parse2(tokens).map_or(plain, |file| spaced(&prettyplease::unparse(&file)))
}

/// Sets items apart by empty lines.
fn spaced(code: &str) -> String {
    let mut out = String::new();
    let mut previous = "";
    for line in code.lines() {
        let (text, before) = (line.trim_start(), previous.trim_start());
        let starts = text.starts_with("///") || text.starts_with("#[") || is_item(text);
        let inside = before.starts_with("///") || before.starts_with("#[") || before.ends_with('{');
        let list = text.starts_with("use ") && (before.starts_with("use ") || before == "};")
            || is_plain_item(text) && is_plain_item(before);
        if starts && !inside && !list && !before.is_empty() && !is_field(text, before) {
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
        previous = line;
    }
    out
}

/// A field or variant's doc comment follows a line that ends in a comma.
fn is_field(_text: &str, before: &str) -> bool {
    before.ends_with(',')
}

fn is_item(text: &str) -> bool {
    ["pub ", "const ", "struct ", "impl ", "impl<", "fn ", "use "]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Constants and types of a line stand together.
fn is_plain_item(text: &str) -> bool {
    (text.starts_with("const ") || text.starts_with("type ")) && text.ends_with(';')
}
