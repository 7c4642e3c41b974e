//! Axes in another order.

/// `Permute` of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permute {
    /// Sizes of the output; missing axes are 1.
    pub output: [usize; 3],
    /// How far apart in the input the neighbours along each axis of the output are.
    pub strides: [usize; 3],
}

impl Permute {
    /// Axis `i` of the output is axis `order[i]` of the input.
    ///
    /// # Panics
    ///
    /// (In a `const`: does not compile.) If there is no such axis.
    #[must_use]
    pub const fn new(input: [usize; 3], order: [usize; 3]) -> Self {
        let all = [input[1] * input[2], input[2], 1];
        let [a, b, c] = order;
        Self { output: [input[a], input[b], input[c]], strides: [all[a], all[b], all[c]] }
    }

    /// Moves each element.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        self.for_each(|from, to| y[to] = x[from]);
    }

    /// Moves each element's gradient back.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        self.for_each(|from, to| dx[from] = dy[to]);
    }

    /// Calls `f` with the place of each element in the input and in the output.
    fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        let ([rows, columns, channels], [down, across, deep]) = (self.output, self.strides);
        let mut to = 0;
        for row in 0..rows {
            for column in 0..columns {
                for channel in 0..channels {
                    f(row * down + column * across + channel * deep, to);
                    to += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every order of three axes, by the indices of each element.
    #[test]
    fn elements_follow_their_axes() {
        let input = [3, 4, 5];
        let x: Vec<f32> = (0..60_u8).map(f32::from).collect();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let layer = Permute::new(input, order);
            let (mut y, mut dx) = (vec![f32::NAN; 60], vec![f32::NAN; 60]);
            layer.forward(&x, &mut y);
            let output = order.map(|axis| input[axis]);
            for a in 0..3 {
                for b in 0..4 {
                    for c in 0..5 {
                        let [i, j, k] = order.map(|axis| [a, b, c][axis]);
                        let (from, to) = ((a * 4 + b) * 5 + c, (i * output[1] + j) * output[2] + k);
                        assert_eq!(y[to].to_bits(), x[from].to_bits(), "{order:?}");
                    }
                }
            }
            layer.backward(&y, &mut dx);
            assert_eq!(dx, x);
        }
    }
}
