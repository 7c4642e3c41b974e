//! Activation functions: `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Softmax`, and the argument `activation` of others.

use quote::quote;

use crate::bind::{Args, Interval, Signature, optional, required};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, elementwise, float, softmax};
use crate::receptive::Reach;

use super::explain::{Explain, Line, each_value};
use super::{Build, Built, Compute, Definition, Kind};

/// An activation function by its Keras name, with Keras's constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x
    Linear,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x, or 0.2 x where negative
    LeakyRelu,
    /// x, or exp(x) - 1 where negative
    Elu,
    /// elu scaled to keep mean and variance (Klambauer et al. 2017)
    Selu,
    /// x times the normal distribution function at x, exact
    Gelu,
    /// Its approximation through the hyperbolic tangent: `gelu` with `approximate = true`
    GeluTanh,
    /// x sigmoid(x); `swish` is another name for it
    Silu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// tanh(x)
    Tanh,
    /// exp(x) / sum exp(x) over the last axis
    Softmax,
    /// log(1 + exp(x))
    Softplus,
    /// relu6(x + 3) / 6
    HardSigmoid,
    /// `x hard_sigmoid(x)`; `hard_silu` is another name for it
    HardSwish,
    /// x tanh(softplus(x))
    Mish,
    /// exp(x)
    Exponential,
}

/// Every name, the preferred one of each function first.
const NAMES: &[(&str, Activation)] = &[
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("leaky_relu", Activation::LeakyRelu),
    ("elu", Activation::Elu),
    ("selu", Activation::Selu),
    ("gelu", Activation::Gelu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("softmax", Activation::Softmax),
    ("softplus", Activation::Softplus),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("hard_swish", Activation::HardSwish),
    ("hard_silu", Activation::HardSwish),
    ("mish", Activation::Mish),
    ("exponential", Activation::Exponential),
];

/// Names that Keras knows too.
const NOT_YET: &[&str] = &[
    "celu",
    "glu",
    "hard_shrink",
    "hard_tanh",
    "log_sigmoid",
    "log_softmax",
    "soft_shrink",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh_shrink",
    "threshold",
];

impl Activation {
    /// Whether a function goes by this name.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        NAMES.iter().any(|(known, _)| *known == name)
    }

    /// Keras's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        if self == Self::GeluTanh {
            return "gelu_tanh";
        }
        NAMES.iter().find(|(_, known)| *known == self).map_or("linear", |(name, _)| name)
    }
}

/// Arguments of `ReLU`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct ReLU {
    /// The largest value let through.
    pub max_value: Option<f64>,
    /// Slope below the threshold.
    pub negative_slope: f64,
    /// Where it starts to rise.
    pub threshold: f64,
}

/// Arguments of `LeakyReLU`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyReLU {
    /// Factor for what is negative.
    pub negative_slope: f64,
}

/// Arguments of `ELU`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Elu {
    /// x, or alpha (exp(x) - 1) where negative.
    pub alpha: f64,
}

impl Compute for LeakyReLU {
    fn class(&self) -> &'static str {
        LEAKY_RELU.signature.name
    }

    fn arguments(&self) -> String {
        self.negative_slope.to_string()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let slope = float(self.negative_slope);
        vec![elementwise(layer, &quote!(LeakyRelu { slope: #slope }))]
    }
}

impl Compute for Elu {
    fn class(&self) -> &'static str {
        ELU.signature.name
    }

    fn arguments(&self) -> String {
        self.alpha.to_string()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let alpha = float(self.alpha);
        vec![elementwise(layer, &quote!(Elu { alpha: #alpha }))]
    }
}

impl Explain for Activation {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, self.name())
    }
}

impl Explain for ReLU {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, self.rule())
    }
}

impl Explain for LeakyReLU {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, format!("x, or {} x where negative", self.negative_slope))
    }
}

impl Explain for Elu {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, format!("x, or {} (exp(x) - 1) where negative", self.alpha))
    }
}

impl ReLU {
    fn rule(&self) -> String {
        let Self { max_value, negative_slope, threshold } = self;
        let below = match negative_slope {
            0.0 => "0".to_owned(),
            slope if *threshold == 0.0 => format!("{slope} x"),
            slope => format!("{slope} (x - {threshold})"),
        };
        let above = max_value.map(|most| format!(", at most {most}")).unwrap_or_default();
        format!("x from {threshold} on, else {below}{above}")
    }
}

