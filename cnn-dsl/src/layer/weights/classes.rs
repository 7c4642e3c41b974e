//! Initializers and regularizers by Keras's names for them.

use crate::ast::{Call, Expr, ExprKind};
use crate::bind::{Args, Interval, Param, Signature, optional, unsupported};
use crate::ir::{Distribution, Initializer, Regularizer};

/// An initializer before the weight's shape is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recipe {
    /// One number everywhere.
    Constant(f64),
    /// Each number alike in an interval.
    Uniform { min: f64, max: f64 },
    /// Normal.
    Normal { mean: f64, stddev: f64 },
    /// Normal, drawn again beyond two standard deviations.
    TruncatedNormal { mean: f64, stddev: f64 },
    /// Of a variance that depends on the shape.
    VarianceScaling { scale: f64, mode: Fan, distribution: Distribution },
    /// Of vectors at right angles; for at least two sizes.
    Orthogonal { gain: f64 },
    /// A diagonal; for exactly two sizes.
    Identity { gain: f64 },
}

/// What the variance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fan {
    /// Inputs that a unit sees.
    In,
    /// Outputs that an input feeds.
    Out,
    /// The mean of both.
    Average,
}

impl Recipe {
    pub(crate) const ZEROS: Self = Self::Constant(0.0);
    pub(crate) const ONES: Self = Self::Constant(1.0);
    /// Keras's default for kernels.
    pub(crate) const GLOROT_UNIFORM: Self = scaled(1.0, Fan::Average, Distribution::Uniform);

    /// What is wrong with it for a weight of this shape.
    pub(super) fn problem(self, shape: &[u64]) -> Option<&'static str> {
        match self {
            Self::Identity { .. } if shape.len() != 2 => Some("only a matrix can be the identity"),
            Self::Orthogonal { .. } if shape.len() < 2 => Some("a single row has no right angles"),
            _ => None,
        }
    }

    pub(super) fn resolve(self, shape: &[u64]) -> Initializer {
        match self {
            Self::Constant(value) => Initializer::Constant(value),
            Self::Uniform { min, max } => Initializer::Uniform { min, max },
            Self::Normal { mean, stddev } => Initializer::Normal { mean, stddev },
            Self::TruncatedNormal { mean, stddev } => Initializer::TruncatedNormal { mean, stddev },
            Self::Orthogonal { gain } => Initializer::Orthogonal { gain, columns: last(shape) },
            Self::Identity { gain } => Initializer::Identity { gain, columns: last(shape) },
            Self::VarianceScaling { scale, mode, distribution } => {
                let [fan_in, fan_out] = fans(shape);
                let fan = match mode {
                    Fan::In => fan_in,
                    Fan::Out => fan_out,
                    Fan::Average => f64::midpoint(fan_in, fan_out),
                };
                Initializer::VarianceScaling { scale, fan: fan.max(1.0), distribution }
            }
        }
    }
}

fn last(shape: &[u64]) -> u64 {
    shape.last().copied().unwrap_or(1)
}

const fn scaled(scale: f64, mode: Fan, distribution: Distribution) -> Recipe {
    Recipe::VarianceScaling { scale, mode, distribution }
}

/// Inputs that a unit sees and outputs that an input feeds, by Keras's `compute_fans`.
fn fans(shape: &[u64]) -> [f64; 2] {
    match *shape {
        [] => [1.0; 2],
        [len] => [len as f64; 2],
        [ref window @ .., inputs, outputs] => {
            let window: f64 = window.iter().map(|&size| size as f64).product();
            [window * inputs as f64, window * outputs as f64]
        }
    }
}

/// A class that a value may name.
struct Class<T: 'static> {
    /// Keras's class name, and the arguments.
    signature: Signature<'static>,
    /// Keras's other names for it, the one in snake case first.
    names: &'static [&'static str],
    /// What it is without arguments.
    bare: T,
    /// What its arguments say.
    read: fn(&mut Args<'_>, T) -> Option<T>,
}

const SEED: Param = unsupported("seed", "None");

/// What a class is that no argument changes.
#[allow(clippy::unnecessary_wraps, reason = "one of many that can fail")]
fn as_named<T>(_: &mut Args<'_>, bare: T) -> Option<T> {
    Some(bare)
}

