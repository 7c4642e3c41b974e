//! What `cnn explain` says, for every kind of layer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cnn_dsl::diagnostics::thousands;
use cnn_dsl::explain;
use cnn_dsl::ir::Model;
use cnn_dsl::layer;

fn models(path: &str) -> Vec<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    cnn_dsl::compile(&fs::read_to_string(path).unwrap()).unwrap()
}

/// One model with every layer there is.
const EVERYTHING: &str = "model Everything {
    input(33, 20, 6);
    Rescaling(2, offset = -1);
    Conv2D(8, (3, 2), strides = (2, 1), padding = same, groups = 2, activation = relu);
    BatchNormalization;
    ReLU(max_value = 6, negative_slope = 0.1, threshold = 1);
    MaxPooling2D(3, strides = 2, padding = same);
    Conv2D(4, 3, dilation_rate = 2, padding = same, use_bias = false);
    left: DepthwiseConv2D(3, padding = same, depth_multiplier = 2);
    right: SeparableConv2D(8, 3, padding = same);
    sum: Add(left, right);
    m: Multiply(sum, left);
    a: Average(m, left);
    b: Maximum(a, m);
    c: Minimum(b, a);
    d: Subtract(c, sum);
    Concatenate(d, sum);
    Conv2DTranspose(5, 3, strides = 2);
    Conv2DTranspose(5, 2, strides = 3, padding = same);
    AveragePooling2D(2);
    UpSampling2D((2, 1), interpolation = bilinear);
    ZeroPadding2D(((1, 2), (0, 3)));
    Cropping2D(((1, 0), (0, 1)));
    LocallyConnected2D(2, 3, strides = 5);
    SpatialDropout2D(0.2);
    GaussianNoise(0.1);
    LayerNormalization(axis = (2, 3));
    LayerNormalization(center = false, scale = false);
    LeakyReLU;
    ELU;
    Softmax(axis = 1);
    Activation(gelu);
    Permute((2, 1, 3));
    p: GlobalMaxPooling2D(keepdims = true);
    q: GlobalAveragePooling2D(keepdims = true)(p);
    Reshape((1, -1));
    Dense(7, use_bias = false);
    Flatten;
    Dropout(0.5);
    Dense(3, trainable = false);
}";

#[test]
fn every_layer_explains_itself() {
    let models = cnn_dsl::compile(EVERYTHING).unwrap();
    let found: BTreeSet<&str> = models[0].layers.iter().map(|layer| layer.kind.class()).collect();
    let all: BTreeSet<&str> = layer::ALL.iter().map(|layer| layer.signature.name).collect();
    assert_eq!(found, all);
    insta::assert_snapshot!("explain_everything", explain::text(&models[0]));
}

#[test]
fn the_models_of_the_lesson() {
    for name in ["mnist_mlp", "mnist_cnn", "cifar10_cnn", "resnet20"] {
        let text = explain::text(&models(&format!("../specs/{name}.cnn"))[0]);
        insta::assert_snapshot!(format!("explain_{name}"), text);
    }
}

/// A unit that is connected to all of a photograph.
#[test]
fn a_million_weights() {
    let text = "model Wide { input(1000, 1000, 1); Flatten; Dense(1000, use_bias = false); }";
    let text = explain::text(&cnn_dsl::compile(text).unwrap()[0]);
    assert!(text.contains("    each unit         1,000,000 weights\n"), "{text}");
    let rule = "    parameters        1,000,000·1,000 = 1,000,000,000\n";
    assert!(text.contains(rule), "{text}");
}

/// The value of a product or sum as it is written: numbers, `·`, `+`, `-`, `/`, `floor` and brackets.
fn value(rule: &str) -> i128 {
    struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);
    impl Reader<'_> {
        fn sum(&mut self) -> i128 {
            let mut sum = self.product();
            loop {
                match self.0.peek() {
                    Some('+') => {
                        self.0.next();
                        sum += self.product();
                    }
                    Some('-') => {
                        self.0.next();
                        sum -= self.product();
                    }
                    _ => return sum,
                }
            }
        }

        fn product(&mut self) -> i128 {
            let mut product = self.number();
            loop {
                match self.0.peek() {
                    Some('·') => {
                        self.0.next();
                        product *= self.number();
                    }
                    Some('/') => {
                        self.0.next();
                        product = product.div_euclid(self.number());
                    }
                    _ => return product,
                }
            }
        }

        fn number(&mut self) -> i128 {
            if self.0.next_if_eq(&'(').is_some() {
                let inside = self.sum();
                assert_eq!(self.0.next(), Some(')'));
                return inside;
            }
            let mut digits = String::new();
            while let Some(digit) = self.0.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits.parse().unwrap()
        }
    }
    let plain = rule.replace("floor", "").replace([' ', ','], "");
    let mut reader = Reader(plain.chars().peekable());
    let value = reader.sum();
    assert_eq!(reader.0.next(), None, "{rule}");
    value
}

/// Every equation holds, and gives what the compiler counts.
#[test]
fn equations_hold() {
    let mut texts: Vec<Model> = Vec::new();
    for folder in ["../specs", "tests/good"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            texts.extend(models(&format!("{folder}/{name}")));
        }
    }
    let mut count = 0;
    for layer in texts.iter().flat_map(|model| &model.layers) {
        for line in layer.kind.explained().explain(layer) {
            // Behind the name of a layer that it would be.
            let rule = match line.rule.split_once(": ") {
                Some((name, rule)) if layer::find(name).is_some() => rule,
                _ => line.rule.as_str(),
            };
            let Some((left, right)) = rule.split_once(" = ") else { continue };
            let right = right.split([';', ':']).next().unwrap();
            let digits: String =
                right.chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
            let digits = digits.trim_end_matches(',');
            if !left.chars().any(|c| c.is_ascii_digit()) || left.contains(" of ") {
                continue;
            }
            assert_eq!(
                thousands(value(left).cast_unsigned()).as_str(),
                digits,
                "{}: {rule}",
                layer.name
            );
            if line.what == "parameters" {
                assert_eq!(
                    digits,
                    thousands(layer.params().into()).as_str(),
                    "{}: {rule}",
                    layer.name
                );
            }
            let along = |axis: usize| thousands(layer.output.0[axis].into());
            match line.what {
                "rows" => assert_eq!(digits, along(0)),
                "columns" => assert_eq!(digits, along(1)),
                "rows, columns" => assert_eq!([digits, digits], [along(0), along(1)]),
                _ => {}
            }
            count += 1;
        }
    }
    assert!(count > 200, "{count} equations");
}
