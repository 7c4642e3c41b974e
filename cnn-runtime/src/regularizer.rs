//! What the size of weights adds to the loss: L1 and L2 penalties, as Keras defines them.

use crate::network::{Network, Regularizer, TensorInfo};
use crate::team::for_each_chunk;

/// Sums that run side by side, so that none waits for the one before.
const SUMS: usize = 16;

/// Weights that one task works on.
const TASK: usize = 16 * 1024;

/// The tensors that add to the loss. As in Keras, those that do not learn never do.
fn penalised<N: Network>() -> impl Iterator<Item = &'static TensorInfo> {
    let tensors = N::TENSORS.iter();
    tensors.filter(|info| info.trainable && info.regularizer != Regularizer::NONE)
}

/// `l1 * sum |w| + l2 * sum w²` over all tensors that have a regularizer.
pub(crate) fn penalty<N: Network>(weights: &[f32]) -> f64 {
    let tensors = penalised::<N>();
    tensors
        .map(|info| tensor_penalty(info.regularizer, &weights[info.offset..][..info.len()]))
        .sum()
}

/// Adds the penalty's gradient `l1 * sign(w) + 2 * l2 * w`; the sign of 0 is 0.
pub(crate) fn add_gradient<N: Network>(weights: &[f32], gradients: &mut [f32]) {
    for info in penalised::<N>() {
        let weights = &weights[info.offset..][..info.len()];
        let gradients = &mut gradients[info.offset..][..info.len()];
        for_each_chunk(gradients, TASK, &|task, gradients| {
            let weights = &weights[task * TASK..][..gradients.len()];
            add_tensor_gradient(info.regularizer, weights, gradients);
        });
    }
}

fn tensor_penalty(regularizer: Regularizer, weights: &[f32]) -> f64 {
    let (mut sizes, mut squares) = ([0.0; SUMS], [0.0; SUMS]);
    let (rows, rest) = weights.as_chunks::<SUMS>();
    for row in rows.iter().map(<[f32; SUMS]>::as_slice).chain([rest]) {
        for ((&weight, size), square) in row.iter().zip(&mut sizes).zip(&mut squares) {
            let weight = f64::from(weight);
            *size += weight.abs();
            *square += weight * weight;
        }
    }
    let sum = |sums: [f64; SUMS]| sums.iter().sum::<f64>();
    // A factor of 0 counts for nothing, whatever it is a factor of.
    let term = |factor: f64, sums| if factor > 0.0 { factor * sum(sums) } else { 0.0 };
    term(regularizer.l1, sizes) + term(regularizer.l2, squares)
}

fn add_tensor_gradient(regularizer: Regularizer, weights: &[f32], gradients: &mut [f32]) {
    let (l1, slope) = (regularizer.l1 as f32, (2.0 * regularizer.l2) as f32);
    for (gradient, &weight) in gradients.iter_mut().zip(weights) {
        let sign = f32::from(u8::from(weight > 0.0)) - f32::from(u8::from(weight < 0.0));
        *gradient += l1 * sign + slope * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Regularizer = Regularizer { l1: 0.01, l2: 0.1 };

    #[test]
    fn penalties_by_hand() {
        let weights = [1.0, -2.0, 0.0, 0.5];
        let penalty = |l1, l2| tensor_penalty(Regularizer { l1, l2 }, &weights);
        assert!((penalty(0.01, 0.0) - 0.035).abs() < 1e-15);
        assert!((penalty(0.0, 0.1) - 0.525).abs() < 1e-15);
        assert!((penalty(0.01, 0.1) - 0.56).abs() < 1e-15);

        let mut gradients = [10.0, 0.0, 0.0, 0.0];
        add_tensor_gradient(BOTH, &weights, &mut gradients);
        for (found, expected) in gradients.iter().zip([10.21, -0.41, 0.0, 0.11]) {
            assert!((found - expected).abs() < 1e-6, "{gradients:?}");
        }
    }

    /// Of every length around the number of sums.
    #[test]
    fn gradients_are_slopes_of_the_penalty() {
        for len in [1, 15, 16, 17, 50] {
            let mut weights: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin() + 0.01).collect();
            let mut gradients = vec![0.0; len];
            add_tensor_gradient(BOTH, &weights, &mut gradients);
            for i in 0..len {
                let step = 1.0 / 4096.0;
                let at = weights[i];
                let mut penalty = |weight| {
                    weights[i] = weight;
                    tensor_penalty(BOTH, &weights)
                };
                let slope = (penalty(at + step) - penalty(at - step)) / f64::from(2.0 * step);
                penalty(at);
                assert!((slope - f64::from(gradients[i])).abs() < 1e-4, "{i} of {len}: {slope}");
            }
        }
    }
}
