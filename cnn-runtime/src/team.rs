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
///
/// # Panics
/// If the iterator's hint at its size leaves this open.
pub(crate) fn share<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: DoubleEndedIterator + Send,
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
    I: DoubleEndedIterator + Send,
{
    let (count, most) = items.size_hint();
    assert_eq!(Some(count), most, "as many items as the iterator says");
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

/// As [`share`], for items that are done part by part: `left` says how many units of one are left, and `work`
/// how many to do next. Half of each item is done at once, then half of what is left: so there are small parts
/// in the end for whoever is free, and threads that are not equally fast are done together.
pub(crate) fn share_parts<I: Send>(
    items: impl DoubleEndedIterator<Item = I> + ExactSizeIterator + Send,
    left: impl Fn(&I) -> usize + Sync,
    work: impl Fn(&mut I, usize) + Sync,
) {
    share_parts_on(threads(), items, left, work);
}

/// The most items that are done part by part. Of more, a last one is little of all.
const FEW: usize = 16;

fn share_parts_on<I: Send>(
    threads: usize,
    items: impl DoubleEndedIterator<Item = I> + ExactSizeIterator + Send,
    left: impl Fn(&I) -> usize + Sync,
    work: impl Fn(&mut I, usize) + Sync,
) {
    let count = items.len();
    if threads.min(count) <= 1 || count > FEW {
        return share_on(threads, items, |mut item| {
            let all = left(&item);
            work(&mut item, all);
        });
    }
    let mut places = [const { None }; FEW];
    places.iter_mut().zip(items).for_each(|(place, item)| *place = Some(item));
    // Items that no thread holds, and how many are done.
    let (places, done) = (Mutex::new(places), AtomicUsize::new(0));
    let places = || places.lock().unwrap_or_else(PoisonError::into_inner);
    on_each(threads, true, &|front| {
        let next = || {
            let mut places = places();
            let most = places.iter().flatten().map(&left).max()?;
            let fits = |at: &usize| places[*at].as_ref().map(&left) == Some(most);
            let mut all = 0..FEW;
            let at = if front { all.find(fits) } else { all.rfind(fits) }?;
            Some((at, places[at].take()?))
        };
        let mut start = Instant::now();
        // Ends without the items of a thread that panics, or takes long: it goes on with those by itself.
        while done.load(Ordering::Acquire) < count {
            if let Some((at, mut item)) = next() {
                let half = left(&item).div_ceil(2);
                work(&mut item, half);
                if left(&item) == 0 {
                    done.fetch_add(1, Ordering::Release);
                } else {
                    places()[at] = Some(item);
                }
                start = Instant::now();
            } else if !pause(start) {
                return;
            }
        }
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
    fn parts_of_every_item_are_done_once_and_in_order() {
        for threads in [1, 2, 3, 16] {
            for count in [0, 1, 2, 7, FEW, FEW + 1] {
                let mut items: Vec<(usize, Vec<usize>)> =
                    (0..count).map(|i| (0, vec![i])).collect();
                pool(threads).install(|| {
                    awake(|| {
                        let left = |(len, done): &&mut (usize, Vec<usize>)| 1 + done[0] - *len;
                        share_parts_on(threads, items.iter_mut(), left, |(len, parts), units| {
                            parts.extend(*len..*len + units);
                            *len += units;
                        });
                    });
                });
                for (i, (len, parts)) in items.into_iter().enumerate() {
                    let what = format!("item {i} of {count} on {threads} threads");
                    assert_eq!(len, i + 1, "{what}");
                    assert_eq!(parts[1..], (0..=i).collect::<Vec<_>>(), "{what}");
                }
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
        for bad in 0..8 {
            let run = || {
                awake(|| {
                    let items = (0..8).map(|item| (item, 3));
                    share_parts_on(
                        3,
                        items,
                        |(_, left)| *left,
                        |item, units| {
                            assert!(item.0 != bad || item.1 > 1, "as asked");
                            item.1 -= units;
                        },
                    );
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(|| pool.install(run))).is_err(), "part of {bad}");
        }
        let before = count.load(Ordering::Relaxed);
        pool.install(|| share_on(3, 0..8, |_| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.load(Ordering::Relaxed), before + 8);
    }
}
