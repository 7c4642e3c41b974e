//! `Flatten`

use crate::bind::{Args, Signature, unsupported};
use crate::ir::{Layer, Shape};
use crate::passes::Op;
use crate::receptive::Reach;

use super::explain::{Count, Explain, Line};
use super::{Build, Built, Compute, Definition, Kind};

/// One row out of all values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flatten;

impl Compute for Flatten {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        String::new()
    }

    fn ops(&self, _layer: &Layer, _index: u64) -> Vec<Op> {
        Vec::new()
    }
}

impl Explain for Flatten {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::WHOLE
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let features = Count::product(&layer.input().0).equation();
        vec![Line::new("features", features), Line::no_params()]
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Flatten",
        params: &[unsupported("data_format", "channels_last")],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(_args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    Some(Built::weightless(Kind::plain(Flatten), Shape(vec![input?.len()])))
}
