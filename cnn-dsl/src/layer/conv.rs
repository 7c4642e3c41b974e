//! `Conv2D`

use crate::bind::{Args, Signature, optional, required_unless, unsupported};
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::receptive::Reach;

use super::activation::{self, Activation};
use super::depthwise::DepthwiseConv2D;
use super::explain::{Count, Explain, Line, Sliding, connections};
use super::weights::{self, Recipe, Rules};
use super::window::Window;
use super::{Build, Built, Definition, Kind, image, macs, values};

/// Arguments of `Conv2D`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2D {
    /// Output channels.
    pub filters: u64,
    /// Height and width.
    pub kernel_size: [u64; 2],
    /// Vertical and horizontal step.
    pub strides: [u64; 2],
    /// Vertical and horizontal distance between taps.
    pub dilation_rate: [u64; 2],
    /// Rows and columns of zeros: top, bottom, left, right. All 0 for `valid`.
    pub padding: [u64; 4],
    /// Equal parts of the channels, each with filters of its own.
    pub groups: u64,
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

impl Conv2D {
    /// The same as a depthwise convolution, if each channel is a group.
    pub(crate) fn depthwise(&self, channels: u64) -> Option<DepthwiseConv2D> {
        (self.groups > 1 && self.groups == channels).then(|| DepthwiseConv2D {
            depth_multiplier: self.filters / channels,
            kernel_size: self.kernel_size,
            strides: self.strides,
            dilation_rate: self.dilation_rate,
            padding: self.padding,
            use_bias: self.use_bias,
            activation: self.activation,
        })
    }
}

impl Explain for Conv2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::window(self.kernel_size, self.strides, self.dilation_rate, self.padding)
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let [kh, kw] = self.kernel_size;
        let channels = layer.input().last() / self.groups;
        let kernel = [kh, kw, channels];
        let mut lines = Sliding {
            size: self.kernel_size,
            strides: self.strides,
            dilation: self.dilation_rate,
            padding: self.padding,
        }
        .explain(layer);
        lines.push(Line::new("channels", format!("{} filters", thousands(self.filters.into()))));
        if self.groups > 1 {
            let rule = format!("{} groups of {channels} channels", self.groups);
            lines.push(Line::new("groups", rule));
        }
        let params = Count::product(&kernel).with_bias(self.use_bias).times(&[self.filters]);
        lines.push(Line::params(params));
        lines.extend(connections(layer, &kernel));
        lines
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Conv2D",
        params: &[
            required_unless("filters", "kernel"),
            required_unless("kernel_size", "kernel"),
            optional("strides"),
            optional("padding"),
            unsupported("data_format", "channels_last"),
            optional("dilation_rate"),
            optional("groups"),
            optional("activation"),
            optional("use_bias"),
            optional("kernel_initializer"),
            optional("bias_initializer"),
            optional("kernel_regularizer"),
            optional("bias_regularizer"),
            unsupported("activity_regularizer", "None"),
            unsupported("kernel_constraint", "None"),
            unsupported("bias_constraint", "None"),
            optional("kernel"),
            optional("bias"),
        ],
    },
    aliases: &["Convolution2D"],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let kernel = Rules::read_or_written(args, "kernel", "kernel", Recipe::GLOROT_UNIFORM);
    let kernel = kernel.and_then(|kernel| kernel.of_image(args));
    let written = kernel.as_ref().and_then(Rules::image_sizes);
    let filters = weights::size(args, "filters", written.map(|[.., filters]| filters));
    let window = Window::of_kernel_or_written(args, written.map(|[kh, kw, ..]| [kh, kw]));
    let groups = args.size_or("groups", 1);
    let activation = activation::argument(args);
    let bias = weights::bias(args);
    let (filters, window, groups) = (filters?, window?, groups?);
    window.check_dilation(args)?;

    let image = image(args, input?)?;
    check_groups(args, groups, image[2], filters)?;
    let channels = image[2] / groups;
    let at = args.span_of_first(&["kernel_size", "kernel"]);
    let placed = window.place(args, &at, image)?;

    let [kh, kw] = window.size;
    let [height, width] = placed.output;
    let (kernel, bias) = (kernel?, bias?);
    let use_bias = bias.is_some();
    let at = args.at();
    let bias_len = if use_bias { filters } else { 0 };
    values(args, &at, &[&[kh, kw, channels, filters], &[bias_len]], "parameters")?;
    values(args, &at, &[&[height, width, filters]], "output values")?;
    window.check_gradient(args, image, filters)?;
    let macs = macs(args, &at, &[height, width, kh, kw, channels, filters])?;

    let help = "for several channels write lists of height x width x in x out, or give each \
                channel a kernel of its own in `DepthwiseConv2D`";
    let whose = if groups == 1 { "the input" } else { "each group" };
    kernel.check_channels(args, channels, whose, help)?;
    let kernel = kernel.weight(args, "kernel", vec![kh, kw, channels, filters]);
    let bias = bias.map(|bias| bias.weight(args, "bias", vec![filters]));
    let weights = [Some(kernel), bias].into_iter().flatten().collect::<Option<_>>()?;
    let kind = Kind::Conv2D(Conv2D {
        filters,
        kernel_size: window.size,
        strides: window.strides,
        dilation_rate: window.dilation,
        padding: placed.padding,
        groups,
        use_bias,
        activation: activation?,
    });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}

/// Groups are of one size, on both sides.
fn check_groups(args: &mut Args<'_>, groups: u64, channels: u64, filters: u64) -> Option<()> {
    let wrong = match (channels.is_multiple_of(groups), filters.is_multiple_of(groups)) {
        (true, true) => return Some(()),
        (false, true) => format!("the input's {channels} channels"),
        (true, false) => format!("the {filters} filters"),
        (false, false) => format!("the input's {channels} channels and the {filters} filters"),
    };
    let common = common_divisor(channels, filters);
    let at = args.span("groups");
    let message = format!("`groups = {groups}` does not divide {wrong}");
    let diagnostic = args.error(at, &message, format!("not {groups} equal parts"));
    let channels = format!("{channels} channel{}", if channels == 1 { "" } else { "s" });
    diagnostic.help.push(match common {
        1 => format!("{channels} and {filters} filters can only be one group"),
        _ => format!(
            "{channels} and {filters} filters can be {common} groups, or any divisor of {common}"
        ),
    });
    None
}

/// The greatest, by Euclid.
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
