//! `Dropout`

use crate::bind::{Args, Interval, Signature, required, unsupported};
use quote::quote;

use crate::codegen::number;
use crate::ir::{Layer, Shape};
use crate::passes::{Op, float, image_op};

use super::{Build, Built, Compute, Definition, Kind};

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

/// The layer's entry in [`super::ALL`].
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
