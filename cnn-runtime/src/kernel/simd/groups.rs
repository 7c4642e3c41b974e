//! The gradients that pooling and relu leave, by the patches that they meet: where patches are long, an
//! input's gradient stays in registers for all channels that share one.

use super::sparse::{Left, Part, Patch, STOPPED, Work, in_parts, place};
use super::{Lanes, Vector, unrolled};

/// The non-zero gradients of all channels by what they meet: pixel by pixel, those of one winner side by
/// side.
#[derive(Clone, Copy)]
pub(crate) struct Groups<'a> {
    /// Where in the image each group's patch starts, as `u32` bits.
    pub places: &'a [f32],
    /// Where in the entries each group ends, likewise.
    pub ends: &'a [f32],
    /// The entries' channels, likewise.
    pub channels: &'a [f32],
    /// And their gradients.
    pub gradients: &'a [f32],
}

/// Room for [`Groups`].
pub(crate) struct GroupsMut<'a> {
    /// As many as pixels times a window's places.
    pub places: &'a mut [f32],
    /// As many.
    pub ends: &'a mut [f32],
    /// As many as pixels times channels, and room for [`LIST_SLACK`](super::LIST_SLACK).
    pub channels: &'a mut [f32],
    /// As many.
    pub gradients: &'a mut [f32],
}

/// The most places of a window that channels are picked for one by one.
const FEW: usize = 9;

impl<'a> GroupsMut<'a> {
    /// Fills in the groups of all pixels; their channels lie side by side.
    #[inline(always)]
    pub(crate) fn fill<L: Lanes>(self, left: Left<'_>) -> Groups<'a> {
        let channels = left.channels;
        let pixels = left.winners.chunks_exact(channels).zip(left.gradients.chunks_exact(channels));
        let (mut groups, mut entries) = (0, 0);
        let picks = L::PICKS && left.window <= FEW;
        for (start, (winners, gradients)) in left.starts.iter().zip(pixels) {
            let to = (&mut self.channels[entries..], &mut self.gradients[entries..]);
            let mut ends = [0; STOPPED as usize];
            let ends = &mut ends[..left.window];
            if picks {
                let mut len = 0;
                for (place, end) in ends.iter_mut().enumerate() {
                    let to = (&mut to.0[len..], &mut to.1[len..]);
                    len += L::pick(Some((winners, place as u32)), 0, gradients, to.0, to.1);
                    *end = len;
                }
            } else {
                sort(winners, gradients, ends, to.0, to.1);
            }
            let mut before = 0;
            for (&end, distance) in ends.iter().zip(left.distances) {
                if end > before {
                    self.places[groups] = f32::from_bits(start.to_bits() + distance);
                    self.ends[groups] = f32::from_bits((entries + end) as u32);
                    (groups, before) = (groups + 1, end);
                }
            }
            entries += before;
        }
        Groups {
            places: &self.places[..groups],
            ends: &self.ends[..groups],
            channels: &self.channels[..entries],
            gradients: &self.gradients[..entries],
        }
    }
}

/// Sorts one pixel's channels by their winners, and says where each winner's end.
#[inline(always)]
fn sort(
    winners: &[f32],
    gradients: &[f32],
    ends: &mut [usize],
    channels: &mut [f32],
    values: &mut [f32],
) {
    let mut next = [0; 128];
    let bucket = |winner: f32, gradient: f32| {
        if gradient == 0.0 { STOPPED as usize } else { place(winner) }
    };
    let pairs = || winners.iter().zip(gradients);
    pairs().for_each(|(&winner, &gradient)| next[bucket(winner, gradient)] += 1);
    // From how many to where they start.
    let mut sum = 0;
    for (next, end) in next.iter_mut().zip(ends) {
        let count = std::mem::replace(next, sum);
        sum += count;
        *end = sum;
    }
    next[STOPPED as usize] = sum;
    for (channel, (&winner, &gradient)) in pairs().enumerate() {
        let at = &mut next[bucket(winner, gradient)];
        channels[*at] = f32::from_bits(channel as u32);
        values[*at] = gradient;
        *at += 1;
    }
}

impl Groups<'_> {
    /// `image[place + offset of v] += gradient * kernel[v]` over all entries, for the vectors of a patch
    /// of `len` floats: the gradients that all output channels send to their input. `kernels` has a
    /// patch for each of them.
    #[inline(always)]
    pub(crate) fn scatter<L: Lanes>(
        self,
        kernels: &[f32],
        len: usize,
        patch: Patch,
        image: &mut [f32],
    ) {
        in_parts::<L>(patch, len, &mut Scatter { groups: self, kernels, len, image });
    }
}

