//! Blocks, rounds, residuals and branches: what is expanded into layers.

use super::definitions::MAX_PARAMETERS;
use super::evaluate::Constant;
use super::graph::Draft;
use super::scope::Frame;
use super::{CLAUSES, Lowering};
use crate::ast::{Block, Body, Call, Clause, Expr, ExprKind, Ident, Item, Statement};
use crate::bind::{self, Args, Signature};
use crate::diagnostics::{Diagnostic, did_you_mean, join, quote, thousands};
use crate::ir::Shape;
use crate::layer::{self, Build};
use crate::names::snake_case;

impl<'a> Lowering<'a> {
    /// `word { … }`; gives its output.
    pub(super) fn clause(
        &mut self,
        statement: &'a Statement,
        clause: &'a Clause,
        above: usize,
    ) -> usize {
        let name = clause.name.text.as_str();
        if let Some((span, _)) = clause.shortcut.as_ref().filter(|_| name != "residual") {
            self.report(
                Diagnostic::new(span.clone(), format!("{} has no shortcut", quote(name)))
                    .label("belongs to `residual { … }`"),
            );
        }
        let value = match name {
            "repeat" => return self.repeat(statement, clause, above),
            "residual" => self.residual(statement, clause, above),
            "branches" => self.branches(statement, clause, above),
            _ => {
                let help = did_you_mean(name, CLAUSES).unwrap_or_else(|| {
                    "braces stand behind `repeat`, `residual` and `branches`".to_owned()
                });
                self.report(
                    Diagnostic::new(
                        clause.name.span.clone(),
                        format!("unknown statement {}", quote(name)),
                    )
                    .label("no statement with braces has this name")
                    .help(help),
                );
                return self.unknown(&clause.name.span);
            }
        };
        if statement.label.is_none() {
            // So that it can be named without a label.
            let word = if name == "residual" { "residual" } else { "branches" };
            self.frame().labels.insert(word, (value, clause.name.span.clone()));
        }
        value
    }

    fn repeat(&mut self, statement: &'a Statement, clause: &'a Clause, above: usize) -> usize {
        let at = &clause.name.span;
        let Some(rounds) = self.rounds(clause) else { return self.unknown(at) };
        if !has_statements(&clause.body) {
            self.report(
                Diagnostic::new(at.clone(), "nothing to repeat").label("no layers in these braces"),
            );
            return self.unknown(at);
        }
        let prefix = self.prefix(statement.label.as_ref(), "repeat");
        let mut value = above;
        for round in 1..=rounds {
            if self.stopped {
                break;
            }
            let origin = (round > 1).then(|| {
                (
                    at.clone(),
                    format!("in round {} of {}", thousands(round.into()), thousands(rounds.into())),
                )
            });
            let frame = Frame {
                prefix: format!("{prefix}_{round}"),
                open: true,
                input: self.frame().input,
                file: self.frame().file,
                id: self.next_instance(),
                origin,
                ..Frame::model(&clause.body)
            };
            self.frames.push(frame);
            value = self.body(&clause.body, value);
            self.frames.pop();
        }
        value
    }

    fn rounds(&mut self, clause: &Clause) -> Option<u64> {
        const RULE: &str = "`repeat` takes a number of rounds";
        let Some(value) = &clause.value else {
            self.report(
                Diagnostic::new(clause.name.span.clone(), RULE)
                    .label("how often?")
                    .help("write `repeat 3 { … }`"),
            );
            return None;
        };
        let number = self.evaluate(value)?;
        let rounds = match &number.kind {
            ExprKind::Number(text) => text.replace('_', "").parse::<u64>().ok(),
            _ => None,
        };
        if rounds.is_none() {
            let names = super::evaluate::Scope::names(&self.visible())
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>();
            let help = number
                .as_name()
                .and_then(|name| did_you_mean(name, names.iter().map(String::as_str)));
            self.report(
                Diagnostic::new(value.span.clone(), format!("{RULE}, found {}", quote(&number)))
                    .label("not a number of rounds")
                    .maybe_help(help),
            );
        }
        rounds
    }

