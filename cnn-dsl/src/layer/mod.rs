//! The kinds of layer: one file each, listed here.

pub mod activation;
pub mod batch_normalization;
pub mod concatenate;
pub mod conv;
pub mod conv_transpose;
pub mod dense;
pub mod depthwise;
pub mod dropout;
pub mod explain;
pub mod flatten;
pub mod frame;
pub mod global_pool;
pub mod layer_normalization;
pub mod locally_connected;
pub mod merge;
pub mod pool;
pub mod rescaling;
pub mod reshape;
pub mod separable;
pub mod up_sampling;
pub(crate) mod weights;
pub mod window;

use std::fmt;
use std::sync::Arc;

use crate::ast::Span;
use crate::bind::{Args, Signature};
use crate::count::{self, MAX_VALUES};
use crate::ir::{Layer, Shape, Weight};
use crate::passes::Op;

/// What a layer computes: the kinds that fusion looks into, and all others.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `Conv2D`
    Conv2D(conv::Conv2D),
    /// `MaxPooling2D`
    MaxPooling2D(pool::MaxPooling2D),
    /// `Dense`
    Dense(dense::Dense),
    /// `Activation(relu)`
    Activation(activation::Activation),
    /// `ReLU(max_value, negative_slope, threshold)`
    ReLU(activation::ReLU),
    /// Any other.
    Plain(Plain),
}

/// A kind of layer that no fusion needs to know: all that the compiler asks of it.
pub trait Compute: explain::Explain + fmt::Debug + Send + Sync {
    /// Keras's class name.
    fn class(&self) -> &'static str;

    /// What of its arguments its shapes do not say. Layers of one class are equal if these and
    /// their shapes are, and only then can they share a checkpoint.
    fn arguments(&self) -> String;

    /// The runtime's operations that compute it, each taking the output of the one before; none
    /// if it moves nothing. `index` tells apart the layers of a model that draw random numbers.
    fn ops(&self, layer: &Layer, index: u64) -> Vec<Op>;

    /// The same with a relu behind it, if that costs nothing.
    fn ops_with_relu(&self, layer: &Layer) -> Option<Vec<Op>> {
        let _ = layer;
        None
    }

    /// The function applied last, if it has one.
    fn activation(&self) -> Option<activation::Activation> {
        None
    }
}

/// A [`Compute`], comparable and shared.
#[derive(Clone, Debug)]
pub struct Plain(Arc<dyn Compute>);

impl Plain {
    fn explained(&self) -> &dyn explain::Explain {
        &*self.0
    }
}

impl std::ops::Deref for Plain {
    type Target = dyn Compute;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.class() == other.class() && self.arguments() == other.arguments()
    }
}

impl Kind {
    /// A kind that fusion need not know.
    #[must_use]
    pub fn plain(kind: impl Compute + 'static) -> Self {
        Self::Plain(Plain(Arc::new(kind)))
    }

    /// Keras's class name, e.g. `MaxPooling2D`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Conv2D(_) => conv::DEFINITION.signature.name,
            Self::MaxPooling2D(_) => pool::DEFINITION.signature.name,
            Self::Dense(_) => dense::DEFINITION.signature.name,
            Self::Activation(_) => activation::DEFINITION.signature.name,
            Self::ReLU(_) => activation::RELU.signature.name,
            Self::Plain(plain) => plain.class(),
        }
    }

    /// What says how its sizes come about.
    #[must_use]
    pub fn explained(&self) -> &dyn explain::Explain {
        match self {
            Self::Conv2D(conv) => conv,
            Self::MaxPooling2D(pool) => pool,
            Self::Dense(dense) => dense,
            Self::Activation(activation) => activation,
            Self::ReLU(relu) => relu,
            Self::Plain(plain) => plain.explained(),
        }
    }

    /// The function applied last, `None` for layers that have none.
    #[must_use]
    pub fn activation(&self) -> Option<activation::Activation> {
        match self {
            Self::Conv2D(conv) => Some(conv.activation),
            Self::Dense(dense) => Some(dense.activation),
            Self::Activation(activation) => Some(*activation),
            Self::Plain(plain) => plain.activation(),
            Self::MaxPooling2D(_) | Self::ReLU(_) => None,
        }
    }
}

/// Every layer of the language.
pub const ALL: &[&Definition] = &[
    &conv::DEFINITION,
    &depthwise::DEFINITION,
    &separable::DEFINITION,
    &conv_transpose::DEFINITION,
    &locally_connected::DEFINITION,
    &pool::DEFINITION,
    &pool::AVERAGE,
    &global_pool::AVERAGE,
    &global_pool::MAX,
    &flatten::DEFINITION,
    &reshape::RESHAPE,
    &reshape::PERMUTE,
    &frame::PADDING,
    &frame::CROPPING,
    &up_sampling::DEFINITION,
    &rescaling::DEFINITION,
    &dense::DEFINITION,
    &dropout::DEFINITION,
    &dropout::SPATIAL,
    &dropout::NOISE,
    &batch_normalization::DEFINITION,
    &layer_normalization::DEFINITION,
    &activation::DEFINITION,
    &activation::RELU,
    &activation::LEAKY_RELU,
    &activation::ELU,
    &activation::SOFTMAX,
    &merge::ADD,
    &merge::SUBTRACT,
    &merge::MULTIPLY,
    &merge::AVERAGE,
    &merge::MAXIMUM,
    &merge::MINIMUM,
    &concatenate::DEFINITION,
];

