//! Inner loops over the few non-zero gradients that pooling and relu leave.

use super::{COLUMNS, LANES, Lanes, Vector, unrolled};

/// A route's mark for a window that sends no gradient back.
pub(crate) const STOPPED: u32 = u32::MAX;

/// Lists, for up to sixteen channels, where each non-zero gradient's patch starts and the gradient
/// itself, in the order of the pixels. Gives the lists' lengths.
///
/// Pixel `p` has its channels' winners and gradients at `p * stride`; a winner's bits are added to
/// `start(p)`. Each list takes up to `pixels` entries, so channel `c`'s begins at `c * pixels` of
/// `places` and `values`.
#[inline(always)]
pub(crate) fn list(
    winners: &[f32],
    gradients: &[f32],
    stride: usize,
    channels: usize,
    [rows, columns]: [usize; 2],
    start: impl Fn(usize, usize) -> usize,
    places: &mut [f32],
    values: &mut [f32],
) -> [usize; COLUMNS] {
    let pixels = rows * columns;
    assert!(channels <= COLUMNS && pixels > 0);
    let last = (pixels - 1) * stride + channels;
    assert!(winners.len() >= last && gradients.len() >= last);
    assert!(places.len() >= channels * pixels && values.len() >= channels * pixels);
    let mut lens = [0; COLUMNS];
    for row in 0..rows {
        for column in 0..columns {
            let start = start(row, column) as u32;
            let at = (row * columns + column) * stride;
            for (c, len) in lens.iter_mut().enumerate().take(channels) {
                // SAFETY: `at + c < last`; and a list is at most as long as the number of pixels
                // before this one, so that its end lies in the channel's own part.
                unsafe {
                    let winner = winners.get_unchecked(at + c).to_bits();
                    let gradient = *gradients.get_unchecked(at + c);
                    let end = c * pixels + *len;
                    *places.get_unchecked_mut(end) = f32::from_bits(start.wrapping_add(winner));
                    *values.get_unchecked_mut(end) = gradient;
                    *len += usize::from(winner != STOPPED) * usize::from(gradient != 0.0);
                }
            }
        }
    }
    lens
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
        if self.run * LANES % len == 0 { Some(self.run * LANES / len) } else { None }
    }
}

/// Offsets of vectors from a place: side by side, which the CPU can add up for free, or anywhere.
trait Offsets: Copy {
    fn at(&self, vector: usize) -> usize;
}

#[derive(Clone, Copy)]
struct SideBySide {
    first: usize,
    len: usize,
}

impl Offsets for SideBySide {
    #[inline(always)]
    fn at(&self, vector: usize) -> usize {
        self.first + vector * self.len
    }
}

#[derive(Clone, Copy)]
struct Anywhere<const V: usize>([usize; V]);

impl<const V: usize> Offsets for Anywhere<V> {
    #[inline(always)]
    fn at(&self, vector: usize) -> usize {
        self.0[vector]
    }
}

/// The most vectors that are worked on at a time.
const MOST: usize = 18;

/// What is done with a patch's vectors for all (place, gradient) pairs: as many vectors at a time
/// as registers hold.
trait Sweep {
    /// Does it for the vectors from `first` floats of the patch on.
    fn sweep<V: Vector, const N: usize>(&mut self, first: usize, offsets: impl Offsets);

    /// Does it for the whole patch, in vectors that its rows hold whole, at most `wide` or
    /// `narrow` at a time.
    #[inline(always)]
    fn run<L: Lanes>(&mut self, patch: Patch, floats: usize, [wide, narrow]: [usize; 2]) {
        if let Some(run) = patch.of(COLUMNS) {
            self.parts::<L::Wide>(run, patch.stride, floats / COLUMNS, wide);
        } else {
            self.parts::<L>(patch.run, patch.stride, floats / LANES, narrow);
        }
    }

    #[inline(always)]
    fn parts<V: Vector>(&mut self, run: usize, stride: usize, vectors: usize, most: usize) {
        let mut first = 0;
        while first < vectors {
            let left = (vectors - first).min(most);
            let offset = |vector: usize| vector / run * stride + vector % run * V::LEN;
            /// The largest of the listed counts that is no more than `left`.
            macro_rules! held {
                ($($n:literal)*) => {
                    match left {
                        $($n.. => {
                            if first % run + $n <= run {
                                let offsets = SideBySide { first: offset(first), len: V::LEN };
                                self.sweep::<V, $n>(first * V::LEN, offsets);
                            } else {
                                let mut offsets = Anywhere::<$n>([0; $n]);
                                for (v, at) in offsets.0.iter_mut().enumerate() {
                                    *at = offset(first + v);
                                }
                                self.sweep::<V, $n>(first * V::LEN, offsets);
                            }
                            first += $n;
                        })*
                        _ => unreachable!("some vectors are left"),
                    }
                };
            }
            held!(18 12 9 6 4 3 2 1);
        }
    }
}

