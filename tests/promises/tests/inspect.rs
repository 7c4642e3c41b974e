//! Looking into networks: equal to the last bit with the network itself, over every kind of layer and
//! everything that is fused; gradients of scores by differences; what cannot be looked at.

use cnn_promises_tests::DIGITS;
use cnn_runtime::Model;
use cnn_runtime::data::{ExamplesError, Inputs};
use cnn_runtime::inspect::{Inspect, InspectError, Inspector, Rule, confusion_matrix};
use cnn_runtime::rng::Rng;

cnn_runtime::cnn! {
    /// Every layer there is.
    model Everything {
        input(33, 20, 6);
        Rescaling(2, offset = -1);
        Conv2D(8, (3, 2), strides = (2, 1), padding = same, groups = 2, activation = relu);
        BatchNormalization;
        ReLU(max_value = 6, negative_slope = 0.1, threshold = 0.5);
        MaxPooling2D(3, strides = 2, padding = same);
        Conv2D(4, 3, dilation_rate = 2, padding = same, use_bias = false);
        left: DepthwiseConv2D(3, padding = same, depth_multiplier = 2);
        right: SeparableConv2D(8, 3, padding = same, activation = tanh);
        sum: Add(left, right);
        m: Multiply(sum, left);
        a: Average(m, left);
        b: Maximum(a, m);
        c: Minimum(b, a);
        d: Subtract(c, sum);
        Concatenate(d, sum);
        Conv2DTranspose(5, 3, strides = 2, activation = gelu);
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
        inspect;
    }

    /// All that becomes one operation elsewhere.
    model Fused {
        input(28, 28, 1);
        Conv2D(16, 3, padding = same, activation = relu);
        MaxPooling2D(2);
        // Winograd's algorithm, with and without a pooling of its own size.
        Conv2D(16, 3, padding = same);
        ReLU;
        MaxPooling2D(2);
        Conv2D(32, 3, padding = same);
        Activation(relu);
        Conv2D(16, 3, padding = same, use_bias = false);
        ReLU;
        MaxPooling2D((3, 1));
        DepthwiseConv2D(3, padding = same);
        ReLU;
        BatchNormalization;
        ReLU;
        residual { Conv2D(16, 1); MaxPooling2D(1); }
        Flatten;
        Dropout(0.3);
        Dense(20);
        Activation(relu);
        Dense(10, activation = softmax);
        inspect;
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 16);
    }

    /// Nothing to compute.
    model Nothing {
        input(2, 3);
        Flatten;
        inspect;
    }

    /// Rows and features, names that code uses too.
    model Rows {
        input(4, 6);
        a: Dense(5, activation = relu);
        t: LayerNormalization;
        i: Activation(softmax);
        tape: Flatten;
        arena: Dense(2);
        inspect;
    }
}

fn image<N: Inspect>(seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed, 0);
    let len = N::INPUT_SHAPE.iter().product();
    (0..len).map(|_| rng.uniform() * 2.0 - 1.0).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Weights away from 0, so that every path counts, and statistics as training leaves them.
fn model<N: Inspect>(seed: u64) -> Model<N> {
    let mut model = Model::<N>::new(seed);
    let mut rng = Rng::new(seed, 1);
    model.update(|weights| {
        for info in N::TENSORS {
            for weight in &mut weights[info.offset..][..info.len()] {
                let noise = 0.2 * (rng.uniform() - 0.5);
                *weight += if info.name.ends_with("variance") { noise.abs() } else { noise };
            }
        }
    });
    model
}

fn equal_bits<N: Inspect>() {
    for seed in 0..3 {
        let model = model::<N>(seed);
        let image = image::<N>(seed);
        let mut inspector = Inspector::new(&model);
        let seen = inspector.run(&image).unwrap();
        let predicted = model.predict(Inputs::Floats(&image)).unwrap();
        assert_eq!(bits(seen.output()), bits(predicted.as_slice().unwrap()), "{seen:?}");
    }
}

