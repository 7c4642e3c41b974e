//! Where a model's sizes come from, in words and numbers: `cnn explain`.

use std::fmt::Write as _;

use crate::diagnostics::thousands;
use crate::ir::{Layer, Model};
use crate::names::snake_case;
use crate::receptive::{self, ReceptiveField};

/// For each layer the rules behind its sizes with the numbers put in, its parameters, its receptive
/// field, and what the same output would cost connected otherwise. Every line ends with a newline.
#[must_use]
pub fn text(model: &Model) -> String {
    let mut out = format!("Model: \"{}\"\n", snake_case(&model.name));
    let _ = writeln!(out, "\ninput: {}", model.input);
    for layer in &model.layers {
        self::layer(&mut out, model, layer);
    }
    let _ = writeln!(out, "\nTotal params: {}", total(model));
    out
}

/// Names of rules take so many columns.
const WIDTH: usize = 18;

fn layer(out: &mut String, model: &Model, layer: &Layer) {
    let shapes: Vec<String> = layer.inputs.iter().map(ToString::to_string).collect();
    let (name, class, inputs) = (&layer.name, layer.kind.class(), shapes.join(", "));
    let _ = writeln!(out, "\n{name} ({class}): {inputs} -> {}", layer.output);
    let mut lines: Vec<(&str, String)> = Vec::new();
    for line in layer.kind.explained().explain(layer) {
        lines.push((line.what, line.rule));
    }
    let learning = layer.weights.iter().filter(|weight| weight.trainable);
    let learning: u64 = learning.map(crate::ir::Weight::len).sum();
    if learning < layer.params() {
        lines.push(("trainable", thousands(learning.into())));
    }
    // Behind the layer's own sizes, before what it would cost otherwise.
    let place = lines.iter().position(|(what, _)| *what == "parameters");
    lines.insert(place.unwrap_or(lines.len()), ("receptive field", field(model, layer)));
    for (what, rule) in lines {
        let _ = writeln!(out, "    {what:WIDTH$}{rule}");
    }
}

/// `5x5 pixels, 2 apart, the first from row -1, column -1`
fn field(model: &Model, layer: &Layer) -> String {
    let field = &layer.field;
    let pixels = receptive::grid(&model.input);
    let all = ReceptiveField {
        jump: [0; 2],
        first: [0; 2],
        last: pixels.map(|n| n.cast_signed() - 1),
        parts: [1; 2],
    };
    let [height, width] = field.size();
    let size = format!("{}x{}", thousands(height.into()), thousands(width.into()));
    if *field == all {
        return format!("{size}, the whole input");
    }
    let [down, across] = [0, 1].map(|axis| match (field.jump[axis], field.parts[axis]) {
        (jump, 1) => thousands(jump.unsigned_abs().into()),
        (jump, parts) => format!("{jump}/{parts}"),
    });
    let apart = if down == across { down } else { format!("{down} down and {across} across") };
    let [row, column] = field.start();
    format!("{size}, neighbours {apart} apart, the first from row {row}, column {column}")
}

/// A longer sum says nothing to a reader.
const MOST_TERMS: usize = 12;

/// `320 + 18,496 = 18,816`
fn total(model: &Model) -> String {
    let counts: Vec<u64> =
        model.layers.iter().map(Layer::params).filter(|&count| count > 0).collect();
    let total = thousands(model.params().into());
    if !(2..=MOST_TERMS).contains(&counts.len()) {
        return total;
    }
    let terms: Vec<String> = counts.iter().map(|&count| thousands(count.into())).collect();
    format!("{} = {total}", terms.join(" + "))
}
