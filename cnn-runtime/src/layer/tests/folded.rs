//! `Folded`: a convolution, its normalization, a sum and a relu.

use super::conv::{convolutions, convolutions_in_fours};
use super::{AT, GUARD, Made, Numbers, part, unguarded};
use crate::layer::{At, BatchNormalization, Conv2D, Folded};
use crate::reference::{self, widen};
use crate::team::Team;

/// A small one, so that variances matter.
const EPSILON: f32 = 1e-3;

/// A convolution and what follows it.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Entry {
    conv: Conv2D,
    slow: reference::Conv2D,
    bias: bool,
    center: bool,
    scale: bool,
    sum: bool,
    relu: bool,
}

/// Every convolution without a relu, with all that may follow in turns.
pub(super) fn table() -> Vec<Entry> {
    let convolutions = [convolutions(), convolutions_in_fours()].concat();
    let alone = convolutions.iter().filter_map(super::conv::Entry::alone);
    let entries = alone.enumerate().map(|(i, (conv, slow, bias))| Entry {
        conv,
        slow,
        bias,
        center: i % 3 > 0,
        scale: i % 5 > 0,
        sum: i % 2 > 0,
        relu: i % 4 > 1,
    });
    entries.collect()
}

/// Where the normalization's weights lie: behind the convolution's.
fn norm_at(entry: &Entry) -> usize {
    AT.weights + entry.slow.kernel_len() + if entry.bias { entry.slow.filters } else { 0 }
}

fn layer(entry: &Entry) -> Folded {
    let norm = BatchNormalization::new([1, entry.slow.filters, 1], 0.99, EPSILON)
        .at(At { weights: norm_at(entry), ..At::START });
    let norm = if entry.center { norm } else { norm.no_center() };
    let norm = if entry.scale { norm } else { norm.no_scale() };
    let layer = Folded::new(entry.conv, if entry.relu && !entry.sum { norm.relu() } else { norm });
    let layer = if entry.relu && entry.sum { layer.relu() } else { layer };
    layer.packed_at(AT.packed)
}

/// Gamma, beta, mean and variance of each filter; the variance is above 0.
fn constants(entry: &Entry, numbers: Numbers) -> [Vec<f32>; 4] {
    let filters = entry.slow.filters;
    let [gamma, beta, mean, variance] = [3, 4, 5, 6].map(|stream| numbers.draw(filters, stream));
    [gamma, beta, mean, variance.into_iter().map(|v| v.abs() + 0.125).collect()]
}

fn inputs(entry: &Entry, numbers: Numbers) -> [Vec<f32>; 3] {
    let outputs = entry.slow.output().iter().product();
    let weights = entry.slow.kernel_len() + if entry.bias { entry.slow.filters } else { 0 };
    [
        numbers.draw(entry.slow.input.iter().product(), 0),
        numbers.draw(outputs, 1),
        numbers.draw(weights, 9),
    ]
}

/// One image's output, the same by one thread and by two.
pub(super) fn run(entry: &Entry, numbers: Numbers) -> Made<f32> {
    let ([x, other, own], [gamma, beta, mean, variance]) =
        (inputs(entry, numbers), constants(entry, numbers));
    let mut weights = [vec![GUARD; AT.weights], own].concat();
    weights.extend(gamma.iter().filter(|_| entry.scale));
    weights.extend(beta.iter().filter(|_| entry.center));
    weights.extend(mean.iter().chain(&variance));
    let layer = layer(entry);
    let mut packed = part(AT.packed, layer.packed_len(), 0.0);
    layer.pack(&weights, &mut packed);
    // Once more, as in every step of training.
    layer.pack(&weights, &mut packed);
    unguarded(AT.packed, &packed);
    let mut output = vec![f32::NAN; other.len()];
    let mut scratch = vec![f32::NAN; 2 * entry.conv.forward_scratch()];
    let other = entry.sum.then_some(other.as_slice());
    layer.predict(Team::One, &packed, &x, other, &mut output, &mut scratch);
    let mut shared = vec![f32::NAN; output.len()];
    layer.in_two(&packed, &x, other, &mut shared, &mut scratch);
    assert_eq!(bits(&output), bits(&shared), "{entry:?} by two threads");
    Made { output, ..Made::default() }
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// Layer by layer in f64.
fn slow(entry: &Entry, numbers: Numbers) -> Vec<f64> {
    let ([x, other, own], constants) = (inputs(entry, numbers), constants(entry, numbers));
    let [gamma, beta, mean, variance] = constants.map(|numbers| widen(&numbers));
    let (kernel, bias) = own.split_at(entry.slow.kernel_len());
    let filters = entry.slow.filters;
    let bias = if entry.bias { widen(bias) } else { vec![0.0; filters] };
    let y = entry.slow.forward(&widen(&x), &widen(kernel), &bias);
    let outputs = y.into_iter().zip(widen(&other)).enumerate().map(|(i, (y, other))| {
        let c = i % filters;
        let gamma = if entry.scale { gamma[c] } else { 1.0 };
        let beta = if entry.center { beta[c] } else { 0.0 };
        let y = gamma * (y - mean[c]) / (variance[c] + f64::from(EPSILON)).sqrt() + beta;
        let y = if entry.sum { y + other } else { y };
        if entry.relu { y.max(0.0) } else { y }
    });
    outputs.collect()
}

/// Within the rounding of the largest output.
#[test]
fn folding_changes_no_more_than_rounding() {
    for entry in table() {
        let (found, expected) = (run(&entry, Numbers::Noise).output, slow(&entry, Numbers::Noise));
        let largest = expected.iter().fold(1.0, |largest: f64, y| largest.max(y.abs()));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / largest;
            assert!(error < 3e-6, "{i} of {entry:?}: {found}, not {expected}");
        }
    }
}
