//! Work for several threads.

use std::hint;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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

/// Calls `work` for each of `items` on [`threads`]. Each takes the next item when it is done with one: the
/// calling thread from the front, others from the back, so that in phase after phase most items meet the
/// thread whose cache holds them.
///
/// Threads wait awake for the last items: to go to sleep at the end of a phase and to be woken for the next
/// takes tens of microseconds, longer than some phases. `work` may share items in its turn; a thread that
/// meets the outer work while it waits for the inner is then held for as long as threads wait.
pub(crate) fn share<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: DoubleEndedIterator + ExactSizeIterator + Send,
{
    share_on(threads(), items, work);
}

/// Threads that work is shared among: rayon's current ones, no more than there are cores.
pub(crate) fn threads() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from));
    rayon::current_num_threads().min(cores)
}

fn share_on<I>(threads: usize, items: I, work: impl Fn(I::Item) + Sync)
where
    I: DoubleEndedIterator + ExactSizeIterator + Send,
{
    let count = items.len();
    if threads.min(count) <= 1 {
        return items.for_each(work);
    }
    let (left, done) = (Mutex::new(items), AtomicUsize::new(0));
    on_each(threads.min(count), true, &|front| {
        let next = || {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            if front { left.next() } else { left.next_back() }
        };
        while let Some(item) = next() {
            // Counted even where `work` panics, which then comes out of rayon.
            let _count = Count(&done);
            work(item);
        }
        let start = Instant::now();
        while done.load(Ordering::Acquire) < count && pause(start) {}
    });
}

/// Adds one at the end of its life.
struct Count<'a>(&'a AtomicUsize);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Calls `work(whether this is the calling thread)` on this thread and on those that are free, at most
/// `threads`.
fn on_each(threads: usize, first: bool, work: &(dyn Fn(bool) + Sync)) {
    if threads <= 1 {
        return work(first);
    }
    let half = threads / 2;
    rayon::join(|| on_each(threads - half, first, work), || on_each(half, false, work));
}

/// How long a waiting thread keeps its core to itself.
const BUSY: Duration = Duration::from_micros(100);

/// How long it stays awake. Nothing waits without this end, which makes work inside work safe.
const AWAKE: Duration = Duration::from_millis(2);

/// A moment of waiting; false, at once, if a thread that waits `since` then has stayed awake long enough.
fn pause(since: Instant) -> bool {
    match since.elapsed() {
        time if time < BUSY => (0..8).for_each(|_| hint::spin_loop()),
        time if time < AWAKE => thread::yield_now(),
        _ => return false,
    }
    true
}

/// Runs `work` while one other thread of the pool looks for parts of it without going to sleep in between.
///
/// Only one: a thread that looks would take the places of others, which are still waking up.
pub(crate) fn awake<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if threads() <= 1 {
        return work();
    }
    let done = AtomicUsize::new(0);
    let first = || {
        let _count = Count(&done);
        work()
    };
    let look = || {
        let mut last = Instant::now();
        while done.load(Ordering::Acquire) == 0 {
            if rayon::yield_now() == Some(rayon::Yield::Executed) {
                last = Instant::now();
            } else if !pause(last) {
                return;
            }
        }
    };
    rayon::join(first, look).0
}

/// Calls `work(i, chunk i)` for each `len` floats, in parallel. Not generic: it is compiled once, not for each
/// loop.
pub(crate) fn for_each_chunk(
    floats: &mut [f32],
    len: usize,
    work: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    share(floats.chunks_mut(len).enumerate(), |(i, chunk)| work(i, chunk));
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_item_is_shared_once() {
        for threads in [1, 2, 3, 16] {
            for count in [0, 1, 2, 7, 100] {
                let mut times = vec![0; count];
                pool(threads).install(|| {
                    awake(|| {
                        for _ in 0..50 {
                            share_on(threads, times.iter_mut(), |times| *times += 1);
                        }
                    });
                });
                assert_eq!(times, vec![50; count], "{count} items on {threads} threads");
            }
        }
    }

    #[test]
    fn work_may_be_shared_again() {
        let mut rows = vec![[0; 5]; 9];
        pool(3).install(|| {
            share_on(3, rows.iter_mut(), |row| {
                share_on(3, row.iter_mut(), |number| {
                    // Long enough for other threads to wake up and take part.
                    thread::sleep(Duration::from_millis(1));
                    *number += 1;
                });
            });
        });
        assert_eq!(rows, vec![[1; 5]; 9]);
    }

    #[test]
    fn a_panic_comes_out_and_the_pool_goes_on() {
        let (pool, count) = (pool(3), AtomicUsize::new(0));
        for bad in 0..8 {
            let run = || {
                awake(|| {
                    share_on(3, 0..8, |i| {
                        assert_ne!(i, bad, "as asked");
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(|| pool.install(run))).is_err(), "{bad}");
        }
        let before = count.load(Ordering::Relaxed);
        pool.install(|| share_on(3, 0..8, |_| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.load(Ordering::Relaxed), before + 8);
    }
}
