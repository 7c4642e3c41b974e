//! Every case of `tests/data` as the language compiles it, against Keras: shapes, numbers of
//! weights, outputs, gradients, losses in training.

use std::path::Path;

use cnn_layer_tests::{Case, Line, index};
use cnn_runtime::buffer::Floats;
use cnn_runtime::data::{Examples, Inputs, Targets};
use cnn_runtime::layer::Softmax;
use cnn_runtime::network::{LossKind, Network, TensorInfo};
use cnn_runtime::{Model, Settings, Trainer};
use ndarray::{Array2, ArrayBase, Data, Dimension, s};

include!(concat!(env!("OUT_DIR"), "/models.rs"));

/// One test for each case that was compiled.
macro_rules! tests {
    ($($name:ident: $model:ident = $id:literal;)*) => {$(
        #[test]
        fn $name() {
            check::<$model>(&Case::load($id));
        }
    )*};
}
for_each_case!(tests);

#[test]
fn no_case_is_refused() {
    assert!(REFUSED.is_empty(), "{REFUSED:#?}");
}

#[test]
fn no_case_is_left_out() {
    let mut compiled = Vec::new();
    macro_rules! list {
        ($($name:ident: $model:ident = $id:literal;)*) => { $(compiled.push($id);)* };
    }
    for_each_case!(list);
    let table = [
        ("conv2d", 42),
        ("depthwise", 11),
        ("separable", 6),
        ("conv2d_transpose", 17),
        ("locally_connected", 6),
        ("maxpool", 15),
        ("avgpool", 15),
        ("global_pooling", 6),
        ("shaping", 22),
        ("layernorm", 7),
        ("dense", 9),
        ("batchnorm", 13),
        ("activations", 26),
        ("networks", 9),
        ("merge", 17),
        ("counts", 7),
        ("losses", 13),
    ];
    for (group, count) in table {
        let cases = || index().iter().filter(|case| case["group"] == group);
        assert_eq!(cases().count(), count, "{group}");
        if group != "counts" && group != "losses" {
            for case in cases() {
                let id = case["id"].as_str().unwrap();
                assert!(compiled.contains(&id), "{id} is not tested");
            }
        }
    }
    assert_eq!(index().len(), table.iter().map(|(_, count)| count).sum::<usize>());
}

/// Up to VGG16 and its 138,357,544 weights.
#[test]
fn shapes_and_counts() {
    for case in index().iter().filter(|case| case["group"] == "counts") {
        let case = Case::load(case["id"].as_str().unwrap());
        let path = format!("{}/texts/{}.cnn", env!("OUT_DIR"), case.id());
        let models =
            cnn_dsl::build::load(Path::new(&path), false).unwrap_or_else(|e| panic!("{e}"));
        let sizes = |shape: &cnn_dsl::ir::Shape| shape.0.iter().map(|&n| n as usize).collect();
        let lines = models[0].layers.iter().map(|layer| Line {
            name: layer.name.clone(),
            class: layer.kind.class().into(),
            shape: sizes(&layer.output),
            params: layer.params() as usize,
        });
        assert_eq!(lines.collect::<Vec<_>>(), case.lines(), "{}", case.id());
        assert_eq!(models[0].params(), case.total() as u64, "{}", case.id());
    }
}

fn check<N: Network>(case: &Case) {
    check_shapes::<N>(case);
    let model = with_weights::<N>(case);
    if case.has_labels() {
        check_predictions(case, &model, "infer/output");
        check_training(case, model);
    } else if case.trains() {
        check_gradients(case, &mut model.clone(), 1);
        check_statistics(case, model);
    } else {
        check_predictions(case, &model, "output");
        if N::STAGES > 1 {
            // Its gradients are those of a layer that is not trainable; see below.
            return;
        }
        // Once as Keras ran it, and once in several shards, of which the last is not full.
        for copies in [1, 2 * N::SHARD / case.batch() + 1] {
            check_gradients(case, &mut model.clone(), copies);
        }
    }
}

