//! The emitted code, as a reader meets it.

use std::fs;
use std::path::{Path, PathBuf};

use cnn_dsl::codegen::{self, Options};

fn specs() -> Vec<(String, String)> {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(specs).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 3);
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn code_of_specs() {
    for (name, text) in specs() {
        let models = cnn_dsl::compile(&text).unwrap();
        let code = codegen::pretty(codegen::emit(&models, &Options::default()));
        insta::assert_snapshot!(name, code);
    }
}

/// Everything that a chain of small layers can need: dropout, activations of their own, pooling
/// that cannot be fused, gradients down to the input.
#[test]
fn code_of_separate_operations() {
    let text = "model Parts {
        input(9, 9, 2);
        Conv2D(4, 3, strides = 2, padding = same, activation = tanh);
        MaxPooling2D(3, strides = 1, padding = same);
        Dropout(0.25);
        Conv2D(3, 2, dilation_rate = 2, use_bias = false);
        ReLU(max_value = 6);
        Flatten;
        Dense(5, activation = sigmoid);
        Softmax;
    }";
    let models = cnn_dsl::compile(text).unwrap();
    let options = Options { input_gradient: true, ..Options::default() };
    insta::assert_snapshot!(codegen::pretty(codegen::emit(&models, &options)));
}

/// A model that can be looked into: once more, with each layer for itself.
#[test]
fn code_of_inspection() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good/inspect.cnn"));
    let text = text.unwrap();
    let emit = |text: &str| {
        let models = cnn_dsl::compile(text).unwrap();
        codegen::pretty(codegen::emit(&models, &Options::default()))
    };
    let code = emit(&text);
    // What is said beside it does not change.
    let without = emit(&text.replace("    inspect;\n", ""));
    let twin = code.strip_prefix(without.as_str()).unwrap();
    insta::assert_snapshot!(twin);
}

/// Emission is a function of the model alone.
#[test]
fn code_is_the_same_every_time() {
    for (_, text) in specs() {
        let emit = || {
            let models = cnn_dsl::compile(&text).unwrap();
            codegen::emit(&models, &Options::default()).to_string()
        };
        assert_eq!(emit(), emit());
    }
}

/// A checkpoint fits models of equal layers, whatever `compile` and `fit` say.
#[test]
fn architecture_hash_tells_models_apart() {
    let hash = |layers: &str| {
        let models = cnn_dsl::compile(&format!("model M {{ input(8, 8, 1); {layers} }}"));
        cnn_dsl::passes::architecture_hash(&models.unwrap()[0])
    };
    let base = hash("Conv2D(4, 3); Flatten; Dense(2, activation = softmax);");
    let same = hash(
        "Conv2D(4, 3); Flatten; Dense(2, activation = softmax);
         compile(loss = categorical_crossentropy); fit(epochs = 3); inspect;",
    );
    assert_eq!(base, same);
    for other in [
        "Conv2D(4, 3, activation = relu); Flatten; Dense(2, activation = softmax);",
        "Conv2D(4, 3, use_bias = false); Flatten; Dense(2, activation = softmax);",
        "first: Conv2D(4, 3); Flatten; Dense(2, activation = softmax);",
        "Conv2D(4, 3, padding = same); MaxPooling2D(2); Flatten; Dense(2, activation = softmax);",
    ] {
        assert_ne!(base, hash(other), "{other}");
    }
}

/// Layers that do not learn, behind one that does and before any: no gradients of theirs, and none
/// where nothing before them learns.
#[test]
fn code_of_fixed_layers() {
    let text = "model Fixed {
        input(9, 9, 1);
        Conv2D(kernel = [[-1, 0.5], [1e-9, 123456.789]], use_bias = false, trainable = false);
        Conv2D(2, 2, kernel_regularizer = L2(0.001));
        BatchNormalization(trainable = false);
        Flatten;
        Dense(5, activation = relu, trainable = false, kernel_initializer = RandomUniform(-1, 1));
        Dense(2, activation = softmax);
        compile(loss = categorical_crossentropy);
    }";
    let models = cnn_dsl::compile(text).unwrap();
    let code = codegen::pretty(codegen::emit(&models, &Options::default()));
    insta::assert_snapshot!(code);
}

/// Several layers that read one array, several times.
#[test]
fn constants_of_arrays_are_declared_once() {
    let text = "model Net {
        input(8);
        a: Dense(4); b: Dense(4)(a); c: Dense(4)(a);
        d: Add(b, c); e: Add(d, d);
        Concatenate(e, e, a);
        Dense(2, activation = softmax);
        compile(loss = categorical_crossentropy);
    }";
    let code = codegen::emit(&cnn_dsl::compile(text).unwrap(), &Options::default()).to_string();
    assert_eq!(code.matches("const A : usize").count(), 1, "{code}");
}
