//! Layers and what they take: the output of the statement above, or the outputs of named ones.

use std::collections::BTreeSet;

use super::training::NOISE;
use super::{Lowering, MAX_LAYERS, unused};
use crate::ast::{Arg, Call, Expr, ExprKind, Ident, Span, Statement};
use crate::bind::Args;
use crate::count::{self, MAX_VALUES};
use crate::diagnostics::{Diagnostic, did_you_mean, join, quote, thousands};
use crate::ir::{Layer, Shape, Weight};
use crate::layer::activation::Activation;
use crate::layer::{self, Build, Built, Definition, Kind, Operand};
use crate::receptive::ReceptiveField;

/// What a layer can take: the model's input, or the output of a layer.
#[derive(Debug)]
pub(super) struct Value {
    /// The name of the layer.
    pub name: String,
    /// Unknown behind a mistake.
    pub shape: Option<Shape>,
    /// Where the layer's name stands.
    pub span: Span,
    /// Its number in the IR, if there was no mistake before.
    pub source: usize,
    /// The first value that the layer took.
    pub from: Option<usize>,
    /// Whether anything takes it.
    pub used: bool,
}

impl Value {
    pub(super) fn input(span: Span) -> Self {
        Self { name: "input".into(), shape: None, span, source: 0, from: None, used: false }
    }
}

/// A layer that is about to be checked.
pub(super) struct Draft<'s> {
    pub statement: &'s Statement,
    pub definition: &'static Definition,
    /// Its arguments, constants replaced.
    pub call: &'s Call,
    /// The values it takes, and where the text says so.
    pub inputs: Vec<(usize, Span)>,
}

impl<'a> Lowering<'a> {
    /// A layer or an instance of a block; gives its output.
    pub(super) fn layer(
        &mut self,
        statement: &'a Statement,
        call: &'a Call,
        operands: Option<&'a [Expr]>,
        above: usize,
    ) -> usize {
        let name = call.name.text.as_str();
        let file = self.frame().file;
        if let Some((block, file)) = self.definitions.block(file, name) {
            return self.instance(statement, call, operands, (block, file), above);
        }
        let Some(definition) = layer::find(name) else {
            let mistake = unused::unknown(&call.name, file, self.definitions);
            self.report_all(mistake.into_iter().collect());
            return self.unknown(&call.name.span);
        };
        let many = matches!(definition.build, Build::Many(_));
        // `Add(a, b)` means `Add()(a, b)`.
        let leading = if many && operands.is_none() {
            call.args.iter().take_while(|arg| arg.name.is_none()).count()
        } else {
            0
        };
        if leading == 0
            && let Some(late) = call.args.iter().find(|arg| many && arg.name.is_none())
        {
            let diagnostic = misplaced_operand(name, &late.value, operands);
            self.report(diagnostic);
            return self.unknown(&call.name.span);
        }
        let (first, args) = call.args.split_at(leading);
        let first: Vec<&Expr> = first.iter().map(|arg| &arg.value).collect();
        let named = operands.map(|operands| operands.iter().collect()).or(many.then_some(first));
        let inputs = match named {
            Some(named) => self.operands(definition, &call.name, &named),
            None => Some(vec![(above, call.name.span.clone())]),
        };
        let call = Call { name: call.name.clone(), args: args.to_vec() };
        let call = self.evaluate_call(&call);
        let (Some(inputs), Some(call)) = (inputs, call) else {
            // The number of its name is used up all the same.
            self.layer_name(statement, definition);
            return self.unknown(&statement.name().span);
        };
        self.build(Draft { statement, definition, call: &call, inputs })
    }

    /// A value of which nothing is known, for behind a mistake.
    pub(super) fn unknown(&mut self, span: &Span) -> usize {
        self.values.push(Value { used: true, ..Value::input(span.clone()) });
        self.values.len() - 1
    }

