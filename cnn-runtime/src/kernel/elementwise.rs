//! Loops over slices that the compiler vectorises by itself.

use super::simd::{Lanes, vectorized};

vectorized! {
    /// `sums[i] += values[i]`.
    pub(crate) fn add(sums: &mut [f32], values: &[f32]) = add_body;

    /// `gradients[i] = 0` where the relu's output is not above 0.
    pub(crate) fn mask(gradients: &mut [f32], outputs: &[f32]) = mask_body;

    /// `max(values[i], 0)`; NaN and -0 stay.
    pub(crate) fn relu(values: &mut [f32]) = relu_body;

    /// Bytes to floats in [0, 1]: `byte / 255`.
    pub(crate) fn rescale(bytes: &[u8], floats: &mut [f32]) = rescale_body;
}

#[inline(always)]
fn add_body<L: Lanes>(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

#[inline(always)]
fn mask_body<L: Lanes>(gradients: &mut [f32], outputs: &[f32]) {
    for (gradient, &output) in gradients.iter_mut().zip(outputs) {
        *gradient = if output > 0.0 { *gradient } else { 0.0 };
    }
}

#[inline(always)]
fn relu_body<L: Lanes>(values: &mut [f32]) {
    for value in values {
        *value = if *value < 0.0 { 0.0 } else { *value };
    }
}

#[inline(always)]
fn rescale_body<L: Lanes>(bytes: &[u8], floats: &mut [f32]) {
    for (float, &byte) in floats.iter_mut().zip(bytes) {
        *float = f32::from(byte) / 255.0;
    }
}
