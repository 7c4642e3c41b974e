//! The plan of predictions: operations that only training needs apart are one, and arrays share memory
//! where their lives do not meet.

use super::plan::Step;
use super::{Part, Scope, lines};

/// How a model predicts.
#[derive(Clone, Debug, Default)]
pub struct Predict {
    /// In order of execution.
    pub calls: Vec<Call>,
    /// Where the input and each step's output lie; `None` for what is never stored, and for an input that
    /// is read where the caller has it.
    pub places: Vec<Option<Place>>,
    /// The arena's slots.
    pub slots: Vec<Slot>,
    /// The buffer that the loss reads.
    pub scores: usize,
    /// The buffer with the outputs.
    pub outputs: usize,
    /// Scratch, for two threads.
    pub scratch: u64,
    /// Floats of the weights that are folded.
    pub folded: u64,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Index of the plan's step that is called, or of the convolution that others are folded into.
    pub step: usize,
    /// What is folded into it.
    pub folded: Option<Folded>,
    /// The buffers that it reads.
    pub inputs: Vec<usize>,
    /// The buffer that it writes.
    pub output: usize,
}

/// What follows a convolution and becomes part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// Index of the normalization's step.
    pub norm: usize,
    /// Whether a sum with the call's second input follows that ends in a relu.
    pub relu: bool,
    /// Where its weights start, counted from the first that is folded.
    pub at: u64,
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the slot.
    pub slot: usize,
    /// Whether there is a row for each image, not one for all.
    pub rows: bool,
}

/// A part of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Floats of a row.
    pub len: u64,
    /// Whether it has a row for each image, or one only.
    pub rows: bool,
}

impl Predict {
    /// Plans the predictions of a model of these steps, whose buffers have these lengths, for up to
    /// `together` images at a time. `scores` is the buffer that the loss reads.
    #[must_use]
    pub fn new(steps: &[Step], lens: &[u64], scores: usize, together: u64) -> Self {
        let mut plan = Self::default();
        plan.call(steps, scores);
        let scratches = plan.calls.iter().map(|call| steps[call.step].op.scratch[0]);
        plan.scratch = 2 * scratches.max().map_or(0, lines);
        plan.place(steps, lens, together);
        plan
    }

    /// Floats of an arena for `capacity` images.
    #[must_use]
    pub fn arena(&self, capacity: u64) -> u64 {
        let slots = self.slots.iter();
        let slots = slots.map(|slot| slot.len.saturating_mul(if slot.rows { capacity } else { 1 }));
        slots.map(lines).fold(self.scratch, u64::saturating_add)
    }

    /// The calls: a step each, but for those that are folded or do nothing in predictions.
    fn call(&mut self, steps: &[Step], scores: usize) {
        let mut stands: Vec<usize> = (0..=steps.len()).collect();
        let mut readers = vec![0; steps.len() + 1];
        for step in steps {
            if step.op.needs.pass {
                // Dropout and noise.
                stands[step.output] = stands[step.input()];
            } else {
                step.inputs.iter().for_each(|&input| readers[stands[input]] += 1);
            }
        }
        [self.scores, self.outputs] = [stands[scores], stands[steps.len()]];
        readers[self.scores] += 1;
        for (index, step) in steps.iter().enumerate().filter(|(_, step)| !step.op.needs.pass) {
            let inputs: Vec<usize> = step.inputs.iter().map(|&input| stands[input]).collect();
            let merged = (0..self.calls.len()).rev().find_map(|before| {
                let call = &self.calls[before];
                let only = readers[call.output] == 1 && inputs.contains(&call.output);
                let merged = only.then(|| fold(steps, call, index, &inputs)).flatten()?;
                self.calls.remove(before);
                Some(merged)
            });
            let own = Call { step: index, folded: None, inputs, output: step.output };
            self.calls.push(merged.unwrap_or(own));
        }
        for call in &mut self.calls {
            if let (Some(folded), Some(sizes)) = (&mut call.folded, steps[call.step].op.sizes) {
                folded.at = self.folded;
                self.folded += lines(sizes.packed);
            }
        }
    }

