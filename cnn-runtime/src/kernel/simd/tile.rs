//! The register tile: some rows by one or two panels of sixteen columns of a sum of products, which is the
//! inside of every convolution and matrix product here.

use super::{Kernel, LANES, Lanes, Vector, unrolled};
use crate::kernel::elementwise::copy_few;

/// The most rows of a tile where there are sixteen registers of eight floats: 6 x 2 sums, two
/// columns and a factor fill them.
pub(crate) const ROWS: usize = 6;
/// Columns of a panel: two vectors.
pub(crate) const COLUMNS: usize = 2 * LANES;
/// The most panels of a tile on any path.
pub(crate) const PANELS: usize = 2;

/// What a tile sums: `sum a[o, i, s, row] * b[o, i, s, column]` over three nested loops.
///
/// For a convolution the loops are kernel rows, kernel columns and channels; for a matrix product
/// only the last counts.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// Trip counts, outermost first. If one is 0 nothing is added.
    pub counts: [usize; 3],
    /// Factors that are spread over a row.
    pub a: &'a [f32],
    /// Index in `a` of the first row's first factor.
    pub a_at: usize,
    /// Distance in `a` from row to row.
    pub a_row: usize,
    /// Distances in `a` of the three loops.
    pub a_steps: [usize; 3],
    /// Panels: sixteen columns side by side. What lies beyond a matrix's last column may be anything.
    pub b: &'a [f32],
    /// Index in `b` of the first column.
    pub b_at: usize,
    /// Distance in `b` from panel to panel.
    pub b_panel: usize,
    /// Distances in `b` of the three loops.
    pub b_steps: [usize; 3],
}

impl Tile<'_> {
    /// Whether the largest indices that a tile of `rows` and `panels` touches are in bounds.
    #[inline(always)]
    fn check(&self, rows: usize, panels: usize) {
        let last = |steps: [usize; 3]| {
            (self.counts[0] - 1) * steps[0]
                + (self.counts[1] - 1) * steps[1]
                + (self.counts[2] - 1) * steps[2]
        };
        assert!(!self.is_empty() && rows > 0 && panels > 0);
        assert!(self.a_at + (rows - 1) * self.a_row + last(self.a_steps) < self.a.len());
        let b_last = self.b_at + (panels - 1) * self.b_panel + last(self.b_steps);
        assert!(b_last + COLUMNS <= self.b.len());
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.counts.contains(&0)
    }
}

/// The sums of `R` rows by `P` panels, panel by panel.
pub(super) type Sums<W, const R: usize, const P: usize> = [[W; R]; P];

/// Adds the tile's products to `sums`, term by term in loop order.
#[inline(always)]
pub(super) fn tile<W: Vector, const R: usize, const P: usize>(
    t: Tile<'_>,
    sums: Sums<W, R, P>,
) -> Sums<W, R, P> {
    const { assert!(W::LEN == COLUMNS) };
    if t.is_empty() {
        return sums;
    }
    t.check(R, P);
    let mut sums = sums;
    for outer in 0..t.counts[0] {
        for inner in 0..t.counts[1] {
            // SAFETY: `check` has seen the largest index of both operands in bounds, and all others
            // are smaller. The pointers step past the end only by wrapping arithmetic.
            unsafe {
                let a = t.a.as_ptr().add(t.a_at + outer * t.a_steps[0] + inner * t.a_steps[1]);
                let mut b = t.b.as_ptr().add(t.b_at + outer * t.b_steps[0] + inner * t.b_steps[1]);
                let mut thirds = [a; R];
                unrolled!([0 1 2] R.div_ceil(3), i => thirds[i] = a.wrapping_add(3 * i * t.a_row));
                for _ in 0..t.counts[2] {
                    let mut columns = [W::read(b); P];
                    unrolled!([0 1] P, p => columns[p] = W::read(b.add(p * t.b_panel)));
                    unrolled!([0 1 2 3 4 5 6 7] R, row => {
                        let factor = W::splat(*thirds[row / 3].add(row % 3 * t.a_row));
                        unrolled!([0 1] P, p => {
                            sums[p][row] = factor.mul_add(columns[p], sums[p][row]);
                        });
                    });
                    unrolled!([0 1 2] R.div_ceil(3), i => {
                        thirds[i] = advance(thirds[i], t.a_steps[2]);
                    });
                    b = b.wrapping_add(t.b_steps[2]);
                }
            }
        }
    }
    sums
}

