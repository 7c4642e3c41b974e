//! `ZeroPadding2D`, `Cropping2D`

use quote::quote;

use crate::bind::{Args, Signature, optional, unsupported};
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::passes::{Op, array, image_op};
use crate::receptive::Reach;

use super::explain::{Explain, Line, both};
use super::{Build, Built, Compute, Definition, Kind, image, values};

/// Arguments of `ZeroPadding2D`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroPadding2D {
    /// Rows and columns of zeros: top, bottom, left, right.
    pub padding: [u64; 4],
}

/// Arguments of `Cropping2D`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cropping2D {
    /// Rows and columns taken away: top, bottom, left, right.
    pub cropping: [u64; 4],
}

impl Compute for ZeroPadding2D {
    fn class(&self) -> &'static str {
        PADDING.signature.name
    }

    fn arguments(&self) -> String {
        format!("{:?}", self.padding)
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let (input, padding) = (array(&layer.input().0), array(&self.padding));
        vec![image_op(layer, "ZeroPadding2D", quote!(ZeroPadding2D::new(#input, #padding)))]
    }
}

impl Compute for Cropping2D {
    fn class(&self) -> &'static str {
        CROPPING.signature.name
    }

    fn arguments(&self) -> String {
        format!("{:?}", self.cropping)
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let (input, cropping) = (array(&layer.input().0), array(&self.cropping));
        vec![image_op(layer, "Cropping2D", quote!(Cropping2D::new(#input, #cropping)))]
    }
}

impl Explain for ZeroPadding2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        let [top, _, left, _] = self.padding.map(u64::cast_signed);
        [top, left].map(|before| Reach::Window { extent: 1, stride: 1, before })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        framed(layer, self.padding, '+', "of zeros before")
    }
}

impl Explain for Cropping2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        let [top, _, left, _] = self.cropping.map(u64::cast_signed);
        [top, left].map(|cut| Reach::Window { extent: 1, stride: 1, before: -cut })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        framed(layer, self.cropping, '-', "cut off before")
    }
}

fn framed(layer: &Layer, frame: [u64; 4], sign: char, words: &str) -> Vec<Line> {
    let rules = [0, 1].map(|axis| {
        let [n, out] = [layer.input().0[axis], layer.output.0[axis]].map(|n| thousands(n.into()));
        let (before, behind) = (frame[2 * axis], frame[2 * axis + 1]);
        format!("{n} {sign} {before} {sign} {behind} = {out}; {before} {words}, {behind} behind")
    });
    let mut lines = both(rules);
    lines.push(Line::no_params());
    lines
}

/// The entry of `ZeroPadding2D` in [`super::ALL`].
pub const PADDING: Definition = Definition {
    signature: Signature {
        name: "ZeroPadding2D",
        params: &[optional("padding"), unsupported("data_format", "channels_last")],
    },
    aliases: &[],
    build: Build::One(build_padding),
};

/// The entry of `Cropping2D` in [`super::ALL`].
pub const CROPPING: Definition = Definition {
    signature: Signature {
        name: "Cropping2D",
        params: &[optional("cropping"), unsupported("data_format", "channels_last")],
    },
    aliases: &[],
    build: Build::One(build_cropping),
};

fn build_padding(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let padding = args.sides_or("padding", [1; 4])?;
    let [height, width, channels] = image(args, input?)?;
    let [top, bottom, left, right] = padding;
    let at = args.span("padding");
    // Each is at most 2^40, so the sums fit.
    let output = [height + top + bottom, width + left + right, channels];
    values(args, &at, &[&output], "values of the padded image")?;
    Some(Built::weightless(Kind::plain(ZeroPadding2D { padding }), Shape(output.to_vec())))
}

fn build_cropping(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let cropping = args.sides_or("cropping", [0; 4])?;
    let [height, width, channels] = image(args, input?)?;
    let [top, bottom, left, right] = cropping;
    for (what, n, [before, behind]) in
        [("rows", height, [top, bottom]), ("columns", width, [left, right])]
    {
        if before + behind >= n {
            let at = args.span("cropping");
            let message = format!("cannot take {before} + {behind} of {n} {what}");
            let diagnostic = args.error(at, &message, "nothing would be left");
            diagnostic.help.push(format!("at least one of the {n} {what} must stay"));
            return None;
        }
    }
    let output = vec![height - top - bottom, width - left - right, channels];
    Some(Built::weightless(Kind::plain(Cropping2D { cropping }), Shape(output)))
}
