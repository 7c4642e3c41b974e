//! Loops over slices, most of which the compiler vectorises by itself.

use super::simd::{COLUMNS, Lanes, Vector, vectorized};

vectorized! {
    /// `sums[i] += values[i]`.
    pub(crate) fn add(sums: &mut [f32], values: &[f32]) = add_body;

    /// `gradients[i] = 0` where the relu's output is not above 0.
    pub(crate) fn mask(gradients: &mut [f32], outputs: &[f32]) = mask_body;

    /// `sums[i] = max(sums[i] + values[i], 0)`; NaN and -0 stay.
    pub(crate) fn add_then_relu(sums: &mut [f32], values: &[f32]) = add_then_relu_body;

    /// Bytes to floats in [0, 1]: `byte / 255`.
    pub(crate) fn rescale(bytes: &[u8], floats: &mut [f32]) = rescale_body;
}

/// Copies up to sixteen floats without a call, which takes longer than they do: as two halves, which overlap.
#[inline(always)]
pub(crate) fn copy_few(to: &mut [f32], from: &[f32]) {
    #[inline(always)]
    fn ends<const N: usize>(to: &mut [f32], from: &[f32]) {
        let last = to.len() - N;
        to[..N].copy_from_slice(&from[..N]);
        to[last..][..N].copy_from_slice(&from[last..][..N]);
    }
    assert!(to.len() == from.len() && to.len() <= COLUMNS);
    match to.len() {
        COLUMNS => to.copy_from_slice(&from[..COLUMNS]),
        8.. => ends::<8>(to, from),
        4.. => ends::<4>(to, from),
        2.. => ends::<2>(to, from),
        1 => to[0] = from[0],
        0 => {}
    }
}

#[inline(always)]
fn add_body<L: Lanes>(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// By vectors: the compiler would leave out stores of what stays, by masks, which take long on some CPUs.
#[inline(always)]
fn mask_body<L: Lanes>(gradients: &mut [f32], outputs: &[f32]) {
    let mut chunks = gradients.chunks_exact_mut(COLUMNS);
    let mut others = outputs.chunks_exact(COLUMNS);
    for (gradients, outputs) in chunks.by_ref().zip(others.by_ref()) {
        let live = L::Wide::load(outputs).exceeds(L::Wide::splat(0.0));
        L::Wide::load(gradients).select(live, L::Wide::splat(0.0)).store(gradients);
    }
    for (gradient, &output) in chunks.into_remainder().iter_mut().zip(others.remainder()) {
        *gradient = if output > 0.0 { *gradient } else { 0.0 };
    }
}

#[inline(always)]
fn add_then_relu_body<L: Lanes>(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        let total = *sum + value;
        *sum = if total < 0.0 { 0.0 } else { total };
    }
}

#[inline(always)]
fn rescale_body<L: Lanes>(bytes: &[u8], floats: &mut [f32]) {
    for (float, &byte) in floats.iter_mut().zip(bytes) {
        *float = f32::from(byte) / 255.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_floats_are_copied_and_no_others() {
        let from: Vec<f32> = (1..=16).map(|i| i as f32).collect();
        for len in 0..=COLUMNS {
            let mut to = [0.0; COLUMNS];
            copy_few(&mut to[..len], &from[..len]);
            assert_eq!(to[..len], from[..len]);
            assert_eq!(to[len..], vec![0.0; COLUMNS - len]);
        }
    }
}
