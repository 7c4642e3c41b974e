//! Crossentropy, one sample at a time.
//!
//! Each function returns the loss of a sample, and writes the gradient of `scale` times that loss
//! unless the slice for it is empty. With `scale` = 1 / batch size the gradients are those of the
//! mean over a batch.

use crate::layer::softmax;
use crate::math::ln_f64;

/// Keras's epsilon: probabilities are clipped to `EPSILON ..= 1 - EPSILON`.
const EPSILON: f64 = 1e-7;

/// What a sample should have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target<'a> {
    /// A class, below the number of outputs.
    Class(usize),
    /// A weight per output, 1 for the class and 0 for the others (or shares of several).
    OneHot(&'a [f32]),
}

impl Target<'_> {
    fn check(self, classes: usize) {
        match self {
            Self::Class(class) => assert!(class < classes, "class {class} of {classes} classes"),
            Self::OneHot(row) => {
                let found = row.len();
                assert!(found == classes, "a target of {found} numbers for {classes} classes");
            }
        }
    }
}

/// Categorical crossentropy of softmax(logits): Σ tᵢ (ln Σ e^zⱼ - zᵢ), finite for all finite logits.
/// The gradient is (softmax(logits) - t) · scale, a probability below 2^-64 being taken for 0.
///
/// # Panics
///
/// If the target does not fit the number of logits.
#[inline(always)]
pub(crate) fn softmax_crossentropy(
    logits: &[f32],
    target: Target<'_>,
    scale: f32,
    d_logits: &mut [f32],
) -> f64 {
    target.check(logits.len());
    let (max, sum) = softmax::max_and_sum(logits);
    let log_sum = ln_f64(sum);
    // The maximum leaves the logit first: beside 1e8, ln Σ would vanish.
    let loss = |logit: f32| log_sum - (f64::from(logit) - f64::from(max));
    let slope = |logit: f32, truth: f32| {
        (softmax::that_counts(softmax::probability(logit, max, sum)) - truth) * scale
    };
    match target {
        Target::Class(class) => {
            for (i, (d, &logit)) in d_logits.iter_mut().zip(logits).enumerate() {
                let truth = if i == class { 1.0 } else { 0.0 };
                *d = slope(logit, truth);
            }
            loss(logits[class])
        }
        Target::OneHot(row) => {
            for ((d, &logit), truth) in d_logits.iter_mut().zip(logits).zip(row) {
                *d = slope(logit, *truth);
            }
            let terms = logits.iter().zip(row).filter(|&(_, &truth)| truth != 0.0);
            terms.map(|(&logit, &truth)| f64::from(truth) * loss(logit)).sum()
        }
    }
}

/// Categorical crossentropy of plain probabilities, which are clipped to \[1e-7, 1 - 1e-7\] and
/// divided by their sum; a clipped one passes no gradient. For a row this is Keras's
/// `CategoricalCrossentropy`, which divides first; for a class it is
/// `SparseCategoricalCrossentropy`, which clips first.
///
/// # Panics
///
/// If the target does not fit the number of probabilities.
pub(crate) fn crossentropy(
    probabilities: &[f32],
    target: Target<'_>,
    scale: f32,
    gradient: &mut [f32],
) -> f64 {
    target.check(probabilities.len());
    match target {
        Target::Class(class) => of_class(probabilities, class, scale, gradient),
        Target::OneHot(row) => of_row(probabilities, row, scale, gradient),
    }
}

/// -Σ tᵢ ln clip(pᵢ / Σp).
fn of_row(probabilities: &[f32], row: &[f32], scale: f32, gradient: &mut [f32]) -> f64 {
    let sum: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    let normalized = |i: usize| f64::from(probabilities[i]) / sum;
    let (mut loss, mut passing) = (0.0, 0.0);
    for (i, &truth) in row.iter().enumerate().filter(|&(_, &truth)| truth != 0.0) {
        loss -= f64::from(truth) * ln_f64(clip(normalized(i)));
        passing += f64::from(truth) * clip_slope(normalized(i));
    }
    // The derivative of -Σ tᵢ ln (pᵢ / Σp) by pⱼ is (Σ tᵢ - tⱼ Σp / pⱼ) / Σp.
    for (i, d) in gradient.iter_mut().enumerate() {
        let (q, truth) = (normalized(i), f64::from(row[i]));
        let own = if truth == 0.0 { 0.0 } else { truth * clip_slope(q) / q };
        *d = ((passing - own) / sum * f64::from(scale)) as f32;
    }
    loss
}

