/// A transposed convolution of one image: each pixel adds its kernel, height x width x out x in, to
/// the output, a stride from the next pixel's.
#[derive(Debug, Clone, Copy)]
pub struct Conv2DTranspose {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the output.
    pub size: [usize; 2],
    /// Channels of the output.
    pub filters: usize,
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps down and to the right.
    pub strides: [usize; 2],
    /// Distance of the kernel's rows and columns.
    pub dilation: [usize; 2],
    /// Rows and columns cut off at the top and at the left.
    pub crop: [usize; 2],
}

impl Conv2DTranspose {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        [self.size[0], self.size[1], self.filters]
    }

    /// The number of kernel elements.
    #[must_use]
    pub fn kernel_len(&self) -> usize {
        self.kernel_size[0] * self.kernel_size[1] * self.filters * self.input[2]
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
        let [rows, columns] = self.size;
        let [kernel_rows, kernel_columns] = self.kernel_size;
        let locate = |pixel: usize, tap: usize, axis: usize, n: usize| {
            let position = pixel * self.strides[axis] + tap * self.dilation[axis];
            position.checked_sub(self.crop[axis]).filter(|&p| p < n)
        };
        for pixel in 0..height * width {
            for tap in 0..kernel_rows * kernel_columns {
                let row = locate(pixel / width, tap / kernel_columns, 0, rows);
                let column = locate(pixel % width, tap % kernel_columns, 1, columns);
                let (Some(row), Some(column)) = (row, column) else { continue };
                for filter in 0..self.filters {
                    for channel in 0..channels {
                        f(
                            pixel * channels + channel,
                            (tap * self.filters + filter) * channels + channel,
                            (row * columns + column) * self.filters + filter,
                        );
                    }
                }
            }
        }
    }
}
