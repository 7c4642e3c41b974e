//! Shapes, counts and summaries of good texts.

use std::fs;
use std::path::Path;

use cnn_dsl::ir::Model;

fn spec(name: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs").join(name);
    let text = fs::read_to_string(path).unwrap();
    let mut models = cnn_dsl::compile(&text).unwrap();
    assert_eq!(models.len(), 1);
    models.remove(0)
}

fn good(name: &str) -> Vec<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good").join(name);
    cnn_dsl::compile(&fs::read_to_string(path).unwrap()).unwrap()
}

fn one(body: &str) -> Model {
    cnn_dsl::compile(&format!("model Net {{ {body} }}")).unwrap().remove(0)
}

/// `name: output shape, parameters` of every layer.
fn lines(model: &Model) -> Vec<String> {
    let line = |layer: &cnn_dsl::ir::Layer| {
        format!("{}: {}, {}", layer.name, layer.output, layer.params())
    };
    model.layers.iter().map(line).collect()
}

#[test]
fn mnist_mlp_has_the_published_counts() {
    let model = spec("mnist_mlp.cnn");
    assert_eq!(
        lines(&model),
        ["flatten: 784, 0", "dense: 512, 401920", "dense_1: 512, 262656", "dense_2: 10, 5130"]
    );
    assert_eq!(model.params(), 669_706);
    assert_eq!(model.macs(), 784 * 512 + 512 * 512 + 512 * 10);
}

#[test]
fn mnist_cnn_has_the_published_counts() {
    let model = spec("mnist_cnn.cnn");
    assert_eq!(
        lines(&model),
        [
            "conv2d: 28x28x32, 320",
            "max_pooling2d: 14x14x32, 0",
            "conv2d_1: 14x14x64, 18496",
            "max_pooling2d_1: 7x7x64, 0",
            "flatten: 3136, 0",
            "dense: 64, 200768",
            "dense_1: 10, 650",
        ]
    );
    assert_eq!(model.params(), 220_234);
    assert_eq!(model.trainable_params(), 220_234);
    let convolutions = 28 * 28 * 9 * 32 + 14 * 14 * 9 * 32 * 64;
    assert_eq!(model.macs(), convolutions + 3136 * 64 + 64 * 10);
}

#[test]
fn cifar10_cnn_has_the_published_counts() {
    let model = spec("cifar10_cnn.cnn");
    assert_eq!(
        lines(&model),
        [
            "conv2d: 32x32x16, 208",
            "max_pooling2d: 16x16x16, 0",
            "conv2d_1: 16x16x32, 2080",
            "max_pooling2d_1: 8x8x32, 0",
            "conv2d_2: 8x8x64, 8256",
            "max_pooling2d_2: 4x4x64, 0",
            "dropout: 4x4x64, 0",
            "flatten: 1024, 0",
            "dense: 500, 512500",
            "dropout_1: 500, 0",
            "dense_1: 10, 5010",
        ]
    );
    assert_eq!(model.params(), 528_054);
}

/// He et al. 2015 count 0.27 million; Keras's own count for this form of it, with projections.
#[test]
fn resnet20_has_its_counts() {
    let model = spec("resnet20.cnn");
    assert_eq!(model.params(), 274_042);
    assert_eq!(model.trainable_params(), 272_474);
    let first = 32 * 32 * 9 * (3 * 16 + 6 * 16 * 16);
    let second = 16 * 16 * 9 * (16 * 32 + 5 * 32 * 32) + 16 * 16 * 16 * 32;
    let third = 8 * 8 * 9 * (32 * 64 + 5 * 64 * 64) + 8 * 8 * 32 * 64;
    assert_eq!(model.macs(), first + second + third + 64 * 10);
}

#[test]
fn lenet5_has_the_usual_counts() {
    let model = spec("lenet5.cnn");
    let params: Vec<u64> = model.layers.iter().map(cnn_dsl::ir::Layer::params).collect();
    assert_eq!(params, [156, 0, 2416, 0, 0, 48120, 10164, 850]);
}

