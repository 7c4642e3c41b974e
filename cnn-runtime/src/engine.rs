//! The training step: a batch through the network and back, and one step of the optimizer.

use std::fmt;
use std::ops::{AddAssign, Range};

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewD};

use crate::buffer::{Buffer, Floats, Storage};
use crate::data::{Examples, Inputs, Targets};
use crate::exchange::Exchange;
use crate::loss::{Target, argmax, crossentropy, softmax_crossentropy};
use crate::model::{Model, load_one, tensor};
use crate::network::{Defaults, LossKind, Network, Pass, Regularizer, Shards, Team};
use crate::optimizer::{Learner, Optimizer, OptimizerKind};
use crate::regularizer;
use crate::team::{awake, share, share_parts};

/// Sums over images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// How many images.
    pub samples: usize,
    /// The sum of their losses, each with the weights' penalty.
    pub loss: f64,
    /// For how many the largest output was the right one.
    pub correct: usize,
}

impl Totals {
    /// Adds what the size of the weights costs to each image's loss.
    fn penalise(&mut self, penalty: f64) {
        self.loss += penalty * self.samples as f64;
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.loss += other.loss;
        self.correct += other.correct;
    }
}

/// How a [`Trainer`] trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What is minimised.
    pub loss: LossKind,
    /// How.
    pub optimizer: OptimizerKind,
    /// The most images in a step.
    pub batch_size: usize,
    /// For dropout.
    pub seed: u64,
}

impl Settings {
    /// What the model's text says.
    #[must_use]
    pub const fn of<N: Network>() -> Self {
        let Defaults { loss, optimizer, batch_size, .. } = N::DEFAULTS;
        Self { loss, optimizer, batch_size, seed: 0 }
    }
}

/// A model in training. Everything that a step needs is allocated here, once.
///
/// Steps run on rayon's current threads, no more than there are cores: call them inside
/// [`rayon::ThreadPool::install`] to choose how many, and to keep even rayon from allocating. The number
/// never shows in a result. Threads that have nothing to do during a step wait awake for up to 2 ms.
pub struct Trainer<'m, N: Network> {
    model: &'m mut Model<N>,
    settings: Settings,
    transposed: Storage<N::Transposed>,
    gradients: Storage<N::Weights>,
    batch: Storage<N::Batch>,
    exchange: Exchange,
    optimizer: Optimizer,
    /// What the optimizer moves at the end of a step, all else being moved by its layers.
    learning: Vec<Range<usize>>,
    /// For each shard an arena and, behind it, its tape.
    shards: Buffer,
    totals: Vec<Totals>,
    steps: u64,
}

impl<'m, N: Network> Trainer<'m, N> {
    const STRIDE: usize = N::SHARD_ARENA + N::TAPE;

    /// Whether layers that can make their gradients and step at once do so: nothing else adds to a
    /// gradient then.
    fn moves_at_once() -> bool {
        N::TENSORS.iter().all(|info| info.regularizer == Regularizer::NONE)
    }

    /// Prepares to train `model`.
    ///
    /// # Panics
    /// If the batch size is 0.
    #[must_use]
    pub fn new(model: &'m mut Model<N>, settings: Settings) -> Self {
        assert!(settings.batch_size > 0, "a batch has at least one image");
        let shards = settings.batch_size.div_ceil(N::SHARD);
        let mut transposed = Storage::zeroed();
        N::transpose(model.stored_weights(), &mut transposed);
        Self {
            model,
            settings,
            transposed,
            gradients: Storage::zeroed(),
            batch: Storage::zeroed(),
            exchange: Exchange::new(settings.batch_size, N::EXCHANGE),
            optimizer: Optimizer::new(settings.optimizer, N::Weights::LEN),
            learning: learning::<N>(Self::moves_at_once()),
            shards: Buffer::zeroed(shards * Self::STRIDE),
            totals: vec![Totals::default(); shards],
            steps: 0,
        }
    }

    /// The model as it is now.
    #[must_use]
    pub fn model(&self) -> &Model<N> {
        self.model
    }

