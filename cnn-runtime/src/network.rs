//! What the compiler emits for a model: a type that implements [`Network`].

use crate::buffer::Floats;
pub use crate::exchange::Exchange;
pub use crate::optimizer::Learner;
use crate::optimizer::OptimizerKind;

pub use crate::receptive::ReceptiveField;
pub use crate::team::Team;

/// One layer as the summary shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// `conv2d`
    pub name: &'static str,
    /// `Conv2D`
    pub kind: &'static str,
    /// Without the batch.
    pub output_shape: &'static [usize],
    /// Numbers in its weights.
    pub params: usize,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Which pixels of the network's input its outputs can depend on.
    pub field: ReceptiveField,
}

/// One array of weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorInfo {
    /// `conv2d/kernel`
    pub name: &'static str,
    /// In Keras's layout: kernels height x width x in x out, or in x out.
    pub shape: &'static [usize],
    /// Its first float in the model's weights.
    pub offset: usize,
    /// Whether training changes it.
    pub trainable: bool,
    /// How a new model fills it.
    pub initializer: Initializer,
    /// What its size adds to the loss.
    pub regularizer: Regularizer,
}

impl TensorInfo {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How fresh weights are filled, as Keras does.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        /// Inputs of a unit, outputs that an input feeds, or the mean of both.
        fan: f64,
        /// The shape of the distribution.
        distribution: Distribution,
    },
    /// A matrix with the last size as columns, all others as rows, whose rows or columns, of
    /// which it has fewer, are at right angles and of length `gain` (Saxe et al. 2014).
    Orthogonal {
        /// Their length.
        gain: f64,
        /// The last size.
        columns: usize,
    },
    /// A matrix with `gain` on its diagonal, and else 0.
    Identity {
        /// What stands on the diagonal.
        gain: f64,
        /// The last size.
        columns: usize,
    },
    /// The numbers themselves, as many as the tensor holds.
    Values(&'static [f32]),
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

/// What training minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossKind {
    /// Crossentropy from logits, the softmax's gradient and its own as one; the outputs are the
    /// softmax.
    SoftmaxCrossentropy,
    /// Crossentropy from probabilities, clipped to [1e-7, 1 - 1e-7].
    CategoricalCrossentropy,
}

/// What `compile(…)` and `fit(…)` in the model's text say; a program may choose otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// What training minimises.
    pub loss: LossKind,
    /// How it steps.
    pub optimizer: OptimizerKind,
    /// Images per step.
    pub batch_size: usize,
    /// Passes over the data.
    pub epochs: usize,
}

/// What a pass over the layers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Dropout is the identity.
    Inference,
    /// Dropout drops.
    Training {
        /// Of the run.
        seed: u64,
        /// Counted over the whole run.
        step: u64,
        /// Number of the first image in the step's batch.
        first: u64,
    },
}

impl Pass {
    /// Number of the first image in the step's batch.
    pub(crate) const fn first(self) -> usize {
        match self {
            Self::Inference => 0,
            Self::Training { first, .. } => first as usize,
        }
    }
}

/// Where a batch's rows of one array lie: in each shard's arena at one place.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub(crate) floats: &'a [f32],
    pub(crate) at: usize,
    pub(crate) stride: usize,
    pub(crate) shard: usize,
    pub(crate) count: usize,
}

/// What the shards of a batch left in their arenas.
#[derive(Clone, Copy, Debug)]
pub struct Shards<'a> {
    pub(crate) floats: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) shard: usize,
    pub(crate) count: usize,
}

impl<'a> Rows<'a> {
    /// Row `index`, of `width` floats.
    #[must_use]
    pub(crate) fn row(&self, index: usize, width: usize) -> &'a [f32] {
        let (shard, image) = (index / self.shard, index % self.shard);
        &self.floats[shard * self.stride + self.at + image * width..][..width]
    }
}

