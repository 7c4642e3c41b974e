//! The memory plan: where every array of the emitted code lies, and what the way back skips.

use std::collections::HashSet;

use super::{Op, Predict, Scope, lines, lower};
use crate::ir::{Compile, Model, Optimizer, Shape};

/// Bytes of a number.
const F32: u64 = 4;

/// Floats behind a tape's last array, for vectors that read beyond a row's end.
const SLACK: u64 = 16;

/// What is emitted: operations in order, and their storage.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order of execution.
    pub steps: Vec<Step>,
    /// The input, then each step's output.
    pub buffers: Vec<Buffer>,
    /// Images in a shard.
    pub shard: u64,
    /// The most images that a prediction takes at once.
    pub together: u64,
    /// Index of the buffer that the loss reads.
    pub scores: usize,
    /// Arrays of a shard's tape, in order.
    pub tape: Vec<Field>,
    /// Forward scratch.
    pub scratch: u64,
    /// How predictions are made.
    pub predict: Predict,
    /// Floats of all weights, of the packed and of the transposed ones.
    pub weights: [u64; 3],
    /// Floats that a batch's images share.
    pub batch: u64,
    /// Floats that each of a batch's images has in the exchange.
    pub exchange: u64,
    params: u64,
    batch_size: u64,
    slots: u64,
}

/// An operation and the place of everything that it touches.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is called.
    pub op: Op,
    /// The name of its constant, unique.
    pub constant: String,
    /// Indices of the buffers that it reads.
    pub inputs: Vec<usize>,
    /// Index of the buffer that it writes.
    pub output: usize,
    /// Starts of its weights: as they are, packed, transposed, a shard's gradients, what the batch
    /// shares.
    pub at: [u64; 5],
    /// How it takes part in the way back.
    pub backward: Backward,
    /// What it does to each input's gradient on the way back.
    pub pulls: Vec<Pull>,
    /// Whether its output's gradient, where it lies, becomes that of its inputs.
    pub in_place: bool,
    /// The tape's field with what its shard sums up for the batch.
    pub sums: Option<usize>,
    /// Numbers of the chains that it is in, on the way forward and on the way back: operations in a
    /// row that take one image.
    pub segments: [usize; 2],
    /// For a matrix product that training does over the whole batch: where each image's part of
    /// the exchange starts.
    pub exchange: Option<u64>,
}

impl Step {
    /// The first of the buffers that it reads.
    #[must_use]
    pub fn input(&self) -> usize {
        self.inputs[0]
    }

    /// Whether training goes over the whole batch before it.
    #[must_use]
    pub fn couples(&self) -> bool {
        self.op.scope == Scope::Batch || self.exchange.is_some()
    }

    /// Whether it learns: its weights' gradients are made from what all shards hold.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.backward != Backward::Skipped && self.op.trains
    }

    /// Whether it learns by itself: it makes its gradients and moves its weights at once.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.learns() && self.op.needs.learner
    }
}

/// What an operation does to the gradient of one of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Nothing: nothing before it learns.
    None,
    /// Writes it, as the first on the way back.
    Write,
    /// Adds to what others wrote.
    Add,
}

/// How an operation takes part in the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backward {
    /// Not at all: nothing before it learns, or the loss has its gradient already.
    Skipped,
    /// Only its weights' gradients are made.
    WeightsOnly,
    /// Its input's gradient too.
    Full,
}

/// The output of a step, or the input.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The field's name, unique.
    pub name: String,
    /// What one image takes.
    pub shape: Shape,
    /// The tape's field with its gradient, if anything needs it.
    pub gradient: Option<usize>,
    /// The tape's field with its route.
    pub route: Option<usize>,
    /// Whether one row is enough for all images: it is read by nothing but what follows in its chain,
    /// or else made again on the way back.
    pub passing: bool,
    /// Number of the chain on the way back that makes it again.
    pub again: Option<usize>,
}

impl Buffer {
    /// Floats for so many images.
    fn total(&self, images: u64) -> u64 {
        let rows = if self.passing { 1 } else { images };
        lines(self.shape.len().saturating_mul(rows))
    }
}

/// An array of the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Unique.
    pub name: String,
    /// For rustdoc.
    pub about: String,
    /// Floats, for each image if `rows`.
    pub len: u64,
    /// One for each image of the shard, or one for all.
    pub rows: bool,
}

impl Field {
    fn total(&self, shard: u64) -> u64 {
        lines(if self.rows { self.len.saturating_mul(shard) } else { self.len })
    }
}

/// Weights from which on a matrix product is worth going over the whole batch: 128 KiB, which no core
/// holds beside its images.
const LARGE: u64 = 32 * 1024;

/// Whether an operation is a large matrix product.
fn is_large(op: &Op) -> bool {
    op.scope == Scope::Shard && op.sizes.is_some_and(|sizes| sizes.weights >= LARGE)
}

