//! `assert params <= 250_000;`

use super::Lowering;
use crate::ast::{Assert, ExprKind};
use crate::diagnostics::{Diagnostic, did_you_mean, quote, thousands};
use crate::ir::{Layer, Model};
use crate::passes;

/// What can be asserted, with the unit of its figures.
const METRICS: [(&str, &str); 5] = [
    ("params", "parameters"),
    ("macs", "multiply-adds"),
    ("inference_bytes", "bytes"),
    ("training_bytes", "bytes"),
    ("weights_bytes", "bytes"),
];

/// Bytes of a number.
const F32: u64 = 4;

impl<'a> Lowering<'a> {
    /// Notes an assertion for when the model is known.
    pub(super) fn assert(&mut self, assert: &'a Assert) {
        if self.depth > 1 {
            self.report(
                Diagnostic::new(assert.span.clone(), "`assert` inside of braces")
                    .label("belongs to a model")
                    .help("it stands in the model, outside of blocks and branches"),
            );
            return;
        }
        let metric = &assert.metric;
        if !METRICS.iter().any(|(name, _)| *name == metric.text) {
            let names = METRICS.map(|(name, _)| name);
            let help = did_you_mean(&metric.text, names)
                .unwrap_or_else(|| format!("figures are {}", names.join(", ")));
            self.report(
                Diagnostic::new(
                    metric.span.clone(),
                    format!("unknown figure {}", quote(&metric.text)),
                )
                .label("nothing that is counted")
                .help(help),
            );
            return;
        }
        let Some(limit) = self.evaluate(&assert.limit) else { return };
        let number = match &limit.kind {
            ExprKind::Number(text) => text.replace('_', "").parse::<u64>().ok(),
            _ => None,
        };
        match number {
            Some(number) => self.asserts.push((assert, number)),
            None => self.report(
                Diagnostic::new(
                    assert.limit.span.clone(),
                    format!("`assert` compares with a whole number, found {}", quote(&limit)),
                )
                .label("not a whole number"),
            ),
        }
    }
}

/// Compares the figures of a finished model with its assertions.
pub(super) fn check(model: &Model, asserts: &[(&Assert, u64)], diagnostics: &mut Vec<Diagnostic>) {
    if asserts.is_empty() {
        return;
    }
    let plan = passes::plan(model);
    for (assert, limit) in asserts {
        let metric = assert.metric.text.as_str();
        let figure = match metric {
            "params" => model.params(),
            "macs" => model.macs(),
            "inference_bytes" => plan.inference_bytes(),
            "training_bytes" => plan.training_bytes(),
            _ => plan.weights_bytes(),
        };
        if assert.comparison.holds(figure, *limit) {
            continue;
        }
        let unit = METRICS.iter().find(|(name, _)| *name == metric).map_or("", |(_, unit)| unit);
        let message = format!(
            "model `{}` breaks its budget: {} {unit}, asserted {} {}",
            model.name,
            thousands(figure.into()),
            assert.comparison.symbol(),
            thousands((*limit).into()),
        );
        diagnostics.push(
            Diagnostic::new(assert.span.clone(), message)
                .label(format!("{metric} is {}", thousands(figure.into())))
                .note(costs(model, metric)),
        );
    }
}

/// The layers that cost most, at most three.
fn costs(model: &Model, metric: &str) -> String {
    let (what, cost): (&str, fn(&Layer) -> u64) = match metric {
        "params" => ("parameters", Layer::params),
        "macs" => ("multiply-adds", |layer| layer.macs),
        "weights_bytes" => ("bytes of weights", |layer| layer.params() * F32),
        _ => ("bytes of weights and output", |layer| (layer.params() + layer.output.len()) * F32),
    };
    let mut layers: Vec<(u64, &Layer)> = model
        .layers
        .iter()
        .map(|layer| (cost(layer), layer))
        .filter(|(cost, _)| *cost > 0)
        .collect();
    layers.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
    if layers.is_empty() {
        return format!("no layer has {what}");
    }
    let most: Vec<String> = layers
        .iter()
        .take(3)
        .map(|(cost, layer)| {
            let class = layer.kind.class();
            format!("`{}` ({class}) {}", layer.name, thousands((*cost).into()))
        })
        .collect();
    format!("the layers that cost most, in {what}: {}", most.join(", "))
}
