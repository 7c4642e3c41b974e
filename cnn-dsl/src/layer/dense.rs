//! `Dense`

use crate::bind::{Args, Signature, optional, required, unsupported};
use crate::ir::{Shape, Weight};

use super::activation::{self, Activation};
use super::{Build, Built, Definition, Kind, macs, values};

/// Arguments of `Dense`, resolved. Works on the last axis, as in Keras.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Output features.
    pub units: u64,
    /// Whether a bias is added.
    pub use_bias: bool,
    /// Applied to the result.
    pub activation: Activation,
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Dense",
        params: &[
            required("units"),
            optional("activation"),
            optional("use_bias"),
            unsupported("kernel_initializer", "glorot_uniform"),
            unsupported("bias_initializer", "zeros"),
            unsupported("kernel_regularizer", "None"),
            unsupported("bias_regularizer", "None"),
            unsupported("activity_regularizer", "None"),
            unsupported("kernel_constraint", "None"),
            unsupported("bias_constraint", "None"),
            unsupported("lora_rank", "None"),
        ],
    },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let units = args.size("units");
    let activation = activation::argument(args);
    let use_bias = args.flag_or("use_bias", true);
    let (units, activation, use_bias) = (units?, activation?, use_bias?);

    let input = input?;
    let features = input.last();
    let positions = input.len() / features;
    let at = args.at();
    let bias_len = if use_bias { units } else { 0 };
    values(args, &at, &[&[features, units], &[bias_len]], "parameters")?;
    values(args, &at, &[&[positions, units]], "output values")?;
    let macs = macs(args, &at, &[positions, features, units])?;

    let mut weights = vec![Weight::glorot("kernel", &[features, units])];
    weights.extend(use_bias.then(|| Weight::bias(units)));
    let mut output = input.clone();
    if let Some(last) = output.0.last_mut() {
        *last = units;
    }
    Some(Built { kind: Kind::Dense(Dense { units, use_bias, activation }), output, weights, macs })
}
