//! The oracles themselves, against finite differences, published numbers and Keras.

use super::*;
use crate::layer::activation::Activation;
use crate::rng::Rng;

fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed, n as u64);
    (0..n).map(|_| f64::from(rng.uniform()) * 2.0 - 1.0).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[track_caller]
fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * e.abs().max(1.0), "[{i}]: {a} not {e}");
    }
}

fn conv(
    input: [usize; 3],
    filters: usize,
    kernel_size: [usize; 2],
    strides: [usize; 2],
    padding: [usize; 4],
    dilation: [usize; 2],
) -> Conv2D {
    Conv2D { input, filters, kernel_size, strides, padding, dilation, groups: 1 }
}

#[test]
fn convolution_gradients_agree_with_finite_differences() {
    for layer in [
        conv([1, 1, 1], 1, [1, 1], [1, 1], [0; 4], [1, 1]),
        conv([5, 4, 2], 3, [3, 3], [1, 1], [0; 4], [1, 1]),
        conv([5, 5, 3], 2, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1]),
        conv([4, 5, 1], 2, [2, 2], [1, 1], [0, 1, 0, 1], [1, 1]),
        conv([6, 6, 1], 1, [3, 3], [2, 2], [0, 1, 0, 1], [1, 1]),
        conv([7, 5, 2], 2, [2, 3], [3, 2], [0; 4], [1, 1]),
        conv([7, 8, 1], 2, [3, 2], [1, 1], [2, 2, 1, 2], [2, 3]),
        conv([3, 4, 2], 2, [5, 5], [1, 1], [2, 2, 2, 2], [1, 1]),
        Conv2D { groups: 2, ..conv([5, 4, 4], 6, [3, 2], [2, 1], [1, 1, 0, 1], [1, 1]) },
        Conv2D { groups: 3, ..conv([4, 5, 3], 6, [2, 3], [1, 1], [0; 4], [2, 1]) },
    ] {
        let x = noise(layer.input.iter().product(), 1);
        let kernel = noise(layer.kernel_len(), 2);
        let bias = noise(layer.filters, 3);
        let dy = noise(layer.output().iter().product(), 4);
        let at_x = numeric_gradient(|x| dot(&layer.forward(x, &kernel, &bias), &dy), &x, 1e-3);
        let at_kernel = numeric_gradient(|k| dot(&layer.forward(&x, k, &bias), &dy), &kernel, 1e-3);
        let at_bias = numeric_gradient(|b| dot(&layer.forward(&x, &kernel, b), &dy), &bias, 1e-3);
        assert_close(&layer.grad_input(&kernel, &dy), &at_x, 1e-10);
        assert_close(&layer.grad_kernel(&x, &dy), &at_kernel, 1e-10);
        assert_close(&layer.grad_bias(&dy), &at_bias, 1e-10);
    }
}