    fn operands(
        &mut self,
        definition: &Definition,
        at: &Ident,
        operands: &[&Expr],
    ) -> Option<Vec<(usize, Span)>> {
        let class = definition.signature.name;
        let inputs: Vec<Option<(usize, Span)>> =
            operands.iter().map(|operand| self.operand(operand)).collect();
        let inputs: Vec<(usize, Span)> = inputs.into_iter().collect::<Option<_>>()?;
        let count = inputs.len();
        let diagnostic = match definition.build {
            Build::One(_) if count == 0 => {
                Diagnostic::new(at.span.clone(), format!("`{class}` is given no input"))
                    .label("the second brackets are empty")
                    .help("leave them out to take the output of the statement above")
            }
            Build::One(_) if count > 1 => Diagnostic::new(
                inputs[1].1.clone(),
                format!("`{class}` takes one input, found {count}"),
            )
            .label("one too many")
            .help("merge them first, as in `Add(a, b);` or `Concatenate(a, b);`"),
            Build::Many(_) if count < 2 => Diagnostic::new(
                at.span.clone(),
                format!("`{class}` merges at least two layers, found {count}"),
            )
            .label(if count == 0 { "names no layers to merge" } else { "nothing to merge with" })
            .help(format!("label the layers, as in `a: …;`, and write `{class}(a, b);`")),
            Build::One(_) | Build::Many(_) => return Some(inputs),
        };
        self.report(diagnostic);
        None
    }

    /// A value by its name.
    pub(super) fn operand(&mut self, operand: &Expr) -> Option<(usize, Span)> {
        let span = operand.span.clone();
        let name = match &operand.kind {
            ExprKind::Call(call) if call.args.is_empty() => call.name.text.as_str(),
            _ => {
                let message = format!("expected the name of a layer, found {}", quote(operand));
                self.report(
                    Diagnostic::new(span, message)
                        .label("not a name")
                        .help("label the layer, as in `side: Conv2D(8, 1);`, and name it here"),
                );
                return None;
            }
        };
        if name == "input" {
            return Some((self.visible_input(), span));
        }
        if let Some(&(value, _)) = self.visible().label(name) {
            return Some((value, span));
        }
        let diagnostic = self.unknown_operand(name, span);
        self.report(diagnostic);
        None
    }

    fn visible_input(&self) -> usize {
        self.frames.last().map_or(0, |frame| frame.input)
    }

    fn unknown_operand(&self, name: &str, span: Span) -> Diagnostic {
        let visible = self.visible();
        if super::evaluate::Scope::find(&visible, name).is_some() {
            return Diagnostic::new(span, format!("`{name}` is a constant, not a layer"))
                .label("not the name of a layer");
        }
        if let Some(label) = visible.label_anywhere(name) {
            // Above, and yet not there: the statement at hand makes it.
            if label.span.start < span.start {
                return Diagnostic::new(span, format!("`{name}` would take its own output"))
                    .label("not computed yet")
                    .secondary(label.span.clone(), "names what this statement makes");
            }
            return Diagnostic::new(span, format!("`{name}` is declared only further down"))
                .label("not computed yet")
                .secondary(label.span.clone(), "declared here")
                .help("layers take the outputs of layers above them: move one of the two");
        }
        let help = did_you_mean(name, visible.labels().chain(["input"])).unwrap_or_else(|| {
            let mut known = BTreeSet::new();
            for label in visible.labels() {
                if known.len() < MOST_LISTED || known.last().is_some_and(|last| label < *last) {
                    known.insert(label);
                }
                if known.len() > MOST_LISTED {
                    known.pop_last();
                }
            }
            let known: Vec<String> = known.iter().map(quote).collect();
            if known.is_empty() {
                "give the layer a label: `name: Conv2D(…);`".to_owned()
            } else {
                format!("layers with names are {}", join(&known, "and"))
            }
        });
        Diagnostic::new(span, format!("no layer named {}", quote(name)))
            .label("no label of this name above")
            .help(help)
    }

