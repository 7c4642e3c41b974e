//! `MaxPooling2D`

use crate::bind::{Args, Signature, optional, unsupported};
use crate::ir::Shape;

use super::window::{PADDINGS, Padding, Window};
use super::{Build, Built, Definition, Kind, image};

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

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "MaxPooling2D",
        params: &[
            optional("pool_size"),
            optional("strides"),
            optional("padding"),
            unsupported("data_format", "channels_last"),
        ],
    },
    aliases: &["MaxPool2D"],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let pool_size = args.pair_or("pool_size", [2, 2]);
    let strides = args.pair_or("strides", pool_size.unwrap_or([1, 1]));
    let padding = args.choice_or("padding", PADDINGS, Padding::Valid);
    let (pool_size, strides, padding) = (pool_size?, strides?, padding?);

    let image = image(args, input?)?;
    let window = Window { what: "window", size: pool_size, strides, dilation: [1, 1], padding };
    let at = args.span("pool_size");
    let placed = window.place(args, &at, image)?;
    let [height, width] = placed.output;
    Some(Built {
        kind: Kind::MaxPooling2D(MaxPooling2D { pool_size, strides, padding: placed.padding }),
        output: Shape(vec![height, width, image[2]]),
        weights: Vec::new(),
        macs: 0,
    })
}
