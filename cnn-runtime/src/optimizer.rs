//! Optimizers, as Keras defines them.

use std::ops::Range;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::kernel::elementwise;

/// Weights that one task updates.
const TASK: usize = 16 * 1024;

/// An optimizer and its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptimizerKind {
    /// `v = rho v + (1 - rho) g²; w -= learning_rate g / sqrt(v + epsilon)`.
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
        for range in ranges {
            self.step_range(&mut weights[range.clone()], &gradients[range.clone()], range.clone());
        }
    }

    fn step_range(&mut self, weights: &mut [f32], gradients: &[f32], range: Range<usize>) {
        match self.kind {
            OptimizerKind::RMSprop { learning_rate, rho, epsilon } => {
                let [squares] = self.slots.as_mut_slice() else { unreachable!("one slot") };
                let squares = &mut squares[range];
                weights
                    .par_chunks_mut(TASK)
                    .zip(gradients.par_chunks(TASK))
                    .zip(squares.par_chunks_mut(TASK))
                    .for_each(|((weights, gradients), squares)| {
                        elementwise::rmsprop(
                            weights,
                            gradients,
                            squares,
                            learning_rate as f32,
                            rho as f32,
                            (1.0 - rho) as f32,
                            epsilon as f32,
                        );
                    });
            }
        }
    }
}
