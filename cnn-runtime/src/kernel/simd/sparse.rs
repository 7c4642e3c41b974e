//! Inner loops over the few non-zero gradients that pooling and relu leave.

use super::{COLUMNS, LANES, Lanes};

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
    /// Vectors in a row.
    pub run: usize,
    /// From row to row.
    pub stride: usize,
}

impl Patch {
    /// Whether some vectors lie side by side.
    #[inline(always)]
    const fn in_one_row(self, first: usize, count: usize) -> bool {
        first % self.run + count <= self.run
    }

    #[inline(always)]
    fn offset(self, vector: usize) -> usize {
        vector / self.run * self.stride + vector % self.run * LANES
    }
}

/// Offsets of vectors from a place: side by side, which the CPU can add up for free, or anywhere.
trait Offsets: Copy {
    fn at(&self, vector: usize) -> usize;
}

#[derive(Clone, Copy)]
struct SideBySide(usize);

impl Offsets for SideBySide {
    #[inline(always)]
    fn at(&self, vector: usize) -> usize {
        self.0 + vector * LANES
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

/// Calls `$call` with `$V` and the offsets of `$held` vectors from number `$first` on.
macro_rules! with_offsets {
    ($patch:expr, $first:expr, $held:expr, [$($v:literal)*], |$V:ident, $offsets:ident| $call:expr) => {
        match $held {
            $($v => {
                const $V: usize = $v;
                if $patch.in_one_row($first, $v) {
                    let $offsets = SideBySide($patch.offset($first));
                    $call
                } else {
                    let $offsets = Anywhere::<$v>(std::array::from_fn(|v| $patch.offset($first + v)));
                    $call
                }
            })*
            _ => unreachable!("as many vectors as are held at once"),
        }
    };
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
    let vectors = sums.len() / LANES;
    let mut first = 0;
    while first < vectors {
        let held = held(vectors - first);
        let sums = &mut sums[first * LANES..(first + held) * LANES];
        with_offsets!(patch, first, held, [1 2 3 4 6 8 12], |V, offsets| {
            gather_held::<L, V>(places, gradients, image, offsets, sums);
        });
        first += held;
    }
}

/// How many of some vectors to hold in registers at once.
#[inline(always)]
fn held(left: usize) -> usize {
    match left {
        12.. => 12,
        8.. => 8,
        6.. => 6,
        _ => left.min(4),
    }
}

#[inline(always)]
fn gather_held<L: Lanes, const V: usize>(
    places: &[f32],
    gradients: &[f32],
    image: &[f32],
    offsets: impl Offsets,
    sums: &mut [f32],
) {
    let room = room::<V>(image.len(), offsets);
    let mut held: [L; V] = std::array::from_fn(|v| L::load(&sums[v * LANES..]));
    for (place, &gradient) in places.iter().zip(gradients) {
        let place = place.to_bits() as usize;
        assert!(place < room, "a gradient's place lies in the image");
        let factor = L::splat(gradient);
        // SAFETY: `place + offset + LANES <= image.len()` for every offset, by `room`.
        unsafe {
            let from = image.as_ptr().add(place);
            for (v, held) in held.iter_mut().enumerate() {
                *held = factor.mul_add(L::read(from.add(offsets.at(v))), *held);
            }
        }
    }
    for (v, held) in held.into_iter().enumerate() {
        held.store(&mut sums[v * LANES..]);
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
    let vectors = kernel.len() / LANES;
    let mut first = 0;
    while first < vectors {
        let held = held(vectors - first);
        let kernel = &kernel[first * LANES..(first + held) * LANES];
        with_offsets!(patch, first, held, [1 2 3 4 6 8 12], |V, offsets| {
            scatter_held::<L, V>(places, gradients, kernel, offsets, image);
        });
        first += held;
    }
}

#[inline(always)]
fn scatter_held<L: Lanes, const V: usize>(
    places: &[f32],
    gradients: &[f32],
    kernel: &[f32],
    offsets: impl Offsets,
    image: &mut [f32],
) {
    let room = room::<V>(image.len(), offsets);
    let held: [L; V] = std::array::from_fn(|v| L::load(&kernel[v * LANES..]));
    for (place, &gradient) in places.iter().zip(gradients) {
        let place = place.to_bits() as usize;
        assert!(place < room, "a gradient's place lies in the image");
        let factor = L::splat(gradient);
        // SAFETY: `place + offset + LANES <= image.len()` for every offset, by `room`.
        unsafe {
            let to = image.as_mut_ptr().add(place);
            for (v, held) in held.iter().enumerate() {
                let to = to.add(offsets.at(v));
                factor.mul_add(*held, L::read(to)).write(to);
            }
        }
    }
}

/// How many places there are from which every offset's vector lies within `len` floats.
#[inline(always)]
fn room<const V: usize>(len: usize, offsets: impl Offsets) -> usize {
    let reach = (0..V).map(|v| offsets.at(v) + LANES).max().unwrap_or(0);
    (len + 1).saturating_sub(reach)
}
