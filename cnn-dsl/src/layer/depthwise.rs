//! `DepthwiseConv2D`

use quote::quote;

use crate::bind::{Args, Signature, optional, required_unless, unsupported};
use crate::codegen::number;
use crate::ir::{Layer, Shape};
use crate::passes::{LANES, Needs, Op, Sizes, array, image_op, separate, settings};
use crate::receptive::Reach;

use super::activation::{self, Activation};
use super::explain::{Count, Explain, Line, Sliding, connections};
use super::weights::{self, Recipe, Rules};
use super::window::Window;
use super::{Build, Built, Compute, Definition, Kind, image, macs, values};

/// Arguments of `DepthwiseConv2D`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv2D {
    /// Kernels for each channel: outputs that it makes.
    pub depth_multiplier: u64,
    /// Height and width.
    pub kernel_size: [u64; 2],
    /// Vertical and horizontal step.
    pub strides: [u64; 2],
    /// Vertical and horizontal distance between taps.
    pub dilation_rate: [u64; 2],
    /// Rows and columns of zeros: top, bottom, left, right. All 0 for `valid`.
    pub padding: [u64; 4],
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

impl DepthwiseConv2D {
    /// The convolution with its bias and, if asked, a relu.
    pub(crate) fn op(&self, layer: &Layer, relu: bool) -> Op {
        let lanes = layer.output.last().next_multiple_of(LANES);
        let [kh, kw] = self.kernel_size;
        let [top, bottom, left, right] = self.padding;
        let (rows, columns) = (layer.input().0[0], layer.input().0[1]);
        let framed = (rows + top + bottom) * (columns + left + right) * lanes;
        let [down, across] = self.dilation_rate;
        let spread = (rows + (kh - 1) * down) * (columns + (kw - 1) * across) * lanes;

        let (input, kernel) = (array(&layer.input().0), array(&self.kernel_size));
        let mut descriptor = quote!(DepthwiseConv2D::new(#input, #kernel));
        if self.depth_multiplier > 1 {
            let multiplier = number(self.depth_multiplier);
            descriptor.extend(quote!(.multiplier(#multiplier)));
        }
        descriptor.extend(settings(
            self.strides,
            self.dilation_rate,
            self.padding,
            self.use_bias,
            relu,
        ));
        Op {
            sizes: Some(Sizes {
                weights: layer.params(),
                packed: (kh * kw + 1) * lanes,
                transposed: kh * kw * lanes,
                gradients: (kh * kw + 1) * lanes,
                ..Sizes::default()
            }),
            scratch: [framed, framed + spread],
            needs: Needs { input: true, output: true, ..Needs::default() },
            ..image_op(layer, "DepthwiseConv2D", descriptor)
        }
    }
}

impl Compute for DepthwiseConv2D {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        format!(
            "{} {:?} {:?} {:?} {:?} {} {}",
            self.depth_multiplier,
            self.kernel_size,
            self.strides,
            self.dilation_rate,
            self.padding,
            self.use_bias,
            self.activation.name()
        )
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let op = self.op(layer, self.activation == Activation::Relu);
        [Some(op), separate(self.activation, layer)].into_iter().flatten().collect()
    }

    fn activation(&self) -> Option<Activation> {
        Some(self.activation)
    }
}

impl Explain for DepthwiseConv2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::window(self.kernel_size, self.strides, self.dilation_rate, self.padding)
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let ([kh, kw], channels) = (self.kernel_size, layer.input().last());
        let mut lines = self.sliding().explain(layer);
        let made = Count::product(&[channels, self.depth_multiplier]).equation();
        lines.push(Line::new("channels", format!("{made}; each made of one channel")));
        let params = Count::product(&[kh, kw]).with_bias(self.use_bias);
        lines.push(Line::params(params.times(&[channels, self.depth_multiplier])));
        lines.extend(connections(layer, &[kh, kw, channels]));
        lines
    }
}

impl DepthwiseConv2D {
    /// Its window.
    pub(crate) fn sliding(&self) -> Sliding {
        Sliding {
            size: self.kernel_size,
            strides: self.strides,
            dilation: self.dilation_rate,
            padding: self.padding,
        }
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "DepthwiseConv2D",
        params: &[
            required_unless("kernel_size", "kernel"),
            optional("strides"),
            optional("padding"),
            optional("depth_multiplier"),
            unsupported("data_format", "channels_last"),
            optional("dilation_rate"),
            optional("activation"),
            optional("use_bias"),
            optional("depthwise_initializer"),
            optional("bias_initializer"),
            optional("depthwise_regularizer"),
            optional("bias_regularizer"),
            unsupported("activity_regularizer", "None"),
            unsupported("depthwise_constraint", "None"),
            unsupported("bias_constraint", "None"),
            optional("kernel"),
            optional("bias"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let kernel = Rules::read_or_written(args, "depthwise", "kernel", Recipe::GLOROT_UNIFORM);
    let kernel = kernel.and_then(|kernel| kernel.of_channels(args));
    let written = kernel.as_ref().and_then(Rules::image_sizes);
    let window = Window::of_kernel_or_written(args, written.map(|[kh, kw, ..]| [kh, kw]));
    let depth_multiplier = match written {
        Some([.., multiplier]) => weights::size(args, "depth_multiplier", Some(multiplier)),
        None => args.size_or("depth_multiplier", 1),
    };
    let activation = activation::argument(args);
    let bias = weights::bias(args);
    let (window, depth_multiplier) = (window?, depth_multiplier?);

    let image = image(args, input?)?;
    let channels = image[2];
    let at = args.span_of_first(&["kernel_size", "kernel"]);
    let placed = window.place(args, &at, image)?;

    let [kh, kw] = window.size;
    let [height, width] = placed.output;
    let (kernel, bias) = (kernel?, bias?);
    let use_bias = bias.is_some();
    let at = args.at();
    let outputs = [channels, depth_multiplier];
    let biases = [u64::from(use_bias), channels, depth_multiplier];
    values(args, &at, &[&[kh, kw, channels, depth_multiplier], &biases], "parameters")?;
    let filters = values(args, &at, &[&outputs], "output channels")?;
    values(args, &at, &[&[height, width, filters]], "output values")?;
    window.check_gradient(args, image, filters)?;
    let macs = macs(args, &at, &[height, width, kh, kw, filters])?;

    let help = "write a list with a kernel of height x width for each channel";
    kernel.check_channels(args, channels, "the input", help)?;
    let kernel = kernel.weight(args, "kernel", vec![kh, kw, channels, depth_multiplier]);
    let bias = bias.map(|bias| bias.weight(args, "bias", vec![filters]));
    let weights = [Some(kernel), bias].into_iter().flatten().collect::<Option<_>>()?;
    let kind = Kind::plain(DepthwiseConv2D {
        depth_multiplier,
        kernel_size: window.size,
        strides: window.strides,
        dilation_rate: window.dilation,
        padding: placed.padding,
        use_bias,
        activation: activation?,
    });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}