    fn residual(&mut self, statement: &'a Statement, clause: &'a Clause, above: usize) -> usize {
        let at = &clause.name.span;
        if let Some(value) = &clause.value {
            self.report(
                Diagnostic::new(value.span.clone(), "`residual` takes no value")
                    .label("the braces come next"),
            );
        }
        let main = self.body(&clause.body, above);
        if main == above && !self.stopped {
            self.report(
                Diagnostic::new(at.clone(), "this residual has no layers")
                    .label("adds its input to itself"),
            );
            return self.unknown(at);
        }
        let short = match &clause.shortcut {
            Some((_, body)) => self.body(body, above),
            None => above,
        };
        if let (Some(a), Some(b)) = (&self.values[main].shape, &self.values[short].shape)
            && a != b
        {
            let diagnostic = self.does_not_add_up(clause, [main, short], [a, b]);
            self.report(diagnostic);
            self.values[main].used = true;
            self.values[short].used = true;
            return self.unknown(at);
        }
        self.merge(statement, "Add", Vec::new(), &[main, short])
    }

    fn does_not_add_up(
        &self,
        clause: &Clause,
        [main, short]: [usize; 2],
        [found, expected]: [&Shape; 2],
    ) -> Diagnostic {
        let message = format!("the residual's shapes do not add up: {found} and {expected}");
        let shortcut = if clause.shortcut.is_some() { "the shortcut" } else { "its input" };
        let origin = |value: usize, what: &str, shape: &Shape| {
            let value = &self.values[value];
            (value.span.clone(), format!("{what} is {shape}, from `{}`", value.name))
        };
        let mut diagnostic = Diagnostic::new(clause.name.span.clone(), message)
            .label(format!("{found} + {expected}"));
        diagnostic.secondary.push(origin(main, "the end of its braces", found));
        diagnostic.secondary.push(origin(short, shortcut, expected));
        let help = if clause.shortcut.is_none() { projection(found, expected) } else { None };
        let size = |shape: &Shape| shape.0[..shape.rank() - 1].to_vec();
        diagnostic.help(help.unwrap_or_else(|| {
            if size(found) == size(expected) {
                "give both ends the same number of filters".to_owned()
            } else {
                "use `padding = same` and equal strides on both ways".to_owned()
            }
        }))
    }

    fn branches(&mut self, statement: &'a Statement, clause: &'a Clause, above: usize) -> usize {
        let merge = self.branches_merge(clause);
        let mut ends = Vec::new();
        for item in &clause.body.items {
            match item {
                Item::Body(body) => ends.push(self.body(body, above)),
                Item::Constant(constant) => self.constant(constant),
                Item::Statement(statement) => {
                    let name = statement.name();
                    self.report(
                        Diagnostic::new(name.span.clone(), "a branch stands in braces")
                            .label("no braces around this")
                            .help(format!("write `{{ {}(…); … }}`", name.text)),
                    );
                    return self.unknown(&clause.name.span);
                }
                Item::Assert(assert) => self.assert(assert),
            }
        }
        if ends.len() < 2 {
            let message = format!("`branches` has at least two branches, found {}", ends.len());
            self.report(
                Diagnostic::new(clause.name.span.clone(), message)
                    .label("nothing to merge")
                    .help("write `branches concatenate { { … } { … } }`"),
            );
            return self.unknown(&clause.name.span);
        }
        if let Some((name, call)) = merge {
            return self.merge(statement, name, call.args, &ends);
        }
        for end in ends {
            self.values[end].used = true;
        }
        self.unknown(&clause.name.span)
    }

