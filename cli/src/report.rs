//! What the commands print.

use std::path::Path;

use cnn_dsl::diagnostics::thousands;
use cnn_dsl::ir::{Layer, Model};
use cnn_dsl::names::snake_case;
use cnn_dsl::passes;
use cnn_dsl::receptive::ReceptiveField;
use serde_json::{Value, json};

/// One line for a file without mistakes.
pub fn checked(file: &Path, models: &[Model]) -> String {
    let models: Vec<String> = models
        .iter()
        .map(|model| {
            let params = thousands(model.params().into());
            format!("{} ({params} parameters)", snake_case(&model.name))
        })
        .collect();
    let models = if models.is_empty() { "no models".to_owned() } else { models.join(", ") };
    format!("{}: ok, {models}\n", file.display())
}

/// The models as JSON. Shapes are without the batch; bytes are of `f32` and for one model.
pub fn json(models: &[Model]) -> String {
    let mut values: Vec<Value> = models.iter().map(model).collect();
    let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
    format!("{value:#}\n")
}

fn model(model: &Model) -> Value {
    let plan = passes::plan(model);
    let params = model.params();
    let trainable = model.trainable_params();
    json!({
        "model": snake_case(&model.name),
        "layers": model.layers.iter().map(layer).collect::<Vec<_>>(),
        "total_params": params,
        "trainable_params": trainable,
        "non_trainable_params": params - trainable,
        "macs": model.macs(),
        "weights_bytes": plan.weights_bytes(),
        "inference_bytes": plan.inference_bytes(),
        "training_bytes": plan.training_bytes(),
    })
}

/// A layer as JSON.
pub fn layer(layer: &Layer) -> Value {
    json!({
        "name": layer.name,
        "type": layer.kind.class(),
        "output_shape": layer.output.0,
        "params": layer.params(),
        "macs": layer.macs,
        "receptive_field": {
            "size": layer.field.size(),
            "jump": [jump(&layer.field, 0), jump(&layer.field, 1)],
            "start": layer.field.start(),
        },
    })
}

/// A whole number where it is one.
fn jump(field: &ReceptiveField, axis: usize) -> Value {
    match field.parts[axis] {
        1 => field.jump[axis].into(),
        _ => field.jump()[axis].into(),
    }
}
