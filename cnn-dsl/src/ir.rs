//! The checked model: names resolved, shapes known, weights counted.
//!
//! Both doors (`.cnn` files and `cnn!`) end here, and everything that is emitted, printed or
//! measured starts here. No spans: two texts that mean the same model have equal IR.

use std::fmt;

use crate::layer::Kind;

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
    /// Multiply-adds for one input.
    pub macs: u64,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Keras's name: `kernel`, `bias`.
    pub name: &'static str,
    /// Keras's layout: `(kh, kw, in, out)` for convolutions, `(in, out)` for dense kernels.
    pub shape: Vec<u64>,
    /// How a new model fills it.
    pub initializer: Initializer,
    /// Whether training changes it.
    pub trainable: bool,
}

impl Weight {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    /// A kernel, filled as Keras does unless told otherwise: the last two sizes are what goes in
    /// and what comes out, all before them are places that see it.
    #[must_use]
    pub fn glorot(name: &'static str, shape: &[u64]) -> Self {
        let (places, ends) = shape.split_at(shape.len().saturating_sub(2));
        let field: u64 = places.iter().product();
        let [fan_in, fan_out] = [ends.first(), ends.last()].map(|end| field * end.unwrap_or(&1));
        let initializer = Initializer::GlorotUniform { fan_in, fan_out };
        Self { name, shape: shape.to_vec(), initializer, trainable: true }
    }

    /// The bias of a layer with `units` outputs: zeros.
    #[must_use]
    pub fn bias(units: u64) -> Self {
        Self { name: "bias", shape: vec![units], initializer: Initializer::Zeros, trainable: true }
    }

    /// Whether it holds none; never true of a checked weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How fresh weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initializer {
    /// Uniform in ±sqrt(6 / (`fan_in` + `fan_out`)) (Glorot and Bengio 2010).
    GlorotUniform {
        /// Inputs a unit sees: `kh * kw * in` or `in`.
        fan_in: u64,
        /// Outputs an input feeds: `kh * kw * out` or `out`.
        fan_out: u64,
    },
    /// All zero.
    Zeros,
    /// All one.
    Ones,
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
