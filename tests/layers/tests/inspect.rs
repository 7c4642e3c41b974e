//! Random graphs, looked into: every layer's output, and what goes back through them, against their
//! definitions in `f64`.

#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "sizes are a few")]

use cnn_layer_tests::definitions::{Batch, compute, forward, weights_of};
use cnn_layer_tests::random::{Draw, Function, GRAPHS, Graph, Node, Op};
use cnn_runtime::Model;
use cnn_runtime::buffer::Floats;
use cnn_runtime::data::Inputs;
use cnn_runtime::inspect::{Inspect, Inspector, Place, Rule, cut};
use ndarray::{Array3, ArrayView3};

include!(concat!(env!("OUT_DIR"), "/random.rs"));

/// A graph with its weights, an image, and what all nodes make of it.
struct Reference {
    graph: Graph,
    weights: Vec<(String, Vec<f64>)>,
    values: Vec<Vec<f64>>,
}

impl Reference {
    fn new(graph: Graph, weights: Vec<(String, Vec<f64>)>, image: &[f32]) -> Self {
        let image: Vec<f64> = image.iter().map(|&x| x.into()).collect();
        let values = forward(&graph, &weights, &vec![image]);
        let values = values.into_iter().map(|batch| batch.concat()).collect();
        Self { graph, weights, values }
    }

    /// A node without the function that it ends in, and whether that is a relu.
    fn without_relu(node: &Node) -> (Option<Node>, bool) {
        let mut plain = node.clone();
        let function = match &mut plain.op {
            Op::Conv(conv) => &mut conv.activation,
            Op::Dense(_, function) => function,
            Op::Activate(function) => return (None, *function == Function::Relu),
            _ => return (None, false),
        };
        let relu = std::mem::replace(function, Function::Linear) == Function::Relu;
        (relu.then_some(plain), relu)
    }

    fn compute(&self, index: usize, node: &Node, inputs: &[Vec<f64>]) -> Vec<f64> {
        let inputs: Vec<Batch> = inputs.iter().map(|input| vec![input.clone()]).collect();
        let inputs: Vec<&Batch> = inputs.iter().collect();
        compute(&self.graph, node, &weights_of(&self.weights, index), &inputs).concat()
    }

    /// Gradients of all values, of a sum over the output of `value`, back by a rule.
    fn back(&self, rule: Rule, value: usize, upstream: Vec<f64>) -> Vec<Vec<f64>> {
        let mut gradients: Vec<Vec<f64>> =
            self.values.iter().map(|values| vec![0.0; values.len()]).collect();
        gradients[value] = upstream;
        for index in (0..value).rev() {
            let node = &self.graph.nodes[index];
            let inputs: Vec<Vec<f64>> =
                node.inputs.iter().map(|&input| self.values[input].clone()).collect();
            let (plain, relu) = Self::without_relu(node);
            let mut upstream = gradients[index + 1].clone();
            if relu {
                let before = plain
                    .as_ref()
                    .map_or_else(|| inputs[0].clone(), |plain| self.compute(index, plain, &inputs));
                for (gradient, x) in upstream.iter_mut().zip(before) {
                    let lets_through = x > 0.0 || rule == Rule::Deconvolution;
                    let wanted = *gradient > 0.0 || rule == Rule::Gradient;
                    *gradient *= f64::from(u8::from(lets_through && wanted));
                }
            }
            if relu && plain.is_none() {
                add(&mut gradients[node.inputs[0]], &upstream);
                continue;
            }
            let plain = plain.unwrap_or_else(|| node.clone());
            for (k, &input) in node.inputs.iter().enumerate() {
                let gradient = self.difference(index, &plain, &inputs, k, &upstream);
                add(&mut gradients[input], &gradient);
            }
        }
        gradients
    }