    /// Changes the weights; the optimizer's memory stays.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        self.model.update(change);
        N::transpose(self.model.stored_weights(), &mut self.transposed);
    }

    /// Steps taken so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Counts on from `steps`, for a run that goes on where another ended: dropout depends on the
    /// number of the step.
    pub const fn resume_at(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The optimizer and what it remembers.
    #[must_use]
    pub const fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The gradient of the last [`differentiate`](Self::differentiate)'s mean loss, penalties included,
    /// by a tensor; zeros for one that does not learn. A [`step`](Self::step) does not leave the
    /// gradients of all tensors behind.
    #[must_use]
    pub fn gradient(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        tensor::<N>(self.gradients.floats(), name)
    }

    /// One step on the examples that `indices` names, in their order.
    ///
    /// # Panics
    /// If there are more than the batch size, or an index or a class is out of range.
    pub fn step(&mut self, examples: &Examples<'_>, indices: &[usize]) -> Totals {
        awake(|| self.step_once(examples, indices))
    }

    fn step_once(&mut self, examples: &Examples<'_>, indices: &[usize]) -> Totals {
        let moves = Self::moves_at_once();
        let totals = self.learn(examples, indices, moves);
        let (weights, packed) = self.model.stored_mut();
        self.optimizer.step(weights.floats_mut(), self.gradients.floats(), &self.learning);
        N::update_statistics(&self.batch, weights);
        let (weights, transposed) = (&*weights, &mut *self.transposed);
        if moves {
            rayon::join(|| N::repack(weights, packed), || N::transpose_again(weights, transposed));
        } else {
            rayon::join(|| N::pack(weights, packed), || N::transpose(weights, transposed));
        }
        self.steps += 1;
        totals
    }

    /// Moves the moving statistics (of `BatchNormalization`) by those of the last batch, as a step
    /// does.
    pub fn update_statistics(&mut self) {
        let batch = &self.batch;
        self.model.update_stored(|weights| N::update_statistics(batch, weights));
    }

    /// A step without the step: losses and [gradients](Self::gradient) only.
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub fn differentiate(&mut self, examples: &Examples<'_>, indices: &[usize]) -> Totals {
        self.learn(examples, indices, false)
    }

    /// Losses and gradients; with `moves` the step of those layers that step at once.
    fn learn(&mut self, examples: &Examples<'_>, indices: &[usize], moves: bool) -> Totals {
        assert!(
            (1..=self.settings.batch_size).contains(&indices.len()),
            "a step takes 1 to {} examples, not {}",
            self.settings.batch_size,
            indices.len()
        );
        let loss = self.settings.loss;
        let scale = 1.0 / indices.len() as f32;
        let mut totals = self.run(
            indices.len(),
            moves,
            |i, image| load_one::<N>(examples.inputs, indices[i], image),
            |i, scores, gradients| {
                let target = target::<N>(examples, indices[i]);
                score::<N>(loss, scores, target, scale, gradients.floats_mut())
            },
        );
        let weights = self.model.weights();
        regularizer::add_gradient::<N>(weights, self.gradients.floats_mut());
        totals.penalise(regularizer::penalty::<N>(weights));
        totals
    }

    /// The vector-Jacobian product: the gradients of `sum(outputs * upstream)` by the weights (see
    /// [`gradient`](Self::gradient)) and, if the model was compiled with them, by the inputs. Of a
    /// model whose softmax is fused with its loss the outputs here are the logits.
    ///
    /// `upstream` has a row for each input. Gives a row for each: outputs, input gradients.
    ///
    /// # Panics
    /// If the sizes do not fit, or there are more inputs than the batch size.
    #[allow(clippy::needless_pass_by_value, reason = "views are passed by value")]
    pub fn pull_back(
        &mut self,
        inputs: Inputs<'_>,
        upstream: ArrayView2<'_, f32>,
    ) -> (Array2<f32>, Option<Array2<f32>>) {
        let count = upstream.nrows();
        assert_eq!(inputs.values(), count * N::Input::LEN, "an input for each row of upstream");
        self.run(
            count,
            false,
            |i, image| load_one::<N>(inputs, i, image),
            |i, _, gradients| {
                for (to, from) in gradients.floats_mut().iter_mut().zip(upstream.row(i)) {
                    *to = *from;
                }
                Totals::default()
            },
        );
        let mut outputs = Array2::zeros((count, N::Output::LEN));
        let mut inputs = Array2::zeros((count, N::Input::LEN));
        let mut has_inputs = count > 0;
        for (shard, arena) in self.shards.chunks_exact_mut(Self::STRIDE).enumerate() {
            let (arena, tape) = arena.split_at_mut(N::SHARD_ARENA);
            let first = shard * N::SHARD;
            let (scores, gradients) = (N::scores(arena), N::input_gradients(tape));
            has_inputs &= gradients.is_some();
            for (i, row) in (first..count).zip(&*scores) {
                outputs.row_mut(i).assign(&ArrayView1::from(row.floats()));
            }
            for (i, row) in (first..count).zip(gradients.unwrap_or_default()) {
                inputs.row_mut(i).assign(&ArrayView1::from(row.floats()));
            }
        }
        (outputs, has_inputs.then_some(inputs))
    }

    /// Forward, head and back for `count` images, then the weights' gradients. `head` reads an
    /// image's scores and writes their gradients.
    fn run(
        &mut self,
        count: usize,
        moves: bool,
        load: impl Fn(usize, &mut N::Input) + Sync,
        head: impl Fn(usize, &N::Output, &mut N::Output) -> Totals + Sync,
    ) -> Totals {
        let (seed, step, last) = (self.settings.seed, self.steps, N::STAGES - 1);
        let pass = |first: usize| Pass::Training { seed, step, first: first as u64 };
        for stage in 0..N::STAGES {
            let (packed, transposed) = (self.model.packed(), &*self.transposed);
            let (batch, exchange) = (&self.batch, &self.exchange);
            let turn = |first: usize, images: [usize; 2], arena: &mut [f32], tape: &mut [f32]| {
                if stage == 0 {
                    let inputs = N::inputs(arena).iter_mut().skip(images[0]).take(images[1]);
                    inputs.zip(first..).for_each(|(image, i)| load(i, image));
                }
                let pass = pass(first);
                N::forward(stage, packed, batch, exchange, pass, images, arena, tape);
                let mut totals = Totals::default();
                if stage == last {
                    let scores = N::scores(arena)[..images[1]].iter();
                    let gradients = N::score_gradients(tape).iter_mut();
                    for (i, (scores, gradients)) in scores.zip(gradients).enumerate() {
                        totals += head(first + i, scores, gradients);
                    }
                    N::backward(stage, transposed, batch, exchange, pass, images, arena, tape);
                }
                totals
            };
            sweep::<N>(stage, &mut self.shards, &mut self.totals, count, turn);
            if stage < last {
                let shards = shards::<N>(&self.shards, count);
                let (weights, packed) = (self.model.stored_weights(), self.model.packed());
                let (batch, exchange) = (&mut self.batch, &mut self.exchange);
                N::couple(stage, weights, packed, &shards, batch, exchange);
            }
        }
        let all = self.totals[..count.div_ceil(N::SHARD)].iter().copied();
        let all = all.fold(Totals::default(), |mut all, totals| {
            all += totals;
            all
        });
        for stage in (0..last).rev() {
            let left = shards::<N>(&self.shards, count);
            let (optimizer, gradients) = (&mut self.optimizer, &mut self.gradients);
            let mut learner =
                learner(optimizer, moves, self.model, &mut self.transposed, gradients);
            N::couple_back(stage, &left, &mut self.batch, &mut self.exchange, &mut learner);
            let (transposed, batch, exchange) = (&*self.transposed, &self.batch, &self.exchange);
            let turn = |first: usize, images: [usize; 2], arena: &mut [f32], tape: &mut [f32]| {
                let pass = pass(first);
                N::backward(stage, transposed, batch, exchange, pass, images, arena, tape);
                Totals::default()
            };
            sweep::<N>(stage, &mut self.shards, &mut self.totals, count, turn);
        }
        let (optimizer, gradients) = (&mut self.optimizer, &mut self.gradients);
        let mut learner = learner(optimizer, moves, self.model, &mut self.transposed, gradients);
        N::learn(&shards::<N>(&self.shards, count), &mut learner);
        all
    }
}