impl<'a> Shards<'a> {
    /// The rows of the array that starts at `at` in every arena.
    #[must_use]
    pub const fn rows(&self, at: usize) -> Rows<'a> {
        let Self { floats, stride, shard, count } = *self;
        Rows { floats, at, stride, shard, count }
    }

    /// Each shard's part of `len` floats that starts at `at`, in order.
    #[must_use]
    pub fn parts(&self, [at, len]: [usize; 2]) -> Parts<'a> {
        let floats = &self.floats[..self.count.div_ceil(self.shard) * self.stride];
        Parts { floats, stride: self.stride, at, len }
    }

    /// How many images each shard has, in order.
    pub fn sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { shard, count, .. } = *self;
        (0..count.div_ceil(shard)).map(move |index| (count - index * shard).min(shard))
    }

    /// Images in the batch.
    #[must_use]
    pub const fn images(&self) -> usize {
        self.count
    }
}

/// A part of what each shard left in its arena.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    floats: &'a [f32],
    stride: usize,
    at: usize,
    len: usize,
}

impl<'a> Parts<'a> {
    /// A shard every `stride` floats, and all of it.
    #[cfg(test)]
    pub(crate) const fn new(floats: &'a [f32], stride: usize) -> Self {
        Self { floats, stride, at: 0, len: stride }
    }

    /// Of each part `len` floats from `at` on.
    pub(crate) fn cut(self, at: usize, len: usize) -> Self {
        assert!(at + len <= self.len, "a part of a part");
        Self { at: self.at + at, len, ..self }
    }

    /// Shard by shard.
    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        self.floats.chunks_exact(self.stride).map(move |arena| &arena[self.at..][..self.len])
    }
}

