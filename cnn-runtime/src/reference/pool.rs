/// Max pooling of one image: the first largest input (in row-major order) under each window.
#[derive(Debug, Clone, Copy)]
pub struct MaxPooling2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the window.
    pub pool: [usize; 2],
    /// Steps down and to the right.
    pub strides: [usize; 2],
    /// Rows and columns that never win: top, bottom, left, right.
    pub padding: [usize; 4],
}

impl MaxPooling2D {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        let size = |n: usize, axis: usize| {
            let padded = n + self.padding[2 * axis] + self.padding[2 * axis + 1];
            (padded - self.pool[axis]) / self.strides[axis] + 1
        };
        [size(self.input[0], 0), size(self.input[1], 1), self.input[2]]
    }

    /// The output.
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        self.winners(x).into_iter().map(|winner| x[winner]).collect()
    }

    /// The gradient of Σ y · dy with respect to the input.
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let mut dx = vec![0.0; x.len()];
        for (winner, dy) in self.winners(x).into_iter().zip(dy) {
            dx[winner] += dy;
        }
        dx
    }

    /// The flat index of the winning input for each output.
    fn winners(&self, x: &[f64]) -> Vec<usize> {
        let [height, width, channels] = self.input;
        let [rows, columns, _] = self.output();
        let mut winners = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                for channel in 0..channels {
                    let mut winner: Option<usize> = None;
                    for h in 0..self.pool[0] {
                        for w in 0..self.pool[1] {
                            let h = (row * self.strides[0] + h).wrapping_sub(self.padding[0]);
                            let w = (column * self.strides[1] + w).wrapping_sub(self.padding[2]);
                            if h < height && w < width {
                                let i = (h * width + w) * channels + channel;
                                if winner.is_none_or(|best| x[i] > x[best]) {
                                    winner = Some(i);
                                }
                            }
                        }
                    }
                    winners.push(winner.expect("every window reaches the input"));
                }
            }
        }
        winners
    }
}

/// Average pooling of one image: the mean of the inputs under each window, padding left out.
#[derive(Debug, Clone, Copy)]
pub struct AveragePooling2D {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the window.
    pub pool: [usize; 2],
    /// Steps down and to the right.
    pub strides: [usize; 2],
    /// Rows and columns that do not count: top, bottom, left, right.
    pub padding: [usize; 4],
}

impl AveragePooling2D {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        let Self { input, pool, strides, padding } = *self;
        MaxPooling2D { input, pool, strides, padding }.output()
    }

    /// The output.
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        let mean = |places: &Vec<usize>| {
            places.iter().map(|&place| x[place]).sum::<f64>() / places.len() as f64
        };
        self.places().iter().map(mean).collect()
    }

    /// The gradient of Σ y · dy with respect to the input.
    #[must_use]
    pub fn backward(&self, dy: &[f64]) -> Vec<f64> {
        let mut dx = vec![0.0; self.input.iter().product()];
        for (places, dy) in self.places().iter().zip(dy) {
            for &place in places {
                dx[place] += dy / places.len() as f64;
            }
        }
        dx
    }

    /// The flat indices of the inputs that each output is the mean of.
    fn places(&self) -> Vec<Vec<usize>> {
        let [height, width, channels] = self.input;
        let [rows, columns, _] = self.output();
        let mut places = Vec::new();
        for output in 0..rows * columns * channels {
            let (row, column) = (output / channels / columns, output / channels % columns);
            let mut window = Vec::new();
            for h in 0..self.pool[0] {
                for w in 0..self.pool[1] {
                    let h = (row * self.strides[0] + h).wrapping_sub(self.padding[0]);
                    let w = (column * self.strides[1] + w).wrapping_sub(self.padding[2]);
                    if h < height && w < width {
                        window.push((h * width + w) * channels + output % channels);
                    }
                }
            }
            places.push(window);
        }
        places
    }
}
