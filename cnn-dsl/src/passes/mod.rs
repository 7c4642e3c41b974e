//! From layers to what the emitted code does: fused operations, and where everything lies.

mod apart;
mod conv;
mod ops;
mod plan;
mod predict;
mod share;

use std::fmt::Write;

use proc_macro2::TokenStream;

use crate::ir::{Model, Shape};
use crate::layer::Kind;

pub use apart::{Apart, View, apart};
pub(crate) use conv::{convolution, framed, settings};
pub use ops::lower;
#[allow(unused_imports, reason = "for kinds of layer to come")]
pub(crate) use ops::{array, elementwise, float, image_op, panels, separate, softmax};
pub use plan::{Backward, Buffer, Field, Plan, Pull, Step, plan, plan_with};
pub use predict::{Call, Folded, Place, Predict, Slot};

/// Floats in a cache line: what the start of every array is rounded up to.
pub(crate) const LINE: u64 = 16;

/// Floats in a vector.
pub(crate) const LANES: u64 = 8;

/// Channels in a panel of packed weights.
pub(crate) const PANEL: u64 = 16;

/// Rounds up to whole cache lines.
pub(crate) const fn lines(floats: u64) -> u64 {
    floats.next_multiple_of(LINE)
}

/// One call of the emitted code: a layer, or several as one.
#[derive(Clone, Debug)]
pub struct Op {
    /// The first layer's name, and an activation's behind it where that is a call of its own.
    pub name: String,
    /// The layers that it computes.
    pub layers: Vec<String>,
    /// The buffers that it reads: 0 is the model's input, `i` the output of operation `i - 1`.
    pub sources: Vec<usize>,
    /// Whether training changes weights of its.
    pub trains: bool,
    /// Which of the first layer's weights it holds, if it has [`sizes`](Self::sizes).
    pub weights: std::ops::Range<usize>,
    /// The runtime's type that describes it, e.g. `ConvPool`.
    pub kind: &'static str,
    /// A constant expression of that type.
    pub descriptor: TokenStream,
    /// Shape of its input.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// Whether a call takes one image or a whole shard.
    pub scope: Scope,
    /// Floats of its weights in each layout; `None` if it has none.
    pub sizes: Option<Sizes>,
    /// Scratch floats of the way forward and of the way back.
    pub scratch: [u64; 2],
    /// What its calls take beside input and output.
    pub needs: Needs,
    /// What predictions may make of it together with others.
    pub part: Part,
}

/// What predictions may make one with a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    Other,
    /// A `Conv2D` without a relu.
    Convolution,
    /// A `BatchNormalization` over the last axis.
    Normalization {
        /// Whether it has a relu.
        relu: bool,
    },
    /// The sum of two arrays of one shape.
    Sum {
        /// Whether it has a relu.
        relu: bool,
    },
}

/// What one call works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One image, so that a chain of such calls runs depth first in cache.
    Image,
    /// All images of a shard: a matrix product that shares its weights between them.
    Shard,
    /// One image, but in training only after something was summed over the whole batch, on the way
    /// forward and on the way back.
    Batch,
}

/// Floats of an operation's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Kernel and bias.
    pub weights: u64,
    /// Laid out for the way forward.
    pub packed: u64,
    /// Laid out for the way back.
    pub transposed: u64,
    /// Gradients that each shard collects for itself; 0 if they are made from the whole batch.
    pub gradients: u64,
    /// What the batch's images share; only of [`Scope::Batch`].
    pub batch: u64,
    /// What each shard sums up for it.
    pub sums: u64,
    /// What each image has in the exchange, if training goes over the whole batch.
    pub exchange: u64,
}

/// What an operation's calls take beside input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one parameter of a call")]
pub struct Needs {
    /// `backward` takes the input.
    pub input: bool,
    /// `backward` takes the output.
    pub output: bool,
    /// `forward` leaves a route of the output's size for `backward`.
    pub route: bool,
    /// Both take the pass and the image's number.
    pub pass: bool,
    /// It merges several inputs: `forward` takes a list of them, `backward` the number of the one
    /// whose gradient is wanted, and, if it needs the input, the list.
    pub many: bool,
    /// It takes a learner: with its gradients it moves its weights and lays them out.
    pub learner: bool,
}

/// A number that is equal for models that can share a checkpoint: layers, arguments, names and
/// shapes, but not `compile` and `fit`. FNV-1a (Fowler, Noll, Vo) over a description of them.
#[must_use]
pub fn architecture_hash(model: &Model) -> u64 {
    let mut text = format!("cnn 1; input {}", model.input);
    for (index, layer) in model.layers.iter().enumerate() {
        let arguments = arguments(&layer.kind);
        let class = layer.kind.class();
        let _ = write!(text, "; {} {class}({arguments})", layer.name);
        // A layer that takes the output of the one before says nothing of it.
        if layer.sources != [index] {
            let _ = write!(text, "{:?}", layer.sources);
        }
        let _ = write!(text, " -> {}", layer.output);
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What of a layer's arguments its shapes do not say.
fn arguments(kind: &Kind) -> String {
    match kind {
        Kind::Conv2D(conv) => {
            let groups = match conv.groups {
                1 => String::new(),
                groups => format!(" in {groups} groups"),
            };
            format!(
                "{:?} {:?} {:?} {:?} {} {}{groups}",
                conv.kernel_size,
                conv.strides,
                conv.dilation_rate,
                conv.padding,
                conv.use_bias,
                conv.activation.name()
            )
        }
        Kind::MaxPooling2D(pool) => {
            format!("{:?} {:?} {:?}", pool.pool_size, pool.strides, pool.padding)
        }
        Kind::Dense(dense) => format!("{} {}", dense.use_bias, dense.activation.name()),
        Kind::Activation(activation) => activation.name().into(),
        Kind::ReLU(relu) => {
            format!("{:?} {} {}", relu.max_value, relu.negative_slope, relu.threshold)
        }
        Kind::Plain(plain) => plain.arguments(),
    }
}
