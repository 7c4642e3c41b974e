//! The register tile of sums that stay within their channel: up to six rows of eight channels,
//! which is the inside of depthwise convolutions.

use super::{LANES, Lanes};

/// What a tile sums: `sum a[o, i, row] * b[o, i]` over two nested loops, eight channels side by side,
/// each on its own.
#[derive(Clone, Copy)]
pub(crate) struct ChannelTile<'a> {
    /// Trip counts, outermost first. All at least 1.
    pub counts: [usize; 2],
    /// Eight factors for each row.
    pub a: &'a [f32],
    /// Index in `a` of the first row's first factors.
    pub a_at: usize,
    /// Distance in `a` from row to row.
    pub a_row: usize,
    /// Distances in `a` of the two loops.
    pub a_steps: [usize; 2],
    /// Eight factors that all rows share.
    pub b: &'a [f32],
    /// Index in `b` of the first.
    pub b_at: usize,
    /// Distances in `b` of the two loops.
    pub b_steps: [usize; 2],
}

impl ChannelTile<'_> {
    /// The largest indices that a tile of `rows` touches.
    #[inline(always)]
    fn check(&self, rows: usize) {
        let last =
            |steps: [usize; 2]| (self.counts[0] - 1) * steps[0] + (self.counts[1] - 1) * steps[1];
        assert!(self.counts.iter().all(|&count| count > 0) && rows > 0);
        assert!(self.a_at + (rows - 1) * self.a_row + last(self.a_steps) + LANES <= self.a.len());
        assert!(self.b_at + last(self.b_steps) + LANES <= self.b.len());
    }
}

/// Adds the tile's products to `sums`, term by term in loop order.
#[inline(always)]
pub(crate) fn channel_tile<L: Lanes, const R: usize>(t: ChannelTile<'_>, sums: [L; R]) -> [L; R] {
    t.check(R);
    let mut sums = sums;
    for outer in 0..t.counts[0] {
        // SAFETY: `check` has seen the largest index of both operands in bounds, and all others are
        // smaller. The pointers step past the end only by wrapping arithmetic.
        unsafe {
            let mut a = t.a.as_ptr().add(t.a_at + outer * t.a_steps[0]);
            let mut b = t.b.as_ptr().add(t.b_at + outer * t.b_steps[0]);
            for _ in 0..t.counts[1] {
                let factor = L::read(b);
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = factor.mul_add(L::read(a.add(row * t.a_row)), *sum);
                }
                a = a.wrapping_add(t.a_steps[1]);
                b = b.wrapping_add(t.b_steps[1]);
            }
        }
    }
    sums
}

/// Writes the first `channels` of eight, at most all of them.
#[inline(always)]
pub(crate) fn store_channels<L: Lanes>(lanes: L, to: &mut [f32], channels: usize) {
    if channels >= LANES {
        lanes.store(to);
    } else {
        let mut padded = [0.0; LANES];
        lanes.store(&mut padded);
        to[..channels].copy_from_slice(&padded[..channels]);
    }
}
