//! `RMSprop`'s rule, for whole vectors.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::simd::{Lanes, Vector, vectorized};

/// `v = rho v + (1 - rho) g²; w -= rate g / sqrt(v + epsilon)`, as Keras defines it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The learning rate.
    pub rate: f32,
    /// How much of the mean of squares stays.
    pub rho: f32,
    /// `1 - rho`, rounded once.
    pub rest: f32,
    /// Inside the root.
    pub epsilon: f32,
}

impl Rule {
    /// The new weight and mean of squares.
    #[inline(always)]
    pub(crate) fn step<V: Vector>(self, weight: V, gradient: V, square: V) -> (V, V) {
        let rest = V::splat(self.rest).mul(gradient).mul_add(gradient, V::splat(FLOOR));
        let square = V::splat(self.rho).mul_add(square, rest);
        let root = inverse_root(square.add(V::splat(self.epsilon)));
        (V::splat(-self.rate).mul(gradient).mul_add(root, weight), square)
    }
}

/// Is added to each mean of squares. Without gradients that would sink below the smallest normal number, and
/// stay there, where a CPU takes a hundred times as long: all weights that have nothing to learn, from about the
/// 700th step on. Beside [`Rule::epsilon`] it is nothing.
const FLOOR: f32 = 1.0 / (1u128 << 120) as f32;

/// `1 / sqrt(x)` for positive normal `x`, within 2 units in the last place: divisions and roots take
/// longer than all else in a step. Newton's iteration, from a first guess that halves the exponent in
/// the bits; each turns an error e into 1.5 e², and the guess is within 3.5 %. For 0 it is large but
/// finite, for infinity NaN.
#[inline(always)]
fn inverse_root<V: Vector>(x: V) -> V {
    let (half, minus_half) = (V::splat(0.5), x.mul(V::splat(-0.5)));
    let mut root = x.inverse_root_guess();
    for _ in 0..3 {
        let error = minus_half.mul(root).mul_add(root, half);
        root = root.mul_add(error, root);
    }
    root
}

vectorized! {
    /// One step for each weight. All slices have one length.
    pub(crate) fn step(rule: Rule, weights: &mut [f32], gradients: &[f32], squares: &mut [f32])
        = step_body;

    /// The same for matrices of one shape, whose rows lie somewhere.
    pub(crate) fn step_rows(
        rule: Rule,
        weights: ArrayViewMut2<'_, f32>,
        gradients: &ArrayView2<'_, f32>,
        squares: ArrayViewMut2<'_, f32>,
    ) = step_rows_body;
}

#[inline(always)]
fn step_body<L: Lanes>(rule: Rule, weights: &mut [f32], gradients: &[f32], squares: &mut [f32]) {
    assert!(weights.len() == gradients.len() && weights.len() == squares.len());
    let mut parts = (weights, gradients, squares);
    while parts.0.len() >= L::Wide::LEN {
        let (weights, squares) = (&mut parts.0[..L::Wide::LEN], &mut parts.2[..L::Wide::LEN]);
        let (weight, square) =
            rule.step(L::Wide::load(weights), L::Wide::load(parts.1), L::Wide::load(squares));
        weight.store(weights);
        square.store(squares);
        parts = (
            &mut std::mem::take(&mut parts.0)[L::Wide::LEN..],
            &parts.1[L::Wide::LEN..],
            &mut std::mem::take(&mut parts.2)[L::Wide::LEN..],
        );
    }
    // The rest as a vector of its own, so that each weight's arithmetic is the same.
    let len = parts.0.len();
    if len == 0 {
        return;
    }
    let mut padded = [[0.0; 16]; 3];
    padded[0][..len].copy_from_slice(parts.0);
    padded[1][..len].copy_from_slice(parts.1);
    padded[2][..len].copy_from_slice(parts.2);
    let [weights, gradients, squares] = &mut padded;
    let (weight, square) =
        rule.step(L::Wide::load(weights), L::Wide::load(gradients), L::Wide::load(squares));
    weight.store(weights);
    square.store(squares);
    parts.0.copy_from_slice(&weights[..len]);
    parts.2.copy_from_slice(&squares[..len]);
}

#[inline(always)]
fn step_rows_body<L: Lanes>(
    rule: Rule,
    mut weights: ArrayViewMut2<'_, f32>,
    gradients: &ArrayView2<'_, f32>,
    mut squares: ArrayViewMut2<'_, f32>,
) {
    let all = weights.rows_mut().into_iter().zip(gradients.rows()).zip(squares.rows_mut());
    for ((weights, gradients), squares) in all {
        let [Some(weights), Some(squares)] = [weights.into_slice(), squares.into_slice()] else {
            unreachable!("columns lie side by side")
        };
        let gradients = gradients.to_slice().expect("columns lie side by side");
        step_body::<L>(rule, weights, gradients, squares);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_roots_are_within_two_units() {
        let exponents = (-126..=127).map(|exponent| 2f32.powi(exponent));
        for x in exponents.flat_map(|power| [1.0, 1.1, 1.41, 1.7, 1.999_999].map(|x| x * power)) {
            let exact = 1.0 / f64::from(x).sqrt();
            let found = f64::from(lanes(x));
            assert!(
                (found / exact - 1.0).abs() < 2.0 * f64::from(f32::EPSILON),
                "{x:e}: {found:e}"
            );
        }
    }

    fn lanes(x: f32) -> f32 {
        let mut out = [0.0; 8];
        inverse_root(super::super::simd::Portable::splat(x)).store(&mut out);
        out[0]
    }

    /// Whatever the gradients, means of squares stay normal numbers, and weights where they belong.
    #[test]
    fn no_square_is_subnormal() {
        let rule = Rule { rate: 0.001, rho: 0.9, rest: 0.1, epsilon: 1e-7 };
        let gradients: Vec<f32> =
            (0..40).map(|i| if i < 2 { 0.0 } else { 10f32.powi(-i) }).collect();
        let (mut weights, mut squares) = (vec![0.5; 40], vec![1.0; 40]);
        squares[1] = 0.0;
        for _ in 0..2000 {
            step(rule, &mut weights, &gradients, &mut squares);
            assert!(squares.iter().all(|square| square.is_normal()));
        }
        for ((&weight, &square), &gradient) in weights.iter().zip(&squares).zip(&gradients) {
            let g = f64::from(gradient);
            assert!((f64::from(square) - g * g).abs() <= 1e-5 * g * g + 1e-35, "{square:e} {g:e}");
            if g < 1e-12 {
                assert!((weight - 0.5).abs() < 1e-7, "{g:e}");
            }
        }
    }

    /// The definition in `f64`, over lengths around those of vectors.
    #[test]
    fn steps_follow_the_definition() {
        let rule = Rule { rate: 0.01, rho: 0.9, rest: 0.1, epsilon: 1e-7 };
        for len in [0, 1, 7, 15, 16, 17, 40] {
            let gradients: Vec<f32> = (0..len).map(|i| (i as f32 - 5.0) * 0.3).collect();
            let (mut weights, mut squares) = (vec![0.5; len], vec![0.25; len]);
            step(rule, &mut weights, &gradients, &mut squares);
            for i in 0..len {
                let g = f64::from(gradients[i]);
                let square = 0.9 * 0.25 + 0.1 * g * g;
                let weight = 0.5 - 0.01 * g / (square + 1e-7).sqrt();
                assert!((f64::from(squares[i]) / square - 1.0).abs() < 1e-6);
                assert!((f64::from(weights[i]) - weight).abs() < 1e-7, "{weight}");
            }
        }
    }
}
