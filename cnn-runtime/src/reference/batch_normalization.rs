/// `BatchNormalization` in training: `gamma (x - mean) / sqrt(variance + epsilon) + beta`, mean and
/// variance being those of a channel's values in the whole batch.
#[derive(Clone, Debug)]
pub struct BatchNormalization {
    /// Values of the batch lie as outer x channels x inner.
    pub shape: [usize; 3],
    /// Added to the variance.
    pub epsilon: f64,
    /// One for each channel.
    pub gamma: Vec<f64>,
    /// One for each channel.
    pub beta: Vec<f64>,
    /// Whether a relu follows.
    pub relu: bool,
}

impl BatchNormalization {
    fn indices(&self, channel: usize) -> Vec<usize> {
        let [outer, channels, inner] = self.shape;
        (0..outer)
            .flat_map(|o| (0..inner).map(move |k| (o * channels + channel) * inner + k))
            .collect()
    }

    /// Mean and variance of each channel.
    #[must_use]
    pub fn statistics(&self, x: &[f64]) -> Vec<[f64; 2]> {
        let channel = |c| {
            let values: Vec<f64> = self.indices(c).iter().map(|&i| x[i]).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            [mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n]
        };
        (0..self.shape[1]).map(channel).collect()
    }

    /// The batch's outputs.
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        for (c, [mean, variance]) in self.statistics(x).into_iter().enumerate() {
            for i in self.indices(c) {
                y[i] =
                    self.gamma[c] * (x[i] - mean) / (variance + self.epsilon).sqrt() + self.beta[c];
                if self.relu {
                    y[i] = y[i].max(0.0);
                }
            }
        }
        y
    }
}