/// Whether training does an operation over the whole batch, and steps at once.
fn is_large_product(op: &Op, backward: Backward) -> bool {
    let vector = op.input.len() == op.input.last();
    is_large(op) && vector && op.trains && backward != Backward::Skipped
}

/// Plans a model; `input_gradient` asks for the gradient of the input too.
#[must_use]
pub fn plan_with(model: &Model, input_gradient: bool) -> Plan {
    let ops = lower(model);
    let has_convolution = ops.iter().any(|op| op.scope != Scope::Shard && op.sizes.is_some());
    // A convolution's images are long work; products of matrices want more rows at once.
    plan_ops(model, ops, if has_convolution { 8 } else { 32 }, input_gradient, true)
}

/// Plans these operations for so many images in a shard; unless gradients are shared, each buffer has
/// its own.
pub(super) fn plan_ops(
    model: &Model,
    ops: Vec<Op>,
    shard: u64,
    input_gradient: bool,
    shared: bool,
) -> Plan {
    let mut plan = Plan {
        steps: Vec::new(),
        buffers: vec![Buffer {
            name: "input".into(),
            shape: model.input.clone(),
            gradient: None,
            route: None,
            passing: false,
            again: None,
        }],
        shard,
        together: if ops.iter().any(is_large) { 32 } else { 1 },
        scores: 0,
        tape: Vec::new(),
        scratch: ops.iter().map(|op| op.scratch[0]).max().unwrap_or(0),
        weights: [0; 3],
        batch: 0,
        exchange: 0,
        predict: Predict::default(),
        params: model.layers.iter().map(crate::ir::Layer::params).sum(),
        batch_size: model.fit.batch_size,
        slots: model.compile.as_ref().map_or(1, slots),
    };
    plan.place(ops, model, input_gradient);
    if shared {
        plan.share_gradients();
    }
    plan.lay_tape();
    let lens: Vec<u64> = plan.buffers.iter().map(|buffer| buffer.shape.len()).collect();
    plan.predict = Predict::new(&plan.steps, &lens, plan.scores, plan.together);
    plan
}

/// Plans a model as it is emitted by default.
#[must_use]
pub fn plan(model: &Model) -> Plan {
    plan_with(model, false)
}

/// Arrays of the weights' size that the optimizer keeps.
fn slots(compile: &Compile) -> u64 {
    match compile.optimizer {
        Optimizer::RMSprop { .. } => 1,
    }
}

impl Plan {
    fn place(&mut self, ops: Vec<Op>, model: &Model, input_gradient: bool) {
        let reserved = ["input", "scratch", "gradients", "spare", "again"];
        let mut taken: HashSet<String> = reserved.map(String::from).into();
        let mut constants = HashSet::new();
        let last = ops.len();
        let head = ops.last().filter(|op| model.compile.is_some() && op.kind == "Softmax");
        self.scores = head.map_or(last, |op| op.sources[0]);
        let skipped = last - usize::from(head.is_some());
        // Whether each buffer depends on weights that learn.
        let mut learns = vec![input_gradient];
        let mut gradients = 0;
        for (index, op) in ops.into_iter().enumerate() {
            let constant = unique(&op.name, &mut constants).to_uppercase();
            let output = if op.layers.len() > 1 { op.layers.last() } else { None };
            let name = unique(output.unwrap_or(&op.name), &mut taken);
            let before = op.sources.iter().any(|&source| learns[source]);
            let backward = match (index >= skipped, before, op.trains) {
                (true, ..) | (false, false, false) => Backward::Skipped,
                (false, false, true) => Backward::WeightsOnly,
                (false, true, _) => Backward::Full,
            };
            learns.push(before || op.trains);
            let exchange = is_large_product(&op, backward).then_some(self.exchange);
            let at = [self.weights[0], self.weights[1], self.weights[2], gradients, self.batch];
            if let Some(sizes) = op.sizes {
                self.weights[0] += lines(sizes.weights);
                self.weights[1] += lines(sizes.packed);
                if backward == Backward::Full && exchange.is_none() {
                    self.weights[2] += lines(sizes.transposed);
                }
                if backward != Backward::Skipped {
                    gradients += lines(sizes.gradients);
                }
                self.batch += lines(sizes.batch);
                if exchange.is_some() {
                    self.exchange += sizes.exchange;
                }
            }
            let shape = op.output.clone();
            self.buffers.push(Buffer {
                name,
                shape,
                gradient: None,
                route: None,
                passing: false,
                again: None,
            });
            let pulls = op.sources.iter().map(|&source| {
                let pulls = backward == Backward::Full && learns[source];
                if pulls { Pull::Add } else { Pull::None }
            });
            self.steps.push(Step {
                inputs: op.sources.clone(),
                output: index + 1,
                at,
                backward,
                pulls: pulls.collect(),
                in_place: false,
                sums: None,
                segments: [0; 2],
                exchange,
                constant,
                op,
            });
        }
        self.number_segments();
        self.choose_first_pulls();
        self.choose_passing();
    }