    /// Gives every buffer a slot, which those whose lives do not meet share.
    fn place(&mut self, steps: &[Step], lens: &[u64], together: u64) {
        let chains = self.chains(steps);
        let mut lives = self.lives(&chains, together, lens.len());
        if !self.copies_input(steps) {
            lives[0] = None;
        }
        self.places = vec![None; lens.len()];
        let mut order: Vec<usize> = (0..lens.len()).filter(|&b| lives[b].is_some()).collect();
        order.sort_by_key(|&buffer| lives[buffer].map(|life| life.first));
        // Until when each slot is taken.
        let mut taken: Vec<usize> = Vec::new();
        for buffer in order {
            let (Some(life), len) = (lives[buffer], lens[buffer]) else { continue };
            let free = (0..taken.len())
                .filter(|&slot| taken[slot] < life.first && self.slots[slot].rows == life.rows);
            // The smallest that is large enough, or else the largest, which grows.
            let fits = |slot: &usize| {
                let has = self.slots[*slot].len;
                (has < len, if has < len { u64::MAX - has } else { has })
            };
            let slot = free.min_by_key(fits).unwrap_or_else(|| {
                self.slots.push(Slot { len, rows: life.rows });
                taken.push(0);
                taken.len() - 1
            });
            self.slots[slot].len = self.slots[slot].len.max(len);
            taken[slot] = life.last;
            self.places[buffer] = Some(Place { slot, rows: life.rows });
        }
    }

    /// Whether predictions begin with a copy of the input: if it is an output too, or if a matrix product reads
    /// it, which goes through all images side by side.
    fn copies_input(&self, steps: &[Step]) -> bool {
        let shared = |call: &&Call| steps[call.step].op.scope == Scope::Shard;
        let read = self.calls.iter().filter(shared).any(|call| call.inputs.contains(&0));
        read || [self.scores, self.outputs].contains(&0)
    }

    /// The numbers of the chains that calls are in: calls in a row that take one image.
    fn chains(&self, steps: &[Step]) -> Vec<usize> {
        let shared = |call: &Call| steps[call.step].op.scope == Scope::Shard;
        let mut chain = 0;
        let mut chains = Vec::new();
        for (index, call) in self.calls.iter().enumerate() {
            chain += usize::from(index > 0 && (shared(call) || shared(&self.calls[index - 1])));
            chains.push(chain);
        }
        chains
    }

    /// From which call to which each buffer is needed, the first being number 1.
    fn lives(&self, chains: &[usize], together: u64, buffers: usize) -> Vec<Option<Life>> {
        let end = chains.len() + 1;
        let mut lives: Vec<Option<Life>> = vec![None; buffers];
        lives[0] = Some(Life { first: 0, last: 0, rows: together > 1 });
        for (index, call) in self.calls.iter().enumerate() {
            lives[call.output] = Some(Life { first: index + 1, last: index + 1, rows: false });
            for &input in &call.inputs {
                if let Some(life) = &mut lives[input] {
                    life.last = index + 1;
                    life.rows |= life.first > 0 && chains[life.first - 1] != chains[index];
                }
            }
        }
        for buffer in [self.scores, self.outputs] {
            if let Some(life) = &mut lives[buffer] {
                (life.last, life.rows) = (end, true);
            }
        }
        for life in lives.iter_mut().flatten() {
            life.rows &= together > 1;
            if life.rows {
                // A chain goes through all of its calls for one image, then for the next, so that what
                // it leaves has its place from the chain's first call on.
                while life.first > 1 && chains[life.first - 2] == chains[life.first - 1] {
                    life.first -= 1;
                }
            }
        }
        lives
    }
}

/// When a buffer is needed.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
    rows: bool,
}

/// `call`, whose output is read by step `index` alone, with that step as part of it.
fn fold(steps: &[Step], call: &Call, index: usize, inputs: &[usize]) -> Option<Call> {
    let (step, conv) = (&steps[index], &steps[call.step]);
    if conv.op.part != Part::Convolution {
        return None;
    }
    let norm = |folded: &Folded| steps[folded.norm].op.part;
    let mut merged = Call { output: step.output, ..call.clone() };
    match (step.op.part, &mut merged.folded) {
        (Part::Normalization { .. }, folded @ None) => {
            *folded = Some(Folded { norm: index, relu: false, at: 0 });
        }
        (Part::Sum { relu }, Some(folded))
            if norm(folded) == (Part::Normalization { relu: false }) && call.inputs.len() == 1 =>
        {
            // The call moves to this place, where all that it adds is there.
            let &[a, b] = inputs else { return None };
            merged.inputs.push(if a == call.output { b } else { a });
            folded.relu = relu;
        }
        _ => return None,
    }
    Some(merged)
}