    /// Checks one layer and gives its output.
    pub(super) fn build(&mut self, draft: Draft<'_>) -> usize {
        let Draft { statement, definition, call, inputs } = draft;
        self.spent.steps += inputs.len() - 1;
        let at = statement.name().span.clone();
        if self.values.len() > MAX_LAYERS {
            let most = thousands(MAX_LAYERS as u128);
            let message = format!("a model of more than {most} layers, blocks expanded");
            self.stop(&at, &message);
            return self.unknown(&at);
        }
        let name = self.layer_name(statement, definition);
        let class = definition.signature.name;
        let owner = format!("{class} layer `{name}`");
        let mut args = Args::bind_layer(&definition.signature, call, owner);
        let trainable = args.flag_or("trainable", true).unwrap_or(true);
        for (value, _) in &inputs {
            self.values[*value].used = true;
        }
        let known: Option<Vec<Operand>> =
            inputs.iter().map(|(value, span)| self.as_operand(*value, span)).collect();
        let mut built = match definition.build {
            Build::One(build) => {
                build(&mut args, known.as_ref().map(|operands| &operands[0].shape))
            }
            Build::Many(build) => build(&mut args, known.as_deref()),
        };
        if let Some(built) = &built {
            self.add_up(built, &mut args);
        }
        if args.failed() {
            built = None;
        }
        let mut diagnostics = args.into_diagnostics(|| self.history(inputs[0].0));
        self.suggest_names(call, &mut diagnostics);
        self.report_all(diagnostics);
        let sources = inputs.iter().map(|(value, _)| self.values[*value].source).collect();
        let value = Value {
            name: name.clone(),
            shape: built.as_ref().map(|built| built.output.clone()),
            span: statement.label.as_ref().map_or(at, |label| label.span.clone()),
            source: self.layers.len() + 1,
            from: Some(inputs[0].0),
            used: false,
        };
        self.values.push(value);
        if let Some((built, operands)) = built.zip(known) {
            let mut layer = Layer {
                name,
                docs: statement.docs.clone(),
                kind: built.kind,
                sources,
                inputs: operands.into_iter().map(|operand| operand.shape).collect(),
                output: built.output,
                weights: built.weights.into_iter().map(|weight| weight.of(trainable)).collect(),
                trainable,
                macs: built.macs,
                field: ReceptiveField::of_input(&Shape(Vec::new())),
            };
            self.find_field(&mut layer);
            self.layers.push(layer);
        }
        self.values.len() - 1
    }

    /// Fills in which pixels a layer sees, from what its inputs see.
    fn find_field(&self, layer: &mut Layer) {
        let Some(input) = &self.values[0].shape else { return };
        let seen = |source: &usize| match source.checked_sub(1) {
            None => ReceptiveField::of_input(input),
            Some(before) => self.layers[before].field,
        };
        let fields: Vec<ReceptiveField> = layer.sources.iter().map(seen).collect();
        layer.field = ReceptiveField::of_layer(layer, &fields, input);
    }

    fn as_operand(&self, value: usize, span: &Span) -> Option<Operand> {
        let Value { name, shape, .. } = &self.values[value];
        Some(Operand { name: name.clone(), shape: shape.clone()?, span: span.clone() })
    }

    fn layer_name(&mut self, statement: &Statement, definition: &Definition) -> String {
        let Some(label) = &statement.label else {
            return self.auto.next(definition.signature.name);
        };
        match self.frame().prefix.as_str() {
            "" => label.text.clone(),
            prefix => {
                let name = format!("{prefix}_{}", label.text);
                self.auto.unique(name)
            }
        }
    }

    /// Where a bare name is not what an argument takes, it may be a misspelt constant, or a layer
    /// in the wrong brackets.
    pub(super) fn suggest_names(&self, call: &Call, diagnostics: &mut [Diagnostic]) {
        let visible = self.visible();
        for diagnostic in diagnostics.iter_mut().filter(|diagnostic| diagnostic.help.is_empty()) {
            let arg = call.args.iter().find(|arg| arg.value.span == diagnostic.span);
            let Some(name) = arg.and_then(|arg| arg.value.as_name()) else { continue };
            if name == "input" || visible.label(name).is_some() {
                let class = &call.name.text;
                diagnostic.help.push(format!(
                    "the layer to take goes into brackets of its own: `{class}(…)({name})`"
                ));
            } else {
                let names = super::evaluate::Scope::names(&visible);
                let help = did_you_mean(name, names);
                diagnostic.help.extend(help.or_else(|| other_parameter(call, name)));
            }
        }
    }

    /// The shapes that led to a value, the last ones if there are many; none to the input.
    fn history(&self, value: usize) -> Option<String> {
        const LONGEST: usize = 10;
        let mut steps = Vec::new();
        let mut next = Some(value);
        while let Some(at) = next {
            let Value { name, shape, from, .. } = &self.values[at];
            if steps.len() == LONGEST {
                steps.push("…".to_owned());
                break;
            }
            let Some(shape) = shape else { break };
            steps.push(format!("{shape} (`{name}`)"));
            next = *from;
        }
        steps.reverse();
        (steps.len() > 1).then(|| format!("the shapes up to here: {}", steps.join(", ")))
    }