/// ln Σ clip(pᵢ) - ln clip(p) of the class.
fn of_class(probabilities: &[f32], class: usize, scale: f32, gradient: &mut [f32]) -> f64 {
    let clipped = |i: usize| clip(f64::from(probabilities[i]));
    let sum: f64 = (0..probabilities.len()).map(clipped).sum();
    for (i, d) in gradient.iter_mut().enumerate() {
        let own = if i == class { 1.0 / clipped(i) } else { 0.0 };
        let slope = clip_slope(f64::from(probabilities[i])) * (1.0 / sum - own);
        *d = (slope * f64::from(scale)) as f32;
    }
    ln_f64(sum) - ln_f64(clipped(class))
}

fn clip(p: f64) -> f64 {
    p.clamp(EPSILON, 1.0 - EPSILON)
}

/// The derivative of [`clip`].
fn clip_slope(p: f64) -> f64 {
    if (EPSILON..=1.0 - EPSILON).contains(&p) || p.is_nan() { 1.0 } else { 0.0 }
}

/// The index of the first of the largest values. NaN is never the largest; 0 if there is nothing else.
#[must_use]
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &value) in values.iter().enumerate() {
        if value > values[best] || (values[best].is_nan() && !value.is_nan()) {
            best = i;
        }
    }
    best
}

#[cfg(test)]
#[allow(clippy::float_cmp, clippy::cast_sign_loss, reason = "exact and known values")]
mod tests {
    use super::*;
    use crate::reference::{self, cases};

    fn fused(logits: &[f32], target: Target<'_>) -> (f64, Vec<f32>) {
        let mut d = vec![f32::NAN; logits.len()];
        let loss = softmax_crossentropy(logits, target, 1.0, &mut d);
        (loss, d)
    }

