//! `LayerNormalization`

use quote::quote;

use super::explain::{Count, Explain, Line};
use super::weights::{Recipe, Rules};
use super::{Build, Built, Compute, Definition, Kind, values};
use crate::bind::{Args, Interval, Signature, optional, unsupported};
use crate::codegen::number;
use crate::ir::{Layer, Shape};
use crate::passes::{Needs, Op, Sizes, float, image_op};
use crate::receptive::Reach;

/// Arguments of `LayerNormalization`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    /// How many axes, the last ones, are normalised together.
    pub axes: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether beta is added.
    pub center: bool,
    /// Whether it is multiplied by gamma.
    pub scale: bool,
}

impl Compute for LayerNormalization {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        let Self { axes, epsilon, center, scale } = self;
        format!("{axes} {epsilon} {center} {scale}")
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let shape = &layer.output.0;
        let len = shape[shape.len() - self.axes..].iter().product::<u64>();
        let (count, epsilon) = (number(len), float(self.epsilon));
        let needs = Needs { input: true, ..Needs::default() };
        if !self.center && !self.scale {
            let descriptor = quote!(Standardization::new(#count, #epsilon));
            return vec![Op { needs, ..image_op(layer, "Standardization", descriptor) }];
        }
        let mut descriptor = quote!(LayerNormalization::new(#count, #epsilon));
        let flags = [(self.center, quote!(.no_center())), (self.scale, quote!(.no_scale()))];
        descriptor.extend(flags.into_iter().filter(|(set, _)| !set).map(|(_, call)| call));
        let sizes = Sizes {
            weights: layer.params(),
            packed: layer.params(),
            transposed: if self.scale { len } else { 0 },
            gradients: layer.params(),
            ..Sizes::default()
        };
        let op = image_op(layer, "LayerNormalization", descriptor);
        vec![Op { sizes: Some(sizes), needs, ..op }]
    }
}

impl Explain for LayerNormalization {
    fn reach(&self, layer: &Layer, _input: usize) -> [Reach; 2] {
        // The last axis are features; those before it are places.
        let first = layer.output.rank() - self.axes;
        [0, 1].map(|axis| {
            let summed = axis >= first && axis + 1 < layer.output.rank();
            if summed { Reach::Whole } else { Reach::Same }
        })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let sizes = &layer.output.0[layer.output.rank() - self.axes..];
        let values = Count::product(sizes).equation();
        let mut lines = vec![
            Line::same_shape(layer),
            Line::new("values", format!("{values} normalised together")),
        ];
        let names: Vec<&str> = layer.weights.iter().map(|weight| weight.name).collect();
        lines.push(if names.is_empty() {
            Line::no_params()
        } else {
            let rule = Count::product(sizes).each_of(&[names.len() as u64]).equation();
            Line::new("parameters", format!("{rule}: {}", names.join(", ")))
        });
        lines
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "LayerNormalization",
        params: &[
            optional("axis"),
            optional("epsilon"),
            optional("center"),
            optional("scale"),
            optional("beta_initializer"),
            optional("gamma_initializer"),
            optional("beta_regularizer"),
            optional("gamma_regularizer"),
            unsupported("beta_constraint", "None"),
            unsupported("gamma_constraint", "None"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let numbers = args.integers_or("axis", &[-1]);
    let epsilon = args.number_or("epsilon", 1e-3, Interval::POSITIVE);
    let (center, scale) = (args.flag_or("center", true), args.flag_or("scale", true));
    let gamma = Rules::read(args, "gamma", Recipe::ONES);
    let beta = Rules::read(args, "beta", Recipe::ZEROS);
    let input = input?;
    let axes = last_axes(args, &numbers?, input)?;
    let (center, scale) = (center?, scale?);
    let shape = input.0[input.rank() - axes..].to_vec();
    let at = args.at();
    values(args, &at, &[&shape, &shape], "parameters")?;
    let mut weights = Vec::new();
    for (rules, name, wanted) in [(gamma?, "gamma", scale), (beta?, "beta", center)] {
        let weight = rules.weight(args, name, shape.clone())?;
        weights.extend(wanted.then_some(weight));
    }
    let layer = LayerNormalization { axes, epsilon: epsilon?, center, scale };
    let built = Built::same_shape(Kind::plain(layer), input);
    Some(Built { weights, ..built })
}

/// How many axes are named, if those are the last ones.
fn last_axes(args: &mut Args<'_>, numbers: &[i64], input: &Shape) -> Option<usize> {
    let mut axes = Vec::new();
    for &number in numbers {
        axes.push(super::axis(args, "axis", number, input)?);
    }
    axes.sort_unstable();
    if axes.iter().copied().eq(input.rank().saturating_sub(axes.len())..input.rank()) {
        return Some(axes.len());
    }
    let at = args.span("axis");
    let found: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let message = format!(
        "`axis` must be the last axis of {input} or several last ones, found `({})`",
        found.join(", ")
    );
    let diagnostic = args.error(at, &message, "not the last axes");
    diagnostic.help.push("`axis = -1`, `axis = (-2, -1)`, or all: `axis = (1, 2, 3)`".to_owned());
    None
}
