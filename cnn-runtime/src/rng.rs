//! Random numbers that are part of the reproducibility promise: what a seed yields never changes.
//!
//! The generator is `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", 2014): the n-th number is a hash of `state + n · GAMMA`. So a number can also be had
//! without the ones before it, in any order and on any thread: [`bits`].

/// 2^64 divided by the golden ratio, made odd.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function of `SplitMix64`: a bijection of 64-bit words that keeps 0.
#[must_use]
#[inline(always)]
pub const fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The state a generator of this seed and stream starts from. Stream 0 is plain `SplitMix64`.
#[must_use]
#[inline(always)]
pub const fn start(seed: u64, stream: u64) -> u64 {
    seed.wrapping_add(mix(stream))
}

/// One number of a stream out of a tuple, such as (what for, epoch) or (layer, step, sample).
#[must_use]
#[inline(always)]
pub const fn stream<const N: usize>(parts: [u64; N]) -> u64 {
    let mut hash = 0u64;
    let mut i = 0;
    while i < N {
        hash = mix(hash.wrapping_add(GAMMA) ^ parts[i]);
        i += 1;
    }
    hash
}

/// The upper half of the number that [`Rng::new`]`(seed, stream)` would yield after `index` others.
#[must_use]
#[inline(always)]
pub const fn bits(seed: u64, stream: u64, index: u64) -> u32 {
    let counter = GAMMA.wrapping_mul(index.wrapping_add(1));
    (mix(start(seed, stream).wrapping_add(counter)) >> 32) as u32
}

/// A generator of random numbers.
///
/// ```
/// # use cnn_runtime::rng::Rng;
/// let mut rng = Rng::new(1234567, 0);
/// assert_eq!(rng.next_u64(), 6457827717110365317);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator of a seed; streams of one seed are independent of each other.
    #[must_use]
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self { state: start(seed, stream) }
    }

    /// 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// 32 random bits, the upper half of [`Self::next_u64`].
    pub const fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number in `0 .. n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // Lemire, "Fast random integer generation in an interval", 2019: the upper word of a product,
        // rejecting the few lower words that would make some results likelier.
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        let biased = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= biased {
                return (product >> 64) as usize;
            }
        }
    }

    /// A number in [0, 1), a multiple of 2^-24.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / 16_777_216.0
    }

    /// Brings the items into a random order (Fisher and Yates), each equally likely.
    pub fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published outputs of `SplitMix64`.
    #[test]
    fn known_answers() {
        let mut rng = Rng::new(1_234_567, 0);
        for expected in [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ] {
            assert_eq!(rng.next_u64(), expected);
        }
    }

    /// Frozen: a change would change the training of every model that has a seed.
    #[test]
    fn what_seeds_yield_is_frozen() {
        let mut order: Vec<usize> = (0..10).collect();
        Rng::new(7, stream([1, 2])).shuffle(&mut order);
        assert_eq!(order, [0, 3, 1, 8, 2, 4, 5, 6, 9, 7]);
        assert_eq!(stream([1, 2, 3]), 16_914_669_369_030_367_833);
        assert_eq!(bits(42, 7, 1000), 3_786_770_376);
    }

    #[test]
    fn bits_are_those_of_the_generator() {
        let mut rng = Rng::new(99, 5);
        for index in 0..1000 {
            assert_eq!(bits(99, 5, index), rng.next_u32());
        }
    }

    #[test]
    fn streams_and_seeds_differ() {
        let first = |seed, words: [u64; 3]| Rng::new(seed, stream(words)).next_u64();
        let mut seen: Vec<u64> = Vec::new();
        for seed in 0..10 {
            for a in 0..10 {
                for b in 0..10 {
                    seen.push(first(seed, [a, b, 0]));
                    seen.push(first(seed, [a, b, 1]));
                }
            }
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn below_is_in_range_and_even() {
        let mut rng = Rng::new(3, 0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7)] += 1;
        }
        // The standard deviation of each count is 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 450), "{counts:?}");
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.below(0), 0);
        // For three quarters of the range, half of the plain multiples would be hit twice.
        let large = usize::MAX / 4 * 3;
        let upper = (0..30_000).filter(|_| rng.below(large) >= large / 2).count();
        assert!(upper.abs_diff(15_000) < 450, "{upper}");
    }

    #[test]
    fn uniform_fills_its_interval() {
        let mut rng = Rng::new(11, 0);
        let numbers: Vec<f32> = (0..100_000).map(|_| rng.uniform()).collect();
        assert!(
            numbers.iter().all(|x| (0.0..1.0).contains(x) && (x * 16_777_216.0).fract() == 0.0)
        );
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }

    #[test]
    fn every_permutation_is_equally_likely() {
        let mut rng = Rng::new(5, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            rng.shuffle(&mut items);
            *counts.entry(items).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 160), "{counts:?}");
    }
}
