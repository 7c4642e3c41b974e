//! What names mean at the statement at hand.

use std::collections::HashMap;

use super::Lowering;
use super::definitions::Definitions;
use super::evaluate::{Constant, Scope};
use crate::ast::{Body, Form, Ident, Item, Span};

/// What a body declares: of the model, of one instance of a block, of one round of `repeat`.
pub(super) struct Frame<'a> {
    /// Unique in the model.
    pub id: usize,
    /// The file that the body is written in.
    pub file: usize,
    /// In front of the names of labelled layers.
    pub prefix: String,
    /// The block that is expanded here; `None` for rounds and the model.
    pub block: Option<&'a str>,
    /// Whether the names of the frame around are seen: in rounds.
    pub open: bool,
    /// What `input` means here.
    pub input: usize,
    /// The outputs of labelled statements.
    pub labels: HashMap<&'a str, (usize, Span)>,
    /// Constants and parameters.
    pub constants: HashMap<&'a str, Constant>,
    /// The text.
    pub body: &'a Body,
    /// Where it is expanded from, and with what.
    pub origin: Option<(Span, String)>,
}

impl<'a> Frame<'a> {
    pub(super) fn model(body: &'a Body) -> Self {
        Self {
            id: 0,
            file: 0,
            prefix: String::new(),
            block: None,
            open: false,
            input: 0,
            labels: HashMap::new(),
            constants: HashMap::new(),
            body,
            origin: None,
        }
    }
}

impl<'a> Lowering<'a> {
    /// The innermost frame; the model's is never left.
    pub(super) fn frame(&mut self) -> &mut Frame<'a> {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    pub(super) fn visible(&self) -> Visible<'_, 'a> {
        Visible { frames: &self.frames, definitions: self.definitions }
    }
}

/// All that can be named at the statement at hand.
pub(super) struct Visible<'f, 'a> {
    pub frames: &'f [Frame<'a>],
    pub definitions: &'f Definitions<'a>,
}

impl<'f, 'a> Visible<'f, 'a> {
    /// The frames in sight, the innermost first.
    fn frames(&self) -> impl Iterator<Item = &'f Frame<'a>> {
        let outermost = self.frames.iter().rposition(|frame| !frame.open).unwrap_or(0);
        self.frames[outermost..].iter().rev()
    }

    /// The output of a labelled statement, and its label.
    pub(super) fn label(&self, name: &str) -> Option<&'f (usize, Span)> {
        self.frames().find_map(|frame| frame.labels.get(name))
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &'f str> {
        self.frames().flat_map(|frame| frame.labels.keys().copied())
    }

    /// A label that stands anywhere in the bodies in sight.
    pub(super) fn label_anywhere(&self, name: &str) -> Option<&'a Ident> {
        self.frames().find_map(|frame| {
            let mut found = Vec::new();
            labels(frame.body, &mut found);
            found.into_iter().find(|label| label.text == name)
        })
    }

    fn constants(&self) -> &'f dyn Scope {
        let file = self.frames.last().map_or(0, |frame| frame.file);
        self.definitions.constants(file)
    }
}

impl Scope for Visible<'_, '_> {
    fn find(&self, name: &str) -> Option<&Constant> {
        let near = self.frames().find_map(|frame| frame.constants.get(name));
        near.or_else(|| self.constants().find(name))
    }

    fn names(&self) -> Vec<&str> {
        let near = self.frames().flat_map(|frame| frame.constants.keys().copied());
        near.chain(self.constants().names()).collect()
    }
}

/// The labels of a body and of the branches in it, but not of its rounds, which have their own.
pub(super) fn labels<'a>(body: &'a Body, found: &mut Vec<&'a Ident>) {
    for item in &body.items {
        match item {
            Item::Body(body) => labels(body, found),
            Item::Statement(statement) => {
                found.extend(&statement.label);
                match &statement.form {
                    Form::Clause(clause) if clause.name.text != "repeat" => {
                        labels(&clause.body, found);
                        if let Some((_, shortcut)) = &clause.shortcut {
                            labels(shortcut, found);
                        }
                    }
                    _ => {}
                }
            }
            Item::Constant(_) | Item::Assert(_) => {}
        }
    }
}
