//! `Conv2D`

use crate::bind::{Args, Signature, optional, required, unsupported};
use crate::ir::{Shape, Weight};

use super::activation::{self, Activation};
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
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Conv2D",
        params: &[
            required("filters"),
            required("kernel_size"),
            optional("strides"),
            optional("padding"),
            unsupported("data_format", "channels_last"),
            optional("dilation_rate"),
            unsupported("groups", "1"),
            optional("activation"),
            optional("use_bias"),
            unsupported("kernel_initializer", "glorot_uniform"),
            unsupported("bias_initializer", "zeros"),
            unsupported("kernel_regularizer", "None"),
            unsupported("bias_regularizer", "None"),
            unsupported("activity_regularizer", "None"),
            unsupported("kernel_constraint", "None"),
            unsupported("bias_constraint", "None"),
        ],
    },
    aliases: &["Convolution2D"],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let filters = args.size("filters");
    let window = Window::of_kernel(args);
    let activation = activation::argument(args);
    let use_bias = args.flag_or("use_bias", true);
    let (filters, window) = (filters?, window?);
    window.check_dilation(args)?;

    let image = image(args, input?)?;
    let channels = image[2];
    let at = args.span("kernel_size");
    let placed = window.place(args, &at, image)?;

    let [kh, kw] = window.size;
    let [height, width] = placed.output;
    let use_bias = use_bias?;
    let at = args.at();
    let bias_len = if use_bias { filters } else { 0 };
    values(args, &at, &[&[kh, kw, channels, filters], &[bias_len]], "parameters")?;
    values(args, &at, &[&[height, width, filters]], "output values")?;
    let macs = macs(args, &at, &[height, width, kh, kw, channels, filters])?;

    let mut weights = vec![Weight::glorot("kernel", &[kh, kw, channels, filters])];
    weights.extend(use_bias.then(|| Weight::bias(filters)));
    let kind = Kind::Conv2D(Conv2D {
        filters,
        kernel_size: window.size,
        strides: window.strides,
        dilation_rate: window.dilation,
        padding: placed.padding,
        use_bias,
        activation: activation?,
    });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}