/// Layers of Keras that a reader may rightly try.
pub const NOT_YET: &[&str] = &[
    "AlphaDropout",
    "AveragePooling1D",
    "AveragePooling3D",
    "CenterCrop",
    "Conv1D",
    "Conv1DTranspose",
    "Conv3D",
    "Cropping1D",
    "DepthwiseConv1D",
    "Dot",
    "Embedding",
    "GRU",
    "GaussianDropout",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "GroupNormalization",
    "Identity",
    "LSTM",
    "LocallyConnected1D",
    "MaxPool1D",
    "MaxPooling1D",
    "MaxPooling3D",
    "MultiHeadAttention",
    "Normalization",
    "PReLU",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "RepeatVector",
    "Resizing",
    "SeparableConv1D",
    "SpatialDropout1D",
    "UnitNormalization",
    "UpSampling1D",
    "ZeroPadding1D",
];

/// A layer of the language.
#[derive(Debug)]
pub struct Definition {
    /// Its name and parameters.
    pub signature: Signature<'static>,
    /// Keras's other names for it.
    pub aliases: &'static [&'static str],
    /// Checks the arguments and, where the shapes of the inputs are known, derives the rest.
    pub build: Build,
}

/// How a layer is checked. `None` comes of a shape that is unknown, or of a mistake, which is then
/// recorded.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// A layer of one input.
    One(fn(&mut Args<'_>, Option<&Shape>) -> Option<Built>),
    /// A layer that merges at least two.
    Many(fn(&mut Args<'_>, Option<&[Operand]>) -> Option<Built>),
}

/// One input of a layer that merges.
#[derive(Clone, Debug)]
pub struct Operand {
    /// The layer that it comes from.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Where the text says so.
    pub span: Span,
}

/// The definition that goes by a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    ALL.iter().find(|layer| layer.signature.name == name || layer.aliases.contains(&name)).copied()
}

/// A checked layer, but for its name.
#[derive(Debug)]
pub struct Built {
    /// What it computes.
    pub kind: Kind,
    /// Shape of its output.
    pub output: Shape,
    /// Its weights in Keras's order.
    pub weights: Vec<Weight>,
    /// Multiply-adds for one input.
    pub macs: u64,
}

impl Built {
    /// A layer without weights and multiplications.
    #[must_use]
    pub fn weightless(kind: Kind, output: Shape) -> Self {
        Self { kind, output, weights: Vec::new(), macs: 0 }
    }

    /// A layer without weights and multiplications that keeps the shape.
    #[must_use]
    pub fn same_shape(kind: Kind, input: &Shape) -> Self {
        Self::weightless(kind, input.clone())
    }
}

/// A sum of products of sizes as a count of parameters or values; a mistake at `at` if too large.
pub(crate) fn values(args: &mut Args<'_>, at: &Span, terms: &[&[u64]], what: &str) -> Option<u64> {
    limited(args, at, terms, MAX_VALUES, what)
}

/// A product of sizes as a count of multiply-adds; a mistake at `at` if too large.
pub(crate) fn macs(args: &mut Args<'_>, at: &Span, factors: &[u64]) -> Option<u64> {
    sum_of_macs(args, at, &[factors])
}

/// The same for a sum of products.
pub(crate) fn sum_of_macs(args: &mut Args<'_>, at: &Span, terms: &[&[u64]]) -> Option<u64> {
    limited(args, at, terms, u64::MAX, "multiply-adds")
}

fn limited(
    args: &mut Args<'_>,
    at: &Span,
    terms: &[&[u64]],
    limit: u64,
    what: &str,
) -> Option<u64> {
    match count::within(count::sum_of_products(terms), limit, what) {
        Ok(count) => Some(count),
        Err(message) => {
            args.error(at.clone(), &message, "too large");
            None
        }
    }
}

/// An axis as Keras counts it (the batch is axis 0, -1 the last), counted from the first after the
/// batch; a mistake at the argument `name` if there is none such.
pub(crate) fn axis(args: &mut Args<'_>, name: &str, axis: i64, input: &Shape) -> Option<usize> {
    let rank = input.rank();
    let resolved = match usize::try_from(axis) {
        Ok(axis) => axis.checked_sub(1),
        Err(_) => usize::try_from(axis.unsigned_abs()).ok().and_then(|back| rank.checked_sub(back)),
    };
    if let Some(axis) = resolved.filter(|axis| *axis < rank) {
        return Some(axis);
    }
    let at = args.span(name);
    let message = format!(
        "`{name}` must be 1 to {rank} or -{rank} to -1 for an input of {input}, found `{axis}`"
    );
    let diagnostic = args.error(at, &message, format!("no axis of {input}"));
    diagnostic.help.push("axis 0 is the batch; -1 is the last axis".to_owned());
    None
}

/// Height, width and channels of the input; a mistake at the layer for another rank.
pub(crate) fn image(args: &mut Args<'_>, input: &Shape) -> Option<[u64; 3]> {
    if let [height, width, channels] = *input.0.as_slice() {
        return Some([height, width, channels]);
    }
    let at = args.at();
    let message = format!("needs an input of height x width x channels, found {input}");
    let diagnostic = args.error(at, &message, format!("its input is {input}"));
    diagnostic.help.push(match *input.0.as_slice() {
        [height, width] => {
            format!("a picture of one channel is declared `input({height}, {width}, 1)`")
        }
        _ => "convolutions and poolings come before `Flatten` and `Dense`".to_owned(),
    });
    None
}
