//! Two threads for one image.

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
