//! `cnn compare`: what two models cost, in all and layer by layer.

mod align;
mod table;

use std::path::Path;

use clap::ValueEnum;
use cnn_dsl::ir::Model;
use cnn_dsl::names::snake_case;
use cnn_dsl::passes;
use serde_json::{Value, json};

use crate::{Outcome, Status, input, report};
use align::{Row, align};

/// How a comparison is printed.
#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// For readers
    Table,
    /// For programs
    Json,
}

/// Totals by their key in JSON and their name in the table.
const TOTALS: [(&str, &str); 5] = [
    ("params", "parameters"),
    ("macs", "multiply-adds"),
    ("weights_bytes", "weights bytes"),
    ("inference_bytes", "inference bytes"),
    ("training_bytes", "training bytes"),
];

/// Two models, and their layers side by side.
struct Comparison<'a> {
    models: [&'a Model; 2],
    totals: [[u64; 2]; 5],
    rows: Vec<Row<'a>>,
}

impl<'a> Comparison<'a> {
    fn new(before: &'a Model, after: &'a Model) -> Self {
        let (old, new) = (totals(before), totals(after));
        Self {
            models: [before, after],
            totals: std::array::from_fn(|i| [old[i], new[i]]),
            rows: align(before, after),
        }
    }

    fn json(&self) -> Value {
        let totals = TOTALS.iter().zip(self.totals).map(|((key, _), [before, after])| {
            ((*key).to_owned(), json!({ "before": before, "after": after }))
        });
        json!({
            "before": snake_case(&self.models[0].name),
            "after": snake_case(&self.models[1].name),
            "totals": totals.collect::<serde_json::Map<_, _>>(),
            "layers": self.rows.iter().map(row_json).collect::<Vec<_>>(),
        })
    }
}

/// In the order of [`TOTALS`].
fn totals(model: &Model) -> [u64; 5] {
    let plan = passes::plan(model);
    [
        model.params(),
        model.macs(),
        plan.weights_bytes(),
        plan.inference_bytes(),
        plan.training_bytes(),
    ]
}

fn row_json(row: &Row<'_>) -> Value {
    json!({
        "change": row.change().name(),
        "changed": row.changed,
        "before": row.before.map(report::layer),
        "after": row.after.map(report::layer),
    })
}

/// Compares the models of two files: those of one name, or the only ones.
pub fn run(before: &Path, after: &Path, format: Format) -> Outcome {
    let (old, new) = match (input::models(before, None), input::models(after, None)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(one), Ok(_)) | (Ok(_), Err(one)) => return one,
        (Err(one), Err(other)) => return if one.status > other.status { one } else { other },
    };
    let pairs = pairs(&old, &new);
    let [only_before, only_after] = [0, 1].map(|side| {
        let models = [&old, &new][side];
        let is_paired = |model: &&Model| pairs.iter().any(|pair| std::ptr::eq(pair[side], *model));
        models
            .iter()
            .filter(|model| !is_paired(model))
            .map(|model| snake_case(&model.name))
            .collect::<Vec<_>>()
    });
    if pairs.is_empty() {
        let complaint = format!(
            "error: `{}` and `{}` have no models of the same name",
            before.display(),
            after.display()
        );
        return Outcome::failed(Status::Unusable, &complaint);
    }
    let comparisons: Vec<Comparison<'_>> =
        pairs.iter().map(|[before, after]| Comparison::new(before, after)).collect();
    Outcome::right(match format {
        Format::Table => {
            let mut tables: Vec<String> =
                comparisons.iter().map(|one| table::print(one, [before, after])).collect();
            for (only, file) in [(&only_before, before), (&only_after, after)] {
                if !only.is_empty() {
                    tables.push(format!("only in {}: {}\n", file.display(), only.join(", ")));
                }
            }
            tables.join("\n")
        }
        Format::Json => {
            let value = json!({
                "before": before.display().to_string(),
                "after": after.display().to_string(),
                "models": comparisons.iter().map(Comparison::json).collect::<Vec<_>>(),
                "only_before": only_before,
                "only_after": only_after,
            });
            format!("{value:#}\n")
        }
    })
}

fn pairs<'a>(old: &'a [Model], new: &'a [Model]) -> Vec<[&'a Model; 2]> {
    if let ([before], [after]) = (old, new) {
        return vec![[before, after]];
    }
    old.iter()
        .filter_map(|before| {
            new.iter().find(|after| after.name == before.name).map(|after| [before, after])
        })
        .collect()
}
