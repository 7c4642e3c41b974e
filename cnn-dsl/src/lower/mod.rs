//! AST to IR: names resolved, shapes inferred, sizes counted. Mistakes are collected; what follows
//! from one is passed over in silence.

mod training;

use std::collections::HashMap;

use crate::ast::{self, Call, Expr, ExprKind, Ident, Item, Span};
use crate::bind::{Args, Signature};
use crate::count::{self, MAX_VALUES};
use crate::diagnostics::{Diagnostic, did_you_mean, quote};
use crate::ir::{Fit, Layer, Model, Shape};
use crate::layer::{self, Definition};
use crate::names::{self, AutoNames};

/// Checks the models of a text.
///
/// # Errors
///
/// The mistakes, in the order of the text, at most 100 of them.
pub fn lower(models: &[ast::Model]) -> Result<Vec<Model>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut seen: HashMap<&str, &Ident> = HashMap::new();
    let mut lowered = Vec::new();
    for model in models {
        let name = &model.name;
        if let Some(problem) = names::model_name_problem(&name.text) {
            errors.push(
                Diagnostic::new(
                    name.span.clone(),
                    format!("{} cannot name a model", quote(&name.text)),
                )
                .label("not a model name")
                .help(problem),
            );
        } else if let Some(first) = seen.insert(&name.text, name) {
            errors.push(
                Diagnostic::new(name.span.clone(), format!("a second model {}", quote(&name.text)))
                    .label("the same name again")
                    .secondary(first.span.clone(), "the first one is here")
                    .help("each model is a type: give it a name of its own"),
            );
        }
        let (model, mut mistakes) = Lowering::new(model).run();
        errors.append(&mut mistakes);
        lowered.extend(model);
    }
    if errors.is_empty() {
        return Ok(lowered);
    }
    errors.sort_by_key(|error| error.span.start);
    let more = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    if let Some(last) = errors.last_mut().filter(|_| more > 0) {
        last.help.push(format!("{more} more mistakes follow"));
    }
    Err(errors)
}

/// The most mistakes reported at once.
const MAX_ERRORS: usize = 100;

/// What an unknown statement may have meant.
const STATEMENTS: [&str; 3] = ["input", "compile", "fit"];

const INPUT: Signature = Signature { name: "input", params: &[] };

/// One model on its way.
struct Lowering<'a> {
    model: &'a ast::Model,
    errors: Vec<Diagnostic>,
    auto: AutoNames<'a>,
    labels: HashMap<&'a str, &'a Ident>,
    layers: Vec<Layer>,
    /// The statement of the last layer.
    last: Option<&'a Item>,
    /// Running totals: parameters, activations, multiply-adds.
    totals: [u128; 3],
}

impl<'a> Lowering<'a> {
    fn new(model: &'a ast::Model) -> Self {
        let labels = model.items.iter().filter_map(|item| item.label.as_ref());
        Self {
            model,
            errors: Vec::new(),
            auto: AutoNames::new(labels.map(|label| label.text.as_str())),
            labels: HashMap::new(),
            layers: Vec::new(),
            last: None,
            totals: [0; 3],
        }
    }

    /// The model, unless something in it is wrong, and what is wrong.
    fn run(mut self) -> (Option<Model>, Vec<Diagnostic>) {
        let items = &self.model.items;
        let input = self.input();
        // `None` from the first mistake on: nothing is known about what follows it.
        let mut shape = input.clone();
        for item in items {
            self.check_form(item);
            if !STATEMENTS.contains(&item.call.name.text.as_str()) {
                shape = self.layer(item, shape.as_ref());
                self.last = Some(item);
            }
        }
        if self.last.is_none() {
            let name = &self.model.name;
            self.errors.push(
                Diagnostic::new(name.span.clone(), format!("model `{}` has no layers", name.text))
                    .label("nothing to compute")
                    .help("add at least one layer, as in `Dense(10, activation = softmax);`"),
            );
        }
        let compile = self.only("compile").and_then(|item| {
            let output = shape.as_ref().zip(self.layers.last()).zip(self.last);
            let output = output.map(|((_, layer), item)| (layer, item));
            training::compile(&item.call, output, &mut self.errors)
        });
        let fit = match self.only("fit") {
            Some(item) => training::fit(&item.call, &mut self.errors),
            None => Fit::default(),
        };
        let model = input.filter(|_| self.errors.is_empty()).map(|input| Model {
            name: self.model.name.text.clone(),
            docs: self.model.docs.clone(),
            input,
            layers: self.layers,
            compile,
            fit,
        });
        (model, self.errors)
    }

