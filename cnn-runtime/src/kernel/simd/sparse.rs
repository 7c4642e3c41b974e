//! Inner loops over the few non-zero gradients that pooling and relu leave.

use super::{COLUMNS, Kernel, LANES, Lanes, Vector, unrolled};

/// A route's mark for a window that sends no gradient back: other numbers say which of a window's
/// places won.
pub(crate) const STOPPED: u32 = 64;

/// For each place of a window how far its patch is from the first place's.
pub(crate) type Distances = [u32; 128];

/// A number of a [`Distances`], whatever a route holds.
#[inline(always)]
pub(super) fn place(winner: f32) -> usize {
    winner.to_bits() as usize % 128
}

/// Floats behind a list that a vector may write.
pub(crate) const LIST_SLACK: usize = COLUMNS;

/// What pooling and relu left of some channels' gradients: pixel `p`'s winners and gradients lie from
/// `p * stride` on.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub winners: &'a [f32],
    pub gradients: &'a [f32],
    pub stride: usize,
    /// How many are meant.
    pub channels: usize,
    /// Where in the image each pixel's window starts, as `u32` bits.
    pub starts: &'a [f32],
    /// Places of a window, and how far their patches are from the first place's.
    pub window: usize,
    pub distances: &'a Distances,
}

/// Lists of up to sixteen channels where each non-zero gradient's patch starts and the gradient itself, in
/// the order of the pixels: a list for each channel, with room for [`LIST_SLACK`] floats behind as many
/// as there are pixels, and how long it is.
#[inline(always)]
pub(crate) fn list<L: Lanes>(
    left: Left<'_>,
    places: &mut [f32],
    values: &mut [f32],
    lens: &mut [usize; COLUMNS],
) {
    let (pixels, channels) = (left.starts.len(), left.channels);
    assert!(pixels > 0 && left.window <= STOPPED as usize);
    assert!((1..=COLUMNS).contains(&channels));
    let last = (pixels - 1) * left.stride + channels;
    assert!(left.winners.len().min(left.gradients.len()) >= last);
    assert!(places.len().min(values.len()) >= channels * (pixels + LIST_SLACK));
    // SAFETY: just checked.
    unsafe { L::list(left, places, values, lens) }
}

/// Channel by channel, pixel by pixel.
///
/// # Safety
/// As [`list`] checks.
#[inline(always)]
pub(super) unsafe fn list_pixels(
    left: Left<'_>,
    places: &mut [f32],
    values: &mut [f32],
    lens: &mut [usize; COLUMNS],
) {
    for (channel, len) in lens.iter_mut().enumerate().take(left.channels) {
        let (mut to, mut at) = (channel * (left.starts.len() + LIST_SLACK), channel);
        let first = to;
        for start in left.starts {
            // SAFETY: `at` is at most `(pixels - 1) * stride + channels - 1`; and the list is at most as
            // long as the number of pixels before this one.
            unsafe {
                let winner = *left.winners.get_unchecked(at);
                let gradient = *left.gradients.get_unchecked(at);
                let place = start.to_bits().wrapping_add(left.distances[place(winner)]);
                *places.get_unchecked_mut(to) = f32::from_bits(place);
                *values.get_unchecked_mut(to) = gradient;
                to += usize::from(winner.to_bits() != STOPPED) & usize::from(gradient != 0.0);
            }
            at += left.stride;
        }
        *len = to - first;
    }
}

/// Where the vectors of a patch lie in an image: rows of `run` vectors each, `stride` floats apart.
#[derive(Clone, Copy)]
pub(crate) struct Patch {
    /// Vectors of [`LANES`] in a row.
    pub run: usize,
    /// From row to row.
    pub stride: usize,
}

impl Patch {
    /// How many vectors of `len` floats lie side by side in a row, if only whole ones do.
    #[inline(always)]
    const fn of(self, len: usize) -> Option<usize> {
        if (self.run * LANES).is_multiple_of(len) { Some(self.run * LANES / len) } else { None }
    }
}