#[test]
fn outputs_are_those_of_the_network() {
    equal_bits::<Everything>();
    equal_bits::<Fused>();
    equal_bits::<Nothing>();
    equal_bits::<Rows>();
}

/// A class's logit by each of some pixels and by each of some layers' outputs: what changes if they do.
fn differences<N: Inspect>(class: usize, tolerance: f64) {
    let model = model::<N>(3);
    let image = image::<N>(4);
    let mut inspector = Inspector::new(&model);
    let gradient = inspector.run(&image).unwrap().gradient_of_class(class).unwrap();
    let gradient = gradient.as_slice().unwrap();
    let largest = gradient.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
    assert!(largest > 0.0);
    let mut score = |image: &[f32]| f64::from(inspector.run(image).unwrap().logits()[class]);
    // Along the gradient, and along what it says of single pixels.
    let h = 2e-3 / largest;
    let moved =
        |by: f32| -> Vec<f32> { image.iter().zip(gradient).map(|(x, g)| x + by * g).collect() };
    let expected: f64 = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
    let found = (score(&moved(h)) - score(&moved(-h))) / (2.0 * f64::from(h));
    assert!((found - expected).abs() <= tolerance * expected, "{found:e}, {expected:e}");
}

#[test]
fn gradients_are_differences_of_logits() {
    differences::<Everything>(1, 0.02);
    differences::<Fused>(7, 0.02);
    differences::<Rows>(0, 0.02);
}

/// Before the last layer the gradient of a logit is what weighs there.
#[test]
fn gradients_of_layers() {
    let model = model::<Fused>(5);
    let mut inspector = Inspector::new(&model);
    let mut seen = inspector.run(&image::<Fused>(6)).unwrap();
    let gradient = seen.layer_gradient(2, "activation_1").unwrap();
    assert_eq!(gradient.dim(), (1, 1, 20));
    let kernel = model.tensor("dense_1/kernel").unwrap();
    let weights: Vec<f32> = (0..20).map(|i| kernel[[i, 2]]).collect();
    assert_eq!(bits(gradient.as_slice().unwrap()), bits(&weights));
    let error = seen.layer_gradient(2, "dense_1").unwrap_err();
    assert_eq!(error, InspectError::AfterScores { layer: "dense_1" });
}

/// Guided backpropagation lets nothing negative through a relu, and nothing through a dead one.
#[test]
fn what_excites_is_seen() {
    let model = Model::<Fused>::new(1);
    let mut inspector = Inspector::new(&model);
    let Inputs::Bytes(pixels) = DIGITS.test.examples().inputs else { unreachable!() };
    let inputs = Inputs::Bytes(&pixels[..100 * 784]);
    let found = inspector.strongest(inputs, "re_lu", 2).unwrap();
    assert_eq!(found.features.len(), 16);
    let place = found.features.iter().map(|places| places[0]).find(|place| place.value > 0.0);
    let (feature, place) = (
        found.features.iter().position(|places| Some(places[0]) == place).unwrap(),
        place.unwrap(),
    );
    let mut seen = inspector.run_example(inputs, place.image).unwrap();
    let at = [place.row, place.column];
    let value = seen.feature_maps("re_lu").unwrap()[[place.row, place.column, feature]];
    assert_eq!(value.to_bits(), place.value.to_bits());
    let guided = seen.guided("re_lu", feature, at).unwrap();
    assert!(guided.iter().any(|&value| value != 0.0));
    let [rows, columns] = found.field.at(at);
    for ((row, column, _), &value) in guided.indexed_iter() {
        let inside = rows.contains(&i64::try_from(row).unwrap())
            && columns.contains(&i64::try_from(column).unwrap());
        assert!(inside || value == 0.0, "row {row}, column {column}");
    }
    let patch = Inspector::<Fused>::patch(inputs, "re_lu", &place, 0.0).unwrap();
    assert_eq!([patch.dim().0, patch.dim().1], found.field.size());
    // A map's dead places: nothing goes through them but by deconvolution.
    let maps = seen.feature_maps("re_lu").unwrap();
    let dead = maps.indexed_iter().find(|(_, value)| **value == 0.0).unwrap().0;
    let guided = seen.guided("re_lu", dead.2, [dead.0, dead.1]).unwrap();
    assert!(guided.iter().all(|&value| value == 0.0));
    let through = seen.back_from(Rule::Deconvolution, "re_lu", dead.2, [dead.0, dead.1]).unwrap();
    assert!(through.iter().any(|&value| value != 0.0));
    // Looking back changes nothing that is seen.
    assert_eq!(
        seen.feature_maps("re_lu").unwrap()[[place.row, place.column, feature]].to_bits(),
        value.to_bits()
    );
}

