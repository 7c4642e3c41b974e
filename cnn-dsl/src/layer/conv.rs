//! `Conv2D`

use crate::bind::{Args, Signature, optional, required, unsupported};
use crate::ir::{Initializer, Shape, Weight};

use super::activation::{self, Activation};
use super::window::{PADDINGS, Padding, Window};
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
    let kernel_size = args.pair("kernel_size");
    let strides = args.pair_or("strides", [1, 1]);
    let padding = args.choice_or("padding", PADDINGS, Padding::Valid);
    let dilation_rate = args.pair_or("dilation_rate", [1, 1]);
    let activation = activation::argument(args);
    let use_bias = args.flag_or("use_bias", true);
    let (filters, kernel_size, strides) = (filters?, kernel_size?, strides?);
    let (padding, dilation_rate) = (padding?, dilation_rate?);
    check_dilation(args, strides, dilation_rate)?;

    let image = image(args, input?)?;
    let channels = image[2];
    let window =
        Window { what: "kernel", size: kernel_size, strides, dilation: dilation_rate, padding };
    let at = args.span("kernel_size");
    let placed = window.place(args, &at, image)?;

    let [kh, kw] = kernel_size;
    let [height, width] = placed.output;
    let use_bias = use_bias?;
    let at = args.at();
    let bias_len = if use_bias { filters } else { 0 };
    values(args, &at, &[&[kh, kw, channels, filters], &[bias_len]], "parameters")?;
    values(args, &at, &[&[height, width, filters]], "output values")?;
    let macs = macs(args, &at, &[height, width, kh, kw, channels, filters])?;

    let mut weights = vec![Weight {
        name: "kernel",
        shape: vec![kh, kw, channels, filters],
        initializer: Initializer::GlorotUniform {
            fan_in: kh * kw * channels,
            fan_out: kh * kw * filters,
        },
        trainable: true,
    }];
    weights.extend(use_bias.then(|| Weight::bias(filters)));
    let kind = Kind::Conv2D(Conv2D {
        filters,
        kernel_size,
        strides,
        dilation_rate,
        padding: placed.padding,
        use_bias,
        activation: activation?,
    });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}

/// Keras supports steps over taps or holes between them, not both.
fn check_dilation(args: &mut Args<'_>, strides: [u64; 2], dilation: [u64; 2]) -> Option<()> {
    if strides == [1, 1] || dilation == [1, 1] {
        return Some(());
    }
    let at = args.span("dilation_rate");
    let other = args.span("strides");
    let message = "`strides` and `dilation_rate` cannot both be greater than 1";
    let diagnostic = args.error(at, message, "dilated here");
    diagnostic.secondary.push((other, "strided here".to_owned()));
    diagnostic.help.push("dilate with `strides = 1`, and pool or stride in another layer".into());
    None
}
