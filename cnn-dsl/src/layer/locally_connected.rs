//! `LocallyConnected2D`

use quote::quote;

use crate::bind::{Args, Signature, optional, required, unsupported};
use crate::codegen::number;
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::passes::{Needs, Op, Sizes, array, image_op, separate, settings};
use crate::receptive::Reach;

use super::activation::{self, Activation};
use super::explain::{Count, Explain, Line, Sliding};
use super::weights::{self, Recipe, Rules};
use super::window::{Padding, Window};
use super::{Build, Built, Compute, Definition, Kind, image, macs, values};

/// Arguments of `LocallyConnected2D`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct LocallyConnected2D {
    /// Output channels.
    pub filters: u64,
    /// Height and width.
    pub kernel_size: [u64; 2],
    /// Vertical and horizontal step.
    pub strides: [u64; 2],
    /// Whether biases are added, one for each output.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

impl Compute for LocallyConnected2D {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        format!(
            "{:?} {:?} {} {}",
            self.kernel_size,
            self.strides,
            self.use_bias,
            self.activation.name()
        )
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let (input, kernel) = (array(&layer.input().0), array(&self.kernel_size));
        let filters = number(self.filters);
        let relu = self.activation == Activation::Relu;
        let settings = settings(self.strides, [1, 1], [0; 4], self.use_bias, relu);
        let descriptor = quote!(LocallyConnected2D::new(#input, #filters, #kernel) #settings);
        let op = Op {
            sizes: Some(Sizes {
                weights: layer.params(),
                packed: layer.params(),
                transposed: layer.weights[0].len(),
                gradients: layer.params(),
                ..Sizes::default()
            }),
            scratch: [0, self.filters],
            needs: Needs { input: true, output: true, ..Needs::default() },
            ..image_op(layer, "LocallyConnected2D", descriptor)
        };
        [Some(op), separate(self.activation, layer)].into_iter().flatten().collect()
    }

    fn activation(&self) -> Option<Activation> {
        Some(self.activation)
    }
}

impl Explain for LocallyConnected2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::window(self.kernel_size, self.strides, [1, 1], [0; 4])
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let ([kh, kw], channels) = (self.kernel_size, layer.input().last());
        let [height, width] = [layer.output.0[0], layer.output.0[1]];
        let (size, strides) = (self.kernel_size, self.strides);
        let padding = [0; 4];
        let mut lines = Sliding { size, strides, dilation: [1, 1], padding }.explain(layer);
        lines.push(Line::new("channels", format!("{} filters", thousands(self.filters.into()))));
        let kernel = || Count::product(&[kh, kw, channels]).with_bias(self.use_bias);
        let params = kernel().each_of(&[height, width]).times(&[self.filters]);
        lines.push(Line::params(params));
        let all = Count::product(&layer.input().0).with_bias(true);
        let all = all.times(&[height, width, self.filters]).equation();
        lines.push(Line::new("fully connected", format!("Dense: {all}")));
        let shared = kernel().times(&[self.filters]).equation();
        lines.push(Line::new("shared weights", format!("Conv2D: {shared}")));
        lines
    }
}

/// The layer's entry in [`super::ALL`]. Keras 3 has dropped it: this is Keras 2's.
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "LocallyConnected2D",
        params: &[
            required("filters"),
            required("kernel_size"),
            optional("strides"),
            unsupported("padding", "valid"),
            unsupported("data_format", "channels_last"),
            optional("activation"),
            optional("use_bias"),
            optional("kernel_initializer"),
            optional("bias_initializer"),
            optional("kernel_regularizer"),
            optional("bias_regularizer"),
            unsupported("activity_regularizer", "None"),
            unsupported("kernel_constraint", "None"),
            unsupported("bias_constraint", "None"),
            unsupported("implementation", "1"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let filters = args.size("filters");
    let kernel_size = args.pair("kernel_size");
    let strides = args.pair_or("strides", [1, 1]);
    let activation = activation::argument(args);
    let kernel = Rules::read(args, "kernel", Recipe::GLOROT_UNIFORM);
    let bias = weights::bias(args);
    let (filters, kernel_size, strides) = (filters?, kernel_size?, strides?);

    let image = image(args, input?)?;
    let channels = image[2];
    let padding = Padding::Valid;
    let window = Window { what: "kernel", size: kernel_size, strides, dilation: [1, 1], padding };
    let at = args.span("kernel_size");
    let [height, width] = window.place(args, &at, image)?.output;

    let [kh, kw] = kernel_size;
    let (kernel, bias) = (kernel?, bias?);
    let use_bias = bias.is_some();
    let at = args.at();
    let biases = [u64::from(use_bias), height, width, filters];
    values(args, &at, &[&[height, width, kh, kw, channels, filters], &biases], "parameters")?;
    values(args, &at, &[&[height, width, filters]], "output values")?;
    let macs = macs(args, &at, &[height, width, kh, kw, channels, filters])?;

    let kernel = kernel.weight(args, "kernel", vec![height * width, kh * kw * channels, filters]);
    let bias = bias.map(|bias| bias.weight(args, "bias", vec![height, width, filters]));
    let weights = [Some(kernel), bias].into_iter().flatten().collect::<Option<_>>()?;
    let activation = activation?;
    let kind =
        Kind::plain(LocallyConnected2D { filters, kernel_size, strides, use_bias, activation });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}
