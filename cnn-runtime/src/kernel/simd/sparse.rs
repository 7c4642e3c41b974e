//! Inner loops over the few non-zero gradients that pooling and relu leave.

use super::{COLUMNS, LANES, Lanes, Vector, unrolled};

/// A route's mark for a window that sends no gradient back.
pub(crate) const STOPPED: u32 = u32::MAX;

/// Lists where each non-zero gradient's patch starts and the gradient itself, in the order of the
/// pixels. Gives the list's length.
///
/// Pixel `p`'s winner and gradient lie at `p * stride`; a winner's bits are added to the pixel's place,
/// which moves by `steps` down and across.
#[inline(always)]
pub(crate) fn list(
    winners: &[f32],
    gradients: &[f32],
    stride: usize,
    [rows, columns]: [usize; 2],
    steps: [usize; 2],
    places: &mut [f32],
    values: &mut [f32],
) -> usize {
    let pixels = rows * columns;
    assert!(pixels > 0 && winners.len().min(gradients.len()) > (pixels - 1) * stride);
    assert!(places.len() >= pixels && values.len() >= pixels);
    let (mut len, mut at) = (0, 0);
    for row in 0..rows {
        let mut start = (row * steps[0]) as u32;
        for _ in 0..columns {
            // SAFETY: `at` is at most `(pixels - 1) * stride`; and the list is at most as long as the
            // number of pixels before this one.
            unsafe {
                let winner = winners.get_unchecked(at).to_bits();
                let gradient = *gradients.get_unchecked(at);
                *places.get_unchecked_mut(len) = f32::from_bits(start.wrapping_add(winner));
                *values.get_unchecked_mut(len) = gradient;
                len += usize::from(winner != STOPPED) & usize::from(gradient != 0.0);
            }
            at += stride;
            start = start.wrapping_add(steps[1] as u32);
        }
    }
    len
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

/// The most vectors that are worked on at a time.
const MOST: usize = 18;

/// What is done with a patch's vectors for all (place, gradient) pairs: as many vectors at a time
/// as registers hold.
trait Sweep {
    /// Does it for `ROWS` rows of `RUN` vectors, the first of them `offset` floats from a place and
    /// `first` floats into the patch; in the image rows are `stride` floats apart.
    fn sweep<V: Vector, const ROWS: usize, const RUN: usize>(
        &mut self,
        offset: usize,
        stride: usize,
        first: usize,
    );

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

    /// Some rows at once if rows are short, otherwise parts of a row.
    #[inline(always)]
    fn parts<V: Vector>(&mut self, run: usize, stride: usize, vectors: usize, most: usize) {
        let rows = vectors / run;
        let mut row = 0;
        while row < rows {
            let together = match most / run {
                3.. if rows - row >= 3 => 3,
                2.. if rows - row >= 2 => 2,
                _ => 1,
            };
            let mut at = 0;
            while at < run {
                let (offset, first) = (row * stride + at * V::LEN, (row * run + at) * V::LEN);
                let left = (run - at).min(most);
                /// Whole rows if there are several, otherwise the most of the listed that fit.
                macro_rules! dispatch {
                    ([$($short:literal)*] [$($long:literal)*]) => {
                        match (together, left) {
                            $((3, $short) => {
                                self.sweep::<V, 3, $short>(offset, stride, first);
                                at += $short;
                            })*
                            $((2, $short) => {
                                self.sweep::<V, 2, $short>(offset, stride, first);
                                at += $short;
                            })*
                            $((_, $long..) => {
                                self.sweep::<V, 1, $long>(offset, stride, first);
                                at += $long;
                            })*
                            _ => unreachable!("some vectors are left"),
                        }
                    };
                }
                dispatch!([1 2 3 4 5 6 7 8 9] [18 12 9 6 4 3 2 1]);
            }
            row += together;
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
    fn sweep<V: Vector, const ROWS: usize, const RUN: usize>(
        &mut self,
        offset: usize,
        stride: usize,
        first: usize,
    ) {
        let sums = &mut self.sums[first..];
        let image = &self.image[offset..];
        let room = room::<V, ROWS, RUN>(image.len(), stride);
        let mut held = [[V::splat(0.0); RUN]; ROWS];
        unrolled!(ROWS, r => unrolled!(RUN, v => {
            held[r][v] = V::load(&sums[(r * RUN + v) * V::LEN..]);
        }));
        for (place, &gradient) in self.places.iter().zip(self.gradients) {
            let place = place.to_bits() as usize;
            assert!(place < room, "a gradient's place lies in the image");
            let factor = V::splat(gradient);
            unrolled!(ROWS, r => {
                // SAFETY: every vector from a place in `room` lies in the image.
                let row = unsafe { image.as_ptr().add(place + r * stride) };
                unrolled!(RUN, v => {
                    // SAFETY: as above.
                    let x = unsafe { V::read(row.add(v * V::LEN)) };
                    held[r][v] = factor.mul_add(x, held[r][v]);
                });
            });
        }
        unrolled!(ROWS, r => unrolled!(RUN, v => {
            held[r][v].store(&mut sums[(r * RUN + v) * V::LEN..]);
        }));
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
    fn sweep<V: Vector, const ROWS: usize, const RUN: usize>(
        &mut self,
        offset: usize,
        stride: usize,
        first: usize,
    ) {
        let image = &mut self.image[offset..];
        let room = room::<V, ROWS, RUN>(image.len(), stride);
        let kernel = &self.kernel[first..];
        let mut held = [[V::splat(0.0); RUN]; ROWS];
        unrolled!(ROWS, r => unrolled!(RUN, v => {
            held[r][v] = V::load(&kernel[(r * RUN + v) * V::LEN..]);
        }));
        for (place, &gradient) in self.places.iter().zip(self.gradients) {
            let place = place.to_bits() as usize;
            assert!(place < room, "a gradient's place lies in the image");
            let factor = V::splat(gradient);
            unrolled!(ROWS, r => {
                // SAFETY: every vector from a place in `room` lies in the image.
                let row = unsafe { image.as_mut_ptr().add(place + r * stride) };
                unrolled!(RUN, v => {
                    // SAFETY: as above.
                    unsafe {
                        let to = row.add(v * V::LEN);
                        factor.mul_add(held[r][v], V::read(to)).write(to);
                    }
                });
            });
        }
    }
}

/// How many places there are from which all vectors lie within `len` floats.
#[inline(always)]
fn room<V: Vector, const ROWS: usize, const RUN: usize>(len: usize, stride: usize) -> usize {
    (len + 1).saturating_sub((ROWS - 1) * stride + RUN * V::LEN)
}