    /// The layer that merges, and its arguments: `concatenate`, `concatenate(axis = 1)`.
    fn branches_merge(&mut self, clause: &Clause) -> Option<(&'static str, Call)> {
        let merges = || layer::ALL.iter().filter(|layer| matches!(layer.build, Build::Many(_)));
        let names: Vec<String> = merges().map(|layer| snake_case(layer.signature.name)).collect();
        let listed = join(&names.iter().map(quote).collect::<Vec<_>>(), "or");
        let Some(value) = &clause.value else {
            self.report(
                Diagnostic::new(clause.name.span.clone(), "`branches` says how they are merged")
                    .label("merged how?")
                    .help(format!("write {listed} behind it")),
            );
            return None;
        };
        let found = match &value.kind {
            ExprKind::Call(call) => {
                let found = merges().find(|layer| {
                    let name = layer.signature.name;
                    snake_case(name) == call.name.text || name == call.name.text
                });
                found.map(|layer| (layer.signature.name, call))
            }
            _ => None,
        };
        let Some((name, call)) = found else {
            let text = value.to_string();
            let help = did_you_mean(&text, names.iter().map(String::as_str));
            self.report(
                Diagnostic::new(
                    value.span.clone(),
                    format!("`branches` cannot be merged by {}", quote(text)),
                )
                .label("not a way to merge")
                .help(help.unwrap_or_else(|| format!("use {listed}"))),
            );
            return None;
        };
        Some((name, self.evaluate_call(call)?))
    }

    /// A layer that merges `ends`.
    fn merge(
        &mut self,
        statement: &'a Statement,
        name: &str,
        args: Vec<crate::ast::Arg>,
        ends: &[usize],
    ) -> usize {
        let word = statement.name();
        let Some(definition) = layer::find(name) else { return self.unknown(&word.span) };
        let call = Call { name: word.clone(), args };
        let inputs = ends.iter().map(|end| (*end, self.values[*end].span.clone())).collect();
        self.build(Draft { statement, definition, call: &call, inputs })
    }

    /// One instance of a block; gives its output.
    pub(super) fn instance(
        &mut self,
        statement: &'a Statement,
        call: &'a Call,
        operands: Option<&'a [Expr]>,
        (block, file): (&'a Block, usize),
        above: usize,
    ) -> usize {
        let at = &call.name.span;
        self.definitions.use_block(block);
        if self.report_recursion(call, block) {
            return self.unknown(at);
        }
        if block.params.len() > MAX_PARAMETERS {
            // Reported where it is declared.
            self.incomplete = true;
            return self.unknown(at);
        }
        let input = match operands {
            None => Some(above),
            Some([operand]) => self.operand(operand).map(|(value, _)| value),
            Some(operands) => {
                let found = operands.len();
                let message = format!("block `{}` takes one input, found {found}", call.name.text);
                let at = operands.get(1).map_or(at, |operand| &operand.span);
                self.report(Diagnostic::new(at.clone(), message).label("not one input"));
                None
            }
        };
        let evaluated = self.evaluate_call(call);
        let (Some(input), Some(evaluated)) = (input, evaluated) else { return self.unknown(at) };
        let Some(values) = self.bind(&evaluated, block) else { return self.unknown(at) };
        let name = block.name.text.as_str();
        let frame = Frame {
            prefix: self.prefix(statement.label.as_ref(), &snake_case(name)),
            id: self.next_instance(),
            file,
            block: Some(name),
            input,
            ..Frame::model(&block.body)
        };
        self.frames.push(frame);
        let known = self.parameters(block, values);
        self.frame().origin = Some((at.clone(), format!("in {}", instantiation(name, &known))));
        let value = self.body(&block.body, input);
        self.frames.pop();
        if !has_statements(&block.body) {
            self.report(
                Diagnostic::new(block.name.span.clone(), format!("block `{name}` has no layers"))
                    .label("its braces are empty"),
            );
            return self.unknown(at);
        }
        value
    }

    /// Whether the block is being expanded already.
    fn report_recursion(&mut self, call: &Call, block: &'a Block) -> bool {
        let name = block.name.text.as_str();
        let open: Vec<&str> = self.frames.iter().filter_map(|frame| frame.block).collect();
        let Some(first) = open.iter().position(|open| *open == name) else { return false };
        let cycle: Vec<String> = open[first..].iter().chain([&name]).map(quote).collect();
        let message = format!("block `{name}` contains itself: {}", cycle.join(" → "));
        self.report(
            Diagnostic::new(call.name.span.clone(), message)
                .label("would never end")
                .help("for a fixed number of rounds use `repeat 3 { … }`"),
        );
        true
    }

    /// The arguments in the order of the parameters, `None` where the default holds.
    fn bind(&mut self, call: &Call, block: &Block) -> Option<Vec<Option<Expr>>> {
        let params: Vec<bind::Param<'_>> = block
            .params
            .iter()
            .map(|param| match &param.default {
                Some(_) => bind::optional(&param.name.text),
                None => bind::required(&param.name.text),
            })
            .collect();
        let name = &block.name.text;
        let signature = Signature { name, params: &params };
        let args = Args::bind(&signature, call, format!("block `{name}`"));
        let values = args.values().iter().map(|value| value.cloned()).collect();
        let failed = args.failed();
        let mut errors = args.into_errors();
        self.suggest_names(call, &mut errors);
        self.report_all(errors);
        (!failed).then_some(values)
    }

    /// Declares the parameters in the frame of the instance, and gives them with their values.
    fn parameters(
        &mut self,
        block: &'a Block,
        values: Vec<Option<Expr>>,
    ) -> Vec<(&'a str, Option<Expr>)> {
        let mut known = Vec::new();
        for (param, value) in block.params.iter().zip(values) {
            let name = param.name.text.as_str();
            if let Some(first) = self.frame().constants.get(name) {
                let first = first.span.clone();
                self.report(
                    Diagnostic::new(
                        param.name.span.clone(),
                        format!("a second parameter {}", quote(name)),
                    )
                    .label("the same name again")
                    .secondary(first, "the first one is here"),
                );
                continue;
            }
            let value = match (value, &param.default) {
                (None, Some(default)) => self.evaluate(default),
                (value, _) => value,
            };
            let constant = Constant::new(value.clone(), param.name.span.clone());
            self.frame().constants.insert(name, constant);
            known.push((name, value));
        }
        known
    }

    /// What goes in front of the names of labelled layers in an instance or in rounds.
    fn prefix(&mut self, label: Option<&Ident>, base: &str) -> String {
        let outer = match self.frame().prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}_"),
        };
        match label {
            Some(label) => format!("{outer}{}", label.text),
            None => self.auto.instance(&format!("{outer}{base}")),
        }
    }

    fn next_instance(&mut self) -> usize {
        self.instances += 1;
        self.instances
    }
}

