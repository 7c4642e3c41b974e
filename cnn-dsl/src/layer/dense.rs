//! `Dense`

use crate::bind::{Args, Signature, optional, required_unless, unsupported};
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::receptive::Reach;

use super::activation::{self, Activation};
use super::explain::{Count, Explain, Line};
use super::weights::{self, Recipe, Rules};
use super::{Build, Built, Definition, Kind, macs, values};

/// Arguments of `Dense`, resolved. Works on the last axis, as in Keras.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Output features.
    pub units: u64,
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

impl Explain for Dense {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        // The features of its own place, all of them.
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let (features, units) = (layer.input().last(), self.units);
        let mut lines = vec![Line::new(
            "units",
            format!("{}, each connected to all features", thousands(units.into())),
        )];
        if layer.input().rank() > 1 {
            let places = layer.input().len() / features;
            let rule = format!("the same for each of {} places", thousands(places.into()));
            lines.push(Line::new("places", rule));
        }
        let each = Count::product(&[features]).with_bias(self.use_bias);
        lines.push(Line::new("each unit", format!("{} weights", each.clone().equation())));
        lines.push(Line::params(each.times(&[units])));
        lines
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Dense",
        params: &[
            required_unless("units", "kernel"),
            optional("activation"),
            optional("use_bias"),
            optional("kernel_initializer"),
            optional("bias_initializer"),
            optional("kernel_regularizer"),
            optional("bias_regularizer"),
            unsupported("activity_regularizer", "None"),
            unsupported("kernel_constraint", "None"),
            unsupported("bias_constraint", "None"),
            unsupported("lora_rank", "None"),
            optional("kernel"),
            optional("bias"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let kernel = Rules::read_or_written(args, "kernel", "kernel", Recipe::GLOROT_UNIFORM);
    let kernel = kernel.and_then(|kernel| kernel.of_matrix(args));
    let written = kernel.as_ref().and_then(Rules::matrix_sizes);
    let units = weights::size(args, "units", written.map(|[_, units]| units));
    let activation = activation::argument(args);
    let bias = weights::bias(args);
    let (kernel, units, activation, bias) = (kernel?, units?, activation?, bias?);
    let use_bias = bias.is_some();

    let input = input?;
    let features = input.last();
    let positions = input.len() / features;
    let at = args.at();
    let bias_len = if use_bias { units } else { 0 };
    values(args, &at, &[&[features, units], &[bias_len]], "parameters")?;
    values(args, &at, &[&[positions, units]], "output values")?;
    let macs = macs(args, &at, &[positions, features, units])?;

    let kernel = kernel.weight(args, "kernel", vec![features, units]);
    let bias = bias.map(|bias| bias.weight(args, "bias", vec![units]));
    let weights = [Some(kernel), bias].into_iter().flatten().collect::<Option<_>>()?;
    let mut output = input.clone();
    if let Some(last) = output.0.last_mut() {
        *last = units;
    }
    Some(Built { kind: Kind::Dense(Dense { units, use_bias, activation }), output, weights, macs })
}
