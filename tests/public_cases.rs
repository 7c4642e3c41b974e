//! Numbers that came out wrong for people elsewhere, and the right ones. Each test names the reports
//! that it goes back to.

use cnn_runtime::data::Inputs;
use cnn_runtime::{Model, Network, Settings, Trainer};
use ndarray::Array2;

cnn_runtime::cnn! {
    model SameStrided {
        input(6, 6, 1);
        layer: Conv2D(1, 3, strides = 2, padding = same, use_bias = false);
    }

    model TransposedSame {
        input(2, 2, 1);
        layer: Conv2DTranspose(1, 3, strides = 2, padding = same, use_bias = false);
    }

    model AverageSame {
        input(3, 3, 1);
        AveragePooling2D(2, strides = 2, padding = same);
    }

    model Leftover {
        input(6, 6, 1);
        // Keeps the gradient of what comes before.
        first: Conv2D(1, 1, use_bias = false);
        layer: Conv2D(1, 3, strides = 2, use_bias = false);
    }

    model Forgetful {
        input(4);
        layer: BatchNormalization(momentum = 0, epsilon = 0.001);
    }

    model Fresh {
        input(3, 3, 2);
        layer: BatchNormalization;
    }

    model FreshNineTenths {
        input(3, 3, 2);
        layer: BatchNormalization(momentum = 0.9);
    }
}

fn counting(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

fn predict<N: Network>(model: &Model<N>, image: &[f32]) -> Vec<f32> {
    model.predict(Inputs::Floats(image)).unwrap().into_raw_vec_and_offset().0
}

/// vtjeng/MIPVerify.jl#23, tensorflow/tensorflow#10747: the odd pixel of `same` is at the bottom and
/// at the right.
#[test]
fn same_pads_the_end() {
    let mut model = SameStrided::new(0);
    model.set_tensor("layer/kernel", &[1.0; 9]).unwrap();
    let expected = [63., 81., 63., 171., 189., 135., 168., 180., 126.];
    assert_eq!(predict(&model, &counting(36)), expected);
}

/// tensorflow/tensorflow#60509: padding counts neither in the sum nor in the divisor.
#[test]
fn averages_leave_padding_out() {
    let image: Vec<f32> = (1..=9).map(|i| i as f32).collect();
    assert_eq!(predict(&AverageSame::new(0), &image), [3.0, 4.5, 7.5, 9.0]);
}

/// f-dangel/backpack#30, meta-pytorch/opacus#245: a stride that does not use up its input.
#[test]
fn gradients_of_rows_that_no_window_reaches_are_zero() {
    let mut model = Leftover::new(0);
    let kernel: Vec<f32> = (1..=9).map(|i| i as f32).collect();
    model.set_tensor("first/kernel", &[1.0]).unwrap();
    model.set_tensor("layer/kernel", &kernel).unwrap();
    let settings = Settings { batch_size: 1, ..Settings::of::<Leftover>() };
    let mut trainer = Trainer::new(&mut model, settings);
    let x = counting(36);
    let (output, _) = trainer.pull_back(Inputs::Floats(&x), Array2::ones((1, 4)).view());
    assert_eq!(output.as_slice().unwrap(), [429., 519., 969., 1059.]);
    let found = trainer.gradient("layer/kernel").unwrap();
    assert_eq!(found.as_slice().unwrap(), [28., 32., 36., 52., 56., 60., 76., 80., 84.]);
    // The input's gradient times the input, summed: rows of dX are known.
    let dx = [
        [1., 2., 4., 2., 3., 0.],
        [4., 5., 10., 5., 6., 0.],
        [8., 10., 20., 10., 12., 0.],
        [4., 5., 10., 5., 6., 0.],
        [7., 8., 16., 8., 9., 0.],
        [0.; 6],
    ];
    let expected: f32 = dx.iter().flatten().zip(&x).map(|(dx, x)| dx * x).sum();
    assert_eq!(trainer.gradient("first/kernel").unwrap().as_slice().unwrap(), [expected]);
}

fn after_one_batch<N: Network>(x: &[f32], images: usize) -> (Array2<f32>, Model<N>) {
    let mut model = Model::<N>::new(0);
    let settings = Settings { batch_size: images, ..Settings::of::<N>() };
    let mut trainer = Trainer::new(&mut model, settings);
    let upstream = Array2::zeros((images, x.len() / images));
    let (output, _) = trainer.pull_back(Inputs::Floats(x), upstream.view());
    trainer.update_statistics();
    (output, model)
}

#[track_caller]
fn assert_near<'a>(found: impl IntoIterator<Item = &'a f32>, expected: &[f32]) {
    let found: Vec<f32> = found.into_iter().copied().collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(0.1), "{found} {expected}");
    }
}

/// pytorch/pytorch#7028 and #106366, keras-team/keras#8982: the variance is divided by n, and the
/// momentum is the old value's.
#[test]
fn moving_statistics() {
    let rows = [2., 15., 2., 1., 2., 17., 2., 1., -4., -2., -2., -1.];
    let (output, model) = after_one_batch::<Forgetful>(&rows, 3);
    assert_near(model.tensor("layer/moving_mean").unwrap(), &[0.0, 10.0, 0.666_666_7, 0.333_333_3]);
    let variance = model.tensor("layer/moving_variance").unwrap();
    assert_near(&variance, &[8.0, 72.666_67, 3.555_556, 0.888_888_9]);
    assert_near(output.column(0), &[0.707_062_6, 0.707_062_6, -1.414_125_2]);

    let images: Vec<f32> = (0..16).flat_map(|i| [(i / 4 + 1) as f32; 18]).collect();
    let (_, model) = after_one_batch::<Fresh>(&images, 16);
    assert_near(model.tensor("layer/moving_mean").unwrap(), &[0.025; 2]);
    assert_near(model.tensor("layer/moving_variance").unwrap(), &[1.0025; 2]);
    let (_, model) = after_one_batch::<FreshNineTenths>(&images, 16);
    assert_near(model.tensor("layer/moving_variance").unwrap(), &[1.025; 2]);
}

/// keras-team/keras#22876: a transposed convolution with `same` crops at the end.
#[test]
fn transposed_convolutions_crop_the_end() {
    let mut model = TransposedSame::new(0);
    model.set_tensor("layer/kernel", &[1., 2., 3., 4., 5., 6., 7., 8., 9.]).unwrap();
    let expected = [1., 2., 5., 4., 4., 5., 14., 10., 10., 14., 36., 24., 12., 15., 34., 20.];
    assert_eq!(predict(&model, &[1., 2., 3., 4.]), expected);
}