/// `from + step`. On x86-64 so that the compiler does not see through it: left to itself it keeps a
/// pointer for each row of a tile, more than there are registers, where one for every three rows
/// reaches the others by addressing.
#[inline(always)]
pub(super) fn advance(from: *const f32, step: usize) -> *const f32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let mut from = from;
        // SAFETY: an addition of integers, which touches no memory.
        unsafe {
            std::arch::asm!(
                "lea {from}, [{from} + 4 * {step}]",
                from = inout(reg) from,
                step = in(reg) step,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        from
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    from.wrapping_add(step)
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

/// What a tile's sums start with.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Zero,
    /// Sixteen floats for each panel, the same in each row.
    Bias(&'a [f32]),
    /// What is there.
    Sum,
}

/// Where a tile's sums come from and go.
pub(crate) struct Ends<'a> {
    pub start: Start<'a>,
    /// Whether a relu follows.
    pub relu: bool,
    /// The first row's first column.
    pub to: &'a mut [f32],
    /// From row to row of `to`.
    pub stride: usize,
    /// From panel to panel of `to`.
    pub panel: usize,
    /// How many columns to write, if fewer than the panels have.
    pub columns: usize,
}

impl Ends<'_> {
    /// What the sums start with, of a tile that lies `at` floats behind the first.
    #[inline(always)]
    pub(super) fn start<W: Vector, const R: usize, const P: usize>(
        &self,
        at: usize,
    ) -> Sums<W, R, P> {
        let mut sums = [[W::splat(0.0); R]; P];
        unrolled!([0 1] P, p => match self.start {
            Start::Zero => {}
            Start::Bias(bias) => sums[p] = [W::load(&bias[p * COLUMNS..]); R],
            Start::Sum => {
                let from = &self.to[at + p * self.panel..];
                sums[p] = load_rows(from, self.stride, self.columns - p * COLUMNS);
            }
        });
        sums
    }

    /// Takes what [`start`](Self::start) and a tile made of them.
    #[inline(always)]
    pub(super) fn store<W: Vector, const R: usize, const P: usize>(
        &mut self,
        at: usize,
        sums: Sums<W, R, P>,
    ) {
        unrolled!([0 1] P, p => {
            let rows = if self.relu { relu_rows(sums[p]) } else { sums[p] };
            let to = &mut self.to[at + p * self.panel..];
            store_rows(rows, to, self.stride, self.columns - p * COLUMNS);
        });
    }
}

/// Panels of `columns` columns as tiles take them: (first column, panels).
#[inline(always)]
pub(crate) fn panels_of<L: Lanes>(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let panels = move |first: usize| (columns - first).div_ceil(COLUMNS).min(L::PANELS);
    (0..columns).step_by(L::PANELS * COLUMNS).map(move |first| (first, panels(first)))
}

/// A tile, and its sums' ends.
pub(crate) struct Product<'a> {
    pub tile: Tile<'a>,
    pub ends: Ends<'a>,
}

impl Product<'_> {
    /// Computes `rows` rows by `panels` panels, at most `L::ROWS` and `L::PANELS`.
    #[inline(always)]
    pub(crate) fn compute<L: Lanes>(self, rows: usize, panels: usize) {
        self.repeat::<L>([rows, panels], [1, 1], [[0; 3]; 2]);
    }

    /// The same over two nested loops of `times` turns; from turn to turn of each the tile's `a` and `b`
    /// and the sums' place move by so many floats. A call takes as long as a few dozen products.
    #[inline(always)]
    pub(crate) fn repeat<L: Lanes>(
        self,
        size: [usize; 2],
        times: [usize; 2],
        next: [[usize; 3]; 2],
    ) {
        by_size::<L>(Repeated { product: self, times, next }, size);
    }
}

struct Repeated<'a> {
    product: Product<'a>,
    times: [usize; 2],
    next: [[usize; 3]; 2],
}

/// A loop over a tile of `R` rows by `P` panels.
pub(super) trait OfTile {
    /// Runs it, with vectors of `L`; to be inlined.
    fn run<L: Lanes, const R: usize, const P: usize>(self);
}

/// Runs `work` for so many rows and panels, at most `L::ROWS` and `L::PANELS`: a function for each size.
#[inline(always)]
pub(super) fn by_size<L: Lanes>(work: impl OfTile, [rows, panels]: [usize; 2]) {
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            match (rows, panels) {
                // The constants keep functions that no size of this path needs from being made.
                $(
                    ($rows, 1) if const { L::ROWS >= $rows } => {
                        L::call(OfSize::<_, $rows, 1>(work));
                    }
                    ($rows, 2) if const { L::ROWS >= $rows && L::PANELS >= 2 } => {
                        L::call(OfSize::<_, $rows, 2>(work));
                    }
                )*
                _ => unreachable!("at most {} rows by {} panels", L::ROWS, L::PANELS),
            }
        };
    }
    dispatch!(1 2 3 4 5 6 7 8);
}

