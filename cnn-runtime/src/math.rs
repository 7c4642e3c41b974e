//! Elementary functions whose results are the same bits on every machine.
//!
//! The functions of a platform's C library differ from one another in their last bits, and so
//! would the networks trained with them. These are built from `+ - * /` and comparisons alone, each
//! rounded as IEEE 754 prescribes, without branches, so that loops over them autovectorise.
//! The stated error bounds are in units in the last place (ulp) of the exact result.

use core::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// ln 2 to nine bits: its product with an exponent is exact in `f32`.
const LN2_HI: f32 = 355.0 / 512.0;
/// What is missing from [`LN2_HI`].
const LN2_LO: f32 = (core::f64::consts::LN_2 - 355.0 / 512.0) as f32;
/// Adding 1.5 · 2^23 rounds an `f32` below 2^22 to an integer and leaves it in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// c\[0\] + c\[1\] x + c\[2\] x² + …
#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + c[i];
    }
    sum
}

/// 2^k, for -126 ≤ k ≤ 127.
#[inline(always)]
fn power_of_two(k: i32) -> f32 {
    f32::from_bits((k.wrapping_add(127).cast_unsigned()) << 23)
}

/// `p` · 2^k with one rounding, also where 2^k itself is out of range (|k| ≤ 250).
#[inline(always)]
fn scale(p: f32, k: i32) -> f32 {
    let half = k >> 1;
    p * power_of_two(half) * power_of_two(k.wrapping_sub(half))
}

/// Splits x = k ln 2 + r with |r| ≤ ln 2 / 2 and returns (k, r, e^r - 1). NaN stays NaN in r.
#[inline(always)]
fn exp_reduced(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + ROUNDER;
    let k = (shifted.to_bits().wrapping_sub(ROUNDER.to_bits())).cast_signed();
    let n = shifted - ROUNDER;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    // Taylor: the first term left out is r^8 / 8! < 6e-9.
    let q = polynomial(r, [1. / 2., 1. / 6., 1. / 24., 1. / 120., 1. / 720., 1. / 5040.]);
    (k, r + r * r * q)
}

/// `x` limited to `low ..= high`; NaN stays NaN.
#[inline(always)]
fn limit(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// e^x, within 1.1 ulp. Overflows to infinity above 88.72284, underflows to 0 below -103.98.
#[must_use]
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (k, p) = exp_reduced(limit(x, -104.0, 89.0));
    scale(1.0 + p, k)
}

/// e^x - 1, within 2 ulp, also where e^x is close to 1.
#[must_use]
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let (k, p) = exp_reduced(limit(x, -18.0, 89.0));
    let y = scale(p + (1.0 - scale(1.0, k.wrapping_neg())), k);
    y.copysign(x)
}

/// The natural logarithm, within 1 ulp. ln 0 = -∞; of a negative number: NaN.
#[must_use]
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = FRAC_1_SQRT_2.to_bits();
    let subnormal = x < f32::MIN_POSITIVE;
    let bits = (if subnormal { x * 33_554_432.0 } else { x }).to_bits();
    // x = m 2^k with m in [√½, √2)
    let k = bits.wrapping_sub(SQRT_HALF).cast_signed() >> 23;
    let f = f32::from_bits(bits.wrapping_sub(k.cast_unsigned() << 23)) - 1.0;
    // ln(1 + f) = 2 artanh(s) = f - s (f - r), the inverse hyperbolic tangent by its Taylor series
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * polynomial(z, [2. / 3., 2. / 5., 2. / 7., 2. / 9., 2. / 11.]);
    let n = k.wrapping_sub(if subnormal { 25 } else { 0 }) as f32;
    let y = n * LN2_HI + ((f - s * (f - r)) + n * LN2_LO);

    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    // infinity and NaN
    if x < f32::INFINITY { y } else { x }
}

/// ln(1 + x), within 1.5 ulp, also where x is close to 0.
#[must_use]
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    // What the rounding of 1 + x lost, to first order.
    let lost = (x - (u - 1.0)) / u;
    let regular = u > 0.0 && u < f32::INFINITY;
    let y = ln(u) + if regular { lost } else { 0.0 };
    if x == 0.0 { x } else { y }
}

