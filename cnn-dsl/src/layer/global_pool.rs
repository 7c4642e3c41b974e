//! `GlobalAveragePooling2D`, `GlobalMaxPooling2D`

use quote::quote;

use crate::bind::{Args, Param, Signature, optional, unsupported};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, array, image_op};
use crate::receptive::Reach;

use super::explain::{Count, Explain, Line};
use super::{Build, Built, Compute, Definition, Kind, image};

/// The mean of each channel. Whether axes of size 1 are kept, the output's shape says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalAveragePooling2D;

/// The largest value of each channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalMaxPooling2D;

impl Compute for GlobalAveragePooling2D {
    fn class(&self) -> &'static str {
        AVERAGE.signature.name
    }

    fn arguments(&self) -> String {
        String::new()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let input = array(&layer.input().0);
        let descriptor = quote!(GlobalAveragePooling2D::new(#input));
        vec![image_op(layer, "GlobalAveragePooling2D", descriptor)]
    }
}

impl Compute for GlobalMaxPooling2D {
    fn class(&self) -> &'static str {
        MAX.signature.name
    }

    fn arguments(&self) -> String {
        String::new()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let input = array(&layer.input().0);
        let descriptor = quote!(GlobalMaxPooling2D::new(#input));
        let mut op = image_op(layer, "GlobalMaxPooling2D", descriptor);
        op.needs.input = true;
        op.needs.output = true;
        vec![op]
    }
}

impl Explain for GlobalAveragePooling2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::WHOLE
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        explain(layer, "the mean of")
    }
}

impl Explain for GlobalMaxPooling2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::WHOLE
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        explain(layer, "the largest of")
    }
}

fn explain(layer: &Layer, what: &str) -> Vec<Line> {
    let [height, width] = [layer.input().0[0], layer.input().0[1]];
    let values = Count::product(&[height, width]).equation();
    vec![
        Line::new("features", format!("{}, one for each channel", layer.output.last())),
        Line::new("values", format!("{what} {values}")),
        Line::no_params(),
    ]
}

const PARAMS: &[Param] = &[unsupported("data_format", "channels_last"), optional("keepdims")];

/// The entry of `GlobalAveragePooling2D` in [`super::ALL`].
pub const AVERAGE: Definition = Definition {
    signature: Signature { name: "GlobalAveragePooling2D", params: PARAMS },
    aliases: &["GlobalAvgPool2D"],
    build: Build::One(|args, input| build(args, input, Kind::plain(GlobalAveragePooling2D))),
};

/// The entry of `GlobalMaxPooling2D` in [`super::ALL`].
pub const MAX: Definition = Definition {
    signature: Signature { name: "GlobalMaxPooling2D", params: PARAMS },
    aliases: &["GlobalMaxPool2D"],
    build: Build::One(|args, input| build(args, input, Kind::plain(GlobalMaxPooling2D))),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>, kind: Kind) -> Option<Built> {
    let keepdims = args.flag_or("keepdims", false)?;
    let [_, _, channels] = image(args, input?)?;
    let output = if keepdims { vec![1, 1, channels] } else { vec![channels] };
    Some(Built::weightless(kind, Shape(output)))
}