/// The shortcut that turns `from` into `to`, where there is one.
fn projection(to: &Shape, from: &Shape) -> Option<String> {
    let layer = match (to.0.as_slice(), from.0.as_slice()) {
        (&[h, w, filters], &[height, width, _]) => {
            // A 1x1 convolution makes ceil(size / stride) rows and columns.
            let strides = [height.div_ceil(h), width.div_ceil(w)];
            if [height.div_ceil(strides[0]), width.div_ceil(strides[1])] != [h, w] {
                return None;
            }
            match strides {
                [1, 1] => format!("Conv2D({filters}, 1)"),
                [s, t] if s == t => format!("Conv2D({filters}, 1, strides = {s})"),
                [s, t] => format!("Conv2D({filters}, 1, strides = ({s}, {t}))"),
            }
        }
        ([.., units], [.., _]) if to.rank() == from.rank() && to.rank() == 1 => {
            format!("Dense({units})")
        }
        _ => return None,
    };
    Some(format!("project the input: `residual {{ … }} shortcut {{ {layer}; }}`"))
}

fn has_statements(body: &Body) -> bool {
    body.items.iter().any(|item| matches!(item, Item::Statement(_)))
}

/// `Residual(filters = 16, strides = 2)`
fn instantiation(name: &str, values: &[(&str, Option<Expr>)]) -> String {
    const LONGEST: usize = 80;
    let values: Vec<String> = values
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name} = {value}"),
            None => format!("{name} = ?"),
        })
        .collect();
    let text = if values.is_empty() {
        format!("`{name}`")
    } else {
        format!("`{name}({})`", values.join(", "))
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…`", &text[..end]),
        None => text,
    }
}