/// The most vectors of a kernel's gradient that are worked on at a time.
const MOST: usize = 18;

/// The longest patch, in floats, of which two sums run side by side.
const DOUBLED: usize = 4 * COLUMNS;

/// The longest patch, in floats, that [`scatter`] takes: longer ones are [`Groups`](super::groups::Groups)'.
pub(crate) const SCATTERED: usize = 8 * COLUMNS;

/// All (place, gradient) pairs of an output channel. Places are `u32` bits.
#[derive(Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// Where in the image patches start.
    pub places: &'a [f32],
    /// As many.
    pub gradients: &'a [f32],
}

/// `sums[v] += gradient * image[place + offset of v]` over all pairs, for the vectors of a patch: the
/// gradient of one output channel's kernel.
///
/// Of short patches two sums run side by side, of every second pair each, since one would wait for itself:
/// that depends on the patch alone, so that all paths give the same bits.
#[inline(always)]
pub(crate) fn gather<L: Lanes>(listed: Listed<'_>, image: &[f32], patch: Patch, sums: &mut [f32]) {
    match sums.len() {
        0..=DOUBLED => in_parts::<L>(patch, sums.len(), &mut Gather::<2> { listed, image, sums }),
        _ => in_parts::<L>(patch, sums.len(), &mut Gather::<1> { listed, image, sums }),
    }
}

/// The sum of some gradients, of every sixteenth side by side.
#[inline(always)]
pub(crate) fn total<L: Lanes>(gradients: &[f32]) -> f32 {
    let mut sums = L::Wide::splat(0.0);
    let chunks = gradients.chunks_exact(COLUMNS);
    let rest = chunks.remainder();
    for chunk in chunks {
        sums = sums.add(L::Wide::load(chunk));
    }
    let mut found = [0.0; COLUMNS];
    sums.store(&mut found);
    found.iter().chain(rest).fold(0.0, |total, value| total + value)
}

/// `image[place + offset of v] += gradient * kernel[v]` over all pairs in order, for the vectors of a
/// patch: the gradient that one output channel sends to its input.
#[inline(always)]
pub(crate) fn scatter<L: Lanes>(
    listed: Listed<'_>,
    kernel: &[f32],
    patch: Patch,
    image: &mut [f32],
) {
    assert!(kernel.len() <= SCATTERED, "a long patch");
    in_parts::<L>(patch, kernel.len(), &mut Scatter { listed, kernel, image });
}

/// Does a patch in vectors that its rows hold whole.
#[inline(always)]
pub(super) fn in_parts<L: Lanes>(patch: Patch, floats: usize, work: &mut impl Work<L>) {
    let part = Part { offset: 0, stride: patch.stride, first: 0 };
    if let Some(run) = patch.of(COLUMNS) {
        parts::<L, _, true>(part, run, floats / COLUMNS, work);
    } else {
        parts::<L, _, false>(part, patch.run, floats / LANES, work);
    }
}

/// Some rows at once if rows are short, otherwise parts of a row.
#[inline(always)]
fn parts<L: Lanes, W: Work<L>, const WIDE: bool>(
    part: Part,
    run: usize,
    vectors: usize,
    work: &mut W,
) {
    let most = W::MOST[usize::from(!WIDE)];
    let (rows, len) = (vectors / run, if WIDE { COLUMNS } else { LANES });
    let mut row = 0;
    while row < rows {
        let together = match most / run {
            3.. if rows - row >= 3 => 3,
            2.. if rows - row >= 2 => 2,
            _ => 1,
        };
        let mut at = 0;
        while at < run {
            let offset = row * part.stride + at * len;
            let part = Part { offset, first: (row * run + at) * len, ..part };
            // Whole rows if there are several.
            let left = (run - at).min(most);
            let vectors = if together > 1 { left } else { part_of(left) };
            at += vectors;
            if const { !L::UNROLLED } {
                if WIDE {
                    work.work_in_memory::<L::Wide>(part, together, vectors);
                } else {
                    work.work_in_memory::<L>(part, together, vectors);
                }
                continue;
            }
            /// The constants keep functions that are never called from being made.
            macro_rules! dispatch {
                ($($rows:literal: [$($run:literal)*])*) => {
                    match (together, vectors) {
                        $($(($rows, $run) if const { $rows * $run <= W::MOST[!WIDE as usize] } => {
                            L::call(Call::<_, WIDE, $rows, $run> { part, work: &mut *work });
                        })*)*
                        _ => unreachable!("{together} rows of {vectors} vectors are no part"),
                    }
                };
            }
            dispatch!(1: [1 2 3 4 6 9 12 18] 2: [1 2 3 4 5 6 7 8 9] 3: [1 2 3 4 5 6]);
        }
        row += together;
    }
}

