/// A fully connected layer on a batch of rows: y = x · kernel + bias.
#[derive(Debug, Clone, Copy)]
pub struct Dense {
    /// Length of an input row.
    pub inputs: usize,
    /// Length of an output row.
    pub units: usize,
}

impl Dense {
    /// The output rows.
    #[must_use]
    pub fn forward(&self, x: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64> {
        let mut y = Vec::new();
        for row in x.chunks(self.inputs) {
            for unit in 0..self.units {
                let products = (0..self.inputs).map(|i| row[i] * kernel[i * self.units + unit]);
                y.push(bias[unit] + products.sum::<f64>());
            }
        }
        y
    }

    /// The gradient of Σ y · dy with respect to the input rows.
    #[must_use]
    pub fn grad_input(&self, kernel: &[f64], dy: &[f64]) -> Vec<f64> {
        let mut dx = Vec::new();
        for row in dy.chunks(self.units) {
            for i in 0..self.inputs {
                dx.push((0..self.units).map(|u| kernel[i * self.units + u] * row[u]).sum());
            }
        }
        dx
    }

    /// The gradient of Σ y · dy with respect to the kernel, summed over the rows.
    #[must_use]
    pub fn grad_kernel(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let rows = x.len() / self.inputs;
        let mut dk = Vec::new();
        for i in 0..self.inputs {
            for unit in 0..self.units {
                let product = |r: usize| x[r * self.inputs + i] * dy[r * self.units + unit];
                dk.push((0..rows).map(product).sum());
            }
        }
        dk
    }

    /// The gradient of Σ y · dy with respect to the bias, summed over the rows.
    #[must_use]
    pub fn grad_bias(&self, dy: &[f64]) -> Vec<f64> {
        (0..self.units).map(|u| dy.iter().skip(u).step_by(self.units).sum()).collect()
    }
}
