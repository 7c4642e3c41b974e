//! What belongs to the weights of any layer: initializers, regularizers, and numbers written out.
//!
//! A layer reads [`Rules`] for each of its weights while it reads its other arguments, and makes the
//! weight of them once it knows the shape.

mod classes;

use crate::ast::{Expr, ExprKind, Span};
use crate::bind::{Args, Interval};
use crate::ir::{Initializer, Regularizer, Shape, Weight};

pub(crate) use classes::Recipe;
use classes::{initializer, regularizer};

/// What the arguments say of one weight.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    recipe: Recipe,
    /// Where the recipe stands, or the layer.
    at: Span,
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
        let name = format!("{prefix}_initializer");
        let recipe = initializer(args, &name, default);
        let at = args.span_of_first(&[&name]);
        let regularizer = regularizer(args, &format!("{prefix}_regularizer"));
        Some(Self { recipe: recipe?, at, regularizer: regularizer?, written: None })
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
        let initializer = if let Some(written) = self.written {
            check_shape(args, name, &written, &shape)?;
            Initializer::Values(written.values)
        } else {
            if let Some(problem) = self.recipe.problem(&shape) {
                let found = Shape(shape);
                args.error(self.at, problem, format!("`{name}` is {found}"));
                return None;
            }
            self.recipe.resolve(&shape)
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