/// A class that takes nothing but a seed.
const fn seeded(name: &'static str, names: &'static [&'static str], bare: Recipe) -> Class<Recipe> {
    Class { signature: Signature { name, params: &[SEED] }, names, bare, read: as_named }
}

/// Keras's initializers.
static INITIALIZERS: &[Class<Recipe>] = &[
    Class {
        signature: Signature { name: "Zeros", params: &[] },
        names: &["zeros", "zero"],
        bare: Recipe::ZEROS,
        read: as_named,
    },
    Class {
        signature: Signature { name: "Ones", params: &[] },
        names: &["ones", "one"],
        bare: Recipe::ONES,
        read: as_named,
    },
    Class {
        signature: Signature { name: "Constant", params: &[optional("value")] },
        names: &["constant"],
        bare: Recipe::ZEROS,
        read: |args, _| Some(Recipe::Constant(args.number_or("value", 0.0, Interval::ANY)?)),
    },
    seeded("GlorotUniform", &["glorot_uniform"], Recipe::GLOROT_UNIFORM),
    seeded("GlorotNormal", &["glorot_normal"], GLOROT_NORMAL),
    seeded("HeUniform", &["he_uniform"], HE_UNIFORM),
    seeded("HeNormal", &["he_normal"], HE_NORMAL),
    seeded("LecunUniform", &["lecun_uniform"], LECUN_UNIFORM),
    seeded("LecunNormal", &["lecun_normal"], LECUN_NORMAL),
    Class {
        signature: Signature {
            name: "RandomUniform",
            params: &[optional("minval"), optional("maxval"), SEED],
        },
        names: &["random_uniform", "uniform"],
        bare: Recipe::Uniform { min: -0.05, max: 0.05 },
        read: random_uniform,
    },
    Class {
        signature: Signature {
            name: "RandomNormal",
            params: &[optional("mean"), optional("stddev"), SEED],
        },
        names: &["random_normal", "normal"],
        bare: Recipe::Normal { mean: 0.0, stddev: STDDEV },
        read: |args, _| {
            let [mean, stddev] = mean_and_stddev(args)?;
            Some(Recipe::Normal { mean, stddev })
        },
    },
    Class {
        signature: Signature {
            name: "TruncatedNormal",
            params: &[optional("mean"), optional("stddev"), SEED],
        },
        names: &["truncated_normal"],
        bare: Recipe::TruncatedNormal { mean: 0.0, stddev: STDDEV },
        read: |args, _| {
            let [mean, stddev] = mean_and_stddev(args)?;
            Some(Recipe::TruncatedNormal { mean, stddev })
        },
    },
    Class {
        signature: Signature {
            name: "VarianceScaling",
            params: &[optional("scale"), optional("mode"), optional("distribution"), SEED],
        },
        names: &["variance_scaling"],
        bare: LECUN_NORMAL,
        read: variance_scaling,
    },
    Class {
        signature: Signature { name: "Orthogonal", params: &[optional("gain"), SEED] },
        names: &["orthogonal", "OrthogonalInitializer", "orthogonal_initializer"],
        bare: Recipe::Orthogonal { gain: 1.0 },
        read: |args, _| Some(Recipe::Orthogonal { gain: gain(args)? }),
    },
    Class {
        signature: Signature { name: "Identity", params: &[optional("gain")] },
        names: &["identity"],
        bare: Recipe::Identity { gain: 1.0 },
        read: |args, _| Some(Recipe::Identity { gain: gain(args)? }),
    },
];

const GLOROT_NORMAL: Recipe = scaled(1.0, Fan::Average, Distribution::TruncatedNormal);
const HE_UNIFORM: Recipe = scaled(2.0, Fan::In, Distribution::Uniform);
const HE_NORMAL: Recipe = scaled(2.0, Fan::In, Distribution::TruncatedNormal);
const LECUN_UNIFORM: Recipe = scaled(1.0, Fan::In, Distribution::Uniform);
const LECUN_NORMAL: Recipe = scaled(1.0, Fan::In, Distribution::TruncatedNormal);

/// Initializers that Keras knows too.
const INITIALIZERS_NOT_YET: &[&str] = &["STFT", "STFTInitializer"];

const REGULARIZERS_NOT_YET: &[&str] = &["OrthogonalRegularizer", "orthogonal_regularizer"];

/// Keras's regularizers. `l1_l2` penalises both ways, as the function of that name once did;
/// `L1L2` by itself would penalise nothing and is refused.
static REGULARIZERS: &[Class<Regularizer>] = &[
    Class {
        signature: Signature { name: "L1", params: &[optional("l1")] },
        names: &["l1"],
        bare: Regularizer { l1: FACTOR, l2: 0.0 },
        read: |args, _| Some(Regularizer { l1: factor(args, "l1", FACTOR)?, l2: 0.0 }),
    },
    Class {
        signature: Signature { name: "L2", params: &[optional("l2")] },
        names: &["l2"],
        bare: Regularizer { l1: 0.0, l2: FACTOR },
        read: |args, _| Some(Regularizer { l1: 0.0, l2: factor(args, "l2", FACTOR)? }),
    },
    Class {
        signature: Signature { name: "L1L2", params: &[optional("l1"), optional("l2")] },
        names: &["l1_l2", "l1l2"],
        bare: Regularizer { l1: FACTOR, l2: FACTOR },
        read: |args, _| {
            let (l1, l2) = (factor(args, "l1", 0.0), factor(args, "l2", 0.0));
            Some(Regularizer { l1: l1?, l2: l2? })
        },
    },
];

/// Keras's default for L1 and L2.
const FACTOR: f64 = 0.01;

/// Keras's default for normal distributions.
const STDDEV: f64 = 0.05;

const NON_NEGATIVE: Interval = Interval { to: f32::MAX as f64, ..Interval::NON_NEGATIVE };
const SCALE: Interval =
    Interval { from: f32::MIN_POSITIVE as f64, to: f32::MAX as f64, ..Interval::POSITIVE };

fn factor(args: &mut Args<'_>, name: &str, default: f64) -> Option<f64> {
    args.number_or(name, default, NON_NEGATIVE)
}

fn gain(args: &mut Args<'_>) -> Option<f64> {
    args.number_or("gain", 1.0, Interval::ANY)
}

fn mean_and_stddev(args: &mut Args<'_>) -> Option<[f64; 2]> {
    let mean = args.number_or("mean", 0.0, Interval::ANY);
    let stddev = args.number_or("stddev", STDDEV, NON_NEGATIVE);
    Some([mean?, stddev?])
}

fn random_uniform(args: &mut Args<'_>, _: Recipe) -> Option<Recipe> {
    let min = args.number_or("minval", -0.05, Interval::ANY);
    let max = args.number_or("maxval", 0.05, Interval::ANY);
    let (min, max) = (min?, max?);
    if min > max {
        let at = args.span(if args.value("maxval").is_some() { "maxval" } else { "minval" });
        let message = format!("`minval` {min} is above `maxval` {max}");
        args.error(at, &message, "an empty interval");
        return None;
    }
    Some(Recipe::Uniform { min, max })
}

fn variance_scaling(args: &mut Args<'_>, _: Recipe) -> Option<Recipe> {
    const MODES: &[(&str, Fan)] =
        &[("fan_in", Fan::In), ("fan_out", Fan::Out), ("fan_avg", Fan::Average)];
    const DISTRIBUTIONS: &[(&str, Distribution)] = &[
        ("truncated_normal", Distribution::TruncatedNormal),
        ("untruncated_normal", Distribution::UntruncatedNormal),
        ("uniform", Distribution::Uniform),
        ("normal", Distribution::TruncatedNormal),
    ];
    let scale = args.number_or("scale", 1.0, SCALE);
    let mode = args.choice_or("mode", MODES, Fan::In);
    let distribution = args.choice_or("distribution", DISTRIBUTIONS, Distribution::TruncatedNormal);
    Some(scaled(scale?, mode?, distribution?))
}

pub(super) fn initializer(args: &mut Args<'_>, name: &str, default: Recipe) -> Option<Recipe> {
    let Some(value) = args.given_if_known(name) else { return Some(default) };
    let recipe = class(args, value, name, INITIALIZERS, INITIALIZERS_NOT_YET);
    if let ExprKind::Number(number) = &value.kind
        && let Some(mistake) = args.last_error()
    {
        mistake.help.push(format!("a constant is `Constant({number})`"));
    }
    recipe
}

pub(super) fn regularizer(args: &mut Args<'_>, name: &str) -> Option<Regularizer> {
    let Some(value) = args.given_if_known(name) else { return Some(Regularizer::NONE) };
    if let ExprKind::Call(call) = &value.kind
        && call.name.text == "L1L2"
        && call.args.is_empty()
    {
        let message = format!("`{name} = L1L2` without factors adds nothing");
        let mistake = args.error(value.span.clone(), &message, "both factors are 0");
        mistake.help.push("give them, as in `L1L2(l1 = 0.001, l2 = 0.01)`".to_owned());
        return None;
    }
    let regularizer = class(args, value, name, REGULARIZERS, REGULARIZERS_NOT_YET);
    if let ExprKind::Number(number) = &value.kind
        && let Some(mistake) = args.last_error()
    {
        mistake.help.push(format!("a factor needs a kind, as in `L2({number})`"));
    }
    regularizer
}

/// `value` as one of several classes, by any of their names, with or without arguments.
fn class<T: Copy>(
    args: &mut Args<'_>,
    value: &Expr,
    name: &str,
    classes: &'static [Class<T>],
    later: &[&str],
) -> Option<T> {
    let known = |text: &str| {
        let mut classes = classes.iter();
        classes.find(|class| class.signature.name == text || class.names.contains(&text))
    };
    if let Some(class) = value.as_name().and_then(known) {
        return Some(class.bare);
    }
    if let ExprKind::Call(call) = &value.kind
        && let Some(class) = known(&call.name.text)
    {
        let owner = format!("{}: {}", args.owner(), class.signature.name);
        let mut nested = Args::bind(&class.signature, call, owner);
        let found = (class.read)(&mut nested, class.bare);
        let failed = nested.failed();
        args.absorb(nested);
        return found.filter(|_| !failed);
    }
    let choices: Vec<(&str, T)> =
        classes.iter().map(|class| (class.names[0], class.bare)).collect();
    let others = classes.iter().flat_map(|class| {
        [class.signature.name].into_iter().chain(class.names[1..].iter().copied())
    });
    let others: Vec<&str> = others.collect();
    args.choice_of_any(&without_arguments(value), name, &choices, &others, later)
}

/// Only the name of a call, which is what is wrong with it.
fn without_arguments(value: &Expr) -> Expr {
    let ExprKind::Call(call) = &value.kind else { return value.clone() };
    let span = call.name.span.clone();
    Expr { kind: ExprKind::Call(Call { name: call.name.clone(), args: Vec::new() }), span }
}
