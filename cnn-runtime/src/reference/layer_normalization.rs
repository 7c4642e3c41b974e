/// `LayerNormalization` of rows: `gamma (x - mean) / sqrt(variance + epsilon) + beta`, mean and
/// variance being those of a row's values; gamma and beta may be empty.
#[must_use]
pub fn layer_normalization(
    len: usize,
    epsilon: f64,
    gamma: &[f64],
    beta: &[f64],
    x: &[f64],
) -> Vec<f64> {
    let mut y = Vec::new();
    for row in x.chunks(len) {
        let n = len as f64;
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        for (i, x) in row.iter().enumerate() {
            let z = (x - mean) / (variance + epsilon).sqrt();
            y.push(gamma.get(i).unwrap_or(&1.0) * z + beta.get(i).unwrap_or(&0.0));
        }
    }
    y
}
