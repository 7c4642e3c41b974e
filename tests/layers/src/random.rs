//! Random graphs of layers: written as texts of the language by the build script, and computed from
//! their definitions by the tests.

use std::fmt::Write as _;

/// How many graphs there are.
pub const GRAPHS: u64 = 24;

/// One layer and what it takes.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// 0 is the input, i the output of node i - 1.
    pub inputs: Vec<usize>,
    /// Height, width and channels of its output, or features alone.
    pub shape: Vec<usize>,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `Conv2D`, `DepthwiseConv2D`
    Conv(Conv),
    /// `MaxPooling2D`, `AveragePooling2D`
    Pool(Pool),
    /// `BatchNormalization`
    Normalize,
    /// `Activation`
    Activate(Function),
    /// `Add`, `Multiply`, `Average`, `Maximum`
    Merge(&'static str),
    /// `Concatenate`
    Concatenate,
    /// `Flatten`
    Flatten,
    /// `GlobalAveragePooling2D`
    GlobalAverage,
    /// `Dense`
    Dense(usize, Function),
}

/// A convolution's arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Channels of the output.
    pub filters: usize,
    /// Height and width.
    pub kernel: [usize; 2],
    /// Down and across.
    pub strides: [usize; 2],
    /// Down and across.
    pub dilation: [usize; 2],
    /// `padding = same`
    pub same: bool,
    /// Channels in so many separate groups.
    pub groups: usize,
    /// A `DepthwiseConv2D`, with so many outputs for each channel.
    pub multiplier: Option<usize>,
    /// Whether it has one.
    pub bias: bool,
    /// Applied last.
    pub activation: Function,
}

/// A pooling's arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Maximum, or else average.
    pub max: bool,
    /// Height and width.
    pub size: [usize; 2],
    /// Down and across.
    pub strides: [usize; 2],
    /// `padding = same`
    pub same: bool,
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// x
    Linear,
    /// max(x, 0)
    Relu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

impl Function {
    const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// Numbers that look random (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Draw(pub u64);

impl Draw {
    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0 to n - 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// One of some.
    pub fn of<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())].clone()
    }

    /// Uniform in -1 to 1, a multiple of 2^-20, which `f32` holds exactly.
    pub fn number(&mut self) -> f64 {
        (self.bits() >> 43) as f64 / f64::from(1 << 20) - 1.0
    }
}

/// A graph.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Shape of its input.
    pub input: Vec<usize>,
    /// In order of execution.
    pub nodes: Vec<Node>,
}

/// Windows of a pooling or a convolution along one side; `None` where none fits. Counted one by one.
#[must_use]
pub fn windows(n: usize, size: usize, stride: usize, dilation: usize, same: bool) -> Option<usize> {
    let fits = |start: &usize| same || start + (size - 1) * dilation < n;
    let count = (0..n).step_by(stride).filter(fits).count();
    (count > 0).then_some(count)
}

impl Graph {
    /// The graph of a number.
    #[must_use]
    pub fn random(number: u64) -> Self {
        let mut draw = Draw(number);
        let input = vec![3 + draw.below(6), 3 + draw.below(6), 1 + draw.below(4)];
        let mut graph = Self { input, nodes: Vec::new() };
        let count = 3 + draw.below(6);
        while graph.nodes.len() < count {
            graph.grow(&mut draw);
        }
        graph.close(&mut draw);
        graph
    }

    /// Shape of the input, or of a node's output.
    #[must_use]
    pub fn shape(&self, value: usize) -> &[usize] {
        value.checked_sub(1).map_or(&self.input, |node| &self.nodes[node].shape)
    }

    fn push(&mut self, op: Op, inputs: Vec<usize>, shape: Vec<usize>) {
        self.nodes.push(Node { op, inputs, shape });
    }

    /// Adds a node, if the one that comes up is possible.
    fn grow(&mut self, draw: &mut Draw) {
        // Mostly the last value, sometimes an earlier one.
        let last = self.nodes.len();
        let from = if draw.below(3) == 0 { draw.below(last + 1) } else { last };
        let shape = self.shape(from).to_vec();
        match draw.below(6) {
            0 | 1 => {
                let conv = conv(draw, shape[2]);
                let along = |i: usize| {
                    let [k, s, d] = [conv.kernel[i], conv.strides[i], conv.dilation[i]];
                    windows(shape[i], k, s, d, conv.same)
                };
                if let (Some(rows), Some(columns)) = (along(0), along(1)) {
                    let channels = conv.multiplier.map_or(conv.filters, |m| m * shape[2]);
                    self.push(Op::Conv(conv), vec![from], vec![rows, columns, channels]);
                }
            }
            2 => {
                let size = [1 + draw.below(3), 1 + draw.below(3)];
                let strides = draw.of(&[size, [1, 1], [2, 1]]);
                let pool =
                    Pool { max: draw.below(2) == 0, size, strides, same: draw.below(2) == 0 };
                let along = |i: usize| windows(shape[i], size[i], strides[i], 1, pool.same);
                if let (Some(rows), Some(columns)) = (along(0), along(1)) {
                    self.push(Op::Pool(pool), vec![from], vec![rows, columns, shape[2]]);
                }
            }
            3 => self.push(Op::Normalize, vec![from], shape),
            4 => {
                let function = draw.of(&[Function::Relu, Function::Tanh, Function::Sigmoid]);
                self.push(Op::Activate(function), vec![from], shape);
            }
            _ => self.merge(draw, from, shape),
        }
    }

