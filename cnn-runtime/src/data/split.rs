//! Parting samples so that each part has every class in its share.

use std::collections::BTreeMap;

use crate::rng::{Rng, stream};

/// Keeps this use of a seed apart from others.
const STRATIFY: u64 = 0x7374_7261_7469_6679;

/// A share that is not a number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a share of {0}: expected a number from 0 to 1")]
pub struct ShareError(pub f64);

/// Parts samples by chance into those that stay and `share` of them that are held out, with `share`
/// of each class held out, too. Gives the indices of both parts, ascending; equal seeds give equal
/// parts.
///
/// `round(samples * share)` samples are held out in all. Each class gives the whole part of its own
/// share; what is missing then comes from the classes with the largest fractions, the lower class
/// first.
///
/// # Errors
/// If `share` is not a number from 0 to 1.
pub fn stratified(
    labels: &[u32],
    share: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), ShareError> {
    if !(0.0..=1.0).contains(&share) {
        return Err(ShareError(share));
    }
    let mut classes = BTreeMap::<u32, Vec<usize>>::new();
    for (sample, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(sample);
    }
    let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
    let mut held_out = vec![false; labels.len()];
    for ((&class, samples), count) in classes.iter_mut().zip(quotas(&sizes, share)) {
        // Each class has its own stream, so that others coming or going do not change it.
        Rng::new(seed, stream([STRATIFY, class.into()])).shuffle(samples);
        for &sample in &samples[..count] {
            held_out[sample] = true;
        }
    }
    Ok((0..labels.len()).partition(|&sample| !held_out[sample]))
}

/// How many of each class to hold out: the method of the largest remainder.
#[expect(clippy::cast_sign_loss, reason = "sizes and shares are not negative")]
fn quotas(sizes: &[usize], share: f64) -> Vec<usize> {
    let total = (sizes.iter().sum::<usize>() as f64 * share).round() as usize;
    let exact = |class: usize| sizes[class] as f64 * share;
    let mut counts: Vec<usize> = (0..sizes.len()).map(|class| exact(class) as usize).collect();
    let missing = total.saturating_sub(counts.iter().sum());
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| exact(b).fract().total_cmp(&exact(a).fract()));
    order.retain(|&class| counts[class] < sizes[class]);
    for class in order.into_iter().take(missing) {
        counts[class] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(labels: &[u32], part: &[usize], class: u32) -> usize {
        part.iter().filter(|&&sample| labels[sample] == class).count()
    }

    #[test]
    fn each_class_gives_its_share() {
        // 60 of class 0, 30 of class 7, 10 of the largest class there can be, mixed.
        let labels: Vec<u32> =
            (0..100).map(|i| [0, 0, 7, 0, 7, 0, u32::MAX, 0, 7, 0][i % 10]).collect();
        let (stay, out) = stratified(&labels, 0.2, 5).unwrap();
        assert_eq!((stay.len(), out.len()), (80, 20));
        assert_eq!([0, 7, u32::MAX].map(|class| count(&labels, &out, class)), [12, 6, 2]);
        let mut all = [stay.clone(), out.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert!(stay.is_sorted() && out.is_sorted());

        assert_eq!(stratified(&labels, 0.2, 5).unwrap(), (stay, out.clone()));
        assert_ne!(stratified(&labels, 0.2, 6).unwrap().1, out);
    }

    /// As many as scikit-learn's `train_test_split(stratify=...)` takes (1.9.1, which breaks ties by
    /// chance).
    #[test]
    fn fractions_are_given_to_the_largest_remainders() {
        assert_eq!(quotas(&[9, 9, 8], 0.1), [1, 1, 1]);
        assert_eq!(quotas(&[10, 10, 10], 0.25), [3, 3, 2]);
        assert_eq!(quotas(&[3, 3], 0.5), [2, 1]);
        assert_eq!(quotas(&[13, 7, 5, 25], 0.3), [4, 2, 2, 7]);
        assert_eq!(quotas(&[1, 1, 1, 1], 0.25), [1, 0, 0, 0]);
        assert_eq!(quotas(&[5, 0], 1.0), [5, 0]);
        assert_eq!(quotas(&[], 0.5), [0; 0]);
    }

    #[test]
    fn the_whole_range_of_shares_and_no_more() {
        let labels = [1, 2, 1];
        assert_eq!(stratified(&labels, 0.0, 1).unwrap(), (vec![0, 1, 2], vec![]));
        assert_eq!(stratified(&labels, 1.0, 1).unwrap(), (vec![], vec![0, 1, 2]));
        assert_eq!(stratified(&[], 0.5, 1).unwrap(), (vec![], vec![]));
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(stratified(&labels, share, 1).is_err());
        }
        let error = stratified(&labels, 2.0, 1).unwrap_err().to_string();
        assert_eq!(error, "a share of 2: expected a number from 0 to 1");
    }
}