/// A compiled model: constants and functions, without storage. [`Model`](crate::Model) holds its
/// weights, [`Predictor`](crate::Predictor) and [`Trainer`](crate::Trainer) what a pass needs.
///
/// A batch is cut into shards of [`SHARD`](Self::SHARD) images. Each shard has an arena for its
/// activations and, in training, a tape for its gradients, and is worked on by one thread; whatever
/// sums over the batch does so in the order of the shards. So the number of threads never shows in
/// a result.
pub trait Network: Send + Sync + Sized + 'static {
    /// `[f32; N]`: all weights, and their gradients, each layer's starting on a cache line.
    type Weights: Floats;
    /// `[f32; N]`: the weights laid out for the way forward.
    type Packed: Floats;
    /// `[f32; N]`: the weights laid out for the way back.
    type Transposed: Floats;
    /// `[f32; N]`: what the images of a batch share in training, such as their statistics.
    type Batch: Floats;
    /// `[f32; N]`: one image.
    type Input: Floats;
    /// `[f32; N]`: one image's outputs.
    type Output: Floats;

    /// The type's name.
    const NAME: &'static str;
    /// The table that Keras would print.
    const SUMMARY: &'static str;
    /// Height, width and channels, or fewer dimensions.
    const INPUT_SHAPE: &'static [usize];
    /// Without the batch.
    const OUTPUT_SHAPE: &'static [usize];
    /// All layers in order.
    const LAYERS: &'static [LayerInfo];
    /// All weights in order.
    const TENSORS: &'static [TensorInfo];
    /// Equal for models that can share a checkpoint.
    const ARCHITECTURE_HASH: u64;
    /// From `compile` and `fit`.
    const DEFAULTS: Defaults;
    /// Images in a shard.
    const SHARD: usize;
    /// The most images that a prediction takes at once: many where they share the weights of large
    /// matrix products, otherwise 1, so that an image's activations stay in cache.
    const TOGETHER: usize;
    /// Floats of an arena that predicts one image; for several that many times as much is enough.
    const SINGLE_ARENA: usize;
    /// Floats of an arena for a shard in training.
    const SHARD_ARENA: usize;
    /// Floats of a shard's tape.
    const TAPE: usize;
    /// How often a training step goes over all shards on the way forward, and as often back.
    /// Between two stages something is summed over the whole batch.
    const STAGES: usize = 1;
    /// Stages that may take a shard's images one after the other, in order, a few in each call, both ways; others
    /// take all at once.
    const BY_IMAGE: &'static [usize] = &[];
    /// Floats that layers which work on a batch as a whole have for each of its images.
    const EXCHANGE: usize = 0;
    /// Starts and lengths, among the weights, of those that [`couple_back`](Self::couple_back) and
    /// [`learn`](Self::learn) move themselves.
    const MOVED: &'static [[usize; 2]] = &[];

    /// Lays the weights out for [`forward`](Self::forward) and [`predict`](Self::predict).
    fn pack(weights: &Self::Weights, packed: &mut Self::Packed);

    /// Lays the weights out for [`backward`](Self::backward).
    fn transpose(weights: &Self::Weights, transposed: &mut Self::Transposed);

    /// As [`pack`](Self::pack), but for those that are [moved](Self::MOVED) and laid out at once.
    fn repack(weights: &Self::Weights, packed: &mut Self::Packed) {
        Self::pack(weights, packed);
    }

    /// As [`transpose`](Self::transpose), but for those that are [moved](Self::MOVED) and laid out at once.
    fn transpose_again(weights: &Self::Weights, transposed: &mut Self::Transposed) {
        Self::transpose(weights, transposed);
    }

    /// Runs the layers over images as they predict, in an arena for up to `capacity`.
    fn predict(
        packed: &Self::Packed,
        team: Team,
        inputs: &[Self::Input],
        capacity: usize,
        arena: &mut [f32],
    );

    /// The outputs' place after [`predict`](Self::predict).
    fn predict_outputs(arena: &mut [f32], capacity: usize) -> &[Self::Output];

    /// What the loss reads of them: the outputs, or the logits where softmax and loss are fused.
    fn predict_scores(arena: &mut [f32], capacity: usize) -> &[Self::Output];

    /// The images' place in a shard's arena.
    fn inputs(arena: &mut [f32]) -> &mut [Self::Input];

    /// One of the [`STAGES`](Self::STAGES) of a training step's way forward, over `images`: the first of a
    /// shard's, whose number in the batch `pass` says, and how many. Notes on the tape what
    /// [`backward`](Self::backward) needs.
    fn forward(
        stage: usize,
        packed: &Self::Packed,
        batch: &Self::Batch,
        exchange: &Exchange,
        pass: Pass,
        images: [usize; 2],
        arena: &mut [f32],
        tape: &mut [f32],
    );

    /// Does over the batch what stands between stage `stage` and the next.
    fn couple(
        stage: usize,
        weights: &Self::Weights,
        packed: &Self::Packed,
        shards: &Shards<'_>,
        batch: &mut Self::Batch,
        exchange: &mut Exchange,
    ) {
        let _ = (stage, weights, packed, shards, batch, exchange);
    }

    /// Does over the batch what stands between stage `stage + 1` and stage `stage` on the way back,
    /// and makes those weights' gradients that come of it.
    fn couple_back(
        stage: usize,
        shards: &Shards<'_>,
        batch: &mut Self::Batch,
        exchange: &mut Exchange,
        learner: &mut Learner<'_>,
    ) {
        let _ = (stage, shards, batch, exchange, learner);
    }

    /// Moves moving statistics among the weights by those of the batch.
    fn update_statistics(batch: &Self::Batch, weights: &mut Self::Weights) {
        let _ = (batch, weights);
    }

    /// What the loss reads: the outputs, or the logits where softmax and loss are fused.
    fn scores(arena: &mut [f32]) -> &mut [Self::Output];

    /// Where the gradients of [`scores`](Self::scores) go.
    fn score_gradients(tape: &mut [f32]) -> &mut [Self::Output];

    /// Runs a stage's layers backward over what `forward` left of the same images, the last stage from the
    /// gradients in [`score_gradients`](Self::score_gradients) on.
    fn backward(
        stage: usize,
        transposed: &Self::Transposed,
        batch: &Self::Batch,
        exchange: &Exchange,
        pass: Pass,
        images: [usize; 2],
        arena: &mut [f32],
        tape: &mut [f32],
    );

    /// Gathers the weights' gradients from all shards; an arena and its tape lie side by side. If the learner
    /// says so, those that are [moved](Self::MOVED) step.
    fn learn(shards: &Shards<'_>, learner: &mut Learner<'_>);

    /// The input's gradients after `backward`; `None` unless the model was compiled with them.
    fn input_gradients(tape: &mut [f32]) -> Option<&mut [Self::Input]> {
        let _ = tape;
        None
    }
}
