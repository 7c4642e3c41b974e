//! Random graphs, compiled, against their definitions in `f64`: outputs, and gradients by
//! differences.

use cnn_layer_tests::definitions::{Batch, forward};
use cnn_layer_tests::random::{Draw, GRAPHS, Graph};
use cnn_runtime::buffer::Floats;
use cnn_runtime::data::Inputs;
use cnn_runtime::network::Network;
use cnn_runtime::{Model, Settings, Trainer};
use ndarray::Array2;

include!(concat!(env!("OUT_DIR"), "/random.rs"));

fn rows(values: &[f64], width: usize) -> Batch {
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, largest: f64) {
    let error = (found - expected).abs();
    assert!(error <= 2e-4 * largest.max(1e-3), "{what}: {found:e}, but by definition {expected:e}");
}

fn check<N: Network>(number: u64) {
    const IMAGES: usize = 11;
    let graph = Graph::random(number);
    let text = graph.text("Graph");
    assert_eq!(N::OUTPUT_SHAPE, graph.nodes.last().unwrap().shape, "{text}");
    for (layer, node) in N::LAYERS.iter().zip(&graph.nodes) {
        assert_eq!(layer.output_shape, node.shape, "{} of {text}", layer.name);
    }

    let mut draw = Draw(1000 + number);
    let mut model = Model::<N>::new(number);
    let mut weights = Vec::new();
    for info in N::TENSORS {
        let scale = 1.0 / (info.len() as f64).sqrt().min(3.0);
        let values: Vec<f64> =
            (0..info.len()).map(|_| f64::from((scale * draw.number()) as f32)).collect();
        let floats: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        if info.trainable {
            model.set_tensor(info.name, &floats).unwrap();
            weights.push((info.name.to_owned(), values));
        }
    }
    let draw_rows = |draw: &mut Draw, width: usize| -> Vec<f64> {
        (0..IMAGES * width).map(|_| draw.number()).collect()
    };
    let x = draw_rows(&mut draw, N::Input::LEN);
    let upstream = draw_rows(&mut draw, N::Output::LEN);
    let floats = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    let by = Array2::from_shape_vec((IMAGES, N::Output::LEN), floats(&upstream)).unwrap();
    let settings = Settings { batch_size: IMAGES, ..Settings::of::<N>() };
    let mut trainer = Trainer::new(&mut model, settings);
    let (output, input_gradient) = trainer.pull_back(Inputs::Floats(&floats(&x)), by.view());

    let expected = forward(&graph, &weights, &rows(&x, N::Input::LEN)).pop().unwrap().concat();
    let largest = expected.iter().fold(0.0f64, |most, y| most.max(y.abs()));
    for (i, (&found, &expected)) in output.iter().zip(&expected).enumerate() {
        assert_close(&format!("output[{i}] of {text}"), found.into(), expected, largest);
    }

    let loss = |weights: &[(String, Vec<f64>)], x: &[f64]| -> f64 {
        let y = forward(&graph, weights, &rows(x, N::Input::LEN)).pop().unwrap().concat();
        y.iter().zip(&upstream).map(|(y, by)| y * by).sum()
    };
    // Small enough to meet no kink, and in f64 still of nine digits.
    let h = 1e-6;
    let input_gradient = input_gradient.unwrap();
    let largest = input_gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
    for _ in 0..6 {
        let i = draw.below(x.len());
        let at = |step: f64| {
            let mut x = x.clone();
            x[i] += step;
            loss(&weights, &x)
        };
        let expected = (at(h) - at(-h)) / (2.0 * h);
        let found = input_gradient.as_slice().unwrap()[i];
        assert_close(&format!("d input[{i}] of {text}"), found.into(), expected, largest.into());
    }
    for tensor in 0..weights.len() {
        let name = weights[tensor].0.clone();
        let gradient = trainer.gradient(&name).unwrap();
        let largest = gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
        for _ in 0..3 {
            let i = draw.below(gradient.len());
            let at = |step: f64| {
                let mut weights = weights.clone();
                weights[tensor].1[i] += step;
                loss(&weights, &x)
            };
            let expected = (at(h) - at(-h)) / (2.0 * h);
            let found = gradient.as_slice().unwrap()[i];
            assert_close(
                &format!("d {name}[{i}] of {text}"),
                found.into(),
                expected,
                largest.into(),
            );
        }
    }
}

macro_rules! tests {
    ($($name:ident: $model:ident = $number:literal;)*) => {
        $(
            #[test]
            fn $name() {
                check::<$model>($number);
            }
        )*

        #[test]
        fn all_graphs_are_compiled() {
            assert_eq!([$($number),*].len() as u64, GRAPHS);
        }
    };
}
for_each_graph!(tests);