/// ln(1 + e^x), within 2 ulp.
#[must_use]
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log1p(exp(-x.abs()))
}

/// 1 / (1 + e^-x), within 2.5 ulp, also in the lower tail.
#[must_use]
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The hyperbolic tangent, within 3 ulp.
#[must_use]
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // Beyond 10 the result rounds to 1.
    let t = expm1(2.0 * limit(x.abs(), 0.0, 10.0));
    (t / (t + 2.0)).copysign(x)
}

/// Up to here the Taylor series of erf serves, from here on [`erfc_tail`].
const ERF_SPLIT: f32 = 0.9;

/// erf(x) for |x| < 0.9, by its Taylor series 2/√π · Σ (-1)^n x^(2n+1) / (n! (2n+1)).
#[inline(always)]
fn erf_center(x: f32) -> f32 {
    const C: f64 = core::f64::consts::FRAC_2_SQRT_PI;
    const SERIES: [f32; 10] = [
        C as f32,
        (-C / 3.0) as f32,
        (C / 10.0) as f32,
        (-C / 42.0) as f32,
        (C / 216.0) as f32,
        (-C / 1320.0) as f32,
        (C / 9360.0) as f32,
        (-C / 75_600.0) as f32,
        (C / 685_440.0) as f32,
        (-C / 6_894_720.0) as f32,
    ];
    x * polynomial(x * x, SERIES)
}

/// 1 - erf(a) for a ≥ 0.9, as e^(-a²) t P(t) with t = 1 / (1 + a/2). P is a minimax fit on
/// 0 < t ≤ 1/1.45 with a relative error of 2e-9; the rounding of the square adds a² · 6e-8.
#[inline(always)]
fn erfc_tail(a: f32, square: f32) -> f32 {
    const P: [f32; 10] = [
        0.282_094_8,
        0.282_094_6,
        0.246_845_1,
        0.176_033_06,
        0.086_914_085,
        -0.025_129_495,
        0.024_816_444,
        -0.246_557_71,
        0.249_945_21,
        -0.077_234_38,
    ];
    let t = 1.0 / (1.0 + 0.5 * a);
    exp(-square) * t * polynomial(t, P)
}

/// The error function, within 3 ulp.
#[must_use]
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    if a < ERF_SPLIT { erf_center(x) } else { (1.0 - erfc_tail(a, a * a)).copysign(x) }
}

/// The distribution function of the standard normal distribution, (1 + erf(x / √2)) / 2: within
/// 2e-7 absolute, and within 5e-6 relative for x > -12.
#[must_use]
#[inline(always)]
pub fn normal_cdf(x: f32) -> f32 {
    let u = x * FRAC_1_SQRT_2;
    let a = u.abs();
    let tail = 0.5 * erfc_tail(a, 0.5 * x * x);
    let outer = if x < 0.0 { tail } else { 1.0 - tail };
    if a < ERF_SPLIT { 0.5 + 0.5 * erf_center(u) } else { outer }
}

/// The natural logarithm in double precision, within 2 ulp; for sums of losses.
#[must_use]
pub fn ln_f64(x: f64) -> f64 {
    const SQRT_HALF: u64 = core::f64::consts::FRAC_1_SQRT_2.to_bits();
    /// ln 2 to 32 bits, and the rest.
    const LN2_HI: f64 = 2_977_044_471.0 / 4_294_967_296.0;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x <= 0.0 {
        return if x == 0.0 { f64::NEG_INFINITY } else { f64::NAN };
    }
    let subnormal = x < f64::MIN_POSITIVE;
    let bits = (if subnormal { x * 18_014_398_509_481_984.0 } else { x }).to_bits();
    let k = bits.wrapping_sub(SQRT_HALF).cast_signed() >> 52;
    let f = f64::from_bits(bits.wrapping_sub((k << 52).cast_unsigned())) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    // 2 (z/3 + z²/5 + …): the first term left out is below 1e-18.
    let mut r = 0.0;
    for n in (1..=10).rev() {
        r = z * (r + 2.0 / f64::from(2 * n + 1));
    }
    let n = (k - if subnormal { 54 } else { 0 }) as f64;
    n * LN2_HI + ((f - s * (f - r)) + n * LN2_LO)
}

#[cfg(test)]
mod tests;