#[test]
fn summaries() {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let mut names: Vec<String> = fs::read_dir(specs)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 11);
    for name in names {
        let model = spec(&format!("{name}.cnn"));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("summary_{name}"), cnn_dsl::summary::table(&model));
        });
    }
    let wide = one("input(8, 8, 1); the_very_first_convolution: Conv2D(1_000_000, 3); \
                    a_layer_whose_name_is_longer_than_the_whole_column: Dense(1_000_000);");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("summary_wrapped", cnn_dsl::summary::table(&wide));
    });
}

#[test]
fn good_texts() {
    for name in [
        "convolutions",
        "everything",
        "layer_normalization",
        "optimizer",
        "nothing",
        "pooling",
        "shaping",
        "weights",
    ] {
        let models = good(&format!("{name}.cnn"));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_debug_snapshot!(format!("good_{name}"), models);
        });
    }
}

/// `same` padding puts the odd row and column at the bottom and right (Keras; `vtjeng/MIPVerify.jl`
/// pull request 23).
#[test]
fn same_padding_is_keras() {
    use cnn_dsl::layer::Kind;
    // input, kernel, stride, output, padding: the formula's four corners
    let table = [
        (6, 3, 2, 3, [0, 1, 0, 1]),
        (5, 3, 2, 3, [1, 1, 1, 1]),
        (32, 2, 1, 32, [0, 1, 0, 1]),
        (28, 3, 1, 28, [1, 1, 1, 1]),
        (8, 1, 3, 3, [0, 0, 0, 0]),
        (1, 5, 1, 1, [2, 2, 2, 2]),
    ];
    for (n, k, s, out, padding) in table {
        let model = one(&format!("input({n}, {n}, 1); Conv2D(1, {k}, {s}, same);"));
        assert_eq!(model.layers[0].output.0, [out, out, 1], "{n} {k} {s}");
        let Kind::Conv2D(conv) = &model.layers[0].kind else { panic!("not a convolution") };
        assert_eq!(conv.padding, padding, "{n} {k} {s}");
    }
}

/// A product of sizes must not wrap to a plausible small number (`huggingface/candle#3816`).
#[test]
fn sizes_do_not_wrap() {
    let text = "model Net { input(65536, 65536, 1); Flatten; Dense(4294967296); }";
    let mistakes = cnn_dsl::compile(text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].message.contains("size overflow: 18,446,744,078,004,518,912 parameters"));
    assert_eq!(&text[mistakes[0].span.clone()], "Dense");
}

/// One error, at the misspelt word alone (`Rust-GPU/rust-gpu#355`).
#[test]
fn a_misspelt_layer_is_underlined_alone() {
    let text = "model Net { input(28, 28, 1); Conv2D(8, 3); MaxPoling2D(2); Flatten; Dense(2); }";
    let mistakes = cnn_dsl::compile(text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(&text[mistakes[0].span.clone()], "MaxPoling2D");
    assert_eq!(mistakes[0].help, ["did you mean `MaxPooling2D`?"]);
}

/// Negative numbers are numbers, in one piece (`dtolnay/syn#1085`).
#[test]
fn negative_numbers_get_the_rule() {
    let table = [
        ("input(7); Dense(-10);", "-10", "a positive integer"),
        ("input(7); Dropout(-0.5);", "-0.5", "a rate in [0,1)"),
        ("input(7, 7, 1); Conv2D(8, kernel_size=-3);", "-3", "a positive integer"),
    ];
    for (body, value, rule) in table {
        let text = format!("model Net {{ {body} }}");
        let mistakes = cnn_dsl::compile(&text).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{body}");
        assert_eq!(&text[mistakes[0].span.clone()], value);
        assert!(mistakes[0].message.contains(&format!("`{value}`")), "{}", mistakes[0].message);
        assert!(mistakes[0].message.contains(rule), "{}", mistakes[0].message);
    }
}

/// A name given twice is one error that points to the first (`wrenger/bitfield-struct-rs#67`);
/// automatic names step aside.
#[test]
fn names_are_unique() {
    let text = "model Net { input(9, 9, 1); conv1: Conv2D(1, 3); conv1: Conv2D(1, 3); }";
    let mistakes = cnn_dsl::compile(text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].span, text.rfind("conv1").unwrap()..text.rfind("conv1").unwrap() + 5);
    assert_eq!(mistakes[0].secondary[0].0.start, text.find("conv1").unwrap());

    let model = one("input(9, 9, 1); Conv2D(1, 3); Conv2D(1, 3); conv2d_1: Conv2D(1, 3);");
    let names: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["conv2d", "conv2d_2", "conv2d_1"]);
}

