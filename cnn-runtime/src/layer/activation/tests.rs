use super::*;
use crate::reference::{self, cases};

const ALL: [Activation; 17] = [
    Activation::Linear,
    Activation::Relu,
    Activation::Relu6,
    Activation::LeakyRelu { slope: 0.2 },
    Activation::Elu { alpha: 1.0 },
    Activation::Selu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Softplus,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::Mish,
    Activation::Exponential,
    Activation::ReLU { max_value: 4.0, negative_slope: 0.1, threshold: 0.5 },
];

/// Output, and the input's gradient for this gradient of the output.
fn run(activation: Activation, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    activation.forward(x, &mut y);
    let input = if activation.reads_input() { x } else { &[] };
    activation.backward(input, &y, dy, &mut dx);
    (y, dx)
}

fn slopes(activation: Activation, x: &[f32]) -> Vec<f32> {
    run(activation, x, &vec![1.0; x.len()]).1
}

/// tensorflow/playground#19
#[test]
fn relu_has_no_slope_at_0() {
    let (y, dx) = run(Activation::Relu, &[-1.0, 0.0, -0.0, 2.0], &[5.0; 4]);
    assert_eq!(y, [0.0, 0.0, 0.0, 2.0]);
    assert_eq!(dx, [0.0, 0.0, 0.0, 5.0]);
}

#[test]
fn slopes_at_kinks() {
    let relu = |max_value, negative_slope, threshold| Activation::ReLU {
        max_value,
        negative_slope,
        threshold,
    };
    let inf = f32::INFINITY;
    for (activation, x, slope) in [
        (Activation::Relu6, 0.0, 0.0),
        (Activation::Relu6, 6.0, 0.0),
        (Activation::LeakyRelu { slope: 0.3 }, 0.0, 0.3),
        (Activation::Elu { alpha: 0.5 }, 0.0, 0.5),
        (Activation::Selu, 0.0, 1.050_701),
        (Activation::HardSigmoid, -3.0, 0.0),
        (Activation::HardSigmoid, 3.0, 0.0),
        (Activation::HardSwish, 3.0, 1.0),
        (relu(inf, 0.0, 0.0), 0.0, 0.0),
        (relu(inf, 0.25, 0.0), 0.0, 0.25),
        (relu(inf, 0.25, 1.0), 1.0, 0.0),
        (relu(4.0, 0.25, 0.0), 0.0, 0.0),
        (relu(4.0, 0.25, 0.0), 4.0, 1.0),
        (relu(6.0, 0.0, 0.0), 6.0, 0.0),
        (relu(6.0, 0.1, 0.0), 6.0, 1.0),
    ] {
        assert_eq!(slopes(activation, &[x]), [slope], "{activation:?} at {x}");
    }
}

#[test]
fn nan_stays_nan() {
    for activation in ALL {
        let (y, _) = run(activation, &[f32::NAN, 1.0, -f32::NAN], &[1.0; 3]);
        assert!(y[0].is_nan() && !y[1].is_nan() && y[2].is_nan(), "{activation:?}");
    }
}

/// Every finite input has a finite result and slope, `Exponential` apart.
#[test]
fn large_inputs_stay_finite() {
    let x = [1e4, -1e4, 1e20, -1e20, f32::MAX / 2.0, f32::MIN / 2.0, 88.0, -88.0, -104.0, 1e-45];
    for activation in ALL.into_iter().filter(|&kind| kind != Activation::Exponential) {
        let (y, dx) = run(activation, &x, &[1.0; 10]);
        assert!(y.iter().all(|y| y.is_finite()), "{activation:?} {y:?}");
        assert!(dx.iter().all(|d| d.is_finite()), "{activation:?} {dx:?}");
    }
}

#[test]
fn agrees_with_the_slow_oracle() {
    // Never on a kink.
    let x: Vec<f32> = (-999..1000i16).map(|i| f32::from(i) / 50.0 + 0.003).collect();
    for activation in ALL {
        let (y, dx) = run(activation, &x, &vec![1.0; x.len()]);
        for (i, &x) in x.iter().enumerate() {
            let exact = reference::activation(activation, f64::from(x));
            let slope = reference::activation_slope(activation, f64::from(x));
            let close = |a: f32, b: f64| (f64::from(a) - b).abs() <= 1e-6 * b.abs().max(1.0);
            assert!(close(y[i], exact), "{activation:?} at {x}: {} not {exact}", y[i]);
            assert!(close(dx[i], slope), "{activation:?} slope at {x}: {} not {slope}", dx[i]);
        }
    }
}

/// The result of an element does not depend on how many there are beside it.
#[test]
fn elements_are_independent() {
    let x: Vec<f32> = (0..67i16).map(|i| f32::from(i) / 4.0 - 8.0).collect();
    for activation in ALL {
        let (y, dx) = run(activation, &x, &vec![0.7; x.len()]);
        for i in 0..x.len() {
            let one = run(activation, &x[i..=i], &[0.7]);
            assert_eq!((y[i].to_bits(), dx[i].to_bits()), (one.0[0].to_bits(), one.1[0].to_bits()));
        }
    }
}

fn activation_of(case: &cases::Case) -> Option<Activation> {
    let args = case.args();
    let number = |name: &str, default: f32| args[name].as_f64().map_or(default, |x| x as f32);
    Some(match (case.class(), args["activation"].as_str().unwrap_or("")) {
        ("Activation", "relu") => Activation::Relu,
        ("Activation", "relu6") => Activation::Relu6,
        ("Activation", "leaky_relu") => Activation::LeakyRelu { slope: 0.2 },
        ("Activation", "elu") => Activation::Elu { alpha: 1.0 },
        ("Activation", "selu") => Activation::Selu,
        ("Activation", "gelu") if args["approximate"] == true => Activation::GeluTanh,
        ("Activation", "gelu") => Activation::Gelu,
        ("Activation", "silu") => Activation::Silu,
        ("Activation", "sigmoid") => Activation::Sigmoid,
        ("Activation", "tanh") => Activation::Tanh,
        ("Activation", "softplus") => Activation::Softplus,
        ("Activation", "hard_sigmoid") => Activation::HardSigmoid,
        ("Activation", "hard_swish") => Activation::HardSwish,
        ("Activation", "mish") => Activation::Mish,
        ("Activation", "exponential") => Activation::Exponential,
        ("Activation", "linear") => Activation::Linear,
        ("ReLU", _) => Activation::ReLU {
            max_value: number("max_value", f32::INFINITY),
            negative_slope: number("negative_slope", 0.0),
            threshold: number("threshold", 0.0),
        },
        ("LeakyReLU", _) => Activation::LeakyRelu { slope: number("negative_slope", 0.3) },
        ("ELU", _) => Activation::Elu { alpha: number("alpha", 1.0) },
        ("Softmax", _) | ("Activation", "softmax") => return None,
        (class, name) => panic!("{}: {class} {name}", case.id()),
    })
}

#[test]
fn agrees_with_keras() {
    let mut count = 0;
    for case in cases::load("activations") {
        let Some(activation) = activation_of(&case) else { continue };
        let (y, dx) = run(activation, &case.f32("input"), &case.f32("upstream"));
        case.check("output", &y);
        case.check("grad/input", &dx);
        count += 1;
    }
    assert_eq!(count, 22);
}
