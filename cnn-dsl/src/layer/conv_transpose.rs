//! `Conv2DTranspose`

use quote::quote;

use crate::bind::{Args, Signature, optional, required, unsupported};
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::passes::{Needs, Op, PANEL, Sizes, array, framed, image_op, panels, separate, settings};
use crate::receptive::Reach;

use super::activation::{self, Activation};
use super::explain::{Count, Explain, Line, both, connections};
use super::weights::{self, Recipe, Rules};
use super::window::{Padding, Window};
use super::{Build, Built, Compute, Definition, Kind, image, macs, values};

/// Arguments of `Conv2DTranspose`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2DTranspose {
    /// Output channels.
    pub filters: u64,
    /// Height and width.
    pub kernel_size: [u64; 2],
    /// Vertical and horizontal step in the output.
    pub strides: [u64; 2],
    /// Vertical and horizontal distance between taps.
    pub dilation_rate: [u64; 2],
    /// Rows and columns cut off: top, bottom, left, right.
    pub crop: [u64; 4],
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

impl Conv2DTranspose {
    fn op(&self, layer: &Layer) -> Op {
        let (channels, filters) = (layer.input().last(), self.filters);
        let (rows, columns) = (layer.output.0[0], layer.output.0[1]);
        let [kh, kw] = self.kernel_size;
        let [down, across] = self.dilation_rate;
        let [top, bottom, left, right] = self.crop;
        let input_len = framed(rows, (kh - 1) * down, self.strides[0], top)
            * framed(columns, (kw - 1) * across, self.strides[1], left)
            * channels;
        let framed = (rows + top + bottom) * (columns + left + right) * filters;

        let (input, output) = (array(&layer.input().0), array(&layer.output.0));
        let kernel = array(&self.kernel_size);
        let relu = self.activation == Activation::Relu;
        let settings = settings(self.strides, self.dilation_rate, self.crop, self.use_bias, relu);
        let descriptor = quote!(Conv2DTranspose::new(#input, #output, #kernel) #settings);
        Op {
            sizes: Some(Sizes {
                weights: layer.params(),
                packed: panels(kh * kw * channels, filters) + filters.next_multiple_of(PANEL),
                transposed: panels(kh * kw * filters, channels) + channels.next_multiple_of(PANEL),
                gradients: layer.params(),
                ..Sizes::default()
            }),
            scratch: [input_len, framed + input_len + PANEL],
            needs: Needs { input: true, output: true, ..Needs::default() },
            ..image_op(layer, "Conv2DTranspose", descriptor)
        }
    }
}

impl Compute for Conv2DTranspose {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {} {}",
            self.kernel_size,
            self.strides,
            self.dilation_rate,
            self.crop,
            self.use_bias,
            self.activation.name()
        )
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let ops = [Some(self.op(layer)), separate(self.activation, layer)];
        ops.into_iter().flatten().collect()
    }

    fn activation(&self) -> Option<Activation> {
        Some(self.activation)
    }
}

impl Explain for Conv2DTranspose {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        [0, 1].map(|axis| Reach::Spread {
            extent: (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1,
            stride: self.strides[axis],
            crop: self.crop[2 * axis],
        })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let ([kh, kw], channels) = (self.kernel_size, layer.input().last());
        let mut lines = both([0, 1].map(|axis| self.along(layer, axis)));
        lines.push(Line::new("channels", format!("{} filters", thousands(self.filters.into()))));
        // Kernels are height x width x out x in; the bias belongs to what comes out.
        let params = Count::product(&[kh, kw, channels]).with_bias(self.use_bias);
        lines.push(Line::params(params.times(&[self.filters])));
        lines.extend(connections(layer, &[kh, kw, channels]));
        lines
    }
}

