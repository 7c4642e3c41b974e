//! Elementwise activations and their derivatives, as Keras 3 defines them.

use crate::kernel::simd::{Lanes, vectorized};
use crate::math;

/// λ of Klambauer et al., "Self-normalizing neural networks", 2017.
const SELU_SCALE: f32 = 1.050_701;
/// λα of the same.
const SELU_SCALE_ALPHA: f32 = 1.758_099_3;
/// √(2/π)
const SQRT_2_PI: f32 = 0.797_884_6;
/// 1/√(2π)
const DENSITY_AT_0: f32 = 0.398_942_3;
/// Of the approximate GELU: √(2/π) (x + 0.044715 x³).
const GELU_CUBIC: f32 = 0.044_715;

/// A function applied to each element.
///
/// Where a function has a kink, its derivative there is `TensorFlow`'s choice, named with each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// x
    Linear,
    /// max(x, 0); derivative 0 at 0.
    Relu,
    /// min(max(x, 0), 6); derivative 0 at 0 and at 6.
    Relu6,
    /// x above 0, else slope · x; derivative `slope` at 0.
    LeakyRelu {
        /// Factor for what is negative. Keras: 0.2 as an activation, 0.3 as a layer.
        slope: f32,
    },
    /// x above 0, else α (e^x - 1); derivative α at 0.
    Elu {
        /// α
        alpha: f32,
    },
    /// The self-normalising ELU: λx above 0, else λα (e^x - 1); derivative λ at 0.
    Selu,
    /// x Φ(x), Φ being the normal distribution function.
    Gelu,
    /// x σ(2 √(2/π) (x + 0.044715 x³)), GELU's approximation through the hyperbolic tangent.
    GeluTanh,
    /// x σ(x)
    Silu,
    /// σ(x) = 1 / (1 + e^-x)
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// ln(1 + e^x)
    Softplus,
    /// relu6(x + 3) / 6; derivative 0 at -3 and 3.
    HardSigmoid,
    /// x · `hard_sigmoid(x)`; derivative 0 at -3 and 1 at 3.
    HardSwish,
    /// x tanh(softplus(x))
    Mish,
    /// e^x
    Exponential,
    /// Keras's `ReLU` layer: x above the threshold, at most `max_value`, and
    /// slope · (x - threshold) from the threshold down. Derivative 1 at `max_value` and 0 at the
    /// threshold, except where Keras takes another path: as [`Self::Relu6`] for a maximum of 6
    /// and nothing else, as [`Self::LeakyRelu`] for a slope and nothing else.
    ReLU {
        /// The largest result; infinity for none.
        max_value: f32,
        /// Factor for what is below the threshold.
        negative_slope: f32,
        /// Where the rise begins.
        threshold: f32,
    },
}

vectorized! {
    fn forward(this: &Activation, x: &[f32], y: &mut [f32]) = forward_body;

    fn backward(this: &Activation, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32])
        = backward_body;
}

#[inline(always)]
fn forward_body<L: Lanes>(this: &Activation, x: &[f32], y: &mut [f32]) {
    this.forward_inline(x, y);
}

#[inline(always)]
fn backward_body<L: Lanes>(this: &Activation, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    this.backward_inline(x, y, dy, dx);
}

/// Replaces each element `$v` of `$y` by `$value`.
macro_rules! map {
    ($y:ident, |$v:ident| $value:expr) => {
        for slot in $y.iter_mut() {
            let $v = *slot;
            *slot = $value;
        }
    };
}

/// Replaces each gradient `$d` by `$value`, which may use the element `$v` of `$values` beside it.
macro_rules! chain {
    ($d:ident, $values:ident, |$g:ident, $v:ident| $value:expr) => {
        for (slot, &$v) in $d.iter_mut().zip($values) {
            let $g = *slot;
            *slot = $value;
        }
    };
}

impl Activation {
    /// Whether the way back needs the input, or gets by with the output.
    #[must_use]
    pub const fn reads_input(self) -> bool {
        match self {
            Self::Linear
            | Self::Relu
            | Self::Relu6
            | Self::Sigmoid
            | Self::Tanh
            | Self::Exponential => false,
            Self::LeakyRelu { .. }
            | Self::Elu { .. }
            | Self::Selu
            | Self::Gelu
            | Self::GeluTanh
            | Self::Silu
            | Self::Softplus
            | Self::HardSigmoid
            | Self::HardSwish
            | Self::Mish
            | Self::ReLU { .. } => true,
        }
    }

