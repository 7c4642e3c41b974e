//! What belongs to the weights of any layer: initializers, regularizers, and numbers written out.
//!
//! A layer reads [`Rules`] for each of its weights while it reads its other arguments, and makes the
//! weight of them once it knows the shape.

use crate::ast::{Call, Expr, ExprKind, Span};
use crate::bind::{Args, Interval, Param, Signature, optional, unsupported};
use crate::ir::{Distribution, Initializer, Regularizer, Shape, Weight};

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

    fn resolve(self, shape: &[u64]) -> Initializer {
        match self {
            Self::Constant(value) => Initializer::Constant(value),
            Self::Uniform { min, max } => Initializer::Uniform { min, max },
            Self::Normal { mean, stddev } => Initializer::Normal { mean, stddev },
            Self::TruncatedNormal { mean, stddev } => Initializer::TruncatedNormal { mean, stddev },
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

/// What the arguments say of one weight.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    recipe: Recipe,
    regularizer: Regularizer,
    written: Option<Written>,
}

/// Numbers written out, in nested lists of equal lengths.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    /// The lists' lengths, the outermost first.
    shape: Vec<u64>,
    /// In the order of the text.
    values: Vec<f32>,
    /// Where they stand.
    at: Span,
}

impl Rules {
    /// Reads `{prefix}_initializer` and `{prefix}_regularizer`, as far as the signature has them.
    pub(crate) fn read(args: &mut Args<'_>, prefix: &str, default: Recipe) -> Option<Self> {
        let recipe = initializer(args, &format!("{prefix}_initializer"), default);
        let regularizer = regularizer(args, &format!("{prefix}_regularizer"));
        Some(Self { recipe: recipe?, regularizer: regularizer?, written: None })
    }

    /// Reads [`read`](Self::read)'s arguments, and the numbers of the weight where the argument
    /// `name` gives them as lists.
    pub(crate) fn read_or_written(
        args: &mut Args<'_>,
        prefix: &str,
        name: &str,
        default: Recipe,
    ) -> Option<Self> {
        let rules = Self::read(args, prefix, default);
        let Some(value) = args.given_if_known(name) else { return rules };
        let initializer = format!("{prefix}_initializer");
        if let Some(other) = args.given_if_known(&initializer) {
            let message = format!("`{name}` and `{initializer}` are both given");
            let diagnostic = args.error(value.span.clone(), &message, "the numbers themselves");
            diagnostic.secondary.push((other.span.clone(), "how to draw them".to_owned()));
            diagnostic.help.push("leave one of them out".to_owned());
            return None;
        }
        let written = written(args, value, name);
        Some(Self { written: Some(written?), ..rules? })
    }

    /// Brings numbers for a convolution of images into Keras's layout: height x width x in x out.
    /// One kernel of height x width is for one channel in and one out, a list of them for several
    /// channels out.
    pub(crate) fn of_image(self, args: &mut Args<'_>) -> Option<Self> {
        let Some(written) = self.written else { return Some(self) };
        Some(Self { written: Some(image_kernel(args, written)?), ..self })
    }

    /// The same for a kernel that is spread over channels: a list of kernels has one for each.
    pub(crate) fn of_channels(self, args: &mut Args<'_>) -> Option<Self> {
        let list = self.written.as_ref().is_some_and(|written| written.shape.len() == 3);
        let mut rules = self.of_image(args)?;
        if let Some(written) = rules.written.as_mut().filter(|_| list) {
            written.shape.swap(2, 3);
        }
        Some(rules)
    }

    /// A matrix has rows of numbers.
    pub(crate) fn of_matrix(self, args: &mut Args<'_>) -> Option<Self> {
        if let Some(written) = self.written.as_ref().filter(|written| written.shape.len() != 2) {
            let depth = written.shape.len();
            let message =
                format!("`kernel` must be in x out numbers, found lists nested {depth} deep");
            let mistake = args.error(written.at.clone(), &message, "not a list of rows");
            mistake.help.push("write a row for each input, as in `[[1, 0], [0, -1]]`".to_owned());
            return None;
        }
        Some(self)
    }

    /// Height, width, channels in and out of numbers in Keras's layout.
    pub(crate) fn image_sizes(&self) -> Option<[u64; 4]> {
        self.written.as_ref().and_then(|written| written.shape.as_slice().try_into().ok())
    }

    /// The lengths of the lists of a matrix.
    pub(crate) fn matrix_sizes(&self) -> Option<[u64; 2]> {
        self.written.as_ref().and_then(|written| written.shape.as_slice().try_into().ok())
    }

