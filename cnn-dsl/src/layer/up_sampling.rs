//! `UpSampling2D`

use quote::quote;

use crate::bind::{Args, Signature, optional, unsupported};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, array, image_op};
use crate::receptive::Reach;

use super::explain::{Count, Explain, Line, both};
use super::{Build, Built, Compute, Definition, Kind, image, values};

/// Arguments of `UpSampling2D`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpSampling2D {
    /// How many times as high and as wide the output is.
    pub size: [u64; 2],
    /// How pixels between are found.
    pub interpolation: Interpolation,
}

/// `interpolation = …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Each pixel is repeated.
    Nearest,
    /// The nearest four are blended.
    Bilinear,
}

const INTERPOLATIONS: &[(&str, Interpolation)] =
    &[("nearest", Interpolation::Nearest), ("bilinear", Interpolation::Bilinear)];

/// Names that Keras knows too.
const NOT_YET: &[&str] = &["bicubic", "lanczos3", "lanczos5"];

impl Compute for UpSampling2D {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        format!("{:?} {:?}", self.size, self.interpolation)
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let (input, size) = (array(&layer.input().0), array(&self.size));
        let bilinear = (self.interpolation == Interpolation::Bilinear).then(|| quote!(.bilinear()));
        let descriptor = quote!(UpSampling2D::new(#input, #size) #bilinear);
        vec![image_op(layer, "UpSampling2D", descriptor)]
    }
}

impl Explain for UpSampling2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        self.size.map(match self.interpolation {
            Interpolation::Nearest => Reach::Nearest,
            Interpolation::Bilinear => Reach::Bilinear,
        })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let rules =
            [0, 1].map(|axis| Count::product(&[layer.input().0[axis], self.size[axis]]).equation());
        let values = match self.interpolation {
            Interpolation::Nearest => "each pixel repeated",
            Interpolation::Bilinear => "the nearest four pixels blended",
        };
        let mut lines = both(rules);
        lines.extend([Line::new("values", values), Line::no_params()]);
        lines
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "UpSampling2D",
        params: &[
            optional("size"),
            unsupported("data_format", "channels_last"),
            optional("interpolation"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let size = args.pair_or("size", [2, 2]);
    let interpolation = match args.value("interpolation") {
        None => Some(Interpolation::Nearest),
        Some(value) => args.choice_of(value, "interpolation", INTERPOLATIONS, NOT_YET),
    };
    let (size, interpolation) = (size?, interpolation?);
    let [height, width, channels] = image(args, input?)?;
    let at = args.span("size");
    let [down, across] = size;
    values(args, &at, &[&[height, down, width, across, channels]], "values of the larger image")?;
    let output = Shape(vec![height * down, width * across, channels]);
    Some(Built::weightless(Kind::plain(UpSampling2D { size, interpolation }), output))
}
