//! `MaxPooling2D`, `AveragePooling2D`

use quote::quote;

use crate::bind::{Args, Param, Signature, optional, unsupported};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, array, image_op};
use crate::receptive::Reach;

use super::explain::{Count, Explain, Line, Sliding};
use super::window::{PADDINGS, Padding, Window};
use super::{Build, Built, Compute, Definition, Kind, image};

/// Arguments of `MaxPooling2D`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPooling2D {
    /// Height and width of the window.
    pub pool_size: [u64; 2],
    /// Vertical and horizontal step; the window itself unless given.
    pub strides: [u64; 2],
    /// Cells outside the image that never win: top, bottom, left, right.
    pub padding: [u64; 4],
}

/// Arguments of `AveragePooling2D`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct AveragePooling2D {
    /// Height and width of the window.
    pub pool_size: [u64; 2],
    /// Vertical and horizontal step; the window itself unless given.
    pub strides: [u64; 2],
    /// Cells outside the image that do not count: top, bottom, left, right.
    pub padding: [u64; 4],
}

impl Compute for AveragePooling2D {
    fn class(&self) -> &'static str {
        AVERAGE.signature.name
    }

    fn arguments(&self) -> String {
        format!("{:?} {:?} {:?}", self.pool_size, self.strides, self.padding)
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let (input, size) = (array(&layer.input().0), array(&self.pool_size));
        let (strides, padding) = (array(&self.strides), array(&self.padding));
        let descriptor = quote!(AveragePooling2D::new(#input, #size, #strides, #padding));
        vec![image_op(layer, "AveragePooling2D", descriptor)]
    }
}

impl Explain for MaxPooling2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::window(self.pool_size, self.strides, [1, 1], self.padding)
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let sizes = [self.pool_size, self.strides];
        explain(layer, sizes, self.padding, "the largest of")
    }
}

impl Explain for AveragePooling2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::window(self.pool_size, self.strides, [1, 1], self.padding)
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let sizes = [self.pool_size, self.strides];
        explain(layer, sizes, self.padding, "the mean of")
    }
}

fn explain(
    layer: &Layer,
    [size, strides]: [[u64; 2]; 2],
    padding: [u64; 4],
    what: &str,
) -> Vec<Line> {
    let mut lines = Sliding { size, strides, dilation: [1, 1], padding }.explain(layer);
    let values = Count::product(&size).equation();
    let outside = if padding == [0; 4] { "" } else { "; the padding does not count" };
    lines.push(Line::new("values", format!("{what} {values}, each channel for itself{outside}")));
    lines.push(Line::no_params());
    lines
}

const PARAMS: &[Param] = &[
    optional("pool_size"),
    optional("strides"),
    optional("padding"),
    unsupported("data_format", "channels_last"),
];

/// The entry of `MaxPooling2D` in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature { name: "MaxPooling2D", params: PARAMS },
    aliases: &["MaxPool2D"],
    build: Build::One(|args, input| {
        let (Pooling { pool_size, strides, padding }, output) = place(args, input)?;
        let kind = Kind::MaxPooling2D(MaxPooling2D { pool_size, strides, padding });
        Some(Built::weightless(kind, output))
    }),
};

/// The entry of `AveragePooling2D` in [`super::ALL`].
pub const AVERAGE: Definition = Definition {
    signature: Signature { name: "AveragePooling2D", params: PARAMS },
    aliases: &["AvgPool2D"],
    build: Build::One(|args, input| {
        let (Pooling { pool_size, strides, padding }, output) = place(args, input)?;
        let kind = Kind::plain(AveragePooling2D { pool_size, strides, padding });
        Some(Built::weightless(kind, output))
    }),
};

/// What all poolings by windows share.
struct Pooling {
    pool_size: [u64; 2],
    strides: [u64; 2],
    padding: [u64; 4],
}

fn place(args: &mut Args<'_>, input: Option<&Shape>) -> Option<(Pooling, Shape)> {
    let pool_size = args.pair_or("pool_size", [2, 2]);
    let strides = args.pair_or("strides", pool_size.unwrap_or([1, 1]));
    let padding = args.choice_or("padding", PADDINGS, Padding::Valid);
    let (pool_size, strides, padding) = (pool_size?, strides?, padding?);

    let image = image(args, input?)?;
    let window = Window { what: "window", size: pool_size, strides, dilation: [1, 1], padding };
    let at = args.span("pool_size");
    let placed = window.place(args, &at, image)?;
    let [height, width] = placed.output;
    let pooling = Pooling { pool_size, strides, padding: placed.padding };
    Some((pooling, Shape(vec![height, width, image[2]])))
}
