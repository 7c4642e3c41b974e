//! What the nodes of a random graph compute, from their definitions in `f64`.

use crate::random::{Conv, Function, Graph, Node, Op, Pool, windows};

/// One array for each image.
pub type Batch = Vec<Vec<f64>>;

/// What the windows along one side see: for each, the places of its taps on the input.
fn taps(
    n: usize,
    size: usize,
    stride: usize,
    dilation: usize,
    same: bool,
) -> Vec<Vec<Option<usize>>> {
    let count = windows(n, size, stride, dilation, same).unwrap();
    let span = (count - 1) * stride + (size - 1) * dilation + 1;
    let before = if same { span.saturating_sub(n) / 2 } else { 0 };
    let place = |window: usize, tap: usize| {
        (window * stride + tap * dilation).checked_sub(before).filter(|&at| at < n)
    };
    (0..count).map(|window| (0..size).map(|tap| place(window, tap)).collect()).collect()
}

fn apply(function: Function, x: f64) -> f64 {
    match function {
        Function::Linear => x,
        Function::Relu => x.max(0.0),
        Function::Tanh => x.tanh(),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

fn convolve(conv: &Conv, shape: &[usize], weights: &[&[f64]], x: &[f64]) -> Vec<f64> {
    let (inputs, per_group) = (shape[2], shape[2] / conv.groups);
    let channels = conv.multiplier.map_or(conv.filters, |multiplier| multiplier * inputs);
    let [down, across] = [0, 1]
        .map(|i| taps(shape[i], conv.kernel[i], conv.strides[i], conv.dilation[i], conv.same));
    let mut y = Vec::new();
    for rows in &down {
        for columns in &across {
            for o in 0..channels {
                let mut sum = if conv.bias { weights[1][o] } else { 0.0 };
                for (i, row) in rows.iter().enumerate() {
                    for (j, column) in columns.iter().enumerate() {
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        for c in 0..per_group {
                            let tap = i * conv.kernel[1] + j;
                            let (from, weight) = if let Some(multiplier) = conv.multiplier {
                                // Output channels of one input channel lie side by side.
                                (o / multiplier, tap * channels + o)
                            } else {
                                let group = o / (channels / conv.groups);
                                (group * per_group + c, (tap * per_group + c) * channels + o)
                            };
                            sum +=
                                x[(row * shape[1] + column) * inputs + from] * weights[0][weight];
                        }
                    }
                }
                y.push(apply(conv.activation, sum));
            }
        }
    }
    y
}

fn pool(pool: &Pool, shape: &[usize], x: &[f64]) -> Vec<f64> {
    let [down, across] =
        [0, 1].map(|i| taps(shape[i], pool.size[i], pool.strides[i], 1, pool.same));
    let mut y = Vec::new();
    for rows in &down {
        for columns in &across {
            for c in 0..shape[2] {
                let rows = rows.iter().flatten();
                let values: Vec<f64> = rows
                    .flat_map(|row| columns.iter().flatten().map(move |column| (row, column)))
                    .map(|(row, column)| x[(row * shape[1] + column) * shape[2] + c])
                    .collect();
                y.push(if pool.max {
                    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                } else {
                    values.iter().sum::<f64>() / values.len() as f64
                });
            }
        }
    }
    y
}

/// Of a `BatchNormalization`: gamma, beta, and in inference the moving mean and variance, else by the
/// batch's own.
fn normalize(channels: usize, weights: &[&[f64]], x: &Batch) -> Batch {
    let mut y = x.clone();
    for (c, (scale, shift)) in weights[0].iter().zip(weights[1]).enumerate() {
        let of =
            |image: &Vec<f64>| image.iter().copied().skip(c).step_by(channels).collect::<Vec<_>>();
        let values: Vec<f64> = x.iter().flat_map(of).collect();
        let (mean, variance) = match weights {
            [_, _, mean, variance] => (mean[c], variance[c]),
            _ => statistics(&values),
        };
        for image in &mut y {
            for value in image.iter_mut().skip(c).step_by(channels) {
                let normal = (*value - mean) / (variance + f64::from(1e-3_f32)).sqrt();
                *value = scale * normal + shift;
            }
        }
    }
    y
}

fn statistics(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

fn merge(class: &str, values: &[f64]) -> f64 {
    match class {
        "Add" => values.iter().sum(),
        "Multiply" => values.iter().product(),
        "Average" => values.iter().sum::<f64>() / values.len() as f64,
        _ => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// The output of a node.
#[must_use]
pub fn compute(graph: &Graph, node: &Node, weights: &[&[f64]], inputs: &[&Batch]) -> Batch {
    let shape = graph.shape(node.inputs[0]);
    let each = |of: &dyn Fn(&[f64]) -> Vec<f64>| inputs[0].iter().map(|x| of(x)).collect();
    match &node.op {
        Op::Conv(conv) => each(&|x| convolve(conv, shape, weights, x)),
        Op::Pool(args) => each(&|x| pool(args, shape, x)),
        Op::Normalize => normalize(shape[2], weights, inputs[0]),
        Op::Activate(function) => each(&|x| x.iter().map(|&x| apply(*function, x)).collect()),
        Op::Flatten => inputs[0].clone(),
        Op::GlobalAverage => each(&|x| {
            let mean = |c: usize| {
                let values: Vec<f64> = x.iter().copied().skip(c).step_by(shape[2]).collect();
                values.iter().sum::<f64>() / values.len() as f64
            };
            (0..shape[2]).map(mean).collect()
        }),
        Op::Dense(units, function) => each(&|x| {
            let unit = |o: usize| {
                let products = x.iter().enumerate().map(|(i, x)| x * weights[0][i * units + o]);
                apply(*function, products.sum::<f64>() + weights[1][o])
            };
            (0..*units).map(unit).collect()
        }),
        Op::Merge(class) => (0..inputs[0].len())
            .map(|image| {
                let value = |i: usize| {
                    let values: Vec<f64> = inputs.iter().map(|input| input[image][i]).collect();
                    merge(class, &values)
                };
                (0..inputs[0][image].len()).map(value).collect()
            })
            .collect(),
        Op::Concatenate => (0..inputs[0].len())
            .map(|image| {
                let pixels = shape[0] * shape[1];
                let pixel = |p: usize| {
                    let parts = inputs.iter().map(move |input| {
                        let channels = input[image].len() / pixels;
                        &input[image][p * channels..][..channels]
                    });
                    parts.flatten().copied().collect::<Vec<f64>>()
                };
                (0..pixels).flat_map(pixel).collect()
            })
            .collect(),
    }
}

/// A node's weights among all, in order.
#[must_use]
pub fn weights_of(weights: &[(String, Vec<f64>)], index: usize) -> Vec<&[f64]> {
    let prefix = format!("n{}/", index + 1);
    let own = weights.iter().filter(|(name, _)| name.starts_with(&prefix));
    own.map(|(_, values)| values.as_slice()).collect()
}

/// The inputs, then the outputs of all nodes; weights by tensor.
#[must_use]
pub fn forward(graph: &Graph, weights: &[(String, Vec<f64>)], x: &Batch) -> Vec<Batch> {
    let mut values = vec![x.clone()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<&Batch> = node.inputs.iter().map(|&input| &values[input]).collect();
        values.push(compute(graph, node, &weights_of(weights, index), &inputs));
    }
    values
}
