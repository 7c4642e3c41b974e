//! Work for several threads.

use std::ops::Range;

use rayon::prelude::*;

/// Who computes a layer's output for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Team {
    /// The thread that asks.
    One,
    /// It and another of its rayon pool, half of the output each.
    Two,
}

/// Multiply-adds from which on half of a layer takes longer than to hand it over: a few microseconds.
const WORTH: u64 = 150_000;

impl Team {
    /// Two if this thread is one of several in a rayon pool. From outside handing over would take
    /// longer than most layers.
    #[must_use]
    pub fn current() -> Self {
        let inside = rayon::current_thread_index().is_some();
        if inside && rayon::current_num_threads() > 1 { Self::Two } else { Self::One }
    }

    /// Whether it shares a layer of so many multiply-adds.
    pub(crate) fn shares(self, macs: u64) -> bool {
        self == Self::Two && macs >= WORTH
    }
}

/// Calls `work(i, chunk i)` for each `len` floats, in parallel. Not generic, so that rayon's machinery is
/// compiled once, not for each loop.
pub(crate) fn for_each_chunk(
    floats: &mut [f32],
    len: usize,
    work: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    floats.par_chunks_mut(len).enumerate().for_each(|(i, chunk)| work(i, chunk));
}

/// Calls `part(rows, their floats of y, half of the scratch)` for the rows before `middle` and for the
/// others, on two threads, unless there are none.
pub(crate) fn in_two(
    rows: usize,
    middle: usize,
    y: &mut [f32],
    scratch: &mut [f32],
    part: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
) {
    let (upper, lower) = y.split_at_mut(y.len() / rows * middle);
    let (left, right) = scratch.split_at_mut(scratch.len() / 2);
    let part = |rows: Range<usize>, y: &mut [f32], scratch: &mut [f32]| {
        if !rows.is_empty() {
            part(rows, y, scratch);
        }
    };
    rayon::join(|| part(0..middle, upper, left), || part(middle..rows, lower, right));
}