/// `sums[v] += gradient * image[place + offset of v]` over all (place, gradient) pairs in order,
/// for the vectors of a patch: the gradient of one output channel's kernel. Places are `u32` bits.
#[inline(always)]
pub(crate) fn gather<L: Lanes>(
    places: &[f32],
    gradients: &[f32],
    image: &[f32],
    patch: Patch,
    sums: &mut [f32],
) {
    let floats = sums.len();
    Gather { places, gradients, image, sums }.run::<L>(
        patch,
        floats,
        [L::HELD, MOST.min(2 * L::HELD)],
    );
}

struct Gather<'a> {
    places: &'a [f32],
    gradients: &'a [f32],
    image: &'a [f32],
    sums: &'a mut [f32],
}

impl Sweep for Gather<'_> {
    #[inline(always)]
    fn sweep<V: Vector, const N: usize>(&mut self, first: usize, offsets: impl Offsets) {
        let (sums, image) = (&mut self.sums[first..], self.image);
        let room = room::<V, N>(image.len(), offsets);
        let mut held = [V::splat(0.0); N];
        unrolled!(N, v => held[v] = V::load(&sums[v * V::LEN..]));
        for (place, &gradient) in self.places.iter().zip(self.gradients) {
            let place = place.to_bits() as usize;
            assert!(place < room, "a gradient's place lies in the image");
            let factor = V::splat(gradient);
            // SAFETY: `place + offset + LEN <= image.len()` for every offset, by `room`.
            unsafe {
                let from = image.as_ptr().add(place);
                unrolled!(N, v => {
                    held[v] = factor.mul_add(V::read(from.add(offsets.at(v))), held[v]);
                });
            }
        }
        unrolled!(N, v => held[v].store(&mut sums[v * V::LEN..]));
    }
}

/// `image[place + offset of v] += gradient * kernel[v]` over all (place, gradient) pairs in order,
/// for the vectors of a patch: the gradient that one output channel sends to its input.
#[inline(always)]
pub(crate) fn scatter<L: Lanes>(
    places: &[f32],
    gradients: &[f32],
    kernel: &[f32],
    patch: Patch,
    image: &mut [f32],
) {
    // Patches overlap, so that the cut into parts is part of the order of the sum: the same one on all
    // paths, though one with few registers then reads the kernel from memory.
    Scatter { places, gradients, kernel, image }.run::<L>(patch, kernel.len(), [MOST; 2]);
}

struct Scatter<'a> {
    places: &'a [f32],
    gradients: &'a [f32],
    kernel: &'a [f32],
    image: &'a mut [f32],
}

impl Sweep for Scatter<'_> {
    #[inline(always)]
    fn sweep<V: Vector, const N: usize>(&mut self, first: usize, offsets: impl Offsets) {
        let room = room::<V, N>(self.image.len(), offsets);
        let mut held = [V::splat(0.0); N];
        let kernel = &self.kernel[first..];
        unrolled!(N, v => held[v] = V::load(&kernel[v * V::LEN..]));
        for (place, &gradient) in self.places.iter().zip(self.gradients) {
            let place = place.to_bits() as usize;
            assert!(place < room, "a gradient's place lies in the image");
            let factor = V::splat(gradient);
            // SAFETY: `place + offset + LEN <= image.len()` for every offset, by `room`.
            unsafe {
                let to = self.image.as_mut_ptr().add(place);
                unrolled!(N, v => {
                    let to = to.add(offsets.at(v));
                    factor.mul_add(held[v], V::read(to)).write(to);
                });
            }
        }
    }
}

/// How many places there are from which every offset's vector lies within `len` floats.
#[inline(always)]
fn room<V: Vector, const N: usize>(len: usize, offsets: impl Offsets) -> usize {
    let reach = (0..N).map(|v| offsets.at(v) + V::LEN).max().unwrap_or(0);
    (len + 1).saturating_sub(reach)
}
