//! `Dropout`, `SpatialDropout2D`, `GaussianNoise`

use crate::bind::{Args, Interval, Signature, required, unsupported};
use quote::quote;

use crate::codegen::{decimal, number};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, float, image_op};
use crate::receptive::Reach;

use super::explain::{Explain, Line, each_value};
use super::{Build, Built, Compute, Definition, Kind, image};

/// Arguments of `Dropout`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// The share of values set to zero in training, in [0, 1).
    pub rate: f64,
}

impl Compute for Dropout {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        self.rate.to_string()
    }

    fn ops(&self, layer: &Layer, index: u64) -> Vec<Op> {
        let (rate, index) = (float(self.rate), number(index));
        let mut op = image_op(layer, "Dropout", quote!(Dropout::new(#rate, #index)));
        op.needs.pass = true;
        vec![op]
    }
}

/// Arguments of `SpatialDropout2D`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialDropout2D {
    /// The share of channels set to zero in training, in [0, 1).
    pub rate: f64,
}

impl Compute for SpatialDropout2D {
    fn class(&self) -> &'static str {
        SPATIAL.signature.name
    }

    fn arguments(&self) -> String {
        self.rate.to_string()
    }

    fn ops(&self, layer: &Layer, index: u64) -> Vec<Op> {
        let (rate, index) = (float(self.rate), number(index));
        let channels = number(layer.output.last());
        let descriptor = quote!(Dropout::new(#rate, #index).channels(#channels));
        let mut op = image_op(layer, "Dropout", descriptor);
        op.needs.pass = true;
        vec![op]
    }
}

/// Arguments of `GaussianNoise`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianNoise {
    /// The standard deviation of what is added in training.
    pub stddev: f64,
}

impl Compute for GaussianNoise {
    fn class(&self) -> &'static str {
        NOISE.signature.name
    }

    fn arguments(&self) -> String {
        self.stddev.to_string()
    }

    fn ops(&self, layer: &Layer, index: u64) -> Vec<Op> {
        let (stddev, index) = (decimal(self.stddev), number(index));
        let descriptor = quote!(GaussianNoise::new(#stddev, #index));
        let mut op = image_op(layer, "GaussianNoise", descriptor);
        op.needs.pass = true;
        vec![op]
    }
}

impl Explain for Dropout {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, format!("a share of {} is set to 0 in training", self.rate))
    }
}

impl Explain for SpatialDropout2D {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(
            layer,
            format!("a share of {} of the channels is set to 0 in training", self.rate),
        )
    }
}

impl Explain for GaussianNoise {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, format!("noise of deviation {} is added in training", self.stddev))
    }
}

/// The entry of `Dropout` in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Dropout",
        params: &[
            required("rate"),
            unsupported("noise_shape", "None"),
            unsupported("seed", "None"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let rate = args.number("rate", Interval::RATE)?;
    Some(Built::same_shape(Kind::plain(Dropout { rate }), input?))
}

/// The entry of `SpatialDropout2D` in [`super::ALL`].
pub const SPATIAL: Definition = Definition {
    signature: Signature {
        name: "SpatialDropout2D",
        params: &[
            required("rate"),
            unsupported("data_format", "channels_last"),
            unsupported("seed", "None"),
        ],
    },
    aliases: &[],
    build: Build::One(|args, input| {
        let rate = args.number("rate", Interval::RATE)?;
        let input = input?;
        image(args, input)?;
        Some(Built::same_shape(Kind::plain(SpatialDropout2D { rate }), input))
    }),
};

/// The entry of `GaussianNoise` in [`super::ALL`].
pub const NOISE: Definition = Definition {
    signature: Signature {
        name: "GaussianNoise",
        params: &[required("stddev"), unsupported("seed", "None")],
    },
    aliases: &[],
    build: Build::One(|args, input| {
        let stddev = args.number("stddev", Interval::NON_NEGATIVE)?;
        Some(Built::same_shape(Kind::plain(GaussianNoise { stddev }), input?))
    }),
};
