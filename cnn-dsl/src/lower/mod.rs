//! AST to IR: names resolved, blocks expanded, shapes inferred, sizes counted. Mistakes are
//! collected; what follows from one is passed over in silence.

mod budget;
mod definitions;
mod evaluate;
mod graph;
mod input;
mod scope;
mod structure;
mod training;
mod unused;

use std::collections::{HashMap, HashSet};

use crate::ast::{self, Call, Expr, Form, Ident, Item, Span, Statement};
use crate::bind::{Args, Signature};
use crate::diagnostics::{Diagnostic, quote, thousands};
use crate::ir::{Fit, Layer, Model};
use crate::load::Program;
use crate::names::{self, AutoNames};

use definitions::{Definitions, MAX_PARTS};
use evaluate::{Constant, Evaluator};
use graph::Value;
use scope::{Frame, Visible};

/// Checks the models of a text: the models, unless there is any mistake, and the mistakes and
/// warnings in the order of the text, at most 100 of them.
#[must_use]
pub fn lower(program: &Program) -> (Vec<Model>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let definitions = Definitions::new(program, &mut diagnostics);
    let mut seen: HashMap<&str, &Ident> = HashMap::new();
    let mut lowered = Vec::new();
    // A block that several models use says a thing once.
    let mut said = HashSet::new();
    let mut spent = Spent::default();
    for model in &program.files[0].ast.models {
        let name = &model.name;
        if let Some(problem) = names::model_name_problem(&name.text) {
            diagnostics.push(
                Diagnostic::new(
                    name.span.clone(),
                    format!("{} cannot name a model", quote(&name.text)),
                )
                .label("not a model name")
                .help(problem),
            );
        } else if let Some(first) = seen.insert(&name.text, name) {
            diagnostics.push(
                Diagnostic::new(name.span.clone(), format!("a second model {}", quote(&name.text)))
                    .label("the same name again")
                    .secondary(first.span.clone(), "the first one is here")
                    .help("each model is a type: give it a name of its own"),
            );
        }
        let body = &model.body.span;
        let mut lowering = Lowering::new(model, &definitions, spent);
        let model = lowering.run();
        spent = lowering.spent;
        let mut found = lowering.diagnostics;
        found.retain(|diagnostic| {
            within(&diagnostic.span, body) || said.insert(diagnostic.span.clone())
        });
        diagnostics.append(&mut found);
        lowered.extend(model);
        if spent.is_too_much() {
            break;
        }
    }
    for (index, file) in program.files.iter().enumerate() {
        for block in &file.ast.blocks {
            unused::names(block, index, &definitions, &mut diagnostics);
        }
    }
    let main = &program.files[0].ast;
    if diagnostics.iter().any(Diagnostic::is_error) {
        lowered.clear();
    } else if !main.models.is_empty() {
        unused::check(main, &definitions, &mut diagnostics);
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    let more = diagnostics.len().saturating_sub(MAX_DIAGNOSTICS);
    if more > 0 {
        // A mistake must not be hidden by warnings.
        diagnostics.sort_by_key(|diagnostic| !diagnostic.is_error());
        diagnostics.truncate(MAX_DIAGNOSTICS);
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        if let Some(last) = diagnostics.last_mut() {
            last.help.push(format!("{more} more mistakes follow"));
        }
    }
    (lowered, diagnostics)
}

/// The most mistakes and warnings reported at once.
const MAX_DIAGNOSTICS: usize = 100;

/// The most layers of a model, blocks expanded.
const MAX_LAYERS: usize = 10_000;

/// The most statements that the expansion of a text goes through, with what its layers take.
const MAX_STEPS: usize = 100_000;

/// The most mistakes that are looked into: most are the same ones in other rounds.
const MAX_REPORTS: usize = 200;

/// Deepest nesting of blocks, branches and rounds.
const MAX_DEPTH: usize = 64;

/// Statements of a model that are no layers.
const STATEMENTS: [&str; 4] = ["input", "compile", "fit", "inspect"];

const INSPECT: Signature<'static> = Signature { name: "inspect", params: &[] };

/// The words that stand before braces.
const CLAUSES: [&str; 3] = ["branches", "repeat", "residual"];

fn within(inner: &Span, outer: &Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What the models of a text have cost so far: bounded for all of them together, so that many
/// small ones cost no more than a large one.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    steps: usize,
    /// Parts of values.
    parts: usize,
    /// Mistakes, those that are not shown again included.
    reports: usize,
}

impl Spent {
    const fn is_too_much(self) -> bool {
        self.steps > MAX_STEPS || self.parts >= MAX_PARTS || self.reports >= MAX_REPORTS
    }
}

/// One model on its way.
struct Lowering<'a> {
    model: &'a ast::Model,
    definitions: &'a Definitions<'a>,
    diagnostics: Vec<Diagnostic>,
    auto: AutoNames,
    /// What is being expanded, the model outermost.
    frames: Vec<Frame<'a>>,
    /// How many frames there were.
    instances: usize,
    /// The statement being checked, and in which instance each one has said something: the same
    /// mistake is reported once, however often a block is used.
    at: usize,
    said: HashMap<(usize, bool), usize>,
    layers: Vec<Layer>,
    /// What layers can take: the model's input, then each layer's output.
    values: Vec<Value>,
    /// Running totals: parameters, activations, multiply-adds.
    totals: [u128; 3],
    depth: usize,
    spent: Spent,
    /// Set when a limit is reached: nothing more is expanded.
    stopped: bool,
    /// Set when a value has a mistake, which may have been reported elsewhere.
    incomplete: bool,
    compile: Option<Call>,
    fit: Fit,
    inspect: bool,
    asserts: Vec<(&'a ast::Assert, u64)>,
}

impl<'a> Lowering<'a> {
    fn new(model: &'a ast::Model, definitions: &'a Definitions<'a>, spent: Spent) -> Self {
        let mut labels = Vec::new();
        scope::labels(&model.body, &mut labels);
        Self {
            model,
            definitions,
            diagnostics: Vec::new(),
            auto: AutoNames::new(labels.iter().map(|label| label.text.as_str())),
            frames: vec![Frame::model(&model.body)],
            instances: 1,
            at: 0,
            said: HashMap::new(),
            layers: Vec::new(),
            values: vec![Value::input(model.name.span.clone())],
            totals: [0; 3],
            depth: 0,
            spent,
            stopped: false,
            incomplete: false,
            compile: None,
            fit: Fit::default(),
            inspect: false,
            asserts: Vec::new(),
        }
    }

    /// The model, unless something in it is wrong.
    fn run(&mut self) -> Option<Model> {
        self.check_input();
        let output = self.body(&self.model.body, 0);
        if output == 0 && !self.stopped {
            let name = &self.model.name;
            self.diagnostics.push(
                Diagnostic::new(name.span.clone(), format!("model `{}` has no layers", name.text))
                    .label("nothing to compute")
                    .help("add at least one layer, as in `Dense(10, activation = softmax);`"),
            );
        }
        self.only("compile");
        self.only("fit");
        self.only("inspect");
        let last = self.values[output].shape.is_some().then_some(()).and(self.layers.last());
        let compile = self.compile.take().and_then(|call| {
            let span = &self.values[output].span;
            let output = last.filter(|_| output > 0).map(|layer| (layer, span.clone()));
            training::compile(&call, output, &mut self.diagnostics)
        });
        self.check_used(output);
        self.check_output(output, compile.is_some());
        let input = self.values[0].shape.take().filter(|_| !self.failed());
        let input = input?;
        let model = Model {
            name: self.model.name.text.clone(),
            docs: self.model.docs.clone(),
            input,
            layers: std::mem::take(&mut self.layers),
            compile,
            fit: self.fit,
            inspect: self.inspect,
        };
        budget::check(&model, &self.asserts, &mut self.diagnostics);
        Some(model)
    }

    fn failed(&self) -> bool {
        self.incomplete || self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The statements between braces; gives what the last one made.
    fn body(&mut self, body: &'a ast::Body, mut above: usize) -> usize {
        self.depth += 1;
        for item in &body.items {
            if self.stopped {
                break;
            }
            self.spent.steps += 1;
            let outer = std::mem::replace(&mut self.at, std::ptr::from_ref(item).addr());
            above = self.item(item, above);
            self.at = outer;
        }
        self.depth -= 1;
        above
    }

    fn item(&mut self, item: &'a Item, above: usize) -> usize {
        match item {
            Item::Constant(constant) => self.constant(constant),
            Item::Assert(assert) => self.assert(assert),
            Item::Body(body) => {
                let at = body.span.start..body.span.start + 1;
                self.report(
                    Diagnostic::new(at.clone(), "braces without a word")
                        .label("whose braces?")
                        .help("branches stand in `branches add { { … } { … } }`"),
                );
                return self.unknown(&at);
            }
            Item::Statement(statement) => {
                let name = statement.name();
                if self.spent.steps > MAX_STEPS {
                    let most = thousands(MAX_STEPS as u128);
                    let message = format!(
                        "more than {most} statements and inputs of layers, blocks expanded"
                    );
                    self.stop(&name.span, &message);
                } else if self.depth > MAX_DEPTH {
                    let message = format!("blocks nest deeper than {MAX_DEPTH} levels");
                    self.stop(&name.span, &message);
                } else {
                    return self.statement(statement, above);
                }
            }
        }
        above
    }

    fn stop(&mut self, at: &Span, message: &str) {
        self.report(Diagnostic::new(at.clone(), message).label("no further"));
        self.stopped = true;
    }

    fn statement(&mut self, statement: &'a Statement, above: usize) -> usize {
        let name = &statement.name().text;
        match &statement.form {
            Form::Layer { call, operands } if STATEMENTS.contains(&name.as_str()) => {
                self.check_special(statement, operands.as_deref());
                self.special(call);
                above
            }
            form => {
                let named = self.check_label(statement);
                let value = match form {
                    Form::Layer { call, operands } => {
                        self.layer(statement, call, operands.as_deref(), above)
                    }
                    Form::Clause(clause) => self.clause(statement, clause, above),
                };
                if let Some(label) = named {
                    self.frame().labels.insert(&label.text, (value, label.span.clone()));
                }
                value
            }
        }
    }

    /// `input`, `compile`, `fit` and `inspect`.
    fn special(&mut self, call: &'a Call) {
        let name = call.name.text.as_str();
        if self.depth > 1 {
            let message = format!("`{name}` inside of braces");
            self.report(
                Diagnostic::new(call.name.span.clone(), message)
                    .label("belongs to a model")
                    .help("it stands in the model, outside of blocks and branches"),
            );
            return;
        }
        let Some(call) = self.evaluate_call(call) else { return };
        match name {
            "input" => {
                let mut errors = Vec::new();
                self.values[0].shape = input::shape(&call, &mut errors);
                self.values[0].span = call.name.span;
                self.report_all(errors);
            }
            "compile" => {
                self.compile.get_or_insert(call);
            }
            "inspect" => {
                self.inspect = true;
                let errors = Args::bind(&INSPECT, &call, "inspect").into_errors();
                self.report_all(errors);
            }
            _ => {
                let mut errors = Vec::new();
                self.fit = training::fit(&call, &mut errors);
                self.report_all(errors);
            }
        }
    }

    /// Labels and operands where there can be none.
    fn check_special(&mut self, statement: &Statement, operands: Option<&[Expr]>) {
        let name = &statement.name().text;
        if let Some(label) = &statement.label {
            self.report(
                Diagnostic::new(label.span.clone(), format!("`{name}` cannot have a label"))
                    .label("only layers have names"),
            );
        }
        if let Some(operands) = operands {
            let at = operands.first().map_or(&statement.name().span, |operand| &operand.span);
            self.report(
                Diagnostic::new(at.clone(), format!("`{name}` takes no layers"))
                    .label("only layers take the outputs of others"),
            );
        }
    }

    /// The label, unless another one in sight is the same.
    fn check_label(&mut self, statement: &'a Statement) -> Option<&'a Ident> {
        let label = statement.label.as_ref()?;
        if let Some(problem) = names::layer_name_problem(&label.text) {
            self.report(
                Diagnostic::new(
                    label.span.clone(),
                    format!("{} cannot name a layer", quote(&label.text)),
                )
                .label("not a layer name")
                .help(problem),
            );
        } else if let Some((_, first)) = self.visible().label(&label.text) {
            self.report(
                Diagnostic::new(
                    label.span.clone(),
                    format!("a second layer named {}", quote(&label.text)),
                )
                .label("the same name again")
                .secondary(first.clone(), "the first one is here")
                .help("names of layers are unique within their model or block"),
            );
            return None;
        }
        Some(label)
    }

    /// Complains of all statements `name` but the first.
    fn only(&mut self, name: &str) -> Option<&'a Statement> {
        let mut found = statements(self.model).filter(|item| item.name().text == name);
        let first = found.next()?;
        for second in found {
            self.diagnostics.push(
                Diagnostic::new(second.name().span.clone(), format!("a second `{name}`"))
                    .label("one is enough")
                    .secondary(first.name().span.clone(), "the first one is here"),
            );
        }
        Some(first)
    }

    /// `input` stands first, and once.
    fn check_input(&mut self) {
        let first = statements(self.model).next();
        // An empty model gets one error, about its layers.
        let Some(first) = first.map(Statement::name) else { return };
        let Some(input) = self.only("input").map(Statement::name) else {
            let name = &self.model.name.text;
            self.diagnostics.push(
                Diagnostic::new(first.span.clone(), format!("model `{name}` has no input"))
                    .label("`input(…)` must come before this")
                    .help("declare the shape of one input first, as in `input(28, 28, 1);`"),
            );
            return;
        };
        if input.span != first.span {
            self.diagnostics.push(
                Diagnostic::new(input.span.clone(), "`input` is not the first statement")
                    .label("must come first")
                    .secondary(first.span.clone(), "this comes before it"),
            );
        }
    }

    fn constant(&mut self, constant: &'a ast::Constant) {
        let name = constant.name.text.as_str();
        self.report_all(definitions::value_name_problem(&constant.name).into_iter().collect());
        if let Some(first) = self.frame().constants.get(name) {
            let diagnostic = definitions::second_constant(&constant.name, first);
            self.report(diagnostic);
            return;
        }
        let value = self.evaluate(&constant.value);
        let value = Constant::new(value, constant.name.span.clone());
        self.frame().constants.insert(name, value);
    }

    /// `None` if anything is wrong with it, which is then reported.
    fn evaluate(&mut self, expr: &Expr) -> Option<Expr> {
        self.evaluated(|evaluator| evaluator.expr(expr))
    }

    fn evaluate_call(&mut self, call: &Call) -> Option<Call> {
        self.evaluated(|evaluator| evaluator.call(call))
    }

    fn evaluated<T>(&mut self, work: impl FnOnce(&mut Evaluator<'_>) -> Option<T>) -> Option<T> {
        let scope = Visible { frames: &self.frames, definitions: self.definitions };
        let mut left = MAX_PARTS - self.spent.parts;
        let mut evaluator = Evaluator::new(&scope, &mut left, self.definitions.used());
        let value = work(&mut evaluator);
        let errors = evaluator.errors;
        self.spent.parts = MAX_PARTS - left;
        self.incomplete |= value.is_none();
        self.stopped |= left == 0;
        self.report_all(errors);
        value
    }

    /// Records something about the statement at hand, with the instances of blocks that it is in;
    /// nothing if an earlier instance of the same text has said something.
    fn report(&mut self, mut diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.spent.reports += 1;
            self.stopped |= self.spent.reports >= MAX_REPORTS;
        }
        let frame = &self.frames[self.frames.len() - 1];
        let key = (self.at, diagnostic.is_error());
        if *self.said.entry(key).or_insert(frame.id) != frame.id {
            return;
        }
        let origins = self.frames.iter().rev().filter_map(|frame| frame.origin.clone());
        diagnostic.secondary.extend(origins.take(MAX_ORIGINS));
        self.diagnostics.push(diagnostic);
    }

    fn report_all(&mut self, diagnostics: Vec<Diagnostic>) {
        for diagnostic in diagnostics {
            self.report(diagnostic);
        }
    }
}

/// The most instances that a mistake shows around it.
const MAX_ORIGINS: usize = 4;

/// The statements that stand directly in a model.
fn statements(model: &ast::Model) -> impl Iterator<Item = &Statement> {
    model.body.items.iter().filter_map(|item| match item {
        Item::Statement(statement) => Some(statement),
        _ => None,
    })
}
