//! What an introductory lesson on convolutional networks says in numbers, and the page that the example
//! `lesson` makes.

use cnn::{Cifar10Cnn, MnistCnn, MnistMlp};
use cnn_course::book::networks::{
    Averaged, Bordered, Convolutional, Crossed, FullyConnected, LocallyConnected, Pooled, Worked,
};
use cnn_course::book::{self, Options};
use cnn_runtime::data::Inputs;
use cnn_runtime::network::LayerInfo;
use cnn_runtime::{Model, Network, cnn};

cnn! {
    /// One unit, connected to every pixel.
    model Unit {
        input(1000, 1000, 1);
        Flatten;
        Dense(1, use_bias = false);
    }
}

/// The output for one input, exact: all sums are of small whole numbers.
fn output<N: Network>(input: &[f32]) -> Vec<f32> {
    Model::<N>::new(0).predict(Inputs::Floats(input)).unwrap().into_iter().collect()
}

fn shapes(layers: &[LayerInfo]) -> Vec<&[usize]> {
    layers.iter().map(|layer| layer.output_shape).collect()
}

fn params(layers: &[LayerInfo]) -> Vec<usize> {
    layers.iter().map(|layer| layer.params).collect()
}

#[test]
fn a_valid_convolution() {
    #[rustfmt::skip]
    let x = [
        3., 3., 2., 1., 0.,
        0., 0., 1., 3., 1.,
        3., 1., 2., 2., 3.,
        2., 0., 0., 2., 2.,
        2., 0., 0., 0., 1.,
    ];
    assert_eq!(output::<Worked>(&x), [12., 12., 17., 10., 17., 19., 9., 6., 14.]);
}

#[test]
fn a_cross_finds_crosses() {
    #[rustfmt::skip]
    let x = [
        1., 1., 1., 0., 0.,
        0., 1., 1., 1., 0.,
        0., 0., 1., 1., 1.,
        0., 0., 1., 1., 0.,
        0., 1., 1., 0., 0.,
    ];
    assert_eq!(output::<Crossed>(&x), [4., 3., 4., 2., 4., 3., 2., 3., 4.]);
}

#[test]
fn a_border_of_one_zero_keeps_the_size() {
    assert_eq!(Worked::OUTPUT_SHAPE, [3, 3, 1]);
    assert_eq!(shapes(Bordered::LAYERS), [[7, 7, 1], [5, 5, 1]]);
}

#[test]
fn bytes_are_divided_by_255() {
    let bytes: Vec<u8> = (0..16).map(|i| 17 * i).collect();
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let pooled = Pooled::new(0).predict(Inputs::Bytes(&bytes)).unwrap();
    let expected = [5., 7., 13., 15.].map(|x| 17. * x / 255.);
    assert_eq!(pooled.iter().copied().collect::<Vec<f32>>(), expected);
    assert_eq!(output::<Pooled>(&floats), expected);
}

#[test]
fn max_pooling() {
    let x = [1., 1., 2., 4., 5., 6., 7., 8., 3., 2., 1., 0., 1., 2., 3., 4.];
    assert_eq!(output::<Pooled>(&x), [6., 8., 3., 4.]);
}

/// A million weights a unit; a thousand units are over what a model may have, which the compiler says.
#[test]
fn a_fully_connected_unit() {
    assert_eq!(Unit::PARAMS, 1_000_000);
    let text = "model M { input(1000, 1000, 1); Flatten; Dense(1000, use_bias = false); }";
    match cnn_dsl::compile(text) {
        Ok(models) => {
            let params: u64 = models[0].layers.iter().map(cnn_dsl::ir::Layer::params).sum();
            assert_eq!(params, 1_000_000_000);
        }
        Err(errors) => assert!(format!("{errors:?}").contains("1,000,000,000"), "{errors:?}"),
    }
}

/// Weights and biases: (28·28 + 1)·784, 26·26·(9 + 1), 9 + 1.
#[test]
fn three_ways_to_connect() {
    let params = [FullyConnected::PARAMS, LocallyConnected::PARAMS, Convolutional::PARAMS];
    assert_eq!(params, [615_440, 6_760, 10]);
    assert_eq!(Averaged::LAYERS[1].output_shape, [32]);
    assert_eq!(Averaged::PARAMS, 320 + 330);
}