/// The same for rows of which [`even_parts`](crate::kernel::matmul::even_parts) of sixteen are made; other
/// numbers of them make no functions, and `work` is given back.
#[inline(always)]
pub(super) fn by_part_of_sixteen<L: Lanes, W: OfTile>(work: W, size: [usize; 2]) -> Option<W> {
    match (size[0], size[1]) {
        (8, 2) if const { L::ROWS == 8 && L::PANELS == 2 } => L::call(OfSize::<_, 8, 2>(work)),
        (8, 1) if const { L::ROWS == 8 } => L::call(OfSize::<_, 8, 1>(work)),
        (6, 1) if const { L::ROWS == 6 } => L::call(OfSize::<_, 6, 1>(work)),
        (5, 1) if const { L::ROWS == 6 } => L::call(OfSize::<_, 5, 1>(work)),
        (2, 1) if const { L::ROWS == 2 } => L::call(OfSize::<_, 2, 1>(work)),
        _ => return Some(work),
    }
    None
}

pub(super) struct OfSize<W, const R: usize, const P: usize>(pub W);

impl<L: Lanes, W: OfTile, const R: usize, const P: usize> Kernel<L> for OfSize<W, R, P> {
    #[inline(always)]
    fn run(self) {
        self.0.run::<L, R, P>();
    }
}

impl OfTile for Repeated<'_> {
    #[inline(always)]
    fn run<L: Lanes, const R: usize, const P: usize>(self) {
        let Self { product: Product { tile: first, mut ends }, times, next } = self;
        for outer in 0..times[0] {
            for inner in 0..times[1] {
                let moved = |i: usize| outer * next[0][i] + inner * next[1][i];
                let (a_at, b_at) = (first.a_at + moved(0), first.b_at + moved(1));
                let sums = ends.start::<L::Wide, R, P>(moved(2));
                let sums = tile(Tile { a_at, b_at, ..first }, sums);
                ends.store(moved(2), sums);
            }
        }
    }
}

/// Reads up to a vector's columns; absent ones are 0.
#[inline(always)]
pub(crate) fn load_columns<W: Vector>(from: &[f32], columns: usize) -> W {
    if columns >= W::LEN { W::load(from) } else { W::load_some(from, columns) }
}

/// Writes each row's first `columns` columns, of which a vector holds all that count, `stride` apart.
#[inline(always)]
pub(crate) fn store_rows<W: Vector, const R: usize>(
    rows: [W; R],
    to: &mut [f32],
    stride: usize,
    columns: usize,
) {
    if columns >= W::LEN {
        assert!(to.len() >= (R - 1) * stride + W::LEN);
        // SAFETY: the last row's last column was seen, and all others lie before it.
        unrolled!(R, row => unsafe { rows[row].write(to.as_mut_ptr().add(row * stride)) });
    } else {
        let mut padded = [[0.0; COLUMNS]; R];
        unrolled!(R, row => rows[row].store(&mut padded[row]));
        for (row, padded) in padded.iter().enumerate() {
            copy_few(&mut to[row * stride..][..columns], &padded[..columns]);
        }
    }
}

/// Reads what [`store_rows`] writes.
#[inline(always)]
pub(crate) fn load_rows<W: Vector, const R: usize>(
    from: &[f32],
    stride: usize,
    columns: usize,
) -> [W; R] {
    let mut rows = [W::splat(0.0); R];
    if columns >= W::LEN {
        assert!(from.len() >= (R - 1) * stride + W::LEN);
        // SAFETY: as in `store_rows`.
        unrolled!(R, row => rows[row] = unsafe { W::read(from.as_ptr().add(row * stride)) });
    } else {
        unrolled!(R, row => rows[row] = load_columns(&from[row * stride..], columns));
    }
    rows
}

/// A relu of each row.
#[inline(always)]
pub(crate) fn relu_rows<W: Vector, const R: usize>(mut rows: [W; R]) -> [W; R] {
    unrolled!(R, row => rows[row] = rows[row].relu());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::simd::{Path, vectorized};

    vectorized! {
        /// Some columns, as they are and as one and two of the path's vectors read them.
        fn load_all(from: &[f32], narrow: &mut [f32], wide: &mut [f32]) = load_all_body;
    }

    #[inline(always)]
    fn load_all_body<L: Lanes>(from: &[f32], narrow: &mut [f32], wide: &mut [f32]) {
        load_columns::<L>(from, from.len().min(LANES)).store(narrow);
        load_columns::<L::Wide>(from, from.len()).store(wide);
    }

    #[test]
    fn absent_columns_are_zeros() {
        let floats: Vec<f32> = (1..=COLUMNS).map(|i| i as f32).collect();
        for &path in Path::all() {
            Path::force(Some(path));
            for len in 0..=COLUMNS {
                // A slice of its own, so that Miri and sanitizers see what is read behind it.
                let from: Box<[f32]> = floats[..len].into();
                let (mut narrow, mut wide) = ([f32::NAN; LANES], [f32::NAN; COLUMNS]);
                load_all(&from, &mut narrow, &mut wide);
                let expected = [&floats[..len], &[0.0; COLUMNS][len..]].concat();
                assert_eq!(wide[..], expected, "{len} columns, {path:?}");
                assert_eq!(narrow[..], expected[..LANES], "{len} columns, {path:?}");
            }
        }
        Path::force(None);
    }
}
