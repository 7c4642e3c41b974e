//! The checked model: names resolved, shapes known, weights counted.
//!
//! Both doors (`.cnn` files and `cnn!`) end here, and everything that is emitted, printed or
//! measured starts here. No spans: two texts that mean the same model have equal IR.

use std::fmt;

use crate::layer::Kind;
use crate::receptive::ReceptiveField;

/// A shape without its batch dimension: `[height, width, channels]`, `[rows, features]` or
/// `[features]`. Every size is at least 1, and the product at most 2^40.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(pub Vec<u64>);

impl Shape {
    /// The number of values, the product of all sizes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().product()
    }

    /// Whether there are no values; never true of a checked shape.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The size of the last dimension: channels or features.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.last().copied().unwrap_or(1)
    }
}

/// `28x28x1`
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, size) in self.0.iter().enumerate() {
            write!(f, "{}{size}", if i == 0 { "" } else { "x" })?;
        }
        Ok(())
    }
}

/// A model that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The type's name in the emitted code, e.g. `MnistCnn`.
    pub name: String,
    /// Doc comment lines without the `///`.
    pub docs: Vec<String>,
    /// Shape of one input.
    pub input: Shape,
    /// In order of execution; at least one.
    pub layers: Vec<Layer>,
    /// `compile(…)`: `None` where the text has none.
    pub compile: Option<Compile>,
    /// `fit(…)`, absent arguments at Keras's defaults.
    pub fit: Fit,
    /// `inspect;`: whether it can be looked into once it is trained.
    pub inspect: bool,
}

impl Model {
    /// How many numbers the weights of all layers hold.
    #[must_use]
    pub fn params(&self) -> u64 {
        self.layers.iter().map(Layer::params).sum()
    }

    /// How many of them training changes.
    #[must_use]
    pub fn trainable_params(&self) -> u64 {
        let weights = self.layers.iter().flat_map(|layer| &layer.weights);
        weights.filter(|weight| weight.trainable).map(Weight::len).sum()
    }

    /// Multiply-adds for one input.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs).sum()
    }

    /// Shape of the output for one input.
    #[must_use]
    pub fn output(&self) -> &Shape {
        self.layers.last().map_or(&self.input, |layer| &layer.output)
    }
}

/// One layer, checked against its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Given or automatic (`conv2d`, `conv2d_1`), unique in the model.
    pub name: String,
    /// Doc comment lines.
    pub docs: Vec<String>,
    /// What it computes, arguments resolved.
    pub kind: Kind,
    /// Where its inputs come from: 0 is the model's input, `i` the output of layer `i - 1`. One,
    /// but for layers that merge.
    pub sources: Vec<usize>,
    /// Shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// Shape of its output.
    pub output: Shape,
    /// Its weights in Keras's order (kernel, then bias).
    pub weights: Vec<Weight>,
    /// Whether training changes it; if not, none of its weights is trainable.
    pub trainable: bool,
    /// Multiply-adds for one input.
    pub macs: u64,
    /// Which pixels of the model's input an output can depend on.
    pub field: ReceptiveField,
}

impl Layer {
    /// Shape of its input, the first where it merges several.
    #[must_use]
    pub fn input(&self) -> &Shape {
        &self.inputs[0]
    }

    /// How many numbers its weights hold.
    #[must_use]
    pub fn params(&self) -> u64 {
        self.weights.iter().map(Weight::len).sum()
    }
}

/// A trainable or fixed array of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Keras's name: `kernel`, `bias`.
    pub name: &'static str,
    /// Keras's layout: `(kh, kw, in, out)` for convolutions, `(in, out)` for dense kernels.
    pub shape: Vec<u64>,
    /// How a new model fills it.
    pub initializer: Initializer,
    /// What its size adds to the loss.
    pub regularizer: Regularizer,
    /// Whether training changes it.
    pub trainable: bool,
}