    /// y = f(x). NaN stays NaN.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        forward(self, x, y);
    }

    /// dx = dy · f'(x), given x and y = f(x). `x` may be empty where [`Self::reads_input`] says no.
    pub fn backward(&self, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        backward(self, x, y, dy, dx);
    }

    #[inline(always)]
    fn forward_inline(&self, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
        self.apply(y);
    }

    #[inline(always)]
    fn backward_inline(&self, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.copy_from_slice(dy);
        self.apply_slope(x, y, dx);
    }

    #[inline(always)]
    fn apply(&self, y: &mut [f32]) {
        match *self {
            Self::Linear => {}
            Self::Relu => map!(y, |x| relu(x)),
            Self::Relu6 => map!(y, |x| relu6(x)),
            Self::LeakyRelu { slope } => map!(y, |x| if x > 0.0 { x } else { slope * x }),
            Self::Elu { alpha } => {
                map!(y, |x| if x > 0.0 { x } else { alpha * math::expm1(x) });
            }
            Self::Selu => map!(y, |x| if x > 0.0 {
                SELU_SCALE * x
            } else {
                SELU_SCALE_ALPHA * math::expm1(x)
            }),
            Self::Gelu => map!(y, |x| x * math::normal_cdf(x)),
            Self::GeluTanh => map!(y, |x| x * math::sigmoid(gelu_argument(x))),
            Self::Silu => map!(y, |x| x * math::sigmoid(x)),
            Self::Sigmoid => map!(y, |x| math::sigmoid(x)),
            Self::Tanh => map!(y, |x| math::tanh(x)),
            Self::Softplus => map!(y, |x| math::softplus(x)),
            Self::HardSigmoid => map!(y, |x| relu6(x + 3.0) / 6.0),
            Self::HardSwish => map!(y, |x| x * (relu6(x + 3.0) / 6.0)),
            Self::Mish => map!(y, |x| {
                let n = mish_n(x);
                x * (n / (n + 2.0))
            }),
            Self::Exponential => map!(y, |x| math::exp(x)),
            Self::ReLU { max_value, negative_slope, threshold } => map!(y, |x| {
                let below = negative_slope * (x - threshold);
                let value = if x <= threshold { below } else { x };
                if value > max_value { max_value } else { value }
            }),
        }
    }

    /// [`Self::backward`] in place: `d` is dy before and dx after.
    #[inline(always)]
    fn apply_slope(&self, x: &[f32], y: &[f32], d: &mut [f32]) {
        debug_assert!(y.len() == d.len() && (x.len() == d.len() || !self.reads_input()));
        match *self {
            Self::Linear => {}
            Self::Relu => chain!(d, y, |d, y| if y > 0.0 { d } else { 0.0 }),
            Self::Relu6 => chain!(d, y, |d, y| gate(d, y > 0.0 && y < 6.0)),
            Self::LeakyRelu { slope } => {
                chain!(d, x, |d, x| if x > 0.0 { d } else { slope * d });
            }
            Self::Elu { alpha } => {
                chain!(d, x, |d, x| if x > 0.0 { d } else { d * (alpha * math::exp(x)) });
            }
            Self::Selu => chain!(d, x, |d, x| d * selu_slope(x)),
            Self::Gelu => chain!(d, x, |d, x| d * gelu_slope(x)),
            Self::GeluTanh => chain!(d, x, |d, x| d * gelu_tanh_slope(x)),
            Self::Silu => chain!(d, x, |d, x| d * silu_slope(x)),
            Self::Sigmoid => chain!(d, y, |d, y| d * (y * (1.0 - y))),
            Self::Tanh => chain!(d, y, |d, y| d * (1.0 - y * y)),
            Self::Softplus => chain!(d, x, |d, x| d * math::sigmoid(x)),
            Self::HardSigmoid => chain!(d, x, |d, x| gate(d / 6.0, inner(x + 3.0))),
            Self::HardSwish => chain!(d, x, |d, x| d * hard_swish_slope(x)),
            Self::Mish => chain!(d, x, |d, x| d * mish_slope(x)),
            Self::Exponential => chain!(d, y, |d, y| d * y),
            Self::ReLU { max_value, negative_slope, threshold } => {
                let kinks = Kinks::of(max_value, negative_slope, threshold);
                chain!(d, x, |d, x| kinks.chain(d, x));
            }
        }
    }
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn relu6(x: f32) -> f32 {
    let x = relu(x);
    if x > 6.0 { 6.0 } else { x }
}

