//! The layers with weights against the slow oracle, over tables of sizes around those of vectors,
//! register tiles and shards, and plain Rust against the best path of the CPU.
//!
//! Most numbers here are small multiples of a power of two, of which sums and products are exact:
//! whatever the order, the result must be the oracle's to the last bit, and equal maxima abound.

mod conv;
mod dense;
mod folded;
mod windows;

use super::At;
use crate::kernel::simd::Path;
use crate::rng::Rng;

/// Around the vectors of eight and the panels of sixteen.
const CHANNELS: [usize; 10] = [1, 3, 7, 8, 9, 15, 16, 17, 31, 33];
/// Around the six rows of a register tile and twice as many.
const WIDTHS: [usize; 7] = [1, 5, 6, 7, 11, 12, 13];

/// Where a layer's parts lie here: nowhere else's multiple, so that no two are mixed up.
const AT: At = At { weights: 3, packed: 5, transposed: 7, gradients: 11, batch: 13, exchange: 2 };
/// What lies before a layer's parts and must stay.
const GUARD: f32 = 1234.5;

/// What a layer makes of a batch.
#[derive(Debug, Default, PartialEq)]
struct Made<T> {
    output: Vec<T>,
    input_gradient: Vec<T>,
    weight_gradient: Vec<T>,
}

impl Made<f32> {
    fn widen(&self) -> Made<f64> {
        let [output, input_gradient, weight_gradient] =
            [&self.output, &self.input_gradient, &self.weight_gradient]
                .map(|numbers| crate::reference::widen(numbers));
        Made { output, input_gradient, weight_gradient }
    }

    fn bits(&self) -> Made<u32> {
        let [output, input_gradient, weight_gradient] =
            [&self.output, &self.input_gradient, &self.weight_gradient]
                .map(|numbers| numbers.iter().map(|number| number.to_bits()).collect());
        Made { output, input_gradient, weight_gradient }
    }
}

/// Which numbers a layer is fed.
#[derive(Clone, Copy, Debug)]
enum Numbers {
    /// -1 to 1 in quarters.
    Exact,
    /// -1 to 1, of full precision.
    Noise,
}

impl Numbers {
    fn draw(self, count: usize, stream: u64) -> Vec<f32> {
        let mut rng = Rng::new(count as u64, stream);
        let mut draw = || match self {
            Self::Exact => rng.below(9) as f32 / 4.0 - 1.0,
            Self::Noise => 2.0 * rng.uniform() - 1.0,
        };
        (0..count).map(|_| draw()).collect()
    }
}

/// A layer's part of a buffer: behind guards, and not one float longer than it says.
fn part(at: usize, len: usize, fill: f32) -> Vec<f32> {
    [vec![GUARD; at], vec![fill; len]].concat()
}

/// Asserts that the guards stayed, and takes them off.
#[track_caller]
fn unguarded(at: usize, buffer: &[f32]) -> Vec<f32> {
    assert!(buffer[..at].iter().all(|guard| guard.to_bits() == GUARD.to_bits()), "overrun");
    buffer[at..].to_vec()
}

/// The same table on all paths that this CPU has.
fn on_all_paths<T: std::fmt::Debug>(table: &[T], run: impl Fn(&T) -> Made<f32>) {
    let all = |path| -> Vec<_> {
        Path::force(Some(path));
        let made = table.iter().map(|entry| run(entry).bits()).collect();
        // Tests beside this one get the same bits on any path.
        Path::force(None);
        made
    };
    let best = all(Path::best());
    for &path in &Path::all()[1..] {
        for ((entry, best), other) in table.iter().zip(&best).zip(&all(path)) {
            assert!(best == other, "{entry:?} differs between {:?} and {path:?}", Path::best());
        }
    }
}

/// In one test, because the path is the whole process's; of convolutions one image, because plain
/// Rust has no fused multiply-add instruction here and is slow.
#[test]
fn plain_rust_gives_the_bits_of_the_best_path() {
    on_all_paths(&conv::convolutions(), |layer| conv::run(layer, Numbers::Noise, 1));
    on_all_paths(&conv::tiled_convolutions(), |layer| conv::run(layer, Numbers::Noise, 1));
    on_all_paths(&conv::convolutions_in_fours(), |layer| conv::run(layer, Numbers::Noise, 1));
    on_all_paths(&conv::pooled_convolutions(), |layer| conv::run(layer, Numbers::Noise, 1));
    on_all_paths(&[false, true], |&relu| conv::run_odd_windows(relu));
    on_all_paths(&folded::table(), |layer| folded::run(layer, Numbers::Noise));
    on_all_paths(&conv::poolings(), |layer| conv::run_pooling(layer, Numbers::Noise));
    on_all_paths(&windows::table(), |entry| windows::run(entry, Numbers::Noise, 1));
    on_all_paths(&dense::table(), |entry| dense::run(entry, Numbers::Noise));
    on_all_paths(&dense::table_of_rows(), |entry| dense::run_batch(entry, Numbers::Noise));
}