/// How many of the `left` vectors of a row are worked on at a time: not any number, for each is a
/// function.
#[inline(always)]
fn part_of(left: usize) -> usize {
    [18, 12, 9, 6, 4, 3, 2].into_iter().find(|&vectors| vectors <= left).unwrap_or(1)
}

/// A part of a patch.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// From a place to the part's first vector in the image, in floats.
    pub(super) offset: usize,
    /// From row to row of the image.
    pub(super) stride: usize,
    /// The part's first float in the patch.
    pub(super) first: usize,
}

impl Part {
    /// How many places there are from which `rows` rows of `floats` lie within `len` floats.
    #[inline(always)]
    pub(super) fn room(&self, len: usize, rows: usize, floats: usize) -> usize {
        (len + 1).saturating_sub(self.offset + (rows - 1) * self.stride + floats)
    }

    /// Where each of its vectors lies in the patch, and how far from a place in the image.
    pub(super) fn vectors<V: Vector>(
        self,
        rows: usize,
        run: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let across = move |row| (0..run).map(move |v| (row, v));
        (0..rows).flat_map(across).map(move |(row, v)| {
            let patch = self.first + (row * run + v) * V::LEN;
            (patch, self.offset + row * self.stride + v * V::LEN)
        })
    }
}

/// What is done with all pairs, for `ROWS` rows of `RUN` vectors.
pub(super) trait Work<L> {
    /// The most vectors that are worked on at a time, wide ones and others.
    const MOST: [usize; 2];

    fn work<V: Vector, const ROWS: usize, const RUN: usize>(&mut self, part: Part);

    /// The same in the same order, without registers to hold a part in.
    fn work_in_memory<V: Vector>(&mut self, part: Part, rows: usize, run: usize);
}

const fn least(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

struct Call<'a, W, const WIDE: bool, const ROWS: usize, const RUN: usize> {
    part: Part,
    work: &'a mut W,
}

impl<L: Lanes, W: Work<L>, const WIDE: bool, const ROWS: usize, const RUN: usize> Kernel<L>
    for Call<'_, W, WIDE, ROWS, RUN>
{
    #[inline(always)]
    fn run(self) {
        if WIDE {
            self.work.work::<L::Wide, ROWS, RUN>(self.part);
        } else {
            self.work.work::<L, ROWS, RUN>(self.part);
        }
    }
}

/// One sum, or two side by side.
struct Gather<'a, const SETS: usize> {
    listed: Listed<'a>,
    image: &'a [f32],
    sums: &'a mut [f32],
}