struct Scatter<'a> {
    groups: Groups<'a>,
    kernels: &'a [f32],
    len: usize,
    image: &'a mut [f32],
}

impl<L> Work<L> for Scatter<'_> {
    // Patches overlap, so that how they are cut is part of the order of the sum: the same on all
    // paths, and fit for those with few registers.
    const MOST: [usize; 2] = [6, 12];

    #[inline(always)]
    fn work<V: Vector, const ROWS: usize, const RUN: usize>(&mut self, part: Part) {
        let Self { groups, kernels, len, ref mut image } = *self;
        let room = part.room(image.len(), ROWS, RUN * V::LEN);
        assert!(part.first + ROWS * RUN * V::LEN <= len);
        let count = kernels.len() / len;
        let mut first = 0;
        for (place, end) in groups.places.iter().zip(groups.ends) {
            let (place, end) = (place.to_bits() as usize, end.to_bits() as usize);
            assert!(place < room, "a gradient's place lies in the image");
            let mut held = [[V::splat(0.0); RUN]; ROWS];
            // SAFETY: every vector from a place in `room` lies in the image.
            let to = unsafe { image.as_mut_ptr().add(place + part.offset) };
            unrolled!(ROWS * RUN, i => {
                let (r, v) = (i / RUN, i % RUN);
                // SAFETY: as above.
                held[r][v] = unsafe { V::read(to.add(r * part.stride + v * V::LEN)) };
            });
            let entries = groups.channels[first..end].iter().zip(&groups.gradients[first..end]);
            for (channel, &gradient) in entries {
                let channel = channel.to_bits() as usize;
                assert!(channel < count, "an entry's channel has a kernel");
                let factor = V::splat(gradient);
                // SAFETY: the part lies in the channel's patch, and that in `kernels`.
                let kernel = unsafe { kernels.as_ptr().add(channel * len + part.first) };
                unrolled!(ROWS * RUN, i => {
                    let (r, v) = (i / RUN, i % RUN);
                    // SAFETY: as above.
                    let weight = unsafe { V::read(kernel.add(i * V::LEN)) };
                    held[r][v] = factor.mul_add(weight, held[r][v]);
                });
            }
            unrolled!(ROWS * RUN, i => {
                let (r, v) = (i / RUN, i % RUN);
                // SAFETY: as for reading.
                unsafe { held[r][v].write(to.add(r * part.stride + v * V::LEN)) };
            });
            first = end;
        }
    }

    fn work_in_memory<V: Vector>(&mut self, part: Part, rows: usize, run: usize) {
        let Self { groups, kernels, len, ref mut image } = *self;
        let mut first = 0;
        for (place, end) in groups.places.iter().zip(groups.ends) {
            let (place, end) = (place.to_bits() as usize, end.to_bits() as usize);
            let entries = groups.channels[first..end].iter().zip(&groups.gradients[first..end]);
            for (channel, &gradient) in entries {
                let kernel = &kernels[channel.to_bits() as usize * len..];
                for (from, to) in part.vectors::<V>(rows, run) {
                    let sum = &mut image[place + to..];
                    let weight = V::load(&kernel[from..]);
                    V::splat(gradient).mul_add(weight, V::load(sum)).store(sum);
                }
            }
            first = end;
        }
    }
}
