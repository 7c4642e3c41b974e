use super::*;
use crate::reference;
use crate::rng::Rng;

const RULES: [Rule; 6] =
    [Rule::Add, Rule::Subtract, Rule::Multiply, Rule::Average, Rule::Maximum, Rule::Minimum];

/// Few distinct values: sums and products are exact, and many are equal.
fn draw(count: usize, stream: u64) -> Vec<f32> {
    let mut rng = Rng::new(5, stream);
    (0..count).map(|_| rng.below(5) as f32 / 2.0 - 1.0).collect()
}

fn borrow(inputs: &[Vec<f32>]) -> Vec<&[f32]> {
    inputs.iter().map(Vec::as_slice).collect()
}

/// The output, and each input's gradient for this gradient of the output.
fn run(merge: &Merge, inputs: &[Vec<f32>], dy: &[f32]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let mut y = vec![f32::NAN; dy.len()];
    merge.forward(&borrow(inputs), &mut y);
    let gradients = inputs.iter().enumerate().map(|(which, x)| {
        let mut dx = vec![f32::NAN; x.len()];
        merge.backward(which, &borrow(inputs), dy, &mut dx);
        dx
    });
    let gradients = gradients.collect();
    (y, gradients)
}

const SHAPES: &[&[[usize; 3]]] = &[
    &[[1, 1, 1], [1, 1, 1]],
    &[[1, 1, 7], [1, 1, 7], [1, 1, 7]],
    &[[5, 4, 3], [5, 4, 3]],
    &[[9, 8, 16], [9, 8, 16], [9, 8, 16], [9, 8, 16]],
    &[[5, 5, 6], [1, 1, 6]],
    &[[1, 1, 6], [5, 5, 6]],
    &[[5, 3, 4], [5, 3, 1]],
    &[[5, 1, 4], [1, 3, 1], [1, 1, 1]],
    &[[2, 2, 600], [1, 1, 600], [2, 2, 1]],
];

#[test]
fn agrees_with_the_slow_oracle() {
    for &shapes in SHAPES {
        for rule in RULES {
            // A third is not exact in either precision.
            if rule == Rule::Average && shapes.len() == 3 {
                continue;
            }
            let slow = reference::Merge { rule, inputs: shapes.to_vec() };
            let output = slow.output();
            let mut merge = Merge::new(rule, output);
            if shapes.iter().any(|shape| *shape != output) {
                merge = merge.of(shapes);
            }
            let inputs: Vec<_> =
                (0..).zip(shapes).map(|(k, shape)| draw(shape.iter().product(), k)).collect();
            let dy = draw(output.iter().product(), 99);
            let (y, gradients) = run(&merge, &inputs, &dy);
            let wide: Vec<_> = inputs.iter().map(|x| reference::widen(x)).collect();
            assert_eq!(reference::widen(&y), slow.forward(&wide), "{merge:?}");
            for (which, dx) in gradients.iter().enumerate() {
                let expected = slow.backward(which, &wide, &reference::widen(&dy));
                assert_eq!(reference::widen(dx), expected, "{merge:?} {which}");
            }
        }
    }
}

/// `keras.ops.average` of three.
#[test]
fn an_average_divides() {
    let merge = Merge::new(Rule::Average, [1, 1, 1]);
    let (y, dx) = run(&merge, &[vec![1.0], vec![1.0], vec![5.0]], &[1.0]);
    assert_eq!((y, dx), (vec![7.0 / 3.0], vec![vec![1.0 / 3.0]; 3]));
}

#[test]
fn the_first_of_equals_takes_the_gradient() {
    let inputs = [vec![1.0, 0.0], vec![2.0, -0.0], vec![2.0, 0.0]];
    let (y, dx) = run(&Merge::new(Rule::Maximum, [1, 1, 2]), &inputs, &[3.0, 4.0]);
    assert_eq!((y, dx), (vec![2.0, 0.0], vec![vec![0.0, 4.0], vec![3.0, 0.0], vec![0.0, 0.0]]));
    let inputs = [vec![-1.0], vec![-2.0], vec![-2.0]];
    let (y, dx) = run(&Merge::new(Rule::Minimum, [1, 1, 1]), &inputs, &[3.0]);
    assert_eq!((y, dx), (vec![-2.0], vec![vec![0.0], vec![3.0], vec![0.0]]));
}

#[test]
fn nan_spreads() {
    for rule in RULES {
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            let (y, _) = run(&Merge::new(rule, [1, 1, 1]), &[vec![a], vec![b]], &[1.0]);
            assert!(y[0].is_nan(), "{rule:?}");
        }
    }
}

/// Shapes, the axis, and the lengths of runs.
type Entry = (&'static [[usize; 3]], usize, &'static [usize]);

#[test]
fn concatenation_agrees_with_the_slow_oracle() {
    const TABLE: &[Entry] = &[
        (&[[1, 1, 1], [1, 1, 1]], 2, &[1, 1]),
        (&[[5, 5, 2], [5, 5, 5], [5, 5, 3]], 2, &[2, 5, 3]),
        (&[[4, 2, 3], [4, 5, 3]], 1, &[6, 15]),
        (&[[1, 5, 3], [4, 5, 3]], 0, &[15, 60]),
    ];
    for &(shapes, axis, inner) in TABLE {
        let layer = Concatenate::new(shapes[0][..axis].iter().product(), inner);
        let inputs: Vec<_> =
            (0..).zip(shapes).map(|(k, shape)| draw(shape.iter().product(), k)).collect();
        let wide: Vec<_> = inputs.iter().map(|x| reference::widen(x)).collect();
        let mut y = vec![f32::NAN; inputs.iter().map(Vec::len).sum()];
        layer.forward(&borrow(&inputs), &mut y);
        assert_eq!(reference::widen(&y), reference::concatenate(shapes, axis, &wide));
        // What came from an input goes back there.
        for (which, x) in inputs.iter().enumerate() {
            let mut dx = vec![f32::NAN; x.len()];
            layer.backward(which, &y, &mut dx);
            assert_eq!(dx, *x, "{which} of {shapes:?}");
        }
    }
}