fn check_shapes<N: Network>(case: &Case) {
    let id = case.id();
    assert_eq!(N::INPUT_SHAPE, case.input_shape(), "{id}");
    assert_eq!(N::OUTPUT_SHAPE, case.output_shape(), "{id}");
    let lines = N::LAYERS.iter().map(|layer| Line {
        name: layer.name.into(),
        class: layer.kind.into(),
        shape: layer.output_shape.into(),
        params: layer.params,
    });
    assert_eq!(lines.collect::<Vec<_>>(), case.lines(), "{id}");
    let tensors: usize = N::TENSORS.iter().map(TensorInfo::len).sum();
    assert_eq!(tensors, case.total(), "{id}");
    let trainable = N::TENSORS.iter().filter(|tensor| tensor.trainable);
    let trainable: usize = trainable.map(TensorInfo::len).sum();
    assert_eq!(trainable, case.trainable(), "{id}");
}

/// A model with the case's weights; it has no others.
fn with_weights<N: Network>(case: &Case) -> Model<N> {
    let mut model = Model::new(0);
    for (name, tensor) in case.weights() {
        let info = N::TENSORS.iter().find(|info| info.name == name);
        let info = info.unwrap_or_else(|| panic!("{} has no {name}", case.id()));
        assert_eq!(info.shape, tensor.shape, "{} {name}", case.id());
        model.set_tensor(name, &case.floats(&format!("w/{name}"))).unwrap();
    }
    assert_eq!(N::TENSORS.len(), case.weights().count(), "{}", case.id());
    model
}

fn check_predictions<N: Network>(case: &Case, model: &Model<N>, name: &str) {
    let input = case.floats("input");
    let found = model.predict(Inputs::Floats(&input)).unwrap();
    case.check(name, wide(&found));
    let mut predictor = model.predictor();
    for (image, row) in input.chunks_exact(input.len() / case.batch()).zip(found.rows()) {
        assert_eq!(predictor.predict(image).floats(), row.as_slice().unwrap(), "{}", case.id());
    }
}

/// The gradients of `sum(output * upstream)` for a batch that repeats the case's some times.
fn check_gradients<N: Network>(case: &Case, model: &mut Model<N>, copies: usize) {
    let rows = case.batch() * copies;
    let upstream = case.floats("upstream").repeat(copies);
    let upstream = Array2::from_shape_vec((rows, upstream.len() / rows), upstream).unwrap();
    let input = case.floats("input").repeat(copies);
    let settings = Settings { batch_size: rows, ..Settings::of::<N>() };
    let mut trainer = Trainer::new(model, settings);
    let (output, gradient) = trainer.pull_back(Inputs::Floats(&input), upstream.view());
    let gradient = gradient.expect("the model was compiled with input gradients");
    for copy in 0..copies {
        let rows = copy * case.batch()..(copy + 1) * case.batch();
        let of = |all: &Array2<f32>| wide(&all.slice(s![rows.clone(), ..]));
        case.check("output", of(&output));
        case.check("grad/input", of(&gradient));
    }
    for (name, _) in case.weights().filter(|(name, _)| case.has(&format!("grad/{name}"))) {
        let sum = wide(&trainer.gradient(name).unwrap());
        let scale = 1.0 / copies as f64;
        case.check(&format!("grad/{name}"), sum.into_iter().map(|gradient| gradient * scale));
    }
}

