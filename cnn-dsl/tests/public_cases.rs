//! Shapes and counts that came out wrong, or surprised, people elsewhere, and the right ones. Each
//! test names the reports that it goes back to. `tests/public_cases.rs` has those on numbers.

use cnn_dsl::ir::{Layer, Model, Weight};

fn one(body: &str) -> Model {
    cnn_dsl::compile(&format!("model Net {{ {body} }}")).unwrap().remove(0)
}

fn outputs(model: &Model) -> Vec<String> {
    model.layers.iter().map(|layer| layer.output.to_string()).collect()
}

fn params(model: &Model) -> Vec<u64> {
    model.layers.iter().map(Layer::params).collect()
}

/// keras-team/keras#12951: one error, at the layer that does not fit, with the sizes before it.
#[test]
fn a_digit_shrinks_to_nothing() {
    let fits = "input(28, 28, 1); Conv2D(16, 3); MaxPooling2D(2); Conv2D(32, 3); MaxPooling2D(2); \
                Conv2D(64, 3); MaxPooling2D(2);";
    let model = one(fits);
    assert_eq!(model.params(), 160 + 4_640 + 18_496);
    let text = format!("model Net {{ {fits} Conv2D(128, 3); MaxPooling2D(2); }}");
    let mistakes = cnn_dsl::compile(&text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    let mistake = &mistakes[0];
    assert!(mistake.message.contains("`conv2d_3`"), "{}", mistake.message);
    for part in ["3x3 kernel", "1x1 input", "valid"] {
        assert!(mistake.message.contains(part), "{}", mistake.message);
    }
    assert_eq!(mistake.span.start, text.find("128, 3").unwrap() + 5);
    let shapes = "28x28x1 (`input`), 26x26x16 (`conv2d`), 13x13x16 (`max_pooling2d`), \
                  11x11x32 (`conv2d_1`), 5x5x32 (`max_pooling2d_1`), 3x3x64 (`conv2d_2`), \
                  1x1x64 (`max_pooling2d_2`)";
    assert!(mistake.notes[0].ends_with(shapes), "{}", mistake.notes[0]);
}

/// BVLC/caffe#4781, BVLC/caffe#1318: pooling rounds down.
#[test]
fn pooling_rounds_down() {
    let model = one("input(224, 224, 3); ZeroPadding2D(3); Conv2D(64, 7, strides = 2); \
                     MaxPooling2D(3, strides = 2); Flatten;");
    assert_eq!(outputs(&model), ["230x230x3", "112x112x64", "55x55x64", "193600"]);
    assert_eq!(params(&model), [0, 9_472, 0, 0]);
}

/// tensorflow/tensorflow#57128: strides with dilation reach as far as the kernel does, 7 here.
/// Where Keras refuses them together, so does the language.
#[test]
fn strides_with_dilation_follow_the_formula() {
    let arguments = "strides = 2, dilation_rate = 3, use_bias = false";
    let model = one(&format!("input(136, 136, 72); DepthwiseConv2D(3, {arguments});"));
    assert_eq!(model.output().0, [65, 65, 72]);
    assert_eq!(model.params(), 648);
    let text = format!("model Net {{ input(136, 136, 72); Conv2D(72, 3, {arguments}); }}");
    let mistakes = cnn_dsl::compile(&text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    let message = &mistakes[0].message;
    assert!(message.contains("strides") && message.contains("dilation_rate"), "{message}");
}

/// keras-team/keras#13008: a separable convolution has one bias, two convolutions have two.
#[test]
fn separable_and_its_parts_differ_by_a_bias() {
    let whole = one("input(416, 416, 10); SeparableConv2D(100, 5);");
    let weights: Vec<u64> = whole.layers[0].weights.iter().map(Weight::len).collect();
    assert_eq!(weights, [250, 1_000, 100]);
    let parts = one("input(416, 416, 10); DepthwiseConv2D(5); Conv2D(100, 1);");
    assert_eq!(params(&parts), [260, 1_100]);
    for model in [whole, parts] {
        assert_eq!(model.output().0, [412, 412, 100]);
    }
}

/// Stack Overflow question 42521005: of the 2,048 numbers of a normalization of 512 features half
/// are not trained.
#[test]
fn batch_normalization_counts_its_statistics() {
    let model = one("input(4096); Dense(512, activation = relu); BatchNormalization; \
                     Dropout(0.5); Dense(80, activation = sigmoid);");
    assert_eq!(params(&model), [2_097_664, 2_048, 0, 41_040]);
    assert_eq!(model.params(), 2_140_752);
    assert_eq!(model.trainable_params(), 2_139_728);
}

/// keras-team/keras#13124: a locally connected layer has a kernel, and a bias, for each place.
#[test]
fn locally_connected_weights_are_one_kernel_a_place() {
    let model = one("input(6, 6, 3); Conv2D(4, 3, padding = same); LocallyConnected2D(4, 3);");
    assert_eq!(params(&model), [112, 2_368]);
    let local = &model.layers[1];
    assert_eq!(local.output.0, [4, 4, 4]);
    let shapes: Vec<&[u64]> = local.weights.iter().map(|weight| weight.shape.as_slice()).collect();
    assert_eq!(shapes, [&[16, 36, 4][..], &[4, 4, 4]]);
}