    /// A node's gradient by one of its inputs, from differences.
    fn difference(
        &self,
        index: usize,
        node: &Node,
        inputs: &[Vec<f64>],
        which: usize,
        upstream: &[f64],
    ) -> Vec<f64> {
        // Small enough to meet no kink, and in f64 still of nine digits.
        let h = 1e-6;
        let at = |i: usize, step: f64| -> f64 {
            let mut inputs = inputs.to_vec();
            inputs[which][i] += step;
            let y = self.compute(index, node, &inputs);
            y.iter().zip(upstream).map(|(y, by)| y * by).sum()
        };
        if upstream.iter().all(|&by| by == 0.0) {
            return vec![0.0; inputs[which].len()];
        }
        if matches!(&node.op, Op::Pool(pool) if pool.max) {
            return self.winners(index, node, &inputs[0], upstream);
        }
        (0..inputs[which].len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect()
    }

    /// The gradient of a maximum: of equal values, as a relu leaves many, the first one takes it.
    fn winners(&self, index: usize, node: &Node, x: &[f64], upstream: &[f64]) -> Vec<f64> {
        let y = self.compute(index, node, &[x.to_vec()]);
        let mut open = vec![true; y.len()];
        let mut gradient = vec![0.0; x.len()];
        for i in 0..x.len() {
            let mut raised = x.to_vec();
            raised[i] += 1.0;
            let after = self.compute(index, node, &[raised]);
            for o in 0..y.len() {
                if after[o] > y[o] && x[i] >= y[o] && std::mem::take(&mut open[o]) {
                    gradient[i] += upstream[o];
                }
            }
        }
        gradient
    }
}

fn add(sum: &mut [f64], values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

#[track_caller]
fn assert_all_close(what: &str, found: impl IntoIterator<Item = f32>, expected: &[f64]) {
    let found: Vec<f32> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3_f64, |most, y| most.max(y.abs()));
    for (i, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 2e-4 * largest, "{what}[{i}]: {found:e}, by definition {expected:e}");
    }
}

/// A model with weights by chance, and the same in `f64`.
fn model<N: Inspect>(draw: &mut Draw, seed: u64) -> (Model<N>, Vec<(String, Vec<f64>)>) {
    let mut model = Model::<N>::new(seed);
    let mut weights = Vec::new();
    for info in N::TENSORS {
        let scale = 1.0 / (info.len() as f64).sqrt().min(3.0);
        // A variance is positive.
        let shift = if info.name.ends_with("moving_variance") { 1.5 } else { 0.0 };
        let floats: Vec<f32> =
            (0..info.len()).map(|_| (shift + scale * draw.number()) as f32).collect();
        model.set_tensor(info.name, &floats).unwrap();
        weights.push((info.name.to_owned(), floats.iter().map(|&value| value.into()).collect()));
    }
    (model, weights)
}

fn image<N: Inspect>(draw: &mut Draw) -> Vec<f32> {
    (0..N::Input::LEN).map(|_| draw.number() as f32).collect()
}

fn check<N: Inspect>(number: u64) {
    let (graph, mut draw) = (Graph::random(number), Draw(5000 + number));
    let text = graph.text("Graph");
    let (model, weights) = model::<N>(&mut draw, number);
    let image = image::<N>(&mut draw);
    let reference = Reference::new(graph, weights, &image);
    let mut inspector = Inspector::new(&model);
    let mut seen = inspector.run(&image).unwrap();

    for (info, values) in N::LAYERS.iter().zip(&reference.values[1..]) {
        let maps = seen.feature_maps(info.name).unwrap();
        assert_all_close(&format!("{} of {text}", info.name), maps.iter().copied(), values);
    }
    let predicted = model.predict(Inputs::Floats(&image)).unwrap();
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(seen.output()), bits(predicted.as_slice().unwrap()), "{text}");

    let last = reference.values.len() - 1;
    for rule in [Rule::Gradient, Rule::Guided, Rule::Deconvolution] {
        for class in 0..2 {
            let expected = reference.back(rule, last, one(N::Output::LEN, class));
            let found = seen.back_from_class(rule, class).unwrap();
            assert_all_close(&format!("{rule:?} of {text}"), found, &expected[0]);
        }
        let index = draw.below(N::LAYERS.len());
        let [rows, columns, features] = sizes(&reference.graph.nodes[index].shape);
        let (row, column) = (draw.below(rows), draw.below(columns));
        let feature = draw.below(features);
        let upstream =
            one(rows * columns * features, (row * columns + column) * features + feature);
        let expected = reference.back(rule, index + 1, upstream);
        let name = N::LAYERS[index].name;
        let found = seen.back_from(rule, name, feature, [row, column]).unwrap();
        assert_all_close(&format!("{rule:?} from {name} of {text}"), found, &expected[0]);
        outside_the_field_is_nothing::<N>(index, [row, column], &expected[0]);
    }
    check_layers::<N>(&reference, &mut seen, &text);
}