    /// pytorch/pytorch#11752, PaddlePaddle/Paddle#21165
    #[test]
    fn huge_equal_logits() {
        let (loss, d) = fused(&[1e8, 1e8], Target::Class(1));
        assert!((loss - core::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(d, [0.5, -0.5]);
        for label in 0..4 {
            let (loss, d) = fused(&[-200.0; 4], Target::Class(label));
            assert!((loss - 4f64.ln()).abs() < 1e-15);
            for (i, d) in d.iter().enumerate() {
                assert_eq!(*d, if i == label { -0.75 } else { 0.25 });
            }
        }
        let (loss, d) = fused(&[1e8, -1e8], Target::Class(1));
        assert_eq!((loss, d), (2e8, vec![1.0, -1.0]));
    }

    #[test]
    fn a_class_is_a_one_hot_row() {
        let logits = [0.3, -1.2, 2.5, 0.0];
        for class in 0..4 {
            let mut row = [0.0; 4];
            row[class] = 1.0;
            assert_eq!(fused(&logits, Target::Class(class)), fused(&logits, Target::OneHot(&row)));
        }
    }

    /// A sure answer does not slow the way back down: no gradient is near the smallest normal number.
    #[test]
    fn gradients_are_of_a_size_or_zero() {
        for distance in 0..200 {
            let logits = [distance as f32, 0.0, -0.5];
            let (_, d) = fused(&logits, Target::Class(0));
            let exact = (-f64::from(distance)).exp();
            let sum = 1.0 + exact * (1.0 + (-0.5f64).exp());
            assert!((f64::from(d[1]) - exact / sum).abs() <= 1e-7 * exact + 6e-20, "{distance}");
            assert!(d.iter().all(|&d| d == 0.0 || d.abs() > 5e-20), "{distance}: {d:?}");
        }
    }

    #[test]
    fn nan_is_not_hidden() {
        let (loss, d) = fused(&[0.0, f32::NAN, 1.0], Target::Class(0));
        assert!(loss.is_nan() && d.iter().all(|d| d.is_nan()));
        let mut d = [0.0; 2];
        assert!(crossentropy(&[f32::NAN, 0.5], Target::Class(1), 1.0, &mut d).is_nan());
        assert!(crossentropy(&[f32::NAN, 0.5], Target::OneHot(&[0.0, 1.0]), 1.0, &mut d).is_nan());
    }

    #[test]
    fn scale_is_a_factor_of_the_gradient() {
        let (_, d) = fused(&[0.5, -0.25, 1.0], Target::Class(2));
        let mut scaled = [0.0; 3];
        softmax_crossentropy(&[0.5, -0.25, 1.0], Target::Class(2), 0.25, &mut scaled);
        assert_eq!(d.iter().map(|d| d / 4.0).collect::<Vec<_>>(), scaled);
    }

    #[test]
    fn agrees_with_the_slow_oracle() {
        for n in [1, 2, 7, 10, 100, 1000] {
            let mut rng = crate::rng::Rng::new(n, 0);
            let logits: Vec<f32> = (0..n).map(|_| rng.uniform() * 20.0 - 10.0).collect();
            let weights: Vec<f32> = (0..n).map(|_| rng.uniform()).collect();
            let (loss, d) = fused(&logits, Target::OneHot(&weights));
            let (exact, exact_d) = reference::softmax_crossentropy(
                &reference::widen(&logits),
                &reference::widen(&weights),
            );
            assert!((loss - exact).abs() <= 1e-7 * exact.max(1.0), "{loss} {exact}");
            for (d, exact) in d.iter().zip(exact_d) {
                assert!((f64::from(*d) - exact).abs() <= 2e-7);
            }
        }
    }

    #[test]
    fn agrees_with_keras() {
        let cases = cases::load("losses");
        assert_eq!(cases.len(), 13);
        for case in cases {
            let sparse = case.loss_class() == "SparseCategoricalCrossentropy";
            let from_logits = case.loss_args()["from_logits"] == true;
            let (truth, predicted) = (case.f32("y_true"), case.f32("y_pred"));
            let classes = *case.shape("y_pred").last().unwrap();
            let rows = predicted.len() / classes;
            let scale = 1.0 / rows as f32;
            let mut gradient = vec![0.0; predicted.len()];
            let mut values = Vec::new();
            for (row, (p, d)) in
                predicted.chunks(classes).zip(gradient.chunks_mut(classes)).enumerate()
            {
                let target = if sparse {
                    Target::Class(truth[row] as usize)
                } else {
                    Target::OneHot(&truth[row * classes..][..classes])
                };
                let loss = if from_logits { softmax_crossentropy } else { crossentropy };
                values.push(loss(p, target, scale, d));
                assert_eq!(values.last(), Some(&loss(p, target, scale, &mut [])));
            }
            let mean = values.iter().sum::<f64>() / rows as f64;
            case.check("loss", &[mean as f32]);
            case.check("values", &values.iter().map(|&v| v as f32).collect::<Vec<_>>());
            case.check("grad/y_pred", &gradient);
        }
    }

    #[test]
    fn argmax_takes_the_first() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(argmax(&[f32::NAN, -1.0, f32::NAN, 0.0]), 3);
        assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY]), 1);
        assert_eq!(argmax(&[f32::NEG_INFINITY, f32::NEG_INFINITY]), 0);
        assert_eq!(argmax(&[f32::NAN; 3]), 0);
        assert_eq!(argmax(&[]), 0);
    }

    #[test]
    #[should_panic(expected = "class 3 of 3 classes")]
    fn a_class_out_of_range() {
        fused(&[0.0; 3], Target::Class(3));
    }
}