    /// What the batch has coupled is in one chain with what follows it on the same image: on the way
    /// forward the operations behind it, on the way back those before.
    fn number_segments(&mut self) {
        let mut segments = [0, 0];
        for index in 1..self.steps.len() {
            let scopes = [index - 1, index].map(|step| self.steps[step].op.scope);
            let forward = scopes[0] != Scope::Shard && scopes[1] == Scope::Image;
            let back = scopes[0] == Scope::Image && scopes[1] != Scope::Shard;
            segments[0] += usize::from(!forward);
            segments[1] += usize::from(!back);
            self.steps[index].segments = segments;
        }
    }

    /// Normalising again takes less time than to keep what was normalised: a batch's arrays fit no
    /// cache.
    fn choose_passing(&mut self) {
        let mut busy = HashSet::new();
        for step in 0..self.steps.len() {
            let (maker, buffer) = (&self.steps[step], step + 1);
            let is_read_outside = buffer == self.scores || buffer == self.steps.len();
            if maker.op.scope != Scope::Batch || maker.op.needs.output || is_read_outside {
                continue;
            }
            let readers: Vec<&Step> =
                self.steps.iter().filter(|step| step.inputs.contains(&buffer)).collect();
            let chained = readers.iter().all(|reader| reader.segments[0] == maker.segments[0]);
            let back: HashSet<usize> = readers
                .iter()
                .filter(|reader| reader.op.needs.input && reader.backward != Backward::Skipped)
                .map(|reader| reader.segments[1])
                .collect();
            let again = back.iter().next().copied();
            if chained && back.len() <= 1 && again.is_none_or(|chain| busy.insert(chain)) {
                self.buffers[buffer].passing = true;
                self.buffers[buffer].again = again;
            }
        }
    }

    /// The first on the way back to reach a gradient writes it.
    fn choose_first_pulls(&mut self) {
        let mut written = vec![false; self.buffers.len()];
        for step in self.steps.iter_mut().rev() {
            for (pull, &input) in step.pulls.iter_mut().zip(&step.inputs) {
                if *pull == Pull::Add && !std::mem::replace(&mut written[input], true) {
                    *pull = Pull::Write;
                }
            }
        }
    }