impl<L: Lanes, const SETS: usize> Work<L> for Gather<'_, SETS> {
    const MOST: [usize; 2] = match SETS {
        1 => [L::HELD, least(MOST, 2 * L::HELD)],
        _ => [least(L::HELD / SETS, DOUBLED / COLUMNS), least(L::HELD, DOUBLED / LANES)],
    };

    #[inline(always)]
    fn work<V: Vector, const ROWS: usize, const RUN: usize>(&mut self, part: Part) {
        let (sums, image) = (&mut self.sums[part.first..], self.image);
        let room = part.room(image.len(), ROWS, RUN * V::LEN);
        let mut held = [[[V::splat(0.0); RUN]; ROWS]; SETS];
        unrolled!(ROWS * RUN, i => {
            held[0][i / RUN][i % RUN] = V::load(&sums[i * V::LEN..]);
        });
        let places = self.listed.places.chunks(SETS);
        for (places, gradients) in places.zip(self.listed.gradients.chunks(SETS)) {
            unrolled!([0 1] SETS, set => if set < places.len() {
                let place = places[set].to_bits() as usize;
                assert!(place < room, "a gradient's place lies in the image");
                let factor = V::splat(gradients[set]);
                let from = image.as_ptr().wrapping_add(place + part.offset);
                unrolled!(ROWS * RUN, i => {
                    let (r, v) = (i / RUN, i % RUN);
                    // SAFETY: every vector from a place in `room` lies in the image.
                    let x = unsafe { V::read(from.add(r * part.stride + v * V::LEN)) };
                    held[set][r][v] = factor.mul_add(x, held[set][r][v]);
                });
            });
        }
        unrolled!(ROWS * RUN, i => {
            let mut sets = [V::splat(0.0); SETS];
            unrolled!([0 1] SETS, set => sets[set] = held[set][i / RUN][i % RUN]);
            together(sets).store(&mut sums[i * V::LEN..]);
        });
    }

    fn work_in_memory<V: Vector>(&mut self, part: Part, rows: usize, run: usize) {
        for (to, from) in part.vectors::<V>(rows, run) {
            let mut sets = [V::splat(0.0); SETS];
            sets[0] = V::load(&self.sums[to..]);
            let pairs = self.listed.places.iter().zip(self.listed.gradients);
            for (index, (place, &gradient)) in pairs.enumerate() {
                let x = V::load(&self.image[place.to_bits() as usize + from..]);
                sets[index % SETS] = V::splat(gradient).mul_add(x, sets[index % SETS]);
            }
            together(sets).store(&mut self.sums[to..]);
        }
    }
}

/// One or two sums as one.
#[inline(always)]
fn together<V: Vector, const SETS: usize>(sets: [V; SETS]) -> V {
    if let [a, b] = sets.as_slice() { a.add(*b) } else { sets[0] }
}

struct Scatter<'a> {
    listed: Listed<'a>,
    kernel: &'a [f32],
    image: &'a mut [f32],
}

impl<L> Work<L> for Scatter<'_> {
    // Patches overlap, so that the cut into parts is part of the order of the sum: the same one on all
    // paths, though one with few registers then reads the kernel from memory.
    const MOST: [usize; 2] = [SCATTERED / COLUMNS, SCATTERED / LANES];

    #[inline(always)]
    fn work<V: Vector, const ROWS: usize, const RUN: usize>(&mut self, part: Part) {
        let (kernel, image) = (&self.kernel[part.first..], &mut *self.image);
        let room = part.room(image.len(), ROWS, RUN * V::LEN);
        let mut held = [[V::splat(0.0); RUN]; ROWS];
        unrolled!(ROWS * RUN, i => {
            held[i / RUN][i % RUN] = V::load(&kernel[i * V::LEN..]);
        });
        for (place, &gradient) in self.listed.places.iter().zip(self.listed.gradients) {
            let place = place.to_bits() as usize;
            assert!(place < room, "a gradient's place lies in the image");
            let factor = V::splat(gradient);
            let first = image.as_mut_ptr().wrapping_add(place + part.offset);
            unrolled!(ROWS * RUN, i => {
                let (r, v) = (i / RUN, i % RUN);
                // SAFETY: every vector from a place in `room` lies in the image.
                unsafe {
                    let to = first.add(r * part.stride + v * V::LEN);
                    factor.mul_add(held[r][v], V::read(to)).write(to);
                }
            });
        }
    }

    fn work_in_memory<V: Vector>(&mut self, part: Part, rows: usize, run: usize) {
        for (place, &gradient) in self.listed.places.iter().zip(self.listed.gradients) {
            for (from, to) in part.vectors::<V>(rows, run) {
                let sum = &mut self.image[place.to_bits() as usize + to..];
                V::splat(gradient).mul_add(V::load(&self.kernel[from..]), V::load(sum)).store(sum);
            }
        }
    }
}