    /// Keeps the totals of the model within their limits as well.
    fn add_up(&mut self, built: &Built, args: &mut Args<'_>) {
        let params: u64 = built.weights.iter().map(Weight::len).sum();
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

    /// Last layers that are probably not meant, or do not go with a loss.
    pub(super) fn check_output(&mut self, output: usize, has_loss: bool) {
        let Some(last) = self.layers.last().filter(|_| !self.failed()) else { return };
        let at = self.values[output].span.clone();
        let class = last.kind.class();
        if NOISE.contains(&class) {
            let message = format!("`{}` comes after the last layer that computes", last.name);
            self.diagnostics.push(
                Diagnostic::warning(at, message)
                    .label("disturbs the outputs themselves in training")
                    .help(format!("put `{class}` before the last layer with weights")),
            );
            return;
        }
        let softmax = |layer: &Layer| layer.kind.activation() == Some(Activation::Softmax);
        let alone = ["Softmax", "Activation"].contains(&class);
        if !(has_loss && alone && softmax(last)) {
            return;
        }
        let Some(before) = self.computes(last) else { return };
        if softmax(before) {
            let message =
                format!("`{}` is a softmax of the softmax of `{}`", last.name, before.name);
            self.diagnostics.push(
                Diagnostic::new(at, message)
                    .label("the second softmax")
                    .help("one is enough: remove the activation, or this layer"),
            );
        } else if is_relu(before) {
            let message = format!("`{}` is a softmax of the relu of `{}`", last.name, before.name);
            self.diagnostics.push(
                Diagnostic::warning(at, message)
                    .label("learns nothing from what the relu cuts off")
                    .help("leave the relu out: scores of classes may be negative"),
            );
        }
    }

    /// The layer whose output `layer` takes, past those that only rearrange it or are there in
    /// training alone.
    fn computes(&self, layer: &Layer) -> Option<&Layer> {
        let mut source = *layer.sources.first()?;
        loop {
            let before = &self.layers[source.checked_sub(1)?];
            let class = before.kind.class();
            if !["Flatten", "Reshape", "Permute"].contains(&class) && !NOISE.contains(&class) {
                return Some(before);
            }
            source = *before.sources.first()?;
        }
    }

    /// Complains of outputs that nobody takes, where all else is right.
    pub(super) fn check_used(&mut self, output: usize) {
        if self.failed() {
            return;
        }
        let mut said = std::collections::HashSet::new();
        for (index, value) in self.values.iter().enumerate() {
            if value.used || index == output || !said.insert(value.span.start) {
                continue;
            }
            let (message, help) = if index == 0 {
                ("nothing takes the input of the model".to_owned(), "name it, as in `(input)`")
            } else {
                (
                    format!("nothing takes the output of `{}`", value.name),
                    "name it in another layer, as in `Add(a, b);`, or remove it",
                )
            };
            self.diagnostics.push(
                Diagnostic::new(value.span.clone(), message)
                    .label("computed for nothing")
                    .help(help),
            );
        }
    }
}

/// The most names that a message lists.
const MOST_LISTED: usize = 6;

/// A layer to merge that stands behind named arguments, or in the first of two pairs of brackets.
fn misplaced_operand(class: &str, late: &Expr, operands: Option<&[Expr]>) -> Diagnostic {
    let at = late.span.clone();
    let Some(operands) = operands else {
        let message = format!("`{class}`: names of layers come before named arguments");
        return Diagnostic::new(at, message)
            .label("must come first")
            .help(format!("write `{class}(a, b, … = …)`"));
    };
    let behind: Vec<String> = operands.iter().take(3).map(ToString::to_string).collect();
    Diagnostic::new(at, format!("`{class}`: the first brackets hold named arguments only"))
        .label("has no name")
        .help(format!("layers to merge stand together: `{class}({late}, {})`", behind.join(", ")))
}

/// Whether it cuts off what is negative, as its last step.
fn is_relu(layer: &Layer) -> bool {
    match &layer.kind {
        Kind::ReLU(relu) => relu.negative_slope == 0.0,
        kind => matches!(kind.activation(), Some(Activation::Relu | Activation::Relu6)),
    }
}

/// The parameter that a name is a value of, where it was given by its position to another one.
fn other_parameter(call: &Call, value: &str) -> Option<String> {
    let by_position =
        |arg: &Arg| arg.name.is_none() && arg.value.as_name().is_some_and(|name| name == value);
    call.args.iter().find(|arg| by_position(arg))?;
    let param = match value {
        "same" | "valid" => "padding",
        "true" | "false" => "use_bias",
        _ if Activation::is_name(value) => "activation",
        _ => return None,
    };
    let definition = layer::find(&call.name.text)?;
    let place = definition.signature.params.iter().position(|known| known.name == param)?;
    let given = call.args.get(place).is_some_and(|arg| arg.name.is_none());
    (!given).then(|| format!("by name it can stand anywhere: `{param} = {value}`"))
}
