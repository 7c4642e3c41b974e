/// Like a convolution of one image without padding, but with a kernel and biases of its own for
/// each place of the output: (rows * columns) x (height * width * in) x out.
#[derive(Debug, Clone, Copy)]
pub struct LocallyConnected2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Channels of the output.
    pub filters: usize,
    /// Height and width of the kernels.
    pub kernel_size: [usize; 2],
    /// Steps down and to the right.
    pub strides: [usize; 2],
}

impl LocallyConnected2D {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        let size = |axis| (self.input[axis] - self.kernel_size[axis]) / self.strides[axis] + 1;
        [size(0), size(1), self.filters]
    }

    /// The number of elements of all kernels.
    #[must_use]
    pub fn kernel_len(&self) -> usize {
        let taps = self.kernel_size[0] * self.kernel_size[1] * self.input[2];
        taps * self.output().iter().product::<usize>()
    }

    /// The output for `bias`, one per element.
    #[must_use]
    pub fn forward(&self, x: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64> {
        let mut y = bias.to_vec();
        self.for_each_product(|xi, ki, yi| y[yi] += x[xi] * kernel[ki]);
        y
    }

    /// The gradient of Σ y · dy with respect to the input.
    #[must_use]
    pub fn grad_input(&self, kernel: &[f64], dy: &[f64]) -> Vec<f64> {
        let mut dx = vec![0.0; self.input.iter().product()];
        self.for_each_product(|xi, ki, yi| dx[xi] += kernel[ki] * dy[yi]);
        dx
    }

    /// The gradient of Σ y · dy with respect to the kernels.
    #[must_use]
    pub fn grad_kernel(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let mut dk = vec![0.0; self.kernel_len()];
        self.for_each_product(|xi, ki, yi| dk[ki] += x[xi] * dy[yi]);
        dk
    }

    /// The gradient of Σ y · dy with respect to the biases.
    #[expect(clippy::unused_self, reason = "called as on every oracle")]
    #[must_use]
    pub fn grad_bias(&self, dy: &[f64]) -> Vec<f64> {
        dy.to_vec()
    }

    /// Calls `f` with the flat indices of the input, kernel and output element of each product.
    fn for_each_product(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [_, width, channels] = self.input;
        let [rows, columns, filters] = self.output();
        let [kernel_rows, kernel_columns] = self.kernel_size;
        let mut kernel = 0;
        for place in 0..rows * columns {
            for tap in 0..kernel_rows * kernel_columns {
                let row = place / columns * self.strides[0] + tap / kernel_columns;
                let column = place % columns * self.strides[1] + tap % kernel_columns;
                for channel in 0..channels {
                    for filter in 0..filters {
                        f(
                            (row * width + column) * channels + channel,
                            kernel,
                            place * filters + filter,
                        );
                        kernel += 1;
                    }
                }
            }
        }
    }
}
