//! What the texts of a program declare beside models: blocks and constants, and who sees them.

use std::collections::HashMap;

use super::evaluate::{Constant, Evaluator, Scope, Used};
use crate::ast::{Block, Ident};
use crate::diagnostics::{Diagnostic, quote};
use crate::layer;
use crate::load::Program;
use crate::names;

/// The most parts of all values that a text, or one model, can be made of.
pub(super) const MAX_PARTS: usize = 2_000_000;

/// The blocks and constants that each file sees: its own, and those of the files it uses.
pub(super) struct Definitions<'a> {
    files: Vec<Names<'a>>,
    /// Where the names that were used are declared.
    used: Used,
}

#[derive(Default)]
struct Names<'a> {
    blocks: HashMap<&'a str, (&'a Block, usize)>,
    constants: HashMap<&'a str, Constant>,
}

impl Scope for Names<'_> {
    fn find(&self, name: &str) -> Option<&Constant> {
        self.constants.get(name)
    }

    fn names(&self) -> Vec<&str> {
        self.constants.keys().copied().collect()
    }
}

impl<'a> Definitions<'a> {
    pub(super) fn new(program: &'a Program, errors: &mut Vec<Diagnostic>) -> Self {
        let files = program.files.iter().map(|_| Names::default()).collect();
        let mut definitions = Self { files, used: Used::default() };
        let mut budget = MAX_PARTS;
        for &file in &program.order {
            definitions.bring_in(program, file, errors);
            definitions.own(program, file, &mut budget, errors);
        }
        definitions
    }

    /// The names of the files that `file` uses: their own ones.
    fn bring_in(&mut self, program: &'a Program, file: usize, errors: &mut Vec<Diagnostic>) {
        let unit = &program.files[file];
        for (line, &used) in unit.ast.uses.iter().zip(&unit.uses) {
            let ast = &program.files[used].ast;
            for block in &ast.blocks {
                let name = block.name.text.as_str();
                let first = self.files[file].blocks.get(name).map(|(first, _)| &first.name);
                match first {
                    Some(first) if first.span != block.name.span => {
                        errors.push(clash(line.span.clone(), &block.name, first));
                    }
                    _ => {
                        self.files[file].blocks.insert(name, (block, used));
                    }
                }
            }
            for constant in &ast.constants {
                let name = constant.name.text.as_str();
                let Some(value) = self.files[used].constants.get(name).cloned() else { continue };
                match self.files[file].constants.get(name) {
                    Some(first) if first.span != value.span => {
                        let first = Ident { text: name.to_owned(), span: first.span.clone() };
                        errors.push(clash(line.span.clone(), &constant.name, &first));
                    }
                    _ => {
                        self.files[file].constants.insert(name, value);
                    }
                }
            }
        }
    }

    fn own(
        &mut self,
        program: &'a Program,
        file: usize,
        budget: &mut usize,
        errors: &mut Vec<Diagnostic>,
    ) {
        let ast = &program.files[file].ast;
        for block in &ast.blocks {
            errors.extend(block_name_problem(&block.name));
            errors.extend(too_many_parameters(block));
            errors.extend(block.params.iter().filter_map(|param| value_name_problem(&param.name)));
            let name = block.name.text.as_str();
            if let Some((first, _)) = self.files[file].blocks.get(name) {
                errors.push(
                    Diagnostic::new(block.name.span.clone(), format!("a second block `{name}`"))
                        .label("the same name again")
                        .secondary(first.name.span.clone(), "the first one is here"),
                );
            } else {
                self.files[file].blocks.insert(name, (block, file));
            }
        }
        for constant in &ast.constants {
            errors.extend(value_name_problem(&constant.name));
            let names = &self.files[file];
            if let Some(first) = names.constants.get(constant.name.text.as_str()) {
                errors.push(second_constant(&constant.name, first));
                continue;
            }
            let mut evaluator = Evaluator::new(names, budget, &self.used);
            let value = evaluator.expr(&constant.value);
            errors.append(&mut evaluator.errors);
            let value = Constant::new(value, constant.name.span.clone());
            self.files[file].constants.insert(&constant.name.text, value);
        }
    }

    /// The block that `file` calls by this name, and the file it is written in.
    pub(super) fn block(&self, file: usize, name: &str) -> Option<(&'a Block, usize)> {
        self.files[file].blocks.get(name).copied()
    }

    /// Notes that a block is expanded.
    pub(super) fn use_block(&self, block: &Block) {
        self.used.borrow_mut().insert(block.name.span.start);
    }

    /// Whether a constant was evaluated, or a block expanded.
    pub(super) fn is_used(&self, name: &Ident) -> bool {
        self.used.borrow().contains(&name.span.start)
    }

    pub(super) fn used(&self) -> &Used {
        &self.used
    }

    /// The names of all blocks that `file` sees.
    pub(super) fn blocks(&self, file: usize) -> impl Iterator<Item = &'a str> {
        self.files[file].blocks.keys().copied()
    }

    pub(super) fn constants(&self, file: usize) -> &dyn Scope {
        &self.files[file]
    }
}

/// A name that is declared twice within one scope.
pub(super) fn second_constant(name: &Ident, first: &Constant) -> Diagnostic {
    Diagnostic::new(name.span.clone(), format!("a second constant {}", quote(&name.text)))
        .label("the same name again")
        .secondary(first.span.clone(), "the first one is here")
}

fn clash(at: crate::ast::Span, name: &Ident, first: &Ident) -> Diagnostic {
    let message = format!("this file declares {}, and so does another", quote(&name.text));
    Diagnostic::new(at, message)
        .label("brings in the same name again")
        .secondary(name.span.clone(), "declared here")
        .secondary(first.span.clone(), "and here")
        .help("names are unique among the files that one file uses: rename one of them")
}

fn block_name_problem(name: &Ident) -> Option<Diagnostic> {
    let text = name.text.as_str();
    let help = if layer::find(text).is_some() {
        format!("`{text}` is a layer")
    } else {
        names::block_name_problem(text)?
    };
    let message = format!("{} cannot name a block", quote(text));
    Some(Diagnostic::new(name.span.clone(), message).label("not a name for a block").help(help))
}

/// The most parameters of a block.
pub(super) const MAX_PARAMETERS: usize = 64;

fn too_many_parameters(block: &Block) -> Option<Diagnostic> {
    let first = block.params.get(MAX_PARAMETERS)?;
    let message = format!("a block has at most {MAX_PARAMETERS} parameters");
    Some(Diagnostic::new(first.name.span.clone(), message).label("one too many"))
}

/// Why a name cannot be a constant's or a parameter's: `true` would no longer be true.
pub(super) fn value_name_problem(name: &Ident) -> Option<Diagnostic> {
    let help = names::value_name_problem(&name.text)?;
    let message = format!("{} cannot name a value", quote(&name.text));
    Some(Diagnostic::new(name.span.clone(), message).label("not a name for a value").help(help))
}
