use crate::layer::merge::Rule;

/// Several inputs of height x width x channels as one, element by element; an input is repeated
/// along an axis where its size is 1.
#[derive(Debug, Clone)]
pub struct Merge {
    /// What becomes of the elements in one place.
    pub rule: Rule,
    /// Height, width and channels of each input.
    pub inputs: Vec<[usize; 3]>,
}

impl Merge {
    /// Height, width and channels of the output: the largest along each axis.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.inputs.iter().map(|shape| shape[axis]).max().unwrap_or(0))
    }

    /// The output.
    #[must_use]
    pub fn forward(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        let places = (0..self.output().iter().product()).map(|place| self.elements(place));
        places.map(|at| self.value(&read(inputs, &at))).collect()
    }

    /// The gradient of Σ y · dy with respect to input `which`.
    #[must_use]
    pub fn backward(&self, which: usize, inputs: &[Vec<f64>], dy: &[f64]) -> Vec<f64> {
        let mut dx = vec![0.0; inputs[which].len()];
        for (place, dy) in dy.iter().enumerate() {
            let at = self.elements(place);
            dx[at[which]] += self.slope(&read(inputs, &at), which) * dy;
        }
        dx
    }

    /// The element of each input that goes into an element of the output.
    fn elements(&self, place: usize) -> Vec<usize> {
        let [_, width, channels] = self.output();
        let index = [place / channels / width, place / channels % width, place % channels];
        let element = |shape: &[usize; 3]| {
            let [row, column, channel] = [0, 1, 2].map(|axis| index[axis].min(shape[axis] - 1));
            (row * shape[1] + column) * shape[2] + channel
        };
        self.inputs.iter().map(element).collect()
    }

    fn value(&self, x: &[f64]) -> f64 {
        match self.rule {
            Rule::Add => x.iter().sum(),
            Rule::Subtract => x[0] - x[1..].iter().sum::<f64>(),
            Rule::Multiply => x.iter().product(),
            Rule::Average => x.iter().sum::<f64>() / x.len() as f64,
            Rule::Maximum => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Rule::Minimum => x.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }

    #[allow(clippy::float_cmp, reason = "a maximum is one of its arguments")]
    fn slope(&self, x: &[f64], which: usize) -> f64 {
        let others = x.iter().enumerate().filter(|(k, _)| *k != which).map(|(_, x)| x);
        match self.rule {
            Rule::Add => 1.0,
            Rule::Subtract => {
                if which == 0 {
                    1.0
                } else {
                    -1.0
                }
            }
            Rule::Multiply => others.product(),
            Rule::Average => 1.0 / x.len() as f64,
            Rule::Maximum | Rule::Minimum => {
                let value = self.value(x);
                if x.iter().position(|x| *x == value) == Some(which) { 1.0 } else { 0.0 }
            }
        }
    }
}

/// The elements in one place.
fn read(inputs: &[Vec<f64>], at: &[usize]) -> Vec<f64> {
    inputs.iter().zip(at).map(|(x, &at)| x[at]).collect()
}

/// The inputs side by side along one axis of their three.
#[must_use]
pub fn concatenate(shapes: &[[usize; 3]], axis: usize, inputs: &[Vec<f64>]) -> Vec<f64> {
    let mut output = shapes[0];
    output[axis] = shapes.iter().map(|shape| shape[axis]).sum();
    let mut y = Vec::new();
    for row in 0..output[0] {
        for column in 0..output[1] {
            for channel in 0..output[2] {
                let mut index = [row, column, channel];
                let mut which = 0;
                while index[axis] >= shapes[which][axis] {
                    index[axis] -= shapes[which][axis];
                    which += 1;
                }
                let [_, width, channels] = shapes[which];
                y.push(inputs[which][(index[0] * width + index[1]) * channels + index[2]]);
            }
        }
    }
    y
}
