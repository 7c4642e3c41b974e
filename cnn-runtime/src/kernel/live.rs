//! Which rows of a panel of sixteen images hold anything.

use super::simd::{COLUMNS, Lanes, vectorized};

/// Floats of the list of a panel of `rows` rows.
pub(crate) const fn live_len(rows: usize) -> usize {
    rows.next_multiple_of(COLUMNS) + COLUMNS
}

vectorized! {
    /// Lists, as `u32` bits, how many rows of a panel are not zero in all of the sixteen images, and then
    /// which, in [`live_len`] floats.
    pub(crate) fn list_live(panel: &[f32], live: &mut [f32]) = list_live_body;
}

#[inline(always)]
pub(super) fn list_live_body<L: Lanes>(panel: &[f32], live: &mut [f32]) {
    let (count, list) = live.split_at_mut(1);
    let mut len = 0;
    for (row, images) in panel.chunks_exact(COLUMNS).enumerate() {
        list[len] = f32::from_bits(row as u32);
        len += usize::from(images.iter().filter(|x| **x != 0.0).count() > 0);
    }
    count[0] = f32::from_bits(len as u32);
}

/// What [`list_live`] listed of `rows` rows, if it is less than three quarters of them: otherwise a list
/// takes longer to read than it saves.
#[inline(always)]
pub(super) fn few_live(live: &[f32], rows: usize) -> Option<&[f32]> {
    let (count, list) = live.split_at(1);
    let count = count[0].to_bits() as usize;
    (4 * count < 3 * rows).then(|| &list[..count])
}
