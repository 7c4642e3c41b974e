use super::*;
use crate::reference;

/// The distance of two numbers in units in the last place of the exact one.
fn ulps(actual: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if actual.to_bits() == rounded.to_bits() || (actual.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    let exponent = exact.abs().log2().floor().max(-126.0) as i32;
    (f64::from(actual) - exact).abs() / 2f64.powi(exponent - 23)
}

/// The largest error over two million bit patterns, NaN and infinities among them.
fn worst(function: fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    for bits in (0..=u32::MAX).step_by(2003) {
        let x = f32::from_bits(bits);
        let error = ulps(function(x), exact(f64::from(x)));
        if error.is_nan() || error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[track_caller]
fn assert_within(bound: f64, function: fn(f32) -> f32, exact: impl Fn(f64) -> f64) {
    let (error, x) = worst(function, exact);
    assert!(error <= bound, "{error} ulp at {x:e} ({:#010x})", x.to_bits());
}

#[test]
fn errors_are_within_their_bounds() {
    assert_within(1.1, exp, f64::exp);
    assert_within(2.0, expm1, f64::exp_m1);
    assert_within(1.0, ln, f64::ln);
    assert_within(1.5, log1p, f64::ln_1p);
    assert_within(2.0, softplus, |x| x.midpoint(x.abs()) + (-x.abs()).exp().ln_1p());
    assert_within(2.5, sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
    assert_within(3.0, tanh, f64::tanh);
    assert_within(3.0, erf, reference::erf);
}

/// Every bit pattern of the interval in which most activations live.
#[test]
fn errors_between_one_half_and_two() {
    for bits in (0.5f32.to_bits()..2f32.to_bits()).step_by(17) {
        for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
            let wide = f64::from(x);
            assert!(ulps(exp(x), wide.exp()) <= 1.1, "exp({x})");
            assert!(ulps(expm1(x), wide.exp_m1()) <= 2.0, "expm1({x})");
            assert!(ulps(tanh(x), wide.tanh()) <= 3.0, "tanh({x})");
            assert!(ulps(ln(x.abs()), wide.abs().ln()) <= 1.0, "ln({})", x.abs());
        }
    }
}

#[test]
fn special_values() {
    let inf = f32::INFINITY;
    let bits = |x: f32| x.to_bits();
    for function in [exp, expm1, ln, log1p, softplus, sigmoid, tanh, erf, normal_cdf] {
        assert!(function(f32::NAN).is_nan());
        assert!(function(-f32::NAN).is_nan());
    }
    for (function, at_minus_infinity, at_minus_zero, at_zero, at_infinity) in [
        (exp as fn(f32) -> f32, 0.0, 1.0, 1.0, inf),
        (expm1, -1.0, -0.0, 0.0, inf),
        (softplus, 0.0, core::f32::consts::LN_2, core::f32::consts::LN_2, inf),
        (sigmoid, 0.0, 0.5, 0.5, 1.0),
        (tanh, -1.0, -0.0, 0.0, 1.0),
        (erf, -1.0, -0.0, 0.0, 1.0),
        (normal_cdf, 0.0, 0.5, 0.5, 1.0),
    ] {
        assert_eq!(bits(function(-inf)), bits(at_minus_infinity));
        assert_eq!(bits(function(-0.0)), bits(at_minus_zero));
        assert_eq!(bits(function(0.0)), bits(at_zero));
        assert_eq!(bits(function(inf)), bits(at_infinity));
    }
    assert_eq!(bits(ln(0.0)), bits(-inf));
    assert_eq!(bits(ln(-0.0)), bits(-inf));
    assert_eq!(bits(ln(1.0)), 0);
    assert_eq!(bits(ln(inf)), bits(inf));
    assert!(ln(-1.0).is_nan() && ln(-inf).is_nan());
    assert_eq!(bits(log1p(-0.0)), bits(-0.0));
    assert_eq!(bits(log1p(-1.0)), bits(-inf));
    assert_eq!(bits(log1p(inf)), bits(inf));
    assert!(log1p(-1.5).is_nan());
}

#[test]
fn the_ends_of_the_range() {
    assert_eq!(exp(88.722_84).to_bits(), f32::INFINITY.to_bits());
    assert!(exp(88.722_83) < f32::INFINITY);
    assert_eq!(exp(-103.98).to_bits(), 0);
    assert_eq!(exp(-103.97).to_bits(), 1, "the smallest subnormal");
    assert_eq!(exp(f32::MAX).to_bits(), f32::INFINITY.to_bits());
    assert_eq!(exp(f32::MIN).to_bits(), 0);
    let least = f32::from_bits(1);
    assert_eq!(exp(least).to_bits(), 1f32.to_bits());
    for function in [expm1, log1p, tanh] {
        assert_eq!(function(least).to_bits(), least.to_bits());
    }
    assert!(ulps(ln(least), f64::from(least).ln()) <= 1.0);
    assert!(sigmoid(-100.0) > 0.0);
}

/// Values of Abramowitz and Stegun, table 7.1.
#[test]
fn published_values_of_erf() {
    for (x, value) in [(0.5, 0.520_499_9), (1.0, 0.842_700_8), (1.5, 0.966_105_15)] {
        assert!((erf(x) - value).abs() <= 1.2e-7);
        assert!((erf(-x) + value).abs() <= 1.2e-7);
    }
}

#[test]
fn the_normal_distribution_keeps_its_tail() {
    for i in -12_000..=12_000i16 {
        let x = f32::from(i) / 1000.0;
        let u = f64::from(x) * core::f64::consts::FRAC_1_SQRT_2;
        let exact = 0.5 * (1.0 + reference::erf(u));
        assert!((f64::from(normal_cdf(x)) - exact).abs() <= 2e-7, "{x}");
    }
    // R: pnorm(c(-3, -6, -9, -12))
    for (x, exact) in [
        (-3.0, 1.349_898_031_630_095e-3),
        (-6.0, 9.865_876_450_376_98e-10),
        (-9.0, 1.128_588_405_953_841e-19),
        (-12.0, 1.776_482_112_077_679e-33),
    ] {
        assert!((f64::from(normal_cdf(x)) / exact - 1.0).abs() <= 5e-6, "{x}");
    }
}

#[test]
fn the_logarithm_in_double_precision() {
    for bits in (1..f64::INFINITY.to_bits()).step_by(46_116_860_184_273) {
        let x = f64::from_bits(bits);
        let (actual, exact) = (ln_f64(x), x.ln());
        let error = (actual - exact).abs() / (exact.abs() * f64::EPSILON);
        assert!(error <= 2.0, "{x:e}: {actual} not {exact}");
    }
    for i in 0..100_000u32 {
        let x = 0.5 + f64::from(i) * 2e-5;
        assert!((ln_f64(x) - x.ln()).abs() <= 2.0 * f64::EPSILON * x.ln().abs(), "{x}");
    }
    assert_eq!(ln_f64(1.0).to_bits(), 0);
    assert_eq!(ln_f64(0.0).to_bits(), f64::NEG_INFINITY.to_bits());
    assert_eq!(ln_f64(f64::INFINITY).to_bits(), f64::INFINITY.to_bits());
    assert!(ln_f64(-1.0).is_nan() && ln_f64(f64::NAN).is_nan());
}

/// Frozen: every machine, debug or release, computes these very bits.
#[test]
fn results_are_the_same_bits_everywhere() {
    let digest = |function: fn(f32) -> f32| {
        let mut hash = 0xCBF2_9CE4_8422_2325u64;
        for bits in (0..=u32::MAX).step_by(20_011) {
            let y = function(f32::from_bits(bits));
            let y = if y.is_nan() { f32::NAN } else { y };
            hash = (hash ^ u64::from(y.to_bits())).wrapping_mul(0x0100_0000_01B3);
        }
        hash
    };
    let digests = [exp, expm1, ln, log1p, softplus, sigmoid, tanh, erf, normal_cdf].map(digest);
    assert_eq!(
        digests,
        [
            12_765_050_232_111_405_555,
            9_728_068_691_211_476_720,
            2_885_301_311_971_890_422,
            3_503_802_445_878_917_337,
            10_028_269_517_520_035_137,
            1_141_803_421_096_811_826,
            11_256_632_962_927_499_772,
            5_720_827_350_711_504_017,
            1_306_141_299_568_752_551,
        ]
    );
}
