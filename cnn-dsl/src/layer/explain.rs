//! What a layer says of itself to a reader: how its sizes come about.

use crate::diagnostics::thousands;
use crate::ir::Layer;
use crate::receptive::Reach;

/// How a layer's sizes come about.
pub trait Explain {
    /// Which outputs of its input number `input` an output depends on, down and across.
    fn reach(&self, layer: &Layer, input: usize) -> [Reach; 2];

    /// The rules behind its sizes, with the numbers put in.
    fn explain(&self, layer: &Layer) -> Vec<Line>;
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it gives: `rows`, `parameters`.
    pub what: &'static str,
    /// The rule: `(3·3·32 + 1)·64 = 18,496`.
    pub rule: String,
}

impl Line {
    /// A rule in words.
    #[must_use]
    pub fn new(what: &'static str, rule: impl Into<String>) -> Self {
        Self { what, rule: rule.into() }
    }

    /// How many numbers the weights of a layer hold.
    pub(crate) fn params(count: Count) -> Self {
        Self::new("parameters", count.equation())
    }

    /// Of a layer without weights.
    pub(crate) fn no_params() -> Self {
        Self::new("parameters", "0: nothing to learn")
    }

    /// A shape that stays as it is.
    pub(crate) fn same_shape(layer: &Layer) -> Self {
        Self::new("shape", format!("{}, as its input", layer.output))
    }
}

/// A layer that keeps the shape and has no weights, with what it does to each value.
pub(crate) fn each_value(layer: &Layer, what: impl Into<String>) -> Vec<Line> {
    vec![Line::same_shape(layer), Line::new("values", what), Line::no_params()]
}

/// A number with the calculation that gives it.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    text: String,
    value: u128,
}

impl Count {
    /// `3·3·32`
    pub(crate) fn product(factors: &[u64]) -> Self {
        let texts: Vec<String> = factors.iter().map(|&n| thousands(n.into())).collect();
        // Sizes are at most 2^40, and the products that the language allows far below 2^128.
        let value = factors.iter().fold(1_u128, |all, &n| all.saturating_mul(n.into()));
        Self { text: texts.join("·"), value }
    }

    /// `(3·3·32 + 1)`, if there is a bias.
    pub(crate) fn with_bias(self, bias: bool) -> Self {
        if !bias {
            return self;
        }
        Self { text: format!("({} + 1)", self.text), value: self.value.saturating_add(1) }
    }

    /// `3·3·32·64`
    pub(crate) fn times(self, factors: &[u64]) -> Self {
        let other = Self::product(factors);
        Self {
            text: format!("{}·{}", self.text, other.text),
            value: self.value.saturating_mul(other.value),
        }
    }

    /// `14·14·(3·3·32 + 1)`
    pub(crate) fn each_of(self, factors: &[u64]) -> Self {
        let other = Self::product(factors);
        Self {
            text: format!("{}·{}", other.text, self.text),
            value: self.value.saturating_mul(other.value),
        }
    }

    /// `3·3·32 + 32·64`
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            text: format!("{} + {}", self.text, other.text),
            value: self.value.saturating_add(other.value),
        }
    }

    /// `(3·3·32 + 1)·64 = 18,496`
    pub(crate) fn equation(self) -> String {
        let value = thousands(self.value);
        if self.text == value { value } else { format!("{} = {value}", self.text) }
    }
}

/// A window that slides over an image.
pub(crate) struct Sliding {
    pub size: [u64; 2],
    pub strides: [u64; 2],
    pub dilation: [u64; 2],
    /// Top, bottom, left, right.
    pub padding: [u64; 4],
}

impl Sliding {
    /// The rules for rows and columns, as one where they are the same.
    pub(crate) fn explain(&self, layer: &Layer) -> Vec<Line> {
        let rules = [0, 1].map(|axis| self.along(layer, axis));
        both(rules)
    }

    fn along(&self, layer: &Layer, axis: usize) -> String {
        let (n, out) = (layer.input().0[axis], layer.output.0[axis]);
        let (size, dilation) = (self.size[axis], self.dilation[axis]);
        let [before, behind] = [self.padding[2 * axis], self.padding[2 * axis + 1]];
        let padding = match (before, behind) {
            (0, 0) => String::new(),
            (a, b) if a == b => format!(" + 2·{}", thousands(a.into())),
            (0, n) | (n, 0) => format!(" + {}", thousands(n.into())),
            (a, b) => format!(" + {} + {}", thousands(a.into()), thousands(b.into())),
        };
        let extent = if dilation == 1 {
            thousands(size.into())
        } else {
            format!("(({} - 1)·{} + 1)", thousands(size.into()), thousands(dilation.into()))
        };
        let [n, stride, out] = [n, self.strides[axis], out].map(|n| thousands(n.into()));
        let words = match (before, behind) {
            (0, 0)
                if layer.output.0[axis] == layer.input().0[axis].div_ceil(self.strides[axis]) =>
            {
                "no padding: valid and same agree".to_owned()
            }
            (0, 0) => "padding = valid".to_owned(),
            (a, b) => format!("padding = same: {a} before, {b} behind"),
        };
        format!("floor(({n}{padding} - {extent}) / {stride}) + 1 = {out}; {words}")
    }
}

/// Rules for rows and columns, as one line where they are the same.
pub(crate) fn both([rows, columns]: [String; 2]) -> Vec<Line> {
    if rows == columns {
        vec![Line::new("rows, columns", rows)]
    } else {
        vec![Line::new("rows", rows), Line::new("columns", columns)]
    }
}

/// What the same output costs if every output has a weight for every input, and if it has its own
/// kernel of `kernel` weights at every place.
pub(crate) fn connections(layer: &Layer, kernel: &[u64]) -> Vec<Line> {
    let [height, width, channels] = [0, 1, 2].map(|axis| layer.output.0[axis]);
    let all = Count::product(&layer.input().0).with_bias(true);
    let all = all.times(&[height, width, channels]);
    let local = Count::product(kernel).with_bias(true);
    let local = local.each_of(&[height, width]).times(&[channels]);
    vec![
        Line::new("fully connected", format!("Dense: {}", all.equation())),
        Line::new("locally connected", format!("LocallyConnected2D: {}", local.equation())),
    ]
}