/// Arguments of `Softmax`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// The axis summed over, counted from the first after the batch.
    pub axis: usize,
}

impl Compute for Softmax {
    fn class(&self) -> &'static str {
        SOFTMAX.signature.name
    }

    fn arguments(&self) -> String {
        self.axis.to_string()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        vec![softmax(layer, self.axis)]
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }
}

impl Explain for Softmax {
    fn reach(&self, layer: &Layer, _input: usize) -> [Reach; 2] {
        // The last axis are features; those before it are places.
        let summed = |axis: usize| axis == self.axis && axis + 1 < layer.output.rank();
        [0, 1].map(|axis| if summed(axis) { Reach::Whole } else { Reach::Same })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let values = layer.output.0[self.axis];
        each_value(layer, format!("exp(x) / sum exp(x) over {values} values"))
    }
}

/// The entry of `Activation` in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature {
        name: "Activation",
        params: &[required("activation"), optional("approximate")],
    },
    aliases: &[],
    build: Build::One(build_activation),
};

/// The entry of `ReLU` in [`super::ALL`].
pub const RELU: Definition = Definition {
    signature: Signature {
        name: "ReLU",
        params: &[optional("max_value"), optional("negative_slope"), optional("threshold")],
    },
    aliases: &[],
    build: Build::One(build_relu),
};

/// The entry of `LeakyReLU` in [`super::ALL`].
pub const LEAKY_RELU: Definition = Definition {
    signature: Signature { name: "LeakyReLU", params: &[optional("negative_slope")] },
    aliases: &[],
    build: Build::One(|args, input| {
        let negative_slope = args.number_or("negative_slope", 0.3, Interval::NON_NEGATIVE)?;
        Some(Built::same_shape(Kind::plain(LeakyReLU { negative_slope }), input?))
    }),
};

/// The entry of `ELU` in [`super::ALL`].
pub const ELU: Definition = Definition {
    signature: Signature { name: "ELU", params: &[optional("alpha")] },
    aliases: &[],
    build: Build::One(|args, input| {
        let alpha = args.number_or("alpha", 1.0, Interval::ANY)?;
        Some(Built::same_shape(Kind::plain(Elu { alpha }), input?))
    }),
};

/// The entry of `Softmax` in [`super::ALL`].
pub const SOFTMAX: Definition = Definition {
    signature: Signature { name: "Softmax", params: &[optional("axis")] },
    aliases: &[],
    build: Build::One(build_softmax),
};

/// The argument `activation`, linear unless given.
pub(crate) fn argument(args: &mut Args<'_>) -> Option<Activation> {
    match args.value("activation") {
        None => Some(Activation::Linear),
        Some(value) if matches!(value.as_name(), Some("None" | "none")) => Some(Activation::Linear),
        Some(value) => args.choice_of(value, "activation", NAMES, NOT_YET),
    }
}

fn build_activation(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    args.value("activation")?;
    let activation = argument(args);
    let approximate = args.flag_or("approximate", false);
    let activation = match (activation?, approximate?) {
        (Activation::Gelu, true) => Activation::GeluTanh,
        (other, true) => {
            let at = args.span("approximate");
            let message = format!("`approximate` is of `gelu`, not of `{}`", other.name());
            args.error(at, &message, "there is only one way to compute it");
            return None;
        }
        (activation, false) => activation,
    };
    Some(Built::same_shape(Kind::Activation(activation), input?))
}

fn build_relu(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let max_value = args.number_or_none("max_value", Interval::NON_NEGATIVE);
    let negative_slope = args.number_or("negative_slope", 0.0, Interval::NON_NEGATIVE);
    let threshold = args.number_or("threshold", 0.0, Interval::NON_NEGATIVE);
    let relu =
        ReLU { max_value: max_value?, negative_slope: negative_slope?, threshold: threshold? };
    Some(Built::same_shape(Kind::ReLU(relu), input?))
}

fn build_softmax(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    let axis = args.signed_or("axis", -1)?;
    let input = input?;
    let axis = super::axis(args, "axis", axis, input)?;
    Some(Built::same_shape(Kind::plain(Softmax { axis }), input))
}
