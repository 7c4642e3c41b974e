//! `Flatten`

use crate::bind::{Args, Signature, unsupported};
use crate::ir::Shape;

use super::{Built, Definition, Kind};

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Flatten",
        params: &[unsupported("data_format", "channels_last")],
    },
    aliases: &[],
    build,
};

fn build(_args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let output = Shape(vec![input?.len()]);
    Some(Built { kind: Kind::Flatten, output, weights: Vec::new(), macs: 0 })
}