/// What the layers learn with; without `moves` they only make their gradients.
fn learner<'a, N: Network>(
    optimizer: &'a mut Optimizer,
    moves: bool,
    model: &'a mut Model<N>,
    transposed: &'a mut Storage<N::Transposed>,
    gradients: &'a mut Storage<N::Weights>,
) -> Learner<'a> {
    let (weights, packed) = model.stored_mut();
    let laid_out = [packed.floats_mut(), transposed.floats_mut()];
    optimizer.learner(moves, weights.floats_mut(), laid_out, gradients.floats_mut())
}

/// The ranges of tensors that learn, without those that are moved by their layers; what lies between
/// two of them goes along.
fn learning<N: Network>(moves_at_once: bool) -> Vec<Range<usize>> {
    let moved = if moves_at_once { N::MOVED } else { &[] };
    let moved = |at: usize| moved.iter().any(|&[start, len]| (start..start + len).contains(&at));
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for info in N::TENSORS {
        let (end, learns) = (info.offset + info.len(), info.trainable && !moved(info.offset));
        match ranges.last_mut().filter(|_| open) {
            Some(range) if learns => range.end = end,
            _ if learns => ranges.push(info.offset..end),
            _ => {}
        }
        open = learns;
    }
    ranges
}

/// What the shards of a batch of `count` images hold.
fn shards<N: Network>(floats: &[f32], count: usize) -> Shards<'_> {
    Shards { floats, stride: Trainer::<N>::STRIDE, shard: N::SHARD, count }
}

