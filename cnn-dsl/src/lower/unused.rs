//! What nobody uses: blocks, parameters, constants. And of blocks that no model uses, the names of
//! layers at least.

use super::definitions::Definitions;
use super::{CLAUSES, MAX_REPORTS, STATEMENTS};
use crate::ast::{Block, Body, File, Form, Ident, Item};
use crate::diagnostics::{Diagnostic, did_you_mean, quote};
use crate::layer;

/// Warnings about what a file with models declares and does not use.
pub(super) fn check(file: &File, definitions: &Definitions<'_>, found: &mut Vec<Diagnostic>) {
    let mut warn = |name: &Ident, what: &str| {
        if !definitions.is_used(name) {
            found.push(
                Diagnostic::warning(
                    name.span.clone(),
                    format!("{what} {} is never used", quote(&name.text)),
                )
                .label("nobody uses it"),
            );
        }
    };
    for constant in &file.constants {
        warn(&constant.name, "constant");
    }
    for block in &file.blocks {
        warn(&block.name, "block");
        if definitions.is_used(&block.name) {
            for param in &block.params {
                warn(&param.name, "parameter");
            }
            constants(&block.body, &mut warn);
        }
    }
    for model in &file.models {
        constants(&model.body, &mut warn);
    }
}

fn constants(body: &Body, warn: &mut impl FnMut(&Ident, &str)) {
    for item in &body.items {
        match item {
            Item::Constant(constant) => warn(&constant.name, "constant"),
            Item::Body(body) => constants(body, warn),
            Item::Assert(_) => {}
            Item::Statement(statement) => {
                if let Form::Clause(clause) = &statement.form {
                    constants(&clause.body, warn);
                    if let Some((_, body)) = &clause.shortcut {
                        constants(body, warn);
                    }
                }
            }
        }
    }
}

/// Names that are no layers in a block that no model of the program expands.
pub(super) fn names(
    block: &Block,
    file: usize,
    definitions: &Definitions<'_>,
    found: &mut Vec<Diagnostic>,
) {
    if !definitions.is_used(&block.name) {
        names_of(&block.body, file, definitions, found);
    }
}

fn names_of(body: &Body, file: usize, definitions: &Definitions<'_>, found: &mut Vec<Diagnostic>) {
    for item in &body.items {
        if found.len() >= MAX_REPORTS {
            return;
        }
        match item {
            Item::Body(body) => names_of(body, file, definitions, found),
            Item::Statement(statement) => match &statement.form {
                Form::Layer { call, .. } => found.extend(unknown(&call.name, file, definitions)),
                Form::Clause(clause) => {
                    names_of(&clause.body, file, definitions, found);
                    if let Some((_, body)) = &clause.shortcut {
                        names_of(body, file, definitions, found);
                    }
                }
            },
            Item::Constant(_) | Item::Assert(_) => {}
        }
    }
}

/// The most blocks that a message lists.
const MOST_LISTED: usize = 20;

/// A mistake if a name is neither layer nor block.
pub(super) fn unknown(
    name: &Ident,
    file: usize,
    definitions: &Definitions<'_>,
) -> Option<Diagnostic> {
    let text = name.text.as_str();
    if layer::find(text).is_some()
        || definitions.block(file, text).is_some()
        || STATEMENTS.contains(&text)
    {
        return None;
    }
    if layer::NOT_YET.contains(&text) {
        return Some(
            Diagnostic::new(name.span.clone(), format!("`{text}` is not supported yet"))
                .label("a layer of Keras that is still missing here"),
        );
    }
    let layers = layer::ALL.iter().map(|layer| layer.signature.name);
    let names = || layers.clone().chain(definitions.blocks(file));
    let help = did_you_mean(text, names().chain(STATEMENTS).chain(CLAUSES))
        .or_else(|| did_you_mean(text, layer::NOT_YET.iter().copied()))
        .unwrap_or_else(|| {
            let mut blocks: Vec<&str> = definitions.blocks(file).collect();
            // A long list helps nobody.
            if blocks.len() > MOST_LISTED {
                blocks.clear();
            }
            blocks.sort_unstable();
            format!("layers are {}", layers.clone().chain(blocks).collect::<Vec<_>>().join(", "))
        });
    Some(
        Diagnostic::new(name.span.clone(), format!("unknown layer {}", quote(text)))
            .label("no layer of this name")
            .help(help),
    )
}
