/// A two-dimensional convolution of one image: y = Σ x · kernel + bias, the kernel not flipped, which
/// is height x width x in / groups x out. With as many groups as channels it is depthwise.
#[derive(Debug, Clone, Copy)]
pub struct Conv2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Channels of the output.
    pub filters: usize,
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps down and to the right.
    pub strides: [usize; 2],
    /// Rows and columns of zeros: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Distance of the kernel's rows and columns.
    pub dilation: [usize; 2],
    /// Equal parts of the channels, each with filters of its own.
    pub groups: usize,
}

impl Conv2D {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        let size = |n: usize, axis: usize| {
            let padded = n + self.padding[2 * axis] + self.padding[2 * axis + 1];
            let span = (self.kernel_size[axis] - 1) * self.dilation[axis] + 1;
            (padded - span) / self.strides[axis] + 1
        };
        [size(self.input[0], 0), size(self.input[1], 1), self.filters]
    }

    /// The number of kernel elements.
    #[must_use]
    pub fn kernel_len(&self) -> usize {
        self.kernel_size[0] * self.kernel_size[1] * self.input[2] / self.groups * self.filters
    }

    /// The output for `bias`, one per filter.
    #[must_use]
    pub fn forward(&self, x: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64> {
        let size: usize = self.output().iter().product();
        let mut y: Vec<f64> = (0..size).map(|i| bias[i % self.filters]).collect();
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

    /// The gradient of Σ y · dy with respect to the kernel.
    #[must_use]
    pub fn grad_kernel(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let mut dk = vec![0.0; self.kernel_len()];
        self.for_each_product(|xi, ki, yi| dk[ki] += x[xi] * dy[yi]);
        dk
    }

    /// The gradient of Σ y · dy with respect to the bias.
    #[must_use]
    pub fn grad_bias(&self, dy: &[f64]) -> Vec<f64> {
        (0..self.filters).map(|f| dy.iter().skip(f).step_by(self.filters).sum()).collect()
    }

    /// Calls `f` with the flat indices of the input, kernel and output element of each product.
    fn for_each_product(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [height, width, channels] = self.input;
        let inputs = channels / self.groups;
        let [rows, columns, filters] = self.output();
        let [kernel_rows, kernel_columns] = self.kernel_size;
        // Where a kernel element lies on the input, if it does not lie on the padding.
        let locate = |out: usize, tap: usize, axis: usize, n: usize| {
            let position = out * self.strides[axis] + tap * self.dilation[axis];
            position.checked_sub(self.padding[2 * axis]).filter(|&p| p < n)
        };
        for row in 0..rows {
            for column in 0..columns {
                for tap_row in 0..kernel_rows {
                    for tap_column in 0..kernel_columns {
                        let Some(h) = locate(row, tap_row, 0, height) else { continue };
                        let Some(w) = locate(column, tap_column, 1, width) else { continue };
                        let tap = tap_row * kernel_columns + tap_column;
                        for filter in 0..filters {
                            let group = filter / (filters / self.groups);
                            for channel in 0..inputs {
                                f(
                                    (h * width + w) * channels + group * inputs + channel,
                                    (tap * inputs + channel) * filters + filter,
                                    (row * columns + column) * filters + filter,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
