//! Optimizers, as Keras defines them.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::kernel::rmsprop::{self, Rule};
use crate::layer::At;
use crate::team::share;

/// Weights that one task updates.
const TASK: usize = 16 * 1024;

/// An optimizer and its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptimizerKind {
    /// `v = rho v + (1 - rho) g²; w -= learning_rate g / sqrt(v + epsilon)`, and 2^-120 is added to `v`, which
    /// so stays a normal number.
    RMSprop {
        /// Keras: 0.001.
        learning_rate: f64,
        /// Keras: 0.9.
        rho: f64,
        /// Inside the root. Keras: 1e-7.
        epsilon: f64,
    },
}

impl OptimizerKind {
    /// `RMSprop` with Keras's settings.
    pub const RMSPROP: Self = Self::RMSprop { learning_rate: 0.001, rho: 0.9, epsilon: 1e-7 };

    /// Arrays of the weights' size that it remembers between steps.
    #[must_use]
    pub const fn slots(self) -> usize {
        match self {
            Self::RMSprop { .. } => 1,
        }
    }
}

/// An optimizer with its memory.
#[derive(Clone, Debug)]
pub struct Optimizer {
    kind: OptimizerKind,
    slots: Vec<Buffer>,
}

impl Optimizer {
    /// For `len` weights.
    #[must_use]
    pub fn new(kind: OptimizerKind, len: usize) -> Self {
        Self { kind, slots: vec![Buffer::zeroed(len); kind.slots()] }
    }

    /// Its kind and settings.
    #[must_use]
    pub const fn kind(&self) -> OptimizerKind {
        self.kind
    }

    /// What it remembers: for `RMSprop` the running mean of squared gradients.
    #[must_use]
    pub fn slots(&self) -> &[Buffer] {
        &self.slots
    }

    /// Moves those of the `weights` that lie in `ranges` against `gradients`; each weight for
    /// itself, so in parallel.
    pub fn step(&mut self, weights: &mut [f32], gradients: &[f32], ranges: &[Range<usize>]) {
        let rule = self.rule();
        for range in ranges {
            let weights = weights[range.clone()].chunks_mut(TASK);
            let all = weights.zip(gradients[range.clone()].chunks(TASK));
            let all = all.zip(self.squares()[range.clone()].chunks_mut(TASK));
            share(all, |((weights, gradients), squares)| {
                rmsprop::step(rule, weights, gradients, squares);
            });
        }
    }

    fn rule(&self) -> Rule {
        let OptimizerKind::RMSprop { learning_rate, rho, epsilon } = self.kind;
        Rule {
            rate: learning_rate as f32,
            rho: rho as f32,
            rest: (1.0 - rho) as f32,
            epsilon: epsilon as f32,
        }
    }

    fn squares(&mut self) -> &mut [f32] {
        let [squares] = self.slots.as_mut_slice() else { unreachable!("one slot") };
        squares
    }

    /// For layers that make their gradients and step at once; without `moves` they only make the
    /// gradients.
    pub(crate) fn learner<'a>(
        &'a mut self,
        moves: bool,
        weights: &'a mut [f32],
        [packed, transposed]: [&'a mut [f32]; 2],
        gradients: &'a mut [f32],
    ) -> Learner<'a> {
        let rule = moves.then(|| self.rule());
        let squares = self.squares();
        Learner { from: At::START, weights, packed, transposed, gradients, squares, rule }
    }
}

/// What layers need that make their weights' gradients and step at once, and lay out what came of it.
#[derive(Debug)]
pub struct Learner<'a> {
    /// Where these arrays start in those of the model.
    from: At,
    pub(crate) weights: &'a mut [f32],
    pub(crate) packed: &'a mut [f32],
    pub(crate) transposed: &'a mut [f32],
    pub(crate) gradients: &'a mut [f32],
    /// What the optimizer remembers.
    pub(crate) squares: &'a mut [f32],
    /// How to step; without it only gradients are made.
    pub(crate) rule: Option<Rule>,
}

impl Learner<'_> {
    /// The gradients of all weights.
    ///
    /// # Panics
    /// If this is one of [two](Self::in_two).
    pub fn gradients(&mut self) -> &mut [f32] {
        assert_eq!(self.from, At::START, "the gradients of all weights");
        self.gradients
    }

    /// Lets the layers that lie before `middle` learn with `before`, and those from there on with `behind`, on
    /// another thread if one is free.
    pub fn in_two(
        &mut self,
        middle: At,
        before: impl FnOnce(&mut Learner<'_>) + Send,
        behind: impl FnOnce(&mut Learner<'_>) + Send,
    ) {
        let Self { from, weights, packed, transposed, gradients, squares, rule } = self;
        let at = middle.weights - from.weights;
        let [weights, gradients, squares] =
            [weights, gradients, squares].map(|floats| floats.split_at_mut(at));
        let packed = packed.split_at_mut(middle.packed - from.packed);
        let transposed = transposed.split_at_mut(middle.transposed - from.transposed);
        let mut first = Learner {
            from: *from,
            weights: weights.0,
            packed: packed.0,
            transposed: transposed.0,
            gradients: gradients.0,
            squares: squares.0,
            rule: *rule,
        };
        let mut second = Learner {
            from: middle,
            weights: weights.1,
            packed: packed.1,
            transposed: transposed.1,
            gradients: gradients.1,
            squares: squares.1,
            rule: *rule,
        };
        rayon::join(|| before(&mut first), || behind(&mut second));
    }

    /// A layer's own parts, of so many weights, packed and transposed ones.
    pub(crate) fn own(&mut self, at: At, [weights, packed, transposed]: [usize; 3]) -> Own<'_> {
        let first = at.weights - self.from.weights;
        // Layers without transposed weights have no place for them.
        let turned = if transposed == 0 { 0 } else { at.transposed - self.from.transposed };
        Own {
            rule: self.rule,
            weights: &mut self.weights[first..][..weights],
            packed: &mut self.packed[at.packed - self.from.packed..][..packed],
            transposed: &mut self.transposed[turned..][..transposed],
            gradients: &mut self.gradients[first..][..weights],
            squares: &mut self.squares[first..][..weights],
        }
    }
}

/// A layer's part of a [`Learner`].
#[derive(Debug)]
pub(crate) struct Own<'a> {
    pub rule: Option<Rule>,
    pub weights: &'a mut [f32],
    pub packed: &'a mut [f32],
    pub transposed: &'a mut [f32],
    pub gradients: &'a mut [f32],
    pub squares: &'a mut [f32],
}
