//! Inner loops over the few non-zero gradients that pooling and relu leave.

use super::{LANES, Lanes};

/// The most vectors that [`gather`] and [`scatter`] hold in registers.
const HELD: usize = 12;

/// `sums[v] += gradient * image[place + offsets[v]]` over all (place, gradient) pairs in order, for
/// vectors of eight: the gradient of one output channel's kernel.
///
/// `offsets` has a multiple of eight floats' worth of entries in `sums`.
#[inline(always)]
pub(crate) fn gather<L: Lanes>(
    places: &[f32],
    gradients: &[f32],
    image: &[f32],
    offsets: impl Fn(usize) -> usize + Copy,
    sums: &mut [f32],
) {
    let vectors = sums.len() / LANES;
    let mut first = 0;
    while first < vectors {
        let held = (vectors - first).min(HELD);
        let sums = &mut sums[first * LANES..(first + held) * LANES];
        let shifted = |v| offsets(first + v);
        match held {
            12 => gather_held::<L, 12>(places, gradients, image, shifted, sums),
            9..12 => {
                // Eight, then the rest in the next round.
                gather_held::<L, 8>(places, gradients, image, shifted, &mut sums[..8 * LANES]);
                first += 8;
                continue;
            }
            8 => gather_held::<L, 8>(places, gradients, image, shifted, sums),
            7 => gather_held::<L, 7>(places, gradients, image, shifted, sums),
            6 => gather_held::<L, 6>(places, gradients, image, shifted, sums),
            5 => gather_held::<L, 5>(places, gradients, image, shifted, sums),
            4 => gather_held::<L, 4>(places, gradients, image, shifted, sums),
            3 => gather_held::<L, 3>(places, gradients, image, shifted, sums),
            2 => gather_held::<L, 2>(places, gradients, image, shifted, sums),
            _ => gather_held::<L, 1>(places, gradients, image, shifted, sums),
        }
        first += held;
    }
}

#[inline(always)]
fn gather_held<L: Lanes, const V: usize>(
    places: &[f32],
    gradients: &[f32],
    image: &[f32],
    offsets: impl Fn(usize) -> usize,
    sums: &mut [f32],
) {
    let offsets: [usize; V] = std::array::from_fn(offsets);
    let room = room(image.len(), &offsets);
    let mut held: [L; V] = std::array::from_fn(|v| L::load(&sums[v * LANES..]));
    for (place, &gradient) in places.iter().zip(gradients) {
        let place = place.to_bits() as usize;
        assert!(place < room, "a gradient's place lies in the image");
        let factor = L::splat(gradient);
        // SAFETY: `place + offset + LANES <= image.len()` for every offset, by `room`.
        unsafe {
            let from = image.as_ptr().add(place);
            for (held, &offset) in held.iter_mut().zip(&offsets) {
                *held = factor.mul_add(L::read(from.add(offset)), *held);
            }
        }
    }
    for (v, held) in held.into_iter().enumerate() {
        held.store(&mut sums[v * LANES..]);
    }
}

/// `image[place + offsets[v]] += gradient * kernel[v]` over all (place, gradient) pairs in order,
/// for vectors of eight: the gradient that one output channel sends to its input.
#[inline(always)]
pub(crate) fn scatter<L: Lanes>(
    places: &[f32],
    gradients: &[f32],
    kernel: &[f32],
    offsets: impl Fn(usize) -> usize + Copy,
    image: &mut [f32],
) {
    let vectors = kernel.len() / LANES;
    let mut first = 0;
    while first < vectors {
        let held = if vectors - first >= 12 { 12 } else { (vectors - first).min(4) };
        let kernel = &kernel[first * LANES..(first + held) * LANES];
        let shifted = |v| offsets(first + v);
        match held {
            12 => scatter_held::<L, 12>(places, gradients, kernel, shifted, image),
            4 => scatter_held::<L, 4>(places, gradients, kernel, shifted, image),
            3 => scatter_held::<L, 3>(places, gradients, kernel, shifted, image),
            2 => scatter_held::<L, 2>(places, gradients, kernel, shifted, image),
            _ => scatter_held::<L, 1>(places, gradients, kernel, shifted, image),
        }
        first += held;
    }
}

#[inline(always)]
fn scatter_held<L: Lanes, const V: usize>(
    places: &[f32],
    gradients: &[f32],
    kernel: &[f32],
    offsets: impl Fn(usize) -> usize,
    image: &mut [f32],
) {
    let offsets: [usize; V] = std::array::from_fn(offsets);
    let room = room(image.len(), &offsets);
    let held: [L; V] = std::array::from_fn(|v| L::load(&kernel[v * LANES..]));
    for (place, &gradient) in places.iter().zip(gradients) {
        let place = place.to_bits() as usize;
        assert!(place < room, "a gradient's place lies in the image");
        let factor = L::splat(gradient);
        // SAFETY: `place + offset + LANES <= image.len()` for every offset, by `room`.
        unsafe {
            let to = image.as_mut_ptr().add(place);
            for (held, &offset) in held.iter().zip(&offsets) {
                let to = to.add(offset);
                factor.mul_add(*held, L::read(to)).write(to);
            }
        }
    }
}

/// How many places there are from which every offset's vector lies within `len` floats.
#[inline(always)]
fn room(len: usize, offsets: &[usize]) -> usize {
    let reach = offsets.iter().max().map_or(0, |offset| offset + LANES);
    (len + 1).saturating_sub(reach)
}
