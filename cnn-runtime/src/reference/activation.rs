use crate::layer::activation::Activation;
use core::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// The error function: 2/√π e^(-x²) Σ 2^n x^(2n+1) / (1 · 3 · … · (2n+1)).
#[must_use]
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 6.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-17 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn normal_cdf(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * FRAC_1_SQRT_2))
}

fn gelu_argument(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))
}

fn relu6(x: f64) -> f64 {
    x.clamp(0.0, 6.0)
}

/// An activation of one number.
#[must_use]
pub fn activation(kind: Activation, x: f64) -> f64 {
    let elu = |alpha: f64| if x > 0.0 { x } else { alpha * x.exp_m1() };
    match kind {
        Activation::Linear => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => relu6(x),
        Activation::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::Elu { alpha } => elu(f64::from(alpha)),
        Activation::Selu => SELU_SCALE * elu(SELU_ALPHA),
        Activation::Gelu => x * normal_cdf(x),
        Activation::GeluTanh => 0.5 * x * (1.0 + gelu_argument(x).tanh()),
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Softplus => softplus(x),
        Activation::HardSigmoid => relu6(x + 3.0) / 6.0,
        Activation::HardSwish => x * relu6(x + 3.0) / 6.0,
        Activation::Mish => x * softplus(x).tanh(),
        Activation::Exponential => x.exp(),
        Activation::ReLU { max_value, negative_slope, threshold } => {
            let (max, threshold) = (f64::from(max_value), f64::from(threshold));
            if x <= threshold { f64::from(negative_slope) * (x - threshold) } else { x.min(max) }
        }
    }
}

/// The derivative of [`activation`], where it has one.
#[must_use]
pub fn activation_slope(kind: Activation, x: f64) -> f64 {
    let step = |x: f64| if x > 0.0 { 1.0 } else { 0.0 };
    let rise = |x: f64| step(x) * step(6.0 - x);
    let elu = |alpha: f64| if x > 0.0 { 1.0 } else { alpha * x.exp() };
    match kind {
        Activation::Linear => 1.0,
        Activation::Relu => step(x),
        Activation::Relu6 => rise(x),
        Activation::LeakyRelu { slope } => step(x) + f64::from(slope) * (1.0 - step(x)),
        Activation::Elu { alpha } => elu(f64::from(alpha)),
        Activation::Selu => SELU_SCALE * elu(SELU_ALPHA),
        Activation::Gelu => normal_cdf(x) + x * (-x * x / 2.0).exp() / (2.0 * PI).sqrt(),
        Activation::GeluTanh => {
            let t = gelu_argument(x).tanh();
            let inner = (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044_715 * x * x);
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
        }
        Activation::Silu => sigmoid(x) + x * sigmoid(x) * sigmoid(-x),
        Activation::Sigmoid => sigmoid(x) * sigmoid(-x),
        Activation::Tanh => 1.0 - x.tanh().powi(2),
        Activation::Softplus => sigmoid(x),
        Activation::HardSigmoid => rise(x + 3.0) / 6.0,
        Activation::HardSwish => relu6(x + 3.0) / 6.0 + x * rise(x + 3.0) / 6.0,
        Activation::Mish => {
            let t = softplus(x).tanh();
            t + x * (1.0 - t * t) * sigmoid(x)
        }
        Activation::Exponential => x.exp(),
        Activation::ReLU { max_value, negative_slope, threshold } => {
            if x <= f64::from(threshold) {
                f64::from(negative_slope)
            } else {
                step(f64::from(max_value) - x)
            }
        }
    }
}

/// e^(x - max) / Σ e^(x - max) of one row.
#[must_use]
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

/// The gradient of Σ y · dy with respect to the row x of which y is the softmax: dyᵢ/dxⱼ = yᵢ (δᵢⱼ - yⱼ).
#[must_use]
pub fn softmax_backward(y: &[f64], dy: &[f64]) -> Vec<f64> {
    let delta = |i, j| if i == j { 1.0 } else { 0.0 };
    (0..y.len()).map(|j| (0..y.len()).map(|i| dy[i] * y[i] * (delta(i, j) - y[j])).sum()).collect()
}
