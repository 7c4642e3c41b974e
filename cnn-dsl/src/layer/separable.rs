//! `SeparableConv2D`

use crate::bind::{Args, Signature, optional, required, unsupported};
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::passes::{Op, convolution, separate};
use crate::receptive::Reach;

use super::activation::{self, Activation};
use super::conv::Conv2D;
use super::depthwise::DepthwiseConv2D;
use super::explain::{Count, Explain, Line, connections};
use super::weights::{self, Recipe, Rules};
use super::window::Window;
use super::{Build, Built, Compute, Definition, Kind, image, sum_of_macs, values};

/// Arguments of `SeparableConv2D`, resolved: a depthwise convolution, then one of single places.
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableConv2D {
    /// Without bias and activation.
    pub depthwise: DepthwiseConv2D,
    /// Output channels.
    pub filters: u64,
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

impl SeparableConv2D {
    /// The layer as two, with the shape in between.
    fn halves(&self, layer: &Layer) -> [Layer; 2] {
        let [height, width] = [layer.output.0[0], layer.output.0[1]];
        let channels = layer.input().last() * self.depthwise.depth_multiplier;
        let between = Shape(vec![height, width, channels]);
        let (depthwise, pointwise) = layer.weights.split_at(1);
        [
            Layer {
                name: format!("{}_depthwise", layer.name),
                output: between.clone(),
                weights: depthwise.to_vec(),
                ..layer.clone()
            },
            Layer { inputs: vec![between], weights: pointwise.to_vec(), ..layer.clone() },
        ]
    }
}

impl Compute for SeparableConv2D {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        format!("{} {} {}", self.depthwise.arguments(), self.use_bias, self.activation.name())
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let [first, second] = self.halves(layer);
        let pointwise = Conv2D {
            filters: self.filters,
            kernel_size: [1, 1],
            strides: [1, 1],
            dilation_rate: [1, 1],
            padding: [0; 4],
            groups: 1,
            use_bias: self.use_bias,
            activation: self.activation,
        };
        let relu = self.activation == Activation::Relu;
        let depthwise = Op { layers: vec![layer.name.clone()], ..self.depthwise.op(&first, false) };
        let pointwise = Op {
            weights: 1..layer.weights.len(),
            ..convolution(&second, &pointwise, relu, &[layer])
        };
        let ops = [Some(depthwise), Some(pointwise), separate(self.activation, layer)];
        ops.into_iter().flatten().collect()
    }

    fn activation(&self) -> Option<Activation> {
        Some(self.activation)
    }
}

impl Explain for SeparableConv2D {
    fn reach(&self, layer: &Layer, input: usize) -> [Reach; 2] {
        self.depthwise.reach(layer, input)
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let ([kh, kw], channels) = (self.depthwise.kernel_size, layer.input().last());
        let multiplier = self.depthwise.depth_multiplier;
        let between = channels * multiplier;
        let mut lines = self.depthwise.sliding().explain(layer);
        let rule = format!(
            "{}, then {} of 1x1 filters",
            Count::product(&[channels, multiplier]).equation(),
            thousands(self.filters.into())
        );
        lines.push(Line::new("channels", rule));
        let pointwise = Count::product(&[between]).with_bias(self.use_bias).times(&[self.filters]);
        let depthwise = Count::product(&[kh, kw, channels, multiplier]);
        lines.push(Line::params(depthwise.plus(&pointwise)));
        let unseparated = Count::product(&[kh, kw, channels]).with_bias(self.use_bias);
        let unseparated = unseparated.times(&[self.filters]).equation();
        lines.push(Line::new("not separated", format!("Conv2D: {unseparated}")));
        lines.extend(connections(layer, &[kh, kw, channels]));
        lines
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "SeparableConv2D",
        params: &[
            required("filters"),
            required("kernel_size"),
            optional("strides"),
            optional("padding"),
            unsupported("data_format", "channels_last"),
            optional("dilation_rate"),
            optional("depth_multiplier"),
            optional("activation"),
            optional("use_bias"),
            optional("depthwise_initializer"),
            optional("pointwise_initializer"),
            optional("bias_initializer"),
            optional("depthwise_regularizer"),
            optional("pointwise_regularizer"),
            optional("bias_regularizer"),
            unsupported("activity_regularizer", "None"),
            unsupported("depthwise_constraint", "None"),
            unsupported("pointwise_constraint", "None"),
            unsupported("bias_constraint", "None"),
        ],
    },
    aliases: &["SeparableConvolution2D"],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let filters = args.size("filters");
    let window = Window::of_kernel(args);
    let depth_multiplier = args.size_or("depth_multiplier", 1);
    let activation = activation::argument(args);
    let depthwise = Rules::read(args, "depthwise", Recipe::GLOROT_UNIFORM);
    let pointwise = Rules::read(args, "pointwise", Recipe::GLOROT_UNIFORM);
    let bias = weights::bias(args);
    let (filters, window, depth_multiplier) = (filters?, window?, depth_multiplier?);

    let image = image(args, input?)?;
    let channels = image[2];
    let at = args.span("kernel_size");
    let placed = window.place(args, &at, image)?;

    let [kh, kw] = window.size;
    let [height, width] = placed.output;
    let (depthwise, pointwise, bias) = (depthwise?, pointwise?, bias?);
    let use_bias = bias.is_some();
    let at = args.at();
    let between = values(args, &at, &[&[channels, depth_multiplier]], "depthwise channels")?;
    let biases = [u64::from(use_bias), filters];
    let parameters: [&[u64]; 3] = [&[kh, kw, between], &[between, filters], &biases];
    values(args, &at, &parameters, "parameters")?;
    values(args, &at, &[&[height, width, between]], "depthwise values")?;
    values(args, &at, &[&[height, width, filters]], "output values")?;
    window.check_gradient(args, image, between)?;
    let products: [&[u64]; 2] =
        [&[height, width, kh, kw, between], &[height, width, between, filters]];
    let macs = sum_of_macs(args, &at, &products)?;

    let depthwise_shape = vec![kh, kw, channels, depth_multiplier];
    let depthwise = depthwise.weight(args, "depthwise_kernel", depthwise_shape);
    let pointwise = pointwise.weight(args, "pointwise_kernel", vec![1, 1, between, filters]);
    let bias = bias.map(|bias| bias.weight(args, "bias", vec![filters]));
    let weights =
        [Some(depthwise), Some(pointwise), bias].into_iter().flatten().collect::<Option<_>>()?;
    let kind = Kind::plain(SeparableConv2D {
        depthwise: DepthwiseConv2D {
            depth_multiplier,
            kernel_size: window.size,
            strides: window.strides,
            dilation_rate: window.dilation,
            padding: placed.padding,
            use_bias: false,
            activation: Activation::Linear,
        },
        filters,
        use_bias,
        activation: activation?,
    });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}