    /// Labels and blocks where there can be none.
    fn check_form(&mut self, item: &'a Item) {
        let name = &item.call.name.text;
        if let Some((_, span)) = &item.block {
            self.errors.push(
                Diagnostic::new(span.clone(), format!("{} takes no block", quote(name)))
                    .label("a block of statements")
                    .help(format!("end the statement with `;`: `{name}(…);`")),
            );
        }
        let Some(label) = &item.label else { return };
        if STATEMENTS.contains(&name.as_str()) {
            self.errors.push(
                Diagnostic::new(label.span.clone(), format!("`{name}` cannot have a label"))
                    .label("only layers have names"),
            );
        } else if let Some(problem) = names::layer_name_problem(&label.text) {
            self.errors.push(
                Diagnostic::new(
                    label.span.clone(),
                    format!("{} cannot name a layer", quote(&label.text)),
                )
                .label("not a layer name")
                .help(problem),
            );
        } else if let Some(first) = self.labels.insert(&label.text, label) {
            self.errors.push(
                Diagnostic::new(
                    label.span.clone(),
                    format!("a second layer named {}", quote(&label.text)),
                )
                .label("the same name again")
                .secondary(first.span.clone(), "the first one is here")
                .help("names of layers are unique within their model"),
            );
            // A third one points to the first as well.
            self.labels.insert(&first.text, first);
        }
    }

    /// The statement `name`, of which there may be one.
    fn only(&mut self, name: &str) -> Option<&'a Item> {
        let mut found = self.model.items.iter().filter(|item| item.call.name.text == name);
        let first = found.next()?;
        for second in found {
            self.errors.push(
                Diagnostic::new(second.call.name.span.clone(), format!("a second `{name}`"))
                    .label("one is enough")
                    .secondary(first.call.name.span.clone(), "the first one is here"),
            );
        }
        Some(first)
    }

    /// The shape that `input(…)` declares.
    fn input(&mut self) -> Option<Shape> {
        let Some(item) = self.only("input") else {
            self.report_no_input();
            return None;
        };
        let items = &self.model.items;
        if let Some(first) = items.first().filter(|first| !std::ptr::eq(*first, item)) {
            let at = item.call.name.span.clone();
            self.errors.push(
                Diagnostic::new(at, "`input` is not the first statement")
                    .label("must come first")
                    .secondary(first.call.name.span.clone(), "this comes before it"),
            );
            return None;
        }
        let bare = Call { name: item.call.name.clone(), args: Vec::new() };
        let mut args = Args::bind(&INPUT, &bare, "input");
        let shape = input_shape(&item.call, &mut args);
        self.errors.append(&mut args.into_errors());
        shape
    }

    fn report_no_input(&mut self) {
        // An empty model gets one error, about its layers.
        let Some(first) = self.model.items.first() else { return };
        let at = first.call.name.span.clone();
        let name = &self.model.name.text;
        self.errors.push(
            Diagnostic::new(at, format!("model `{name}` has no input"))
                .label("`input(…)` must come before this")
                .help("declare the shape of one input first, as in `input(28, 28, 1);`"),
        );
    }

    /// Checks one layer and gives its output shape.
    fn layer(&mut self, item: &'a Item, input: Option<&Shape>) -> Option<Shape> {
        let call = &item.call;
        let Some(definition) = layer::find(&call.name.text) else {
            self.errors.push(unknown(&call.name));
            return None;
        };
        let name = self.name(item, definition);
        let class = definition.signature.name;
        let mut args = Args::bind(&definition.signature, call, format!("{class} layer `{name}`"));
        let mut built = match definition.build {
            layer::Build::One(build) => build(&mut args, input),
            layer::Build::Many(build) => build(&mut args, None),
        };
        if let Some(built) = &built {
            self.add_up(built, &mut args);
        }
        if args.failed() {
            built = None;
        }
        self.errors.append(&mut args.into_errors());
        let (built, input) = built.zip(input)?;
        let output = built.output.clone();
        self.layers.push(Layer {
            name,
            docs: item.docs.clone(),
            kind: built.kind,
            sources: vec![self.layers.len()],
            inputs: vec![input.clone()],
            output: built.output,
            weights: built.weights,
            macs: built.macs,
        });
        Some(output)
    }

    fn name(&mut self, item: &Item, definition: &'static Definition) -> String {
        match &item.label {
            Some(label) => label.text.clone(),
            None => self.auto.next(definition.signature.name),
        }
    }

    /// Keeps the totals of the model within their limits as well.
    fn add_up(&mut self, built: &layer::Built, args: &mut Args<'_>) {
        let params: u64 = built.weights.iter().map(crate::ir::Weight::len).sum();
        let terms = [params, built.output.len(), built.macs];
        let whats = [
            ("parameters of the model", MAX_VALUES),
            ("activations of the model", MAX_VALUES),
            ("multiply-adds of the model", u64::MAX),
        ];
        for ((total, term), (what, limit)) in self.totals.iter_mut().zip(terms).zip(whats) {
            *total += u128::from(term);
            if let Err(message) = count::within(Some(*total), limit, what) {
                let at = args.at();
                args.error(at, &message, "too large together with those before");
                *total -= u128::from(term);
                return;
            }
        }
    }
}