    /// Whoever pulls at a buffer's gradient.
    pub(super) fn pullers(&self, buffer: usize) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| {
            step.inputs.iter().zip(&step.pulls).any(|(&i, &p)| i == buffer && p != Pull::None)
        })
    }

    /// Gradients that leave a chain have a row for each image; inside one a single row is enough.
    fn lay_tape(&mut self) {
        let roots = self.gradient_roots();
        for index in 0..self.buffers.len() {
            let maker = index.checked_sub(1).map(|step| &self.steps[step]);
            let wanted = index == self.scores || self.pullers(index).next().is_some();
            let wanted = wanted && roots[index] == index;
            let routed =
                maker.is_some_and(|step| step.op.needs.route && step.backward != Backward::Skipped);
            let Buffer { name, shape, .. } = self.buffers[index].clone();
            if routed {
                self.buffers[index].route = Some(self.tape.len());
                self.tape.push(Field {
                    name: format!("{name}_route"),
                    about: format!("Which place won in each of `{name}`'s windows."),
                    len: shape.len(),
                    rows: true,
                });
            }
            if wanted {
                self.buffers[index].gradient = Some(self.tape.len());
                self.tape.push(Field {
                    name: if index == self.scores { "scores".into() } else { format!("d_{name}") },
                    about: format!("The loss's gradient by `{name}`."),
                    len: shape.len(),
                    rows: !self.is_inside(index, &roots),
                });
            }
        }
        for (index, &root) in roots.iter().enumerate() {
            self.buffers[index].gradient = self.buffers[root].gradient;
        }
        self.lay_sums();
        self.lay_common();
    }

    /// Whether a gradient and those that share its place stay inside a chain.
    fn is_inside(&self, root: usize, roots: &[usize]) -> bool {
        let mut members = (0..self.buffers.len()).filter(|&buffer| roots[buffer] == root);
        members.all(|buffer| {
            let maker = buffer.checked_sub(1).map(|step| &self.steps[step]);
            let inside = |maker: &Step| {
                let chain = maker.segments[1];
                let mut pullers = self.pullers(buffer);
                maker.op.scope == Scope::Image && pullers.all(|step| step.segments[1] == chain)
            };
            buffer != self.scores && maker.is_some_and(inside)
        })
    }

    fn lay_sums(&mut self) {
        for step in &mut self.steps {
            let sums = step.op.sizes.map_or(0, |sizes| sizes.sums);
            if step.op.scope == Scope::Batch && sums > 0 {
                step.sums = Some(self.tape.len());
                self.tape.push(Field {
                    name: format!("{}_sums", self.buffers[step.output].name),
                    about: "What the batch sums up, of this shard.".into(),
                    len: sums,
                    rows: false,
                });
            }
        }
    }

    fn lay_common(&mut self) {
        let (shard, buffers) = (self.shard, &self.buffers);
        let spare = self.steps.iter().flat_map(|step| {
            let rows = if step.op.scope == Scope::Shard { shard } else { 1 };
            let pulls = step.inputs.iter().zip(&step.pulls);
            let added = pulls.filter(|(_, pull)| **pull == Pull::Add);
            added.map(move |(&input, _)| rows * buffers[input].shape.len())
        });
        if let Some(len) = spare.max() {
            self.tape.push(Field {
                name: "spare".into(),
                about: "A gradient before it is added to another.".into(),
                len,
                rows: false,
            });
        }
        let again = self.buffers.iter().filter(|buffer| buffer.again.is_some());
        if let Some(len) = again.map(|buffer| buffer.shape.len()).max() {
            self.tape.push(Field {
                name: "again".into(),
                about: "An output that is made again.".into(),
                len,
                rows: false,
            });
        }
        let live = || self.steps.iter().filter(|step| step.backward != Backward::Skipped);
        let gradients = live().filter_map(|step| step.op.sizes);
        let own = gradients.map(|sizes| lines(sizes.gradients)).sum::<u64>();
        let scratch = live().map(|step| step.op.scratch[1]).max().unwrap_or(0);
        self.tape.push(Field {
            name: "gradients".into(),
            about: "The weights' gradients that are summed image by image.".into(),
            len: own,
            rows: false,
        });
        self.tape.push(Field {
            name: "scratch".into(),
            about: "Of no meaning between two calls.".into(),
            len: scratch + SLACK,
            rows: false,
        });
    }

    /// Floats of a shard's arena.
    #[must_use]
    pub fn arena(&self) -> u64 {
        let rows = self.buffers.iter().map(|buffer| buffer.total(self.shard));
        rows.fold(lines(self.scratch), u64::saturating_add)
    }

    /// Floats of all packed weights: those of the steps, and behind them those that predictions fold.
    #[must_use]
    pub const fn packed(&self) -> u64 {
        self.weights[1].saturating_add(self.predict.folded)
    }

    /// Start of a buffer in a shard's arena.
    #[must_use]
    pub fn buffer_at(&self, index: usize) -> u64 {
        let before = self.buffers[..index].iter();
        before.map(|buffer| buffer.total(self.shard)).sum()
    }

    /// Start of a tape's field in a shard's arena and tape.
    #[must_use]
    pub fn field_at(&self, index: usize) -> u64 {
        let before = self.tape[..index].iter().map(|field| field.total(self.shard));
        self.arena() + before.sum::<u64>()
    }

    /// Index of the tape's field with the shard's own gradients.
    #[must_use]
    pub fn gradients_field(&self) -> usize {
        self.tape.len() - 2
    }

    /// Floats of a shard's tape.
    #[must_use]
    pub fn tape_len(&self) -> u64 {
        self.tape.iter().fold(0, |sum, field| sum.saturating_add(field.total(self.shard)))
    }

    /// Bytes of the weights alone, as Keras counts them.
    #[must_use]
    pub const fn weights_bytes(&self) -> u64 {
        self.params.saturating_mul(F32)
    }

    /// Bytes that predicting one image after the other takes: weights in both layouts, and an arena. The image
    /// is read where the caller has it.
    #[must_use]
    pub fn inference_bytes(&self) -> u64 {
        let weights = self.weights[0].saturating_add(self.packed());
        weights.saturating_add(self.predict.arena(1)).saturating_mul(F32)
    }

    /// Bytes that training with the model's batch size takes: weights in all layouts, gradients,
    /// the optimizer's memory, and every shard's arena and tape.
    #[must_use]
    pub fn training_bytes(&self) -> u64 {
        let ([weights, _, transposed], packed) = (self.weights, self.packed());
        let shards = self.batch_size.div_ceil(self.shard);
        let shard = self.arena().saturating_add(self.tape_len());
        weights
            .saturating_mul(2 + self.slots)
            .saturating_add(packed)
            .saturating_add(transposed)
            .saturating_add(self.batch)
            .saturating_add(shards.saturating_mul(shard))
            .saturating_add(lines(self.batch_size).saturating_mul(self.exchange))
            .saturating_mul(F32)
    }
}

/// The name, or one that is not taken yet.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let mut name = name.to_owned();
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}
