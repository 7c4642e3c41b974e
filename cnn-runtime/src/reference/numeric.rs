/// The gradient of `f` at `at` by central differences: (f(x + h) - f(x - h)) / 2h in each element.
/// The error is of the order of h² times the third derivative plus 1e-16 f / h.
pub fn numeric_gradient(f: impl Fn(&[f64]) -> f64, at: &[f64], h: f64) -> Vec<f64> {
    let mut x = at.to_vec();
    let mut gradient = Vec::with_capacity(x.len());
    for i in 0..x.len() {
        x[i] = at[i] + h;
        let above = f(&x);
        x[i] = at[i] - h;
        let below = f(&x);
        x[i] = at[i];
        gradient.push((above - below) / (2.0 * h));
    }
    gradient
}

/// The padding (before, after) with which windows of this size, stride and dilation give
/// ceil(n / stride) outputs: Keras's `same`, the odd one after.
#[must_use]
pub fn same_padding(n: usize, size: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let span = (n.div_ceil(stride) - 1) * stride + (size - 1) * dilation + 1;
    let total = span.saturating_sub(n);
    (total / 2, total - total / 2)
}

/// The same numbers in double precision.
#[must_use]
pub fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}