#[test]
fn transposed_convolution_gradients_agree_with_finite_differences() {
    for (input, size, kernel_size, strides, dilation, crop) in [
        ([1, 1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [0, 0]),
        ([3, 2, 2], [7, 6], [3, 2], [2, 2], [1, 1], [0, 0]),
        ([3, 2, 3], [6, 6], [4, 3], [2, 3], [1, 1], [1, 0]),
        ([2, 3, 1], [4, 7], [2, 3], [1, 1], [3, 2], [0, 1]),
    ] {
        let filters = 2;
        let layer = Conv2DTranspose { input, size, filters, kernel_size, strides, dilation, crop };
        let x = noise(input.iter().product(), 1);
        let kernel = noise(layer.kernel_len(), 2);
        let bias = noise(filters, 3);
        let dy = noise(layer.output().iter().product(), 4);
        let at_x = numeric_gradient(|x| dot(&layer.forward(x, &kernel, &bias), &dy), &x, 1e-3);
        let at_kernel = numeric_gradient(|k| dot(&layer.forward(&x, k, &bias), &dy), &kernel, 1e-3);
        let at_bias = numeric_gradient(|b| dot(&layer.forward(&x, &kernel, b), &dy), &bias, 1e-3);
        assert_close(&layer.grad_input(&kernel, &dy), &at_x, 1e-10);
        assert_close(&layer.grad_kernel(&x, &dy), &at_kernel, 1e-10);
        assert_close(&layer.grad_bias(&dy), &at_bias, 1e-10);
    }
}

#[test]
fn locally_connected_gradients_agree_with_finite_differences() {
    for (input, kernel_size, strides) in
        [([1, 1, 1], [1, 1], [1, 1]), ([4, 5, 2], [2, 3], [1, 1]), ([6, 5, 1], [3, 2], [2, 3])]
    {
        let layer = LocallyConnected2D { input, filters: 2, kernel_size, strides };
        let x = noise(input.iter().product(), 1);
        let kernel = noise(layer.kernel_len(), 2);
        let bias = noise(layer.output().iter().product(), 3);
        let dy = noise(bias.len(), 4);
        let at_x = numeric_gradient(|x| dot(&layer.forward(x, &kernel, &bias), &dy), &x, 1e-3);
        let at_kernel = numeric_gradient(|k| dot(&layer.forward(&x, k, &bias), &dy), &kernel, 1e-3);
        let at_bias = numeric_gradient(|b| dot(&layer.forward(&x, &kernel, b), &dy), &bias, 1e-3);
        assert_close(&layer.grad_input(&kernel, &dy), &at_x, 1e-10);
        assert_close(&layer.grad_kernel(&x, &dy), &at_kernel, 1e-10);
        assert_close(&layer.grad_bias(&dy), &at_bias, 1e-10);
    }
}

#[test]
fn dense_gradients_agree_with_finite_differences() {
    for (rows, inputs, units) in [(1, 1, 1), (3, 5, 2), (2, 1, 7), (4, 8, 9)] {
        let layer = Dense { inputs, units };
        let (x, kernel) = (noise(rows * inputs, 1), noise(inputs * units, 2));
        let (bias, dy) = (noise(units, 3), noise(rows * units, 4));
        let at_x = numeric_gradient(|x| dot(&layer.forward(x, &kernel, &bias), &dy), &x, 1e-3);
        let at_kernel = numeric_gradient(|k| dot(&layer.forward(&x, k, &bias), &dy), &kernel, 1e-3);
        let at_bias = numeric_gradient(|b| dot(&layer.forward(&x, &kernel, b), &dy), &bias, 1e-3);
        assert_close(&layer.grad_input(&kernel, &dy), &at_x, 1e-10);
        assert_close(&layer.grad_kernel(&x, &dy), &at_kernel, 1e-10);
        assert_close(&layer.grad_bias(&dy), &at_bias, 1e-10);
    }
}

#[test]
fn pooling_gradients_agree_with_finite_differences() {
    for (input, pool, strides, padding) in [
        ([1, 1, 1], [1, 1], [1, 1], [0; 4]),
        ([4, 5, 2], [2, 2], [2, 2], [0; 4]),
        ([5, 5, 3], [3, 3], [2, 2], [1, 1, 1, 1]),
        ([5, 4, 1], [3, 2], [1, 1], [0, 1, 1, 0]),
        ([7, 7, 1], [2, 2], [3, 3], [0; 4]),
    ] {
        let layer = MaxPooling2D { input, pool, strides, padding };
        let x = noise(input.iter().product(), 1);
        let dy = noise(layer.output().iter().product(), 2);
        let numeric = numeric_gradient(|x| dot(&layer.forward(x), &dy), &x, 1e-7);
        assert_close(&layer.backward(&x, &dy), &numeric, 1e-7);
        let layer = AveragePooling2D { input, pool, strides, padding };
        let numeric = numeric_gradient(|x| dot(&layer.forward(x), &dy), &x, 1e-3);
        assert_close(&layer.backward(&dy), &numeric, 1e-10);
    }
}

#[test]
fn merge_gradients_agree_with_finite_differences() {
    use crate::layer::merge::Rule;
    for rule in
        [Rule::Add, Rule::Subtract, Rule::Multiply, Rule::Average, Rule::Maximum, Rule::Minimum]
    {
        for shapes in [
            vec![[2, 3, 4], [2, 3, 4], [2, 3, 4]],
            vec![[3, 2, 4], [1, 1, 4]],
            vec![[1, 2, 1], [3, 2, 4], [3, 1, 1]],
        ] {
            let layer = Merge { rule, inputs: shapes };
            let len = |shape: &[usize; 3]| shape.iter().product();
            let x: Vec<_> = (0..).zip(&layer.inputs).map(|(k, s)| noise(len(s), k)).collect();
            let dy = noise(len(&layer.output()), 9);
            for which in 0..x.len() {
                let at = |values: &[f64]| {
                    let mut x = x.clone();
                    x[which] = values.to_vec();
                    dot(&layer.forward(&x), &dy)
                };
                let numeric = numeric_gradient(at, &x[which], 1e-7);
                assert_close(&layer.backward(which, &x, &dy), &numeric, 1e-7);
            }
        }
    }
}

#[test]
fn activation_slopes_agree_with_finite_differences() {
    for kind in [
        Activation::Linear,
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu { slope: 0.25 },
        Activation::Elu { alpha: 0.5 },
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
        Activation::ReLU { max_value: 4.0, negative_slope: 0.125, threshold: 0.5 },
    ] {
        // Never within h of a kink.
        for i in -80..80 {
            let x = f64::from(i) / 10.0 + 0.05;
            let numeric = numeric_gradient(|x| activation(kind, x[0]), &[x], 1e-5);
            assert_close(&[activation_slope(kind, x)], &numeric, 1e-8);
        }
    }
}

#[test]
fn softmax_gradients_agree_with_finite_differences() {
    for n in [1, 2, 5, 10] {
        let (x, dy) = (noise(n, 1), noise(n, 2));
        let numeric = numeric_gradient(|x| dot(&softmax(x), &dy), &x, 1e-5);
        assert_close(&softmax_backward(&softmax(&x), &dy), &numeric, 1e-9);

        let mut target = vec![0.0; n];
        target[n / 2] = 1.0;
        let (_, gradient) = softmax_crossentropy(&x, &target);
        let numeric = numeric_gradient(|x| softmax_crossentropy(x, &target).0, &x, 1e-5);
        assert_close(&gradient, &numeric, 1e-9);
    }
}

/// Worked convolutions of a textbook lesson.
#[test]
fn worked_convolutions() {
    let layer = conv([5, 5, 1], 1, [3, 3], [1, 1], [0; 4], [1, 1]);
    let x = [
        3., 3., 2., 1., 0., 0., 0., 1., 3., 1., 3., 1., 2., 2., 3., 2., 0., 0., 2., 2., 2., 0., 0.,
        0., 1.,
    ];
    let kernel = [0., 1., 2., 2., 2., 0., 0., 1., 2.];
    assert_eq!(layer.forward(&x, &kernel, &[0.]), [12., 12., 17., 10., 17., 19., 9., 6., 14.]);
}

/// f-dangel/backpack#30: a stride that does not use up the input.
#[test]
fn what_a_stride_leaves_over_has_no_gradient() {
    let layer = conv([6, 6, 1], 1, [3, 3], [2, 2], [0; 4], [1, 1]);
    let x: Vec<f64> = (0..36).map(f64::from).collect();
    let kernel: Vec<f64> = (1..=9).map(f64::from).collect();
    assert_eq!(layer.forward(&x, &kernel, &[0.]), [429., 519., 969., 1059.]);
    let dk = layer.grad_kernel(&x, &[1.; 4]);
    assert_eq!(dk, [28., 32., 36., 52., 56., 60., 76., 80., 84.]);
    let dx = layer.grad_input(&kernel, &[1.; 4]);
    assert_eq!(
        dx[..30],
        [
            1., 2., 4., 2., 3., 0., 4., 5., 10., 5., 6., 0., 8., 10., 20., 10., 12., 0., 4., 5.,
            10., 5., 6., 0., 7., 8., 16., 8., 9., 0.
        ]
    );
    assert_eq!(dx[30..], [0.; 6]);
}

/// tensorflow/tensorflow's rule for an odd total: MIPVerify.jl#23.
#[test]
fn same_padding_puts_the_odd_one_after() {
    assert_eq!(same_padding(6, 3, 2, 1), (0, 1));
    assert_eq!(same_padding(28, 3, 1, 1), (1, 1));
    assert_eq!(same_padding(32, 2, 1, 1), (0, 1));
    assert_eq!(same_padding(9, 2, 3, 1), (0, 0));
    assert_eq!(same_padding(10, 3, 1, 3), (3, 3));
}

/// keras-team/keras, `rmsprop.py`: epsilon stands inside the root.
#[test]
fn rmsprop_has_epsilon_inside_the_root() {
    for (epsilon, expected) in [(1e-7, 9.683_772), (1.0, 9.698_489)] {
        let (mut w, mut v) = ([10.0], [0.0]);
        RmsProp { learning_rate: 0.1, rho: 0.9, epsilon }.step(&mut w, &mut v, &[10.0]);
        assert!((w[0] - expected).abs() < 1e-6, "{}", w[0]);
    }
}

#[test]
fn convolution_agrees_with_keras() {
    let mut count = 0;
    for case in cases::load("conv2d").iter().filter(|case| case.args()["activation"].is_null()) {
        let input: [usize; 3] = case.input_shape().try_into().unwrap();
        let filters = case.args()["filters"].as_u64().unwrap() as usize;
        let kernel_size = case.pair("kernel_size").unwrap();
        let strides = case.pair("strides").unwrap_or([1, 1]);
        let dilation = case.pair("dilation_rate").unwrap_or([1, 1]);
        let padding = case.padding(input, kernel_size, strides, dilation);
        let groups = case.args()["groups"].as_u64().unwrap_or(1) as usize;
        let layer =
            Conv2D { groups, ..conv(input, filters, kernel_size, strides, padding, dilation) };
        let kernel = case.f64("w/layer/kernel");
        let has_bias = case.args()["use_bias"] != false;
        let bias = if has_bias { case.f64("w/layer/bias").to_vec() } else { vec![0.0; filters] };

        let (mut y, mut dx) = (Vec::new(), Vec::new());
        let (mut dk, mut db) = (vec![0.0; kernel.len()], vec![0.0; filters]);
        let rows = case.f64("input").chunks(input.iter().product());
        for (x, dy) in rows.zip(case.f64("upstream").chunks(layer.output().iter().product())) {
            y.extend(layer.forward(x, kernel, &bias));
            dx.extend(layer.grad_input(kernel, dy));
            dk.iter_mut().zip(layer.grad_kernel(x, dy)).for_each(|(sum, d)| *sum += d);
            db.iter_mut().zip(layer.grad_bias(dy)).for_each(|(sum, d)| *sum += d);
        }
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
        case.check("output", &narrow(&y));
        case.check("grad/input", &narrow(&dx));
        case.check("grad/layer/kernel", &narrow(&dk));
        if has_bias {
            case.check("grad/layer/bias", &narrow(&db));
        }
        count += 1;
    }
    assert_eq!(count, 39);
}