    /// A kernel written out is for as many channels as `whose`, the input or a group, has.
    pub(crate) fn check_channels(
        &self,
        args: &mut Args<'_>,
        channels: u64,
        whose: &str,
        help: &str,
    ) -> Option<()> {
        let (Some([_, _, found, _]), Some(written)) = (self.image_sizes(), &self.written) else {
            return Some(());
        };
        if found == channels {
            return Some(());
        }
        let s = if found == 1 { "" } else { "s" };
        let message = format!("the kernel is for {found} channel{s}, and {whose} has {channels}");
        let mistake = args.error(written.at.clone(), &message, format!("{found} channel{s} in"));
        mistake.help.push(help.to_owned());
        None
    }

    /// The weight; a mistake at its numbers if they have another shape. The caller has checked
    /// that the product of the shape is small enough.
    pub(crate) fn weight(
        self,
        args: &mut Args<'_>,
        name: &'static str,
        shape: Vec<u64>,
    ) -> Option<Weight> {
        let initializer = match self.written {
            Some(written) => {
                check_shape(args, name, &written, &shape)?;
                Initializer::Values(written.values)
            }
            None => self.recipe.resolve(&shape),
        };
        let regularizer = self.regularizer;
        Some(Weight { name, shape, initializer, regularizer, trainable: true })
    }
}

/// Reads `use_bias`, `bias_initializer`, `bias_regularizer` and, where the signature has it, `bias`.
/// Inner `None` for a layer without bias.
#[allow(clippy::option_option, reason = "a mistake, no bias, a bias")]
pub(crate) fn bias(args: &mut Args<'_>) -> Option<Option<Rules>> {
    let use_bias = args.flag_or("use_bias", true);
    let rules = Rules::read_or_written(args, "bias", "bias", Recipe::ZEROS);
    if use_bias? {
        return rules.map(Some);
    }
    if let Some(value) = args.given_if_known("bias") {
        let at = args.span("use_bias");
        let message = "`bias` is given, and `use_bias = false`";
        let diagnostic = args.error(value.span.clone(), message, "a bias");
        diagnostic.secondary.push((at, "no bias".to_owned()));
        return None;
    }
    rules.map(|_| None)
}

fn check_shape(args: &mut Args<'_>, name: &str, written: &Written, shape: &[u64]) -> Option<()> {
    if written.shape == shape {
        return Some(());
    }
    let (found, wanted) = (Shape(written.shape.clone()), Shape(shape.to_vec()));
    let message = match shape {
        [1] => format!("`{name}` must be a list of 1 number, found {found}"),
        [len] => format!("`{name}` must be a list of {len} numbers, found {found}"),
        _ => format!("`{name}` must be {wanted} numbers, found {found}"),
    };
    args.error(written.at.clone(), &message, format!("{found}, not {wanted}"));
    None
}

/// Nested lists of numbers, all of one length at each depth.
fn written(args: &mut Args<'_>, value: &Expr, name: &str) -> Option<Written> {
    let mut written = Written { shape: Vec::new(), values: Vec::new(), at: value.span.clone() };
    let (ExprKind::List(_) | ExprKind::Tuple(_)) = &value.kind else {
        let message = format!("`{name}` must be a list of numbers, found `{value}`");
        args.error(value.span.clone(), &message, "not a list");
        return None;
    };
    // The lists that come first say how deep and how long all are.
    let mut first = value;
    while let ExprKind::List(items) | ExprKind::Tuple(items) = &first.kind {
        written.shape.push(items.len() as u64);
        let Some(item) = items.first() else { break };
        first = item;
    }
    let sizes = written.shape.clone();
    collect(args, value, name, &sizes, &mut written.values)?;
    Some(written)
}

/// Appends the numbers of lists that must have these lengths. Stops at the first mistake.
fn collect(
    args: &mut Args<'_>,
    value: &Expr,
    name: &str,
    sizes: &[u64],
    into: &mut Vec<f32>,
) -> Option<()> {
    let Some((&len, inner)) = sizes.split_first() else {
        into.push(args.number_of(value, name, Interval::ANY)? as f32);
        return Some(());
    };
    let span = value.span.clone();
    let (ExprKind::List(items) | ExprKind::Tuple(items)) = &value.kind else {
        let message = format!("`{name}` mixes lists and numbers, found `{value}`");
        args.error(span, &message, format!("a list of {len} expected, like the first"));
        return None;
    };
    if items.is_empty() {
        args.error(span, &format!("`{name}` has an empty list"), "no numbers");
        return None;
    }
    if items.len() as u64 != len {
        let message = format!("`{name}` is ragged: a list of {} among lists of {len}", items.len());
        args.error(span, &message, format!("{} here, {len} in the first", items.len()));
        return None;
    }
    for item in items {
        collect(args, item, name, inner, into)?;
    }
    Some(())
}