/// Deep nesting is an error with a position, not a stack overflow
/// (`apache/datafusion-sqlparser-rs#305`).
#[test]
fn deep_nesting_is_an_error() {
    let text = format!("model Net {{\n    input({}", "(".repeat(100_000));
    let mistakes = cnn_dsl::compile(&text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    let shown = cnn_dsl::render("deep.cnn", &text, &mistakes, false);
    assert!(shown.contains("--> deep.cnn:2:73"), "{}", &shown[..400.min(shown.len())]);
    assert!(shown.len() < 2_000);
}

/// What the scan lets through, the parser must survive, in a small thread of a debug build.
#[test]
fn the_deepest_nesting_allowed_parses() {
    let deep = format!("{}10{}", "(".repeat(62), ")".repeat(62));
    let text = format!("model Net {{ input(7); Dense({deep}); }}");
    let models = std::thread::spawn(move || cnn_dsl::compile(&text)).join().unwrap().unwrap();
    assert_eq!(models[0].params(), 80);
}

/// Different words for the same weights are equal models.
#[test]
fn weights_said_in_several_ways_are_equal() {
    let weights = |arguments: &str| {
        one(&format!("input(5, 4, 3); Conv2D(2, (3, 2), {arguments});")).layers[0].weights.clone()
    };
    for same in [
        ["use_bias = true", "kernel_initializer = GlorotUniform(), bias_initializer = zeros"],
        ["kernel_initializer = zeros", "kernel_initializer = Constant(-0.0)"],
        ["kernel_initializer = he_normal", "kernel_initializer = VarianceScaling(2)"],
        [
            "kernel_initializer = glorot_uniform",
            "kernel_initializer = VarianceScaling(mode = fan_avg, distribution = uniform)",
        ],
        ["kernel_regularizer = L2(0)", "kernel_regularizer = None"],
        ["kernel_regularizer = l1_l2", "kernel_regularizer = L1L2(0.01, 0.01)"],
    ] {
        assert_eq!(weights(same[0]), weights(same[1]), "{same:?}");
    }
    assert_ne!(weights("kernel_initializer = ones"), weights("bias_initializer = ones"));
    assert_ne!(weights("kernel_regularizer = l1"), weights("kernel_regularizer = l2"));
}

/// Keras's `compute_fans`: a 3x2 kernel from 3 to 2 channels, and a matrix.
#[test]
fn fans_are_keras() {
    use cnn_dsl::ir::{Distribution, Initializer};
    for (mode, fans) in
        [("fan_in", [18.0, 30.0]), ("fan_out", [12.0, 7.0]), ("fan_avg", [15.0, 18.5])]
    {
        let scaling = format!("kernel_initializer = VarianceScaling(1, {mode})");
        let conv = one(&format!("input(5, 4, 3); Conv2D(2, (3, 2), {scaling});"));
        let dense = one(&format!("input(30); Dense(7, {scaling});"));
        for (model, fan) in [conv, dense].iter().zip(fans) {
            let distribution = Distribution::TruncatedNormal;
            let expected = Initializer::VarianceScaling { scale: 1.0, fan, distribution };
            assert_eq!(model.layers[0].weights[0].initializer, expected, "{mode}");
        }
    }
}
