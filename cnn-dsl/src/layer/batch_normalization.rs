//! `BatchNormalization`

use quote::quote;

use super::explain::{Count, Explain, Line};
use super::weights::{Recipe, Rules};
use super::{Build, Built, Compute, Definition, Kind, values};
use crate::bind::{Args, Interval, Signature, optional, unsupported};
use crate::codegen::decimal;
use crate::ir::{Layer, Shape, Weight};
use crate::passes::{Needs, Op, Part, Scope, Sizes, array, float, image_op};
use crate::receptive::Reach;

/// Arguments of `BatchNormalization`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    /// The axis of the channels, counted from the first after the batch.
    pub axis: usize,
    /// Share of the old value that a moving average keeps.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether beta is added.
    pub center: bool,
    /// Whether it is multiplied by gamma.
    pub scale: bool,
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "BatchNormalization",
        params: &[
            optional("axis"),
            optional("momentum"),
            optional("epsilon"),
            optional("center"),
            optional("scale"),
            optional("beta_initializer"),
            optional("gamma_initializer"),
            optional("moving_mean_initializer"),
            optional("moving_variance_initializer"),
            optional("beta_regularizer"),
            optional("gamma_regularizer"),
            unsupported("beta_constraint", "None"),
            unsupported("gamma_constraint", "None"),
            unsupported("synchronized", "false"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let axis = args.signed_or("axis", -1);
    let momentum = args.number_or("momentum", 0.99, Interval::SHARE);
    let epsilon = args.number_or("epsilon", 1e-3, Interval::POSITIVE);
    let (center, scale) = (args.flag_or("center", true), args.flag_or("scale", true));
    let rules = [
        ("gamma", Recipe::ONES),
        ("beta", Recipe::ZEROS),
        ("moving_mean", Recipe::ZEROS),
        ("moving_variance", Recipe::ONES),
    ]
    .map(|(name, default)| (name, Rules::read(args, name, default)));
    let input = input?;
    let axis = super::axis(args, "axis", axis?, input)?;
    let layer = BatchNormalization {
        axis,
        momentum: momentum?,
        epsilon: epsilon?,
        center: center?,
        scale: scale?,
    };
    let channels = input.0[axis];
    let at = args.at();
    values(args, &at, &[&[4, channels]], "parameters")?;
    let mut weights = Vec::new();
    for (name, rules) in rules {
        let weight = rules?.weight(args, name, vec![channels])?;
        match name {
            "gamma" if !layer.scale => {}
            "beta" if !layer.center => {}
            "gamma" | "beta" => weights.push(weight),
            _ => weights.push(Weight { trainable: false, ..weight }),
        }
    }
    let built = Built::same_shape(Kind::plain(layer), input);
    Some(Built { weights, ..built })
}

impl BatchNormalization {
    fn op(&self, layer: &Layer, relu: bool) -> Op {
        let shape = &layer.output.0;
        let channels = shape[self.axis];
        let sizes = array(&[
            shape[..self.axis].iter().product(),
            channels,
            shape[self.axis + 1..].iter().product(),
        ]);
        let (momentum, epsilon) = (decimal(self.momentum), float(self.epsilon));
        let mut descriptor = quote!(BatchNormalization::new(#sizes, #momentum, #epsilon));
        let flags = [
            (!self.center, quote!(.no_center())),
            (!self.scale, quote!(.no_scale())),
            (relu, quote!(.relu())),
        ];
        descriptor.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, call)| call));
        let last = self.axis + 1 == shape.len();
        let part = if last { Part::Normalization { relu } } else { Part::Other };
        if !layer.trainable {
            // As in Keras, by the moving statistics in training too.
            return Op {
                sizes: Some(Sizes {
                    weights: layer.params(),
                    packed: 3 * channels,
                    transposed: 3 * channels,
                    gradients: 2 * channels,
                    ..Sizes::default()
                }),
                needs: Needs { input: true, output: true, ..Needs::default() },
                part,
                ..image_op(
                    layer,
                    "FixedBatchNormalization",
                    quote!(FixedBatchNormalization::new(#descriptor)),
                )
            };
        }
        Op {
            scope: Scope::Batch,
            sizes: Some(Sizes {
                weights: layer.params(),
                packed: 3 * channels,
                batch: 7 * channels,
                sums: 2 * channels,
                ..Sizes::default()
            }),
            needs: Needs { input: true, ..Needs::default() },
            part,
            ..image_op(layer, "BatchNormalization", descriptor)
        }
    }
}

impl Explain for BatchNormalization {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        // In training the statistics see the whole batch; predictions do not.
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let channels = layer.output.0[self.axis];
        let names: Vec<&str> = layer.weights.iter().map(|weight| weight.name).collect();
        let rule = Count::product(&[names.len() as u64, channels]).equation();
        vec![
            Line::same_shape(layer),
            Line::new("parameters", format!("{rule}: {}", names.join(", "))),
        ]
    }
}

impl Compute for BatchNormalization {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        let Self { axis, momentum, epsilon, center, scale } = self;
        format!("{axis} {momentum} {epsilon} {center} {scale}")
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        vec![self.op(layer, false)]
    }

    fn ops_with_relu(&self, layer: &Layer) -> Option<Vec<Op>> {
        Some(vec![self.op(layer, true)])
    }
}
