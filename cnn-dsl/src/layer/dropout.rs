//! `Dropout`

use crate::bind::{Args, Interval, Signature, required, unsupported};
use crate::ir::Shape;

use super::{Built, Definition, Kind};

/// Arguments of `Dropout`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// The share of values set to zero in training, in [0, 1).
    pub rate: f64,
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
    build,
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let rate = args.number("rate", Interval::RATE)?;
    Some(Built::same_shape(Kind::Dropout(Dropout { rate }), input?))
}