/// See [`Rules::of_image`].
fn image_kernel(args: &mut Args<'_>, written: Written) -> Option<Written> {
    let Written { shape, values, at } = written;
    match *shape.as_slice() {
        [_, _, _, _] => Some(Written { shape, values, at }),
        [height, width] => Some(Written { shape: vec![height, width, 1, 1], values, at }),
        [filters, height, width] => {
            let places = values.len() / filters as usize;
            let last = (0..places).flat_map(|place| values[place..].iter().step_by(places));
            let values = last.copied().collect();
            Some(Written { shape: vec![height, width, 1, filters], values, at })
        }
        _ => {
            let message = format!(
                "`kernel` must be height x width numbers, found lists nested {} deep",
                shape.len()
            );
            let mistake = args.error(at, &message, "what is which?");
            mistake.help.push(
                "write `[[1, 0], [0, -1]]`, a list of such kernels for several filters of one \
                 channel, or Keras's height x width x in x out"
                    .to_owned(),
            );
            None
        }
    }
}

/// A size that numbers written out say; where it is also given, both must agree.
pub(crate) fn size(args: &mut Args<'_>, name: &str, written: Option<u64>) -> Option<u64> {
    let Some(written) = written else { return args.size(name) };
    if args.given_if_known(name).is_none() {
        return Some(written);
    }
    let given = args.size(name)?;
    agree(args, name, &[given], &[written])?;
    Some(given)
}

/// A pair of sizes that numbers written out say; where it is also given, both must agree.
pub(crate) fn pair(args: &mut Args<'_>, name: &str, written: Option<[u64; 2]>) -> Option<[u64; 2]> {
    let Some(written) = written else { return args.pair(name) };
    let given = args.pair_or(name, written)?;
    agree(args, name, &given, &written)?;
    Some(given)
}

fn agree(args: &mut Args<'_>, name: &str, given: &[u64], written: &[u64]) -> Option<()> {
    if given == written {
        return Some(());
    }
    let (given, written) = (Shape(given.to_vec()), Shape(written.to_vec()));
    let (at, kernel) = (args.span(name), args.span("kernel"));
    let message = format!("`{name}` is {given}, but the kernel written out says {written}");
    let mistake = args.error(at, &message, given.to_string());
    mistake.secondary.push((kernel, written.to_string()));
    mistake.help.push(format!("leave `{name}` out: the kernel says it"));
    None
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
];

const GLOROT_NORMAL: Recipe = scaled(1.0, Fan::Average, Distribution::TruncatedNormal);
const HE_UNIFORM: Recipe = scaled(2.0, Fan::In, Distribution::Uniform);
const HE_NORMAL: Recipe = scaled(2.0, Fan::In, Distribution::TruncatedNormal);
const LECUN_UNIFORM: Recipe = scaled(1.0, Fan::In, Distribution::Uniform);
const LECUN_NORMAL: Recipe = scaled(1.0, Fan::In, Distribution::TruncatedNormal);

/// Initializers that Keras knows too.
const INITIALIZERS_NOT_YET: &[&str] =
    &["Identity", "Orthogonal", "OrthogonalInitializer", "STFT", "identity", "orthogonal"];

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

fn initializer(args: &mut Args<'_>, name: &str, default: Recipe) -> Option<Recipe> {
    let Some(value) = args.given_if_known(name) else { return Some(default) };
    let recipe = class(args, value, name, INITIALIZERS, INITIALIZERS_NOT_YET);
    if let ExprKind::Number(number) = &value.kind
        && let Some(mistake) = args.last_error()
    {
        mistake.help.push(format!("a constant is `Constant({number})`"));
    }
    recipe
}

fn regularizer(args: &mut Args<'_>, name: &str) -> Option<Regularizer> {
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
    let later: Vec<&str> = later.iter().copied().chain(others).collect();
    args.choice_of(&without_arguments(value), name, &choices, &later)
}

/// Only the name of a call, which is what is wrong with it.
fn without_arguments(value: &Expr) -> Expr {
    let ExprKind::Call(call) = &value.kind else { return value.clone() };
    let span = call.name.span.clone();
    Expr { kind: ExprKind::Call(Call { name: call.name.clone(), args: Vec::new() }), span }
}
