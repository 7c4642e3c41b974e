//! A model as it is looked into: every layer for itself, in inference alone, with all that is made on
//! the way forward and back kept where it can be read.

use super::ops::lower_apart;
use super::plan::plan_ops;
use super::{Plan, Scope};
use crate::ir::{Layer, Model, Weight};
use crate::layer::Kind;
use crate::layer::activation::Activation;

/// A model's other plan.
#[derive(Clone, Debug)]
pub struct Apart {
    /// The model as it is planned: nothing learns, and no loss is one with the last layer.
    pub model: Model,
    /// One image at a time, gradients down to the input's.
    pub plan: Plan,
    /// Where each layer's output is found.
    pub views: Vec<View>,
    /// The last layer's output, without its softmax if that comes last.
    pub logits: View,
}

/// Where an output is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its first float in the arena.
    pub output: u64,
    /// Its gradient's first float in the tape.
    pub gradient: u64,
    /// How many operations make it; the last of them is its own.
    pub steps: usize,
    /// Whether that ends in a relu, or a function that is 0 for all that is negative as well.
    pub rectified: bool,
}

/// Plans a model for being looked into. Weights lie as in [`super::plan`].
#[must_use]
pub fn apart(model: &Model) -> Apart {
    let frozen = frozen(model);
    let (ops, buffers) = lower_apart(&frozen);
    debug_assert!(ops.iter().all(|op| op.scope != Scope::Batch), "statistics are fixed");
    let softmax = ops.last().filter(|op| op.kind == "Softmax").map(|op| op.sources[0]);
    let plan = plan_ops(&frozen, ops, 1, true, false);
    let view = |buffer: usize, rectified: bool| {
        let gradient = plan.buffers[buffer].gradient;
        View {
            output: plan.buffer_at(buffer),
            gradient: gradient.map_or(0, |field| plan.field_at(field) - plan.arena()),
            steps: buffer,
            rectified,
        }
    };
    let layers = frozen.layers.iter().zip(&buffers);
    let views = layers.map(|(layer, &buffer)| view(buffer, is_rectified(layer))).collect();
    let logits = view(softmax.unwrap_or(plan.buffers.len() - 1), false);
    Apart { views, logits, model: frozen, plan }
}

/// Layers that do not learn compute in training as they do in inference.
fn frozen(model: &Model) -> Model {
    let freeze = |layer: &Layer| Layer {
        trainable: false,
        weights: layer.weights.iter().cloned().map(|weight: Weight| weight.of(false)).collect(),
        ..layer.clone()
    };
    Model { compile: None, layers: model.layers.iter().map(freeze).collect(), ..model.clone() }
}

fn is_rectified(layer: &Layer) -> bool {
    match &layer.kind {
        Kind::ReLU(relu) => relu.negative_slope == 0.0,
        kind => matches!(kind.activation(), Some(Activation::Relu | Activation::Relu6)),
    }
}