#[test]
fn the_three_models() {
    assert_eq!(params(MnistMlp::LAYERS), [0, 401_920, 262_656, 5_130]);
    assert_eq!(MnistMlp::PARAMS, 669_706);

    assert_eq!(params(MnistCnn::LAYERS), [320, 0, 18_496, 0, 0, 200_768, 650]);
    assert_eq!(MnistCnn::PARAMS, 220_234);
    let expected: [&[usize]; 7] =
        [&[28, 28, 32], &[14, 14, 32], &[14, 14, 64], &[7, 7, 64], &[3136], &[64], &[10]];
    assert_eq!(shapes(MnistCnn::LAYERS), expected);

    assert_eq!(params(Cifar10Cnn::LAYERS), [208, 0, 2_080, 0, 8_256, 0, 0, 0, 512_500, 0, 5_010]);
    assert_eq!(Cifar10Cnn::PARAMS, 528_054);
    let expected: [&[usize]; 11] = [
        &[32, 32, 16],
        &[16, 16, 16],
        &[16, 16, 32],
        &[8, 8, 32],
        &[8, 8, 64],
        &[4, 4, 64],
        &[4, 4, 64],
        &[1024],
        &[500],
        &[500],
        &[10],
    ];
    assert_eq!(shapes(Cifar10Cnn::LAYERS), expected);
}

/// From few digits in one epoch: the page stands for itself, and says what is missing.
#[test]
fn the_page() {
    let out = tempfile::tempdir().unwrap();
    let options = Options { data: None, out: out.path().to_owned(), epochs: 1, seed: 1, most: 256 };
    let mut log = Vec::new();
    let html = book::write(&options, &mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    assert!(log.contains("1/7 the data") && log.contains("val_loss improved from inf"), "{log}");

    let sources = html.split("src=\"").skip(1);
    assert!(sources.clone().count() >= 14, "{}", sources.count());
    assert!(html.split("src=\"").skip(1).all(|source| source.starts_with("data:image/")));
    assert!(!html.contains("<script") && !html.contains("<link rel=\"stylesheet\""));
    assert_eq!(html.matches("CIFAR-10 is missing here").count(), 2);
    for told in ["220,234", "669,706", "528,054", "615,440", "6,760", "(256, 28, 28, 1)"] {
        assert!(html.contains(told), "{told}");
    }
}

/// Records of CIFAR-10: a class, then the planes of a picture in a colour of that class.
fn photographs(count: u8) -> Vec<u8> {
    let record = |i: u8| {
        let class = i % 10;
        let planes = [25 * class, 250 - 25 * class, i.wrapping_mul(7)].map(|value| [value; 1024]);
        [vec![class], planes.concat()].concat()
    };
    (0..count).flat_map(record).collect()
}

/// With photographs, the first tenth held out, there is nothing left to ask for.
#[test]
fn the_page_with_photographs() {
    let out = tempfile::tempdir().unwrap();
    let data = out.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&data).unwrap();
    for batch in 1..=5 {
        std::fs::write(data.join(format!("data_batch_{batch}.bin")), photographs(20)).unwrap();
    }
    std::fs::write(data.join("test_batch.bin"), photographs(40)).unwrap();
    let dir = out.path().to_owned();
    let options = Options { data: Some(dir.clone()), out: dir, epochs: 1, seed: 1, most: 128 };
    let html = book::write(&options, &mut Vec::new()).unwrap();

    assert!(!html.contains("is missing here"));
    for told in [
        "<td>(100, 32, 32, 3)</td><td>(40, 32, 32, 3)</td>",
        "The first 36 photographs, 32 × 32 pixels each",
        "90 photographs to train on, 10 for validation, 40 for the test.",
        "of 40 test images",
        "The 16 kernels of its first layer",
        ">automobile</text>",
    ] {
        assert!(html.contains(told), "{told}");
    }
    assert_eq!(html.matches("predicted (true), blue where right").count() / 2, 2);
    assert!(out.path().join("Cifar10Cnn.safetensors").exists());
}