impl Weight {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The weight in a layer that learns or does not.
    #[must_use]
    pub fn of(self, trainable: bool) -> Self {
        Self { trainable: self.trainable && trainable, ..self }
    }

    /// Whether it holds none; never true of a checked weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How fresh weights are filled. Numbers are kept as written, in `f64`.
#[derive(Clone, Debug, PartialEq)]
pub enum Initializer {
    /// One number everywhere.
    Constant(f64),
    /// Each number alike in an interval.
    Uniform {
        /// Its lower end.
        min: f64,
        /// Its upper end.
        max: f64,
    },
    /// Normally distributed.
    Normal {
        /// The middle.
        mean: f64,
        /// The standard deviation.
        stddev: f64,
    },
    /// Normally distributed, and drawn again beyond two standard deviations.
    TruncatedNormal {
        /// The middle.
        mean: f64,
        /// The standard deviation before anything is drawn again.
        stddev: f64,
    },
    /// Of mean 0 and variance `scale / fan` (He et al. 2015; Glorot and Bengio 2010).
    VarianceScaling {
        /// The variance of a sum over `fan` of them.
        scale: f64,
        /// Inputs a unit sees, outputs an input feeds, or the mean of both; at least 1.
        fan: f64,
        /// The shape of the distribution.
        distribution: Distribution,
    },
    /// A matrix with the last size as columns, all others as rows, whose rows or columns, of
    /// which it has fewer, are at right angles and of length `gain`.
    Orthogonal {
        /// Their length.
        gain: f64,
        /// The last size.
        columns: u64,
    },
    /// A matrix with `gain` on its diagonal, and else 0.
    Identity {
        /// What stands on the diagonal.
        gain: f64,
        /// The last size.
        columns: u64,
    },
    /// The numbers that the text gives, in the order of the shape.
    Values(Vec<f32>),
}

impl Initializer {
    /// All 0.
    pub const ZEROS: Self = Self::Constant(0.0);
    /// All 1.
    pub const ONES: Self = Self::Constant(1.0);
}

/// Distributions of [`Initializer::VarianceScaling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// In ±sqrt(3 variance).
    Uniform,
    /// Beyond two standard deviations drawn again, after which the variance is the one asked for.
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
}

/// Adds `l1 * sum |w| + l2 * sum w²` to the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularizer {
    /// The factor of the sum of absolute values, 0 without.
    pub l1: f64,
    /// The factor of the sum of squares, 0 without.
    pub l2: f64,
}

impl Regularizer {
    /// Adds nothing.
    pub const NONE: Self = Self { l1: 0.0, l2: 0.0 };
}

/// `compile(loss = …, optimizer = …, metrics = […])`: what the program may override.
#[derive(Clone, Debug, PartialEq)]
pub struct Compile {
    /// What training minimises.
    pub loss: Loss,
    /// How it steps.
    pub optimizer: Optimizer,
    /// What is reported beside the loss.
    pub metrics: Vec<Metric>,
}

/// Losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Against one-hot rows (or class numbers, which mean the same).
    CategoricalCrossentropy,
    /// Keras's name for crossentropy against class numbers.
    SparseCategoricalCrossentropy,
}

/// Optimizers. The numbers are kept as written, in `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// `v = rho v + (1 - rho) g²; w -= learning_rate g / sqrt(v + epsilon)`.
    RMSprop {
        /// 0.001 unless given.
        learning_rate: f64,
        /// 0.9 unless given.
        rho: f64,
        /// 1e-7 unless given.
        epsilon: f64,
    },
}

/// Metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The share of inputs whose largest output is the right class.
    Accuracy,
}

/// `fit(batch_size = 32, epochs = 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Inputs per step.
    pub batch_size: u64,
    /// Passes over the data.
    pub epochs: u64,
}

impl Default for Fit {
    fn default() -> Self {
        Self { batch_size: 32, epochs: 1 }
    }
}
