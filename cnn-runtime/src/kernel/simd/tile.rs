//! The register tile: up to six rows by sixteen columns of a sum of products, which is the inside
//! of every convolution and matrix product here.

use super::{LANES, Lanes};

/// The most rows of a tile: 6 x 2 accumulators, two columns and a factor fill sixteen registers.
pub(crate) const ROWS: usize = 6;
/// Columns of a tile: two vectors.
pub(crate) const COLUMNS: usize = 2 * LANES;

/// What a tile sums: `sum a[o, i, s, row] * b[o, i, s, column]` over three nested loops.
///
/// For a convolution the loops are kernel rows, kernel columns and channels; for a matrix product
/// only the last counts.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// Trip counts, outermost first. All at least 1.
    pub counts: [usize; 3],
    /// Factors that are spread over a row.
    pub a: &'a [f32],
    /// Index in `a` of the first row's first factor.
    pub a_at: usize,
    /// Distance in `a` from row to row.
    pub a_row: usize,
    /// Distances in `a` of the three loops.
    pub a_steps: [usize; 3],
    /// Sixteen columns side by side. What lies beyond a matrix's last column may be anything.
    pub b: &'a [f32],
    /// Index in `b` of the first column.
    pub b_at: usize,
    /// Distances in `b` of the three loops.
    pub b_steps: [usize; 3],
}

impl Tile<'_> {
    /// The largest indices that a tile of `rows` touches.
    #[inline(always)]
    fn check(&self, rows: usize) {
        let last = |steps: [usize; 3]| {
            (self.counts[0] - 1) * steps[0]
                + (self.counts[1] - 1) * steps[1]
                + (self.counts[2] - 1) * steps[2]
        };
        assert!(self.counts.iter().all(|&count| count > 0) && rows > 0);
        assert!(self.a_at + (rows - 1) * self.a_row + last(self.a_steps) < self.a.len());
        assert!(self.b_at + COLUMNS + last(self.b_steps) <= self.b.len());
    }
}

/// Adds the tile's products to `sums`, term by term in loop order.
#[inline(always)]
pub(crate) fn tile<L: Lanes, const R: usize>(t: Tile<'_>, sums: [[L; 2]; R]) -> [[L; 2]; R] {
    t.check(R);
    let mut sums = sums;
    for outer in 0..t.counts[0] {
        for inner in 0..t.counts[1] {
            // SAFETY: `check` has seen the largest index of both operands in bounds, and all others
            // are smaller. The pointers step past the end only by wrapping arithmetic.
            unsafe {
                let mut a = t.a.as_ptr().add(t.a_at + outer * t.a_steps[0] + inner * t.a_steps[1]);
                let mut b = t.b.as_ptr().add(t.b_at + outer * t.b_steps[0] + inner * t.b_steps[1]);
                for _ in 0..t.counts[2] {
                    let columns = [L::read(b), L::read(b.add(LANES))];
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let factor = L::splat(*a.add(row * t.a_row));
                        sum[0] = factor.mul_add(columns[0], sum[0]);
                        sum[1] = factor.mul_add(columns[1], sum[1]);
                    }
                    a = a.wrapping_add(t.a_steps[2]);
                    b = b.wrapping_add(t.b_steps[2]);
                }
            }
        }
    }
    sums
}

/// Runs `$body` with the const generic `$R` equal to `$rows`, which is 1 to [`ROWS`].
macro_rules! with_rows {
    ($rows:expr, $R:ident => $body:expr) => {
        match $rows {
            1 => {
                const $R: usize = 1;
                $body
            }
            2 => {
                const $R: usize = 2;
                $body
            }
            3 => {
                const $R: usize = 3;
                $body
            }
            4 => {
                const $R: usize = 4;
                $body
            }
            5 => {
                const $R: usize = 5;
                $body
            }
            _ => {
                const $R: usize = 6;
                $body
            }
        }
    };
}
pub(crate) use with_rows;

/// Reads up to sixteen columns; absent ones are 0.
#[inline(always)]
pub(crate) fn load_columns<L: Lanes>(from: &[f32], columns: usize) -> [L; 2] {
    if columns >= COLUMNS {
        [L::load(from), L::load(&from[LANES..])]
    } else {
        let mut padded = [0.0; COLUMNS];
        padded[..columns].copy_from_slice(&from[..columns]);
        [L::load(&padded), L::load(&padded[LANES..])]
    }
}

/// Writes each row's first `columns` columns, `stride` apart.
#[inline(always)]
pub(crate) fn store_rows<L: Lanes, const R: usize>(
    rows: [[L; 2]; R],
    to: &mut [f32],
    stride: usize,
    columns: usize,
) {
    for (row, sums) in rows.into_iter().enumerate() {
        let to = &mut to[row * stride..];
        if columns >= COLUMNS {
            sums[0].store(to);
            sums[1].store(&mut to[LANES..]);
        } else {
            let mut padded = [0.0; COLUMNS];
            sums[0].store(&mut padded);
            sums[1].store(&mut padded[LANES..]);
            to[..columns].copy_from_slice(&padded[..columns]);
        }
    }
}