fn check_layers<N: Inspect>(
    reference: &Reference,
    seen: &mut cnn_runtime::inspect::Seen<'_, N>,
    text: &str,
) {
    let last = reference.values.len() - 1;
    let gradients = reference.back(Rule::Gradient, last, one(N::Output::LEN, 1));
    for (index, info) in N::LAYERS.iter().enumerate() {
        let (values, gradient) = (&reference.values[index + 1], &gradients[index + 1]);
        let found = seen.layer_gradient(1, info.name).unwrap();
        assert_all_close(&format!("d {} of {text}", info.name), found, gradient);
        let &[rows, columns, features] = info.output_shape else {
            assert!(seen.grad_cam(1, info.name).is_err());
            continue;
        };
        // The formula of the paper.
        let places = rows * columns;
        let weight = |k: usize| -> f64 {
            (0..places).map(|place| gradient[place * features + k]).sum::<f64>() / places as f64
        };
        let weights: Vec<f64> = (0..features).map(weight).collect();
        let heat = |place: usize| -> f64 {
            let terms = weights.iter().enumerate();
            terms.map(|(k, weight)| weight * values[place * features + k]).sum::<f64>().max(0.0)
        };
        let expected: Vec<f64> = (0..places).map(heat).collect();
        let found = seen.grad_cam(1, info.name).unwrap();
        assert_eq!(found.dim(), (rows, columns));
        assert_all_close(&format!("Grad-CAM of {} of {text}", info.name), found, &expected);
    }
}

/// Nothing comes from outside of the receptive field.
fn outside_the_field_is_nothing<N: Inspect>(index: usize, place: [usize; 2], gradient: &[f64]) {
    let [rows, columns] = N::LAYERS[index].field.at(place);
    let &[_, width, channels] = N::INPUT_SHAPE else { unreachable!("graphs take images") };
    for (i, &gradient) in gradient.iter().enumerate() {
        let (row, column) = (i / (width * channels), i / channels % width);
        let inside = rows.contains(&(row as i64)) && columns.contains(&(column as i64));
        assert!(inside || gradient == 0.0, "{} at {place:?}: pixel {i}", N::LAYERS[index].name);
    }
}

fn one(len: usize, at: usize) -> Vec<f64> {
    let mut values = vec![0.0; len];
    values[at] = 1.0;
    values
}

fn sizes(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [rows, columns, features] => [rows, columns, features],
        [features] => [1, 1, features],
        _ => unreachable!("graphs have images and vectors"),
    }
}

