use super::softmax;

/// Categorical crossentropy of softmax(logits) and its gradient with respect to the logits:
/// -Σ tᵢ ln softmax(z)ᵢ and softmax(z) - t.
#[must_use]
pub fn softmax_crossentropy(logits: &[f64], target: &[f64]) -> (f64, Vec<f64>) {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = logits.iter().map(|z| (z - max).exp()).sum::<f64>().ln();
    let loss = logits.iter().zip(target).map(|(z, t)| t * (log_sum - (z - max))).sum();
    let gradient = softmax(logits).iter().zip(target).map(|(p, t)| p - t).collect();
    (loss, gradient)
}
