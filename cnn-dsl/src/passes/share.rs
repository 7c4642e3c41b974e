//! The gradient of a sum is that of all its inputs: one array can hold them.

use std::collections::HashSet;

use super::{Backward, Plan, Pull, Scope};

impl Plan {
    /// Finds the sums that pass their gradient on in place.
    pub(super) fn share_gradients(&mut self) {
        for index in 0..self.steps.len() {
            self.steps[index].in_place = self.can_share(index);
        }
    }

    /// Whether nobody changes the common gradient before all have read it. On the way back that of the
    /// input that was made first is read last; only there something may still be added.
    fn can_share(&self, index: usize) -> bool {
        let step = &self.steps[index];
        let distinct: HashSet<usize> = step.inputs.iter().copied().collect();
        let first = distinct.iter().min().copied().unwrap_or(0);
        let next = distinct.iter().filter(|&&input| input != first).min().copied().unwrap_or(0);
        let pulled = |buffer: usize| {
            let others = self.pullers(buffer).map(|puller| puller.output - 1);
            others.filter(move |&puller| puller != index)
        };
        let rests = |input: usize| {
            let maker = &self.steps[input - 1];
            input == first || (maker.op.kind != "Add" && pulled(input).next().is_none())
        };
        step.op.kind == "Add"
            && step.backward == Backward::Full
            && step.output != self.scores
            && step.pulls.iter().all(|&pull| pull == Pull::Write)
            && distinct.len() == step.inputs.len()
            && first > 0
            && distinct.iter().all(|&input| self.steps[input - 1].op.scope != Scope::Shard)
            && distinct.iter().all(|&input| rests(input))
            && pulled(first).all(|puller| puller < next - 1)
    }

    /// For each buffer the one whose gradient's place is that of this one's too.
    pub(super) fn gradient_roots(&self) -> Vec<usize> {
        let mut roots: Vec<usize> = (0..self.buffers.len()).collect();
        for step in self.steps.iter().rev().filter(|step| step.in_place) {
            for &input in &step.inputs {
                roots[input] = roots[step.output];
            }
        }
        roots
    }
}