/// A shard in a sweep.
struct Turn<'a> {
    arena: &'a mut [f32],
    tape: &'a mut [f32],
    totals: &'a mut Totals,
    /// Of its images those yet to come, by their numbers in the batch.
    images: Range<usize>,
}

/// Takes all shards of `count` images through a stage, in parallel, and sets their totals:
/// `turn(the first image's number in the batch, the same in its shard and how many, arena, tape)`.
fn sweep<N: Network>(
    stage: usize,
    floats: &mut [f32],
    totals: &mut [Totals],
    count: usize,
    turn: impl Fn(usize, [usize; 2], &mut [f32], &mut [f32]) -> Totals + Sync,
) {
    let totals = &mut totals[..count.div_ceil(N::SHARD)];
    let shards = floats.chunks_mut(Trainer::<N>::STRIDE).zip(totals).enumerate();
    let shards = shards.map(|(shard, (arena, totals))| {
        let (arena, tape) = arena.split_at_mut(N::SHARD_ARENA);
        let first = shard * N::SHARD;
        *totals = Totals::default();
        Turn { arena, tape, totals, images: first..count.min(first + N::SHARD) }
    });
    let go_on = |shard: &mut Turn<'_>, count: usize| {
        let first = shard.images.start;
        let images = [first % N::SHARD, count];
        *shard.totals += turn(first, images, &mut *shard.arena, &mut *shard.tape);
        shard.images.start += count;
    };
    if N::BY_IMAGE.contains(&stage) {
        share_parts(shards, |shard| shard.images.len(), go_on);
    } else {
        share(shards, |mut shard| {
            let all = shard.images.len();
            go_on(&mut shard, all);
        });
    }
}

impl<N: Network> fmt::Debug for Trainer<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trainer<{}>({} steps)", N::NAME, self.steps)
    }
}

impl<N: Network> Model<N> {
    /// Losses, with the penalties that regularizers add, and right answers over all examples,
    /// without dropout, on rayon's current threads.
    ///
    /// # Panics
    /// If a class is out of range.
    #[must_use]
    pub fn score(&self, examples: &Examples<'_>, loss: LossKind) -> Totals {
        let together = N::TOGETHER;
        let mut images = vec![Totals::default(); examples.len()];
        self.sweep(examples.inputs, &mut images, together, |first, inputs, totals, arena| {
            N::predict(self.packed(), Team::One, inputs, together, arena);
            let scores = N::predict_scores(arena, together).iter();
            for (i, (totals, scores)) in totals.iter_mut().zip(scores).enumerate() {
                let target = target::<N>(examples, first + i);
                *totals = score::<N>(loss, scores, target, 1.0, &mut []);
            }
        });
        let mut all = Totals::default();
        for totals in images {
            all += totals;
        }
        all.penalise(regularizer::penalty::<N>(self.weights()));
        all
    }
}

fn target<'a, N: Network>(examples: &Examples<'a>, index: usize) -> Target<'a> {
    match examples.targets {
        Targets::Classes(classes) => Target::Class(classes[index] as usize),
        Targets::OneHot(rows) => Target::OneHot(&rows[index * N::Output::LEN..][..N::Output::LEN]),
    }
}

/// One image's loss, and `scale` times its gradient unless `gradients` is empty.
fn score<N: Network>(
    loss: LossKind,
    scores: &N::Output,
    target: Target<'_>,
    scale: f32,
    gradients: &mut [f32],
) -> Totals {
    let scores = scores.floats();
    let class = match target {
        Target::Class(class) => class,
        Target::OneHot(row) => argmax(row),
    };
    let loss = match loss {
        LossKind::SoftmaxCrossentropy => softmax_crossentropy(scores, target, scale, gradients),
        LossKind::CategoricalCrossentropy => crossentropy(scores, target, scale, gradients),
    };
    Totals { samples: 1, loss, correct: usize::from(argmax(scores) == class) }
}