/// One to three sizes.
fn input_shape(call: &Call, args: &mut Args<'_>) -> Option<Shape> {
    let mut sizes = Vec::new();
    for arg in &call.args {
        if let Some(name) = &arg.name {
            let help = "write the sizes alone, as in `input(28, 28, 1);`";
            let message = format!("no argument {}", quote(&name.text));
            let diagnostic = args.error(name.span.clone(), &message, "unknown argument");
            diagnostic.help.push(help.to_owned());
            return None;
        }
        sizes.push(input_size(&arg.value, args));
    }
    if sizes.is_empty() || sizes.len() > 3 {
        let at = call.args.get(3).map_or_else(|| args.at(), |arg| span_from(call, &arg.value));
        let message = format!("takes one to three sizes, found {}", sizes.len());
        let diagnostic = args.error(at, &message, "wrong number of sizes");
        diagnostic.help.push(
            "`input(height, width, channels)`, `input(rows, features)`, `input(features)`"
                .to_owned(),
        );
        return None;
    }
    let sizes: Vec<u64> = sizes.into_iter().collect::<Option<_>>()?;
    let at = args.at();
    layer::values(args, &at, &[&sizes], "input values")?;
    Some(Shape(sizes))
}

fn span_from(call: &Call, value: &Expr) -> Span {
    let end = call.args.last().map_or(value.span.end, |last| last.value.span.end);
    value.span.start..end
}

fn input_size(value: &Expr, args: &mut Args<'_>) -> Option<u64> {
    let size = args.integer(value, "size", "a positive integer");
    if let ExprKind::Tuple(items) | ExprKind::List(items) = &value.kind
        && let Some(first) = args.last_error()
    {
        let sizes: Vec<String> = items.iter().map(ToString::to_string).collect();
        first.help.push(format!("write the sizes directly: `input({})`", sizes.join(", ")));
    }
    size
}

/// A name that is no layer.
fn unknown(name: &Ident) -> Diagnostic {
    let text = name.text.as_str();
    if layer::NOT_YET.contains(&text) {
        return Diagnostic::new(name.span.clone(), format!("`{text}` is not supported yet"))
            .label("a layer of Keras that is still missing here");
    }
    let known = layer::ALL.iter().map(|layer| layer.signature.name);
    let help = did_you_mean(text, known.clone().chain(STATEMENTS))
        .or_else(|| did_you_mean(text, layer::NOT_YET.iter().copied()))
        .unwrap_or_else(|| format!("layers are {}", known.collect::<Vec<_>>().join(", ")));
    Diagnostic::new(name.span.clone(), format!("unknown layer {}", quote(text)))
        .label("no layer of this name")
        .help(help)
}
