//! The gradient of a short kernel behind pooling. It has few taps, so that every gradient meeting every
//! pixel of its window, with zeros at the three that lost, is less work than listing which won.

use super::{COLUMNS, Kernel, Lanes, Pixels, Vector, load_columns, unrolled};

/// What a short kernel's gradient is made of. Windows are two by two pixels, side by side.
#[derive(Clone, Copy)]
pub(crate) struct Short<'a> {
    /// What it reads.
    pub pixels: Pixels<'a>,
    /// From row to row of a gradient.
    pub run: usize,
    /// Windows down and across, and channels.
    pub windows: [usize; 3],
    /// Who won each window, as bits.
    pub route: &'a [f32],
    /// The gradients of the pooled outputs.
    pub dy: &'a [f32],
}

/// Taps of a row that are summed together: a vector for each is held in registers. What is computed
/// beyond a row's end is thrown away.
const RUNS: [usize; 2] = [6, 3];

impl Short<'_> {
    /// Adds to the kernel's gradients, which hold its rows for each channel, and to the bias's.
    ///
    /// Each sum starts at 0 and goes over windows and their pixels in order.
    #[inline(always)]
    pub(crate) fn gradient<L: Lanes>(self, patches: &mut [f32], bias: &mut [f32]) {
        let ([rows, run], mut tap) = (self.pixels.kernel, 0);
        while tap < run {
            let taps = if L::UNROLLED && run - tap > RUNS[1] { RUNS[0] } else { RUNS[1] };
            let mut row = 0;
            while row < rows {
                let together = Self::together::<L>(taps, rows - row);
                let part = Part { short: self, row, tap, patches, bias };
                macro_rules! dispatch {
                    ($($rows:literal x $run:literal)*) => {
                        match (together, taps) {
                            // The constants keep functions that are never called from being made.
                            $(($rows, $run) if const { $rows * $run <= most::<L>() } => {
                                L::call(PartOf::<$rows, $run>(part));
                            })*
                            _ => unreachable!("{together} rows of {taps} taps are no part"),
                        }
                    };
                }
                dispatch!(1 x 3 3 x 3 1 x 6 2 x 6);
                row += together;
            }
            tap += taps;
        }
    }

    /// Rows that are worked on together, if `taps` of each are: not any number, for each is a function.
    #[inline(always)]
    fn together<L: Lanes>(taps: usize, left: usize) -> usize {
        let rows = if taps == RUNS[0] { 2 } else { 3 };
        if rows <= left && rows * taps <= most::<L>() { rows } else { 1 }
    }
}

/// The most taps that are worked on together.
const fn most<L: Lanes>() -> usize {
    match (L::UNROLLED, wide::<L>()) {
        (false, _) => 3,
        (true, false) => 9,
        (true, true) => 12,
    }
}

/// Whether there are registers for taps of sixteen channels.
const fn wide<L: Lanes>() -> bool {
    L::ROWS * L::PANELS >= COLUMNS
}

struct Part<'a> {
    short: Short<'a>,
    row: usize,
    tap: usize,
    patches: &'a mut [f32],
    bias: &'a mut [f32],
}

/// The same with its numbers of rows and of taps.
struct PartOf<'a, const ROWS: usize, const RUN: usize>(Part<'a>);

impl<L: Lanes, const ROWS: usize, const RUN: usize> Kernel<L> for PartOf<'_, ROWS, RUN> {
    #[inline(always)]
    fn run(mut self) {
        if const { wide::<L>() } {
            self.0.work::<L::Wide, ROWS, RUN>();
        } else {
            self.0.work::<L, ROWS, RUN>();
        }
    }
}

impl Part<'_> {
    #[inline(always)]
    fn work<V: Vector, const ROWS: usize, const RUN: usize>(&mut self) {
        let Short { pixels, windows, route, dy, .. } = self.short;
        let Pixels { image, line, steps: [down, across], .. } = pixels;
        let [rows, columns, channels] = windows;
        let first = self.row * line + self.tap;
        let last = (2 * rows - 1) * down + (2 * columns - 1) * across + (ROWS - 1) * line + RUN;
        assert!(rows > 0 && columns > 0 && first + last <= image.len());
        for channel in (0..channels).step_by(V::LEN) {
            let mut sums = [[V::splat(0.0); RUN]; ROWS];
            let mut total = V::splat(0.0);
            for row in 0..rows {
                for column in 0..columns {
                    let at = (row * columns + column) * channels + channel;
                    // Beyond the last channel is another pixel's: its sums are thrown away.
                    let [winners, values]: [V; 2] =
                        [&route[at..], &dy[at..]].map(|from| load_columns(from, from.len()));
                    let start = first + 2 * (row * down + column * across);
                    let places = [0, across, down, down + across];
                    unrolled!([0 1 2 3] 4, place => {
                        let won = winners.same_bits(V::splat(f32::from_bits(place as u32)));
                        let gradient = values.select(won, V::splat(0.0));
                        total = total.add(gradient);
                        // SAFETY: seen above.
                        let x = unsafe { image.as_ptr().add(start + places[place]) };
                        unrolled!([0 1 2] ROWS, r => unrolled!([0 1 2 3 4 5] RUN, tap => {
                            // SAFETY: as above.
                            let factor = V::splat(unsafe { *x.add(r * line + tap) });
                            sums[r][tap] = factor.mul_add(gradient, sums[r][tap]);
                        }));
                    });
                }
            }
            let mut own = [[[0.0; COLUMNS]; RUN]; ROWS];
            unrolled!([0 1 2] ROWS, r => unrolled!([0 1 2 3 4 5] RUN, tap => sums[r][tap].store(&mut own[r][tap])));
            let mut own_total = [0.0; COLUMNS];
            total.store(&mut own_total);
            let count = V::LEN.min(channels - channel);
            self.add(channel, count, own.as_flattened(), RUN, &own_total);
        }
    }

    /// Adds the sums of `count` channels from `channel` on, which hold `run` taps of each row, and the
    /// bias's if this is the first part.
    #[inline(never)]
    fn add(
        &mut self,
        channel: usize,
        count: usize,
        sums: &[[f32; COLUMNS]],
        run: usize,
        total: &[f32; COLUMNS],
    ) {
        let (row_len, first) = (self.short.run, self.row * self.short.run + self.tap);
        let len = self.short.pixels.kernel[0] * row_len;
        let taps = run.min(row_len - self.tap);
        let patches = self.patches[channel * len..].chunks_exact_mut(len);
        for (c, patch) in patches.take(count).enumerate() {
            for (r, sums) in sums.chunks_exact(run).enumerate() {
                let to = &mut patch[first + r * row_len..][..taps];
                for (to, sums) in to.iter_mut().zip(sums) {
                    *to += sums[c];
                }
            }
        }
        if first == 0 {
            for (bias, total) in self.bias[channel..].iter_mut().zip(&total[..count]) {
                *bias += total;
            }
        }
    }
}