/// Loss and gradients of the mean crossentropy, and the losses of three steps.
fn check_training<N: Network>(case: &Case, mut model: Model<N>) {
    assert_eq!(N::DEFAULTS.loss, LossKind::SoftmaxCrossentropy, "{}", case.id());
    let (input, labels, rows) = (case.floats("input"), case.floats("labels"), case.batch());
    let examples = Examples::from_slices(Inputs::Floats(&input), Targets::OneHot(&labels), rows);
    let examples = examples.unwrap();
    let indices: Vec<usize> = (0..rows).collect();
    check_statistics(case, model.clone());

    let settings = Settings { batch_size: rows, ..Settings::of::<N>() };
    let mut trainer = Trainer::new(&mut model, settings);
    let nothing = Array2::zeros((rows, N::Output::LEN));
    let (mut probabilities, _) = trainer.pull_back(Inputs::Floats(&input), nothing.view());
    for mut row in probabilities.rows_mut() {
        let row = row.as_slice_mut().unwrap();
        let logits = row.to_vec();
        Softmax::new(1, row.len() as u32 as usize, 1).forward(&logits, row);
    }
    case.check("output", wide(&probabilities));

    let mean = |totals: cnn_runtime::Totals| totals.loss / rows as f64;
    case.check("loss", [mean(trainer.differentiate(&examples, &indices))]);
    for (name, _) in case.weights().filter(|(name, _)| case.has(&format!("grad/{name}"))) {
        case.check(&format!("grad/{name}"), wide(&trainer.gradient(name).unwrap()));
    }
    // By the logits the mean loss has the gradient (p - t) / n.
    let labels = Array2::from_shape_vec(probabilities.raw_dim(), labels.clone()).unwrap();
    let upstream = (&probabilities - &labels) / rows as f32;
    let (_, gradient) = trainer.pull_back(Inputs::Floats(&input), upstream.view());
    case.check("grad/input", wide(&gradient.unwrap()));

    // Classes say the same as one-hot rows.
    let classes: Vec<u32> = (0..rows).map(|row| examples.class(row) as u32).collect();
    let classes = Examples::from_slices(Inputs::Floats(&input), Targets::Classes(&classes), rows);
    let classes = classes.unwrap();
    let mut losses: Vec<f64> = (0..3).map(|_| mean(trainer.step(&classes, &indices))).collect();
    losses.push(mean(trainer.differentiate(&classes, &indices)));
    case.check("losses", losses);
}

/// Moving statistics after one and after three batches, the weights as they were.
fn check_statistics<N: Network>(case: &Case, mut model: Model<N>) {
    let rows = case.batch();
    let settings = Settings { batch_size: rows, ..Settings::of::<N>() };
    let upstream = Array2::zeros((rows, N::Output::LEN));
    for (batch, input) in ["input", "input2", "input3"].iter().enumerate() {
        let after = format!("after{}/", batch + 1);
        if !case.has(input) {
            continue;
        }
        let mut trainer = Trainer::new(&mut model, settings);
        trainer.pull_back(Inputs::Floats(&case.floats(input)), upstream.view());
        trainer.update_statistics();
        for (name, _) in case.weights().filter(|(name, _)| case.has(&format!("{after}{name}"))) {
            case.check(&format!("{after}{name}"), wide(&model.tensor(name).unwrap()));
        }
    }
}

/// Layers that go by their moving statistics in training too: those that are not trainable.
macro_rules! fixed {
    ($($name:ident: $model:ident = $id:literal;)*) => {$(
        #[test]
        fn $name() {
            let case = Case::load($id);
            let mut model = with_weights::<$model>(&case);
            check_predictions(&case, &model, "output");
            let (rows, upstream) = (case.batch(), case.floats("upstream"));
            let shape = (rows, upstream.len() / rows);
            let upstream = Array2::from_shape_vec(shape, upstream).unwrap();
            let settings = Settings { batch_size: rows, ..Settings::of::<$model>() };
            let mut trainer = Trainer::new(&mut model, settings);
            let input = case.floats("input");
            let (output, gradient) = trainer.pull_back(Inputs::Floats(&input), upstream.view());
            case.check("output", wide(&output));
            case.check("grad/input", wide(&gradient.unwrap()));
            trainer.update_statistics();
            check_predictions(&case, &model, "output");
        }
    )*};
}
for_each_fixed!(fixed);

/// Dropout drops nothing unless in training.
#[test]
fn dropout_is_the_identity_in_predictions() {
    let case = Case::load("networks-04");
    check_predictions(&case, &with_weights::<Networks04Predicting>(&case), "infer/output");
}

fn wide<D: Dimension>(values: &ArrayBase<impl Data<Elem = f32>, D>) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}