#[test]
fn what_is_not_there_is_an_error() {
    let mut inspector = Inspector::new(&Model::<Rows>::new(0));
    let error = inspector.run(&[0.0; 23]).unwrap_err();
    assert_eq!(error, InspectError::Image { found: 23, expected: 24 });
    let values = [0_u8; 49];
    let error = inspector.run_example(Inputs::Bytes(&values), 0).unwrap_err();
    assert!(matches!(error, InspectError::Inputs(ExamplesError::Ragged { .. })));
    let inputs = Inputs::Bytes(&values[..48]);
    let error = inspector.run_example(inputs, 2).unwrap_err();
    assert_eq!(error, InspectError::Index { index: 2, count: 2 });
    assert!(
        inspector.strongest(inputs, "b", 1).unwrap_err().to_string().contains("it has a, t, i")
    );
    let nothing = inspector.strongest(Inputs::Bytes(&[]), "a", 3).unwrap();
    assert_eq!(nothing.features, vec![Vec::new(); 5]);
    assert_eq!(inspector.strongest(inputs, "a", 0).unwrap().features, vec![Vec::new(); 5]);
    assert_eq!(inspector.strongest(inputs, "a", usize::MAX).unwrap().features[0].len(), 2);

    let mut seen = inspector.run_example(inputs, 1).unwrap();
    assert_eq!(seen.image().dim(), (4, 6, 1));
    assert_eq!(seen.feature_maps("a").unwrap().dim(), (4, 1, 5));
    assert_eq!(seen.feature_maps("arena").unwrap().dim(), (1, 1, 2));
    let error = seen.gradient_of_class(2).unwrap_err();
    assert_eq!(error, InspectError::Class { class: 2, outputs: 2 });
    assert_eq!(seen.grad_cam(0, "a").unwrap_err(), InspectError::NoImage { layer: "a" });
    for (feature, place) in [(5, [0, 0]), (0, [4, 0]), (0, [0, 1])] {
        let error = seen.guided("a", feature, place).unwrap_err();
        assert!(matches!(error, InspectError::Output { .. }), "{error}");
    }
    let mut inspector = Inspector::new(&Model::<Nothing>::new(0));
    let mut seen = inspector.run(&[1.0; 6]).unwrap();
    assert_eq!(
        seen.gradient_of_class(4).unwrap().as_slice().unwrap()[4].to_bits(),
        1.0_f32.to_bits()
    );
}

#[test]
fn confusion_counts_what_a_network_takes_for_what() {
    let model = Model::<Fused>::new(2);
    let examples = DIGITS.test.examples();
    let outputs = model.predict(examples.inputs).unwrap();
    let cnn_runtime::data::Targets::Classes(classes) = examples.targets else { unreachable!() };
    let matrix = confusion_matrix(outputs.view(), classes).unwrap();
    assert_eq!(matrix.sum(), examples.len());
    let right: usize = matrix.diag().sum();
    let accuracy = right as f64 / examples.len() as f64;
    let evaluated = model.evaluate(&examples).unwrap().accuracy;
    assert!((accuracy - evaluated).abs() < 1e-9, "{accuracy}, {evaluated}");
}