impl Conv2DTranspose {
    /// How long the output is: what the kernels reach, cut off, or with zeros behind it.
    fn along(&self, layer: &Layer, axis: usize) -> String {
        let (n, out) = (layer.input().0[axis], layer.output.0[axis]);
        let (stride, extent) =
            (self.strides[axis], (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1);
        let [before, behind] = [self.crop[2 * axis], self.crop[2 * axis + 1]];
        let more = out + before + behind - ((n - 1) * stride + extent);
        let [n, stride, extent, out] = [n, stride, extent, out].map(|n| thousands(n.into()));
        let (change, words) = match (before, behind, more) {
            (0, 0, 0) => (String::new(), "padding = valid: nothing cut off".to_owned()),
            (0, 0, more) => (format!(" + {more}"), format!("{more} behind that no kernel reaches")),
            (a, b, _) => (format!(" - {a} - {b}"), format!("{a} cut off before, {b} behind")),
        };
        format!("({n} - 1)·{stride} + {extent}{change} = {out}; {words}")
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Conv2DTranspose",
        params: &[
            required("filters"),
            required("kernel_size"),
            optional("strides"),
            optional("padding"),
            optional("output_padding"),
            unsupported("data_format", "channels_last"),
            optional("dilation_rate"),
            optional("activation"),
            optional("use_bias"),
            optional("kernel_initializer"),
            optional("bias_initializer"),
            optional("kernel_regularizer"),
            optional("bias_regularizer"),
            unsupported("activity_regularizer", "None"),
            unsupported("kernel_constraint", "None"),
            unsupported("bias_constraint", "None"),
        ],
    },
    aliases: &["Convolution2DTranspose"],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let filters = args.size("filters");
    let window = Window::of_kernel(args);
    let output_padding = args.offsets_or_none("output_padding");
    let activation = activation::argument(args);
    let kernel = Rules::read(args, "kernel", Recipe::GLOROT_UNIFORM);
    let bias = weights::bias(args);
    let (filters, window, output_padding) = (filters?, window?, output_padding?);
    window.check_dilation(args)?;
    check_output_padding(args, window.strides, output_padding)?;

    let image = image(args, input?)?;
    let channels = image[2];
    let spread = spread(args, &window, output_padding, image)?;

    let [kh, kw] = window.size;
    let [height, width] = spread.output;
    let (kernel, bias) = (kernel?, bias?);
    let use_bias = bias.is_some();
    let at = args.at();
    let [top, bottom, left, right] = spread.crop;
    let whole = [height + top + bottom, width + left + right, filters];
    values(args, &at, &[&whole], "values of the output before it is cut")?;
    let biases = [u64::from(use_bias), filters];
    values(args, &at, &[&[kh, kw, filters, channels], &biases], "parameters")?;
    let macs = macs(args, &at, &[image[0], image[1], kh, kw, channels, filters])?;

    let kernel = kernel.weight(args, "kernel", vec![kh, kw, filters, channels]);
    let bias = bias.map(|bias| bias.weight(args, "bias", vec![filters]));
    let weights = [Some(kernel), bias].into_iter().flatten().collect::<Option<_>>()?;
    let kind = Kind::plain(Conv2DTranspose {
        filters,
        kernel_size: window.size,
        strides: window.strides,
        dilation_rate: window.dilation,
        crop: spread.crop,
        use_bias,
        activation: activation?,
    });
    Some(Built { kind, output: Shape(vec![height, width, filters]), weights, macs })
}

/// Steps of the window leave as many choices of an output's size as they are long.
fn check_output_padding(
    args: &mut Args<'_>,
    strides: [u64; 2],
    output_padding: Option<[u64; 2]>,
) -> Option<()> {
    let Some([rows, columns]) = output_padding else { return Some(()) };
    let [down, across] = strides;
    if rows < down && columns < across {
        return Some(());
    }
    let (at, other) = (args.span("output_padding"), args.value("strides"));
    let message = format!(
        "`output_padding` must be less than `strides`, found {rows}x{columns} with strides \
         {down}x{across}"
    );
    let diagnostic = args.error(at, &message, "too large");
    match other {
        Some(strides) => diagnostic.secondary.push((strides.span.clone(), "the strides".into())),
        None => diagnostic.help.push("`strides` is 1 unless given".into()),
    }
    None
}

/// Where a spread out image lands.
struct Spread {
    /// Height and width of the output.
    output: [u64; 2],
    /// Rows and columns cut off: top, bottom, left, right.
    crop: [u64; 4],
}

/// Keras's sizes: `same` gives `n s`, `valid` what the kernels reach, at least a step each; with
/// `output_padding` they are `(n - 1) s + extent % 2` or `(n - 1) s + extent` and that many more.
/// What is cut off is cut off evenly, the odd one behind.
fn spread(
    args: &mut Args<'_>,
    window: &Window,
    output_padding: Option<[u64; 2]>,
    image: [u64; 3],
) -> Option<Spread> {
    let at = args.span("kernel_size");
    let (mut output, mut crop) = ([0; 2], [0; 4]);
    let mut reaches = [0; 2];
    for (axis, n) in [image[0], image[1]].into_iter().enumerate() {
        let (size, dilation) = (window.size[axis], window.dilation[axis]);
        let stride = window.strides[axis];
        let what = "rows or columns";
        let extent = values(args, &at, &[&[size - 1, dilation], &[1]], what)?;
        let steps = values(args, &at, &[&[n - 1, stride]], what)?;
        let reach = steps + extent;
        output[axis] = match (window.padding, output_padding.map(|more| more[axis])) {
            (Padding::Same, None) => steps + stride,
            (Padding::Same, Some(more)) => steps + extent % 2 + more,
            (Padding::Valid, None) => steps + extent.max(stride),
            (Padding::Valid, Some(more)) => reach + more,
        };
        if output[axis] == 0 {
            let at = args.span("output_padding");
            let message = format!(
                "a kernel of {extent} over an input of {n} leaves nothing with `padding = same` and \
                 `output_padding = 0`"
            );
            let diagnostic = args.error(at, &message, "an output of size 0");
            diagnostic.help.push("leave `output_padding` out".into());
            args.explained_by_shapes();
            return None;
        }
        let cut = reach.saturating_sub(output[axis]);
        crop[2 * axis] = cut / 2;
        crop[2 * axis + 1] = cut - cut / 2;
        reaches[axis] = output[axis] + extent - 1;
    }
    values(args, &at, &[&[reaches[0], reaches[1], image[2]]], "values of the spread out input")?;
    Some(Spread { output, crop })
}
