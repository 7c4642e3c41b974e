//! `BatchNormalization`

use quote::quote;

use super::{Build, Built, Compute, Definition, Kind, values};
use crate::bind::{Args, Interval, Signature, optional, unsupported};
use crate::ir::{Initializer, Layer, Shape, Weight};
use crate::passes::{Needs, Op, Scope, Sizes, array, float, image_op};

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
            unsupported("beta_initializer", "zeros"),
            unsupported("gamma_initializer", "ones"),
            unsupported("moving_mean_initializer", "zeros"),
            unsupported("moving_variance_initializer", "ones"),
            unsupported("beta_regularizer", "None"),
            unsupported("gamma_regularizer", "None"),
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
    let weight = |name, initializer, trainable| Weight {
        name,
        shape: vec![channels],
        initializer,
        trainable,
    };
    let weights = [
        layer.scale.then(|| weight("gamma", Initializer::Ones, true)),
        layer.center.then(|| weight("beta", Initializer::Zeros, true)),
        Some(weight("moving_mean", Initializer::Zeros, false)),
        Some(weight("moving_variance", Initializer::Ones, false)),
    ];
    let built = Built::same_shape(Kind::plain(layer), input);
    Some(Built { weights: weights.into_iter().flatten().collect(), ..built })
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
        let (momentum, epsilon) = (float(self.momentum), float(self.epsilon));
        let mut descriptor = quote!(BatchNormalization::new(#sizes, #momentum, #epsilon));
        let flags = [
            (!self.center, quote!(.no_center())),
            (!self.scale, quote!(.no_scale())),
            (relu, quote!(.relu())),
        ];
        descriptor.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, call)| call));
        Op {
            scope: Scope::Batch,
            sizes: Some(Sizes {
                weights: layer.params(),
                packed: 3 * channels,
                batch: 7 * channels,
                sums: 2 * channels,
                ..Sizes::default()
            }),
            needs: Needs { input: true, output: true, ..Needs::default() },
            ..image_op(layer, "BatchNormalization", descriptor)
        }
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