    /// Merges a value with others of its size.
    fn merge(&mut self, draw: &mut Draw, from: usize, shape: Vec<usize>) {
        let concatenate = draw.below(2) == 0;
        let fits = |&other: &usize| {
            let other = self.shape(other);
            if concatenate { other[..2] == shape[..2] } else { other == shape }
        };
        let others: Vec<usize> = (0..=self.nodes.len()).filter(fits).collect();
        let inputs = [vec![from], (0..=draw.below(2)).map(|_| draw.of(&others)).collect()].concat();
        if concatenate {
            let channels = inputs.iter().map(|&input| self.shape(input)[2]).sum();
            self.push(Op::Concatenate, inputs, vec![shape[0], shape[1], channels]);
        } else {
            let merge = draw.of(&["Add", "Multiply", "Average", "Maximum"]);
            self.push(Op::Merge(merge), inputs, shape);
        }
    }

    /// Brings all values that nothing has taken yet to a few outputs.
    fn close(&mut self, draw: &mut Draw) {
        let taken: Vec<usize> =
            self.nodes.iter().flat_map(|node| node.inputs.iter().copied()).collect();
        let loose: Vec<usize> = (1..=self.nodes.len()).filter(|i| !taken.contains(i)).collect();
        let mut ends = Vec::new();
        for value in loose {
            let shape = self.shape(value).to_vec();
            if draw.below(2) == 0 {
                self.push(Op::Flatten, vec![value], vec![shape.iter().product()]);
            } else {
                self.push(Op::GlobalAverage, vec![value], vec![shape[2]]);
            }
            let function = draw.of(&[Function::Linear, Function::Relu, Function::Tanh]);
            self.push(Op::Dense(4, function), vec![self.nodes.len()], vec![4]);
            ends.push(self.nodes.len());
        }
        if ends.len() > 1 {
            self.push(Op::Merge("Add"), ends, vec![4]);
        }
        self.push(Op::Dense(3, Function::Linear), vec![self.nodes.len()], vec![3]);
    }

    /// The text of the graph as a model.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let numbers: Vec<String> = self.input.iter().map(usize::to_string).collect();
        let mut text = format!("model {name} {{\n    input({});\n", numbers.join(", "));
        for (index, node) in self.nodes.iter().enumerate() {
            let value = |&input: &usize| match input {
                0 => "input".to_owned(),
                i => format!("n{i}"),
            };
            let inputs = node.inputs.iter().map(value).collect::<Vec<_>>().join(", ");
            // What stands above need not be named.
            let of = if node.inputs == [index] { String::new() } else { format!("({inputs})") };
            let layer = match &node.op {
                Op::Conv(conv) => format!("{}{of}", conv.text()),
                Op::Pool(pool) => format!("{}{of}", pool.text()),
                Op::Normalize => format!("BatchNormalization(){of}"),
                Op::Activate(function) => format!("Activation({}){of}", function.name()),
                Op::Merge(class) => format!("{class}({inputs})"),
                Op::Concatenate => format!("Concatenate({inputs}, axis = -1)"),
                Op::Flatten => format!("Flatten(){of}"),
                Op::GlobalAverage => format!("GlobalAveragePooling2D(){of}"),
                Op::Dense(units, function) => {
                    format!("Dense({units}, activation = {}){of}", function.name())
                }
            };
            let _ = writeln!(text, "    n{}: {layer};", index + 1);
        }
        text + "    inspect;\n}\n"
    }
}

fn conv(draw: &mut Draw, channels: usize) -> Conv {
    let (strides, dilation) = match draw.below(3) {
        0 => ([1 + draw.below(2), 1 + draw.below(3)], [1, 1]),
        1 => ([1, 1], [1 + draw.below(2), 1 + draw.below(3)]),
        _ => ([1, 1], [1, 1]),
    };
    let groups = if channels.is_multiple_of(2) && draw.below(3) == 0 { 2 } else { 1 };
    let multiplier = (draw.below(4) == 0).then(|| 1 + draw.below(2));
    let functions = [Function::Linear, Function::Relu, Function::Tanh];
    Conv {
        filters: groups * (1 + draw.below(4)),
        kernel: [1 + draw.below(3), 1 + draw.below(3)],
        // A depthwise convolution steps down as far as across.
        strides: if multiplier.is_some() { [strides[0]; 2] } else { strides },
        dilation,
        same: draw.below(2) == 0,
        groups: if multiplier.is_some() { channels } else { groups },
        multiplier,
        bias: draw.below(3) > 0,
        activation: draw.of(&functions),
    }
}

fn pair([down, across]: [usize; 2]) -> String {
    format!("({down}, {across})")
}

const fn padding(same: bool) -> &'static str {
    if same { "same" } else { "valid" }
}

impl Conv {
    fn text(&self) -> String {
        let kernel = pair(self.kernel);
        let first = self.multiplier.map_or_else(
            || format!("Conv2D({}, {kernel}, groups = {}", self.filters, self.groups),
            |multiplier| format!("DepthwiseConv2D({kernel}, depth_multiplier = {multiplier}"),
        );
        format!(
            "{first}, strides = {}, dilation_rate = {}, padding = {}, use_bias = {}, activation = {})",
            pair(self.strides),
            pair(self.dilation),
            padding(self.same),
            self.bias,
            self.activation.name()
        )
    }
}

impl Pool {
    fn text(&self) -> String {
        let class = if self.max { "MaxPooling2D" } else { "AveragePooling2D" };
        let (size, strides) = (pair(self.size), pair(self.strides));
        format!("{class}({size}, strides = {strides}, padding = {})", padding(self.same))
    }
}