/// The strongest places against sorting all of them.
fn check_strongest<N: Inspect>(number: u64) {
    const IMAGES: usize = 13;
    let mut draw = Draw(9000 + number);
    let (model, _) = model::<N>(&mut draw, number);
    let mut images: Vec<f32> = (0..IMAGES).flat_map(|_| image::<N>(&mut draw)).collect();
    // Two images that are the same, and one that is none.
    images.copy_within(..N::Input::LEN, 5 * N::Input::LEN);
    images[7 * N::Input::LEN..][..N::Input::LEN].fill(f32::NAN);
    let inputs = Inputs::Floats(&images);
    let mut inspector = Inspector::new(&model);
    for info in N::LAYERS {
        let mut expected: Vec<Vec<Place>> = Vec::new();
        for image in 0..IMAGES {
            let seen = inspector.run_example(inputs, image).unwrap();
            let maps = seen.feature_maps(info.name).unwrap();
            expected.resize(maps.dim().2, Vec::new());
            for (feature, places) in expected.iter_mut().enumerate() {
                places.extend(all_places(&maps, image, feature).first());
            }
        }
        for places in &mut expected {
            places.sort_by(|a, b| b.value.partial_cmp(&a.value).unwrap());
            places.truncate(4);
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| inspector.strongest(inputs, info.name, 4)).unwrap();
            assert_eq!(found.features, expected, "{}", info.name);
            assert_eq!(found.field, info.field);
        }
        let place = expected[0][0];
        let patch = Inspector::<N>::patch(inputs, info.name, &place, -7.0).unwrap();
        let picture = &images[place.image * N::Input::LEN..][..N::Input::LEN];
        assert_eq!(patch, slow_patch::<N>(picture, info.field.at([place.row, place.column])));
    }
}

/// All places of a feature in an image that are no NaN, the strongest first.
fn all_places(maps: &ArrayView3<'_, f32>, image: usize, feature: usize) -> Vec<Place> {
    let mut places = Vec::new();
    for row in 0..maps.dim().0 {
        for column in 0..maps.dim().1 {
            places.push(Place { image, row, column, value: maps[[row, column, feature]] });
        }
    }
    places.retain(|place| !place.value.is_nan());
    places.sort_by(|a, b| b.value.partial_cmp(&a.value).unwrap());
    places
}

fn slow_patch<N: Inspect>(
    picture: &[f32],
    [rows, columns]: [std::ops::Range<i64>; 2],
) -> Array3<f32> {
    let &[height, width, channels] = N::INPUT_SHAPE else { unreachable!("graphs take images") };
    let clip = |range: std::ops::Range<i64>, len: usize| {
        let len = len as i64;
        range.start.max(-len)..range.end.min(2 * len)
    };
    let (rows, columns) = (clip(rows, height), clip(columns, width));
    let mut values = Vec::new();
    for row in rows.clone() {
        for column in columns.clone() {
            for channel in 0..channels {
                let inside =
                    (0..height as i64).contains(&row) && (0..width as i64).contains(&column);
                values.push(if inside {
                    picture[(row as usize * width + column as usize) * channels + channel]
                } else {
                    -7.0
                });
            }
        }
    }
    let shape = (rows.count(), columns.count(), channels);
    Array3::from_shape_vec(shape, values).unwrap()
}

#[test]
fn cutting_far_outside_takes_no_room() {
    let picture = Array3::from_elem((2, 3, 1), 5.0);
    let all = cut(picture.view(), &[i64::MIN..i64::MAX, 1..2], 0.0);
    assert_eq!(all.dim(), (6, 1, 1));
    assert_eq!(all.iter().copied().collect::<Vec<_>>(), [0.0, 0.0, 5.0, 5.0, 0.0, 0.0]);
    let far = i64::MAX - 1..i64::MAX;
    assert_eq!(cut(picture.view(), &[far.clone(), far], 0.0).dim(), (0, 0, 1));
}

macro_rules! tests {
    ($($name:ident: $model:ident = $number:literal;)*) => {
        $(
            #[test]
            fn $name() {
                check::<$model>($number);
                check_strongest::<$model>($number);
            }
        )*

        #[test]
        fn all_graphs_are_compiled() {
            assert_eq!([$($number),*].len() as u64, GRAPHS);
        }
    };
}
for_each_graph!(tests);