#[inline(always)]
fn gate(d: f32, open: bool) -> f32 {
    if open { d } else { 0.0 }
}

/// Whether `relu6` rises at x.
#[inline(always)]
fn inner(x: f32) -> bool {
    x > 0.0 && x < 6.0
}

#[inline(always)]
fn selu_slope(x: f32) -> f32 {
    if x >= 0.0 { SELU_SCALE } else { SELU_SCALE_ALPHA * math::exp(x) }
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    // The density underflows long before x = 20; the limit keeps ∞ · 0 out.
    let near = if x.abs() > 20.0 { 20.0 } else { x };
    math::normal_cdf(x) + near * (DENSITY_AT_0 * math::exp(-0.5 * near * near))
}

#[inline(always)]
fn gelu_argument(x: f32) -> f32 {
    2.0 * SQRT_2_PI * (x + GELU_CUBIC * (x * x * x))
}

#[inline(always)]
fn gelu_tanh_slope(x: f32) -> f32 {
    // Beyond 20 the sigmoid is 0 or 1; the limit keeps ∞ · 0 out.
    let x = if x > 20.0 { 20.0 } else { x };
    let x = if x < -20.0 { -20.0 } else { x };
    let u = gelu_argument(x);
    let (s, rest) = (math::sigmoid(u), math::sigmoid(-u));
    s + x * (s * rest) * (2.0 * SQRT_2_PI * (1.0 + 3.0 * GELU_CUBIC * (x * x)))
}

#[inline(always)]
fn silu_slope(x: f32) -> f32 {
    let (s, rest) = (math::sigmoid(x), math::sigmoid(-x));
    s + x * (s * rest)
}

#[inline(always)]
fn hard_swish_slope(x: f32) -> f32 {
    relu6(x + 3.0) / 6.0 + if inner(x + 3.0) { x / 6.0 } else { 0.0 }
}

/// n with tanh(softplus(x)) = n / (n + 2): e^x (e^x + 2).
#[inline(always)]
fn mish_n(x: f32) -> f32 {
    // From 20 on the quotient rounds to 1.
    let e = math::exp(if x > 20.0 { 20.0 } else { x });
    e * (e + 2.0)
}

#[inline(always)]
fn mish_slope(x: f32) -> f32 {
    let n = mish_n(x);
    // With t = tanh(softplus(x)): 1 - t² = 4 (n + 1) / (n + 2)².
    let m = n + 2.0;
    n / m + x * math::sigmoid(x) * (4.0 * (n + 1.0) / (m * m))
}

/// The linear pieces of [`Activation::ReLU`] and which of them its kinks belong to.
struct Kinks {
    max_value: f32,
    negative_slope: f32,
    threshold: f32,
    at_threshold: f32,
    at_max: f32,
}

#[allow(clippy::float_cmp, reason = "kinks are single points")]
impl Kinks {
    #[inline(always)]
    fn of(max_value: f32, negative_slope: f32, threshold: f32) -> Self {
        let leaky = max_value == f32::INFINITY && threshold == 0.0;
        let relu6 = max_value == 6.0 && negative_slope == 0.0 && threshold == 0.0;
        Self {
            max_value,
            negative_slope,
            threshold,
            at_threshold: if leaky { negative_slope } else { 0.0 },
            at_max: if relu6 { 0.0 } else { 1.0 },
        }
    }

    #[inline(always)]
    fn chain(&self, d: f32, x: f32) -> f32 {
        let slope = if x < self.threshold { self.negative_slope } else { 1.0 };
        let slope = if x == self.threshold { self.at_threshold } else { slope };
        let slope = if x == self.max_value { self.at_max } else { slope };
        if x > self.max_value { 0.0 } else { slope * d }
    }
}

#[cfg(test)]
mod tests;
