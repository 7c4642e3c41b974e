//! The register tile of whole pooling windows: all pixels of a window are summed together, so that
//! pooling needs no memory.

use super::tile::advance;
use super::{COLUMNS, Kernel, Lanes, Vector, unrolled};

/// Pixels of a window of two by two.
const PIXELS: usize = 4;

/// Where the outputs of windows of two by two pixels go.
pub(crate) trait Sink {
    /// Takes the four outputs, in row-major order, of sixteen filters from `filter` on: of `N` windows
    /// side by side, the first of which is at a row and a column.
    fn put<W: Vector, const N: usize>(
        &mut self,
        filter: usize,
        first: [usize; 2],
        outputs: [[W; PIXELS]; N],
    );
}

/// How the pixels of windows lie in an image.
#[derive(Clone, Copy)]
pub(crate) struct Pixels<'a> {
    /// The padded image, and two floats more.
    pub image: &'a [f32],
    /// From row to row of the image.
    pub line: usize,
    /// Distances in the image from pixel to pixel of a window, down and across.
    pub steps: [usize; 2],
    /// The kernel's rows, and the products in each. Both at least 1.
    pub kernel: [usize; 2],
}

/// A convolution to sixteen filters at the pixels of windows of two by two.
#[derive(Clone, Copy)]
pub(crate) struct Windows<'a> {
    /// What it reads.
    pub pixels: Pixels<'a>,
    /// A row of sixteen floats for each product.
    pub panel: &'a [f32],
    /// Sixteen floats.
    pub bias: &'a [f32],
    /// The first of the sixteen filters.
    pub filter: usize,
    /// Windows down and across. They lie side by side.
    pub size: [usize; 2],
}

impl Windows<'_> {
    /// Whether a path has registers for a window.
    pub(crate) const fn fit<L: Lanes>() -> bool {
        L::UNROLLED && Self::most::<L>() > 0
    }

    /// The most that are worked on together: as many sums as a tile has.
    const fn most<L: Lanes>() -> usize {
        L::ROWS * L::PANELS / PIXELS
    }

    /// All outputs to `sink`.
    #[inline(always)]
    pub(crate) fn convolve<L: Lanes>(self, sink: &mut impl Sink) {
        let columns = self.size[1];
        let parts = columns.div_ceil(Self::most::<L>()).max(1);
        // As even as can be, the longer ones first: the same function for all that are equal.
        let (len, longer) = (columns / parts, columns % parts);
        for (first, count, len) in [(0, longer, len + 1), (longer * (len + 1), parts - longer, len)]
        {
            self.parts::<L>(sink, first, count, len);
        }
    }

    /// In each row `count` parts of `len` windows from the window `first` on.
    #[inline(always)]
    fn parts<L: Lanes>(self, sink: &mut impl Sink, first: usize, count: usize, len: usize) {
        if count * len * self.size[0] == 0 {
            return;
        }
        let parts = Parts { windows: self, first, count, sink };
        macro_rules! dispatch {
            ($($len:literal)*) => {
                match len {
                    // As in `by_size`.
                    $($len if const { Self::most::<L>() >= $len } => {
                        L::call(PartsOf::<_, $len>(parts));
                    })*
                    _ => unreachable!("at most {} windows", Self::most::<L>()),
                }
            };
        }
        dispatch!(1 2 3 4);
    }
}

struct Parts<'a, S> {
    windows: Windows<'a>,
    first: usize,
    count: usize,
    sink: &'a mut S,
}

/// The same with the windows in a part.
struct PartsOf<'a, S, const N: usize>(Parts<'a, S>);

impl<L: Lanes, S: Sink, const N: usize> Kernel<L> for PartsOf<'_, S, N> {
    #[inline(always)]
    fn run(self) {
        let Parts { windows, first, count, sink } = self.0;
        windows.check(first + count * N);
        let [down, across] = windows.pixels.steps;
        let bias = L::Wide::load(windows.bias);
        for row in 0..windows.size[0] {
            for part in 0..count {
                let column = first + part * N;
                let at = 2 * (row * down + column * across);
                // SAFETY: `check` saw all windows in bounds.
                let sums = unsafe { windows.sums::<L::Wide, N>(at, bias) };
                sink.put(windows.filter, [row, column], sums);
            }
        }
    }
}

impl Windows<'_> {
    /// Whether what `columns` windows of each row read lies in image and panel.
    #[inline(always)]
    fn check(&self, columns: usize) {
        let Pixels { image, line, steps: [down, across], kernel: [height, run] } = self.pixels;
        assert!(height > 0 && run > 0 && self.size[0] > 0 && columns > 0);
        let pixel = (2 * self.size[0] - 1) * down + (2 * columns - 1) * across;
        assert!(pixel + (height - 1) * line + run <= image.len());
        assert!(height * run * COLUMNS <= self.panel.len());
    }

    /// The sums at the pixels of `N` windows side by side.
    ///
    /// # Safety
    /// The first one's first factor is at `at`, and `check` has seen all of them.
    #[inline(always)]
    unsafe fn sums<W: Vector, const N: usize>(&self, at: usize, bias: W) -> [[W; PIXELS]; N] {
        const { assert!(W::LEN == COLUMNS) };
        let Pixels { image, line, steps: [down, across], kernel: [height, run] } = self.pixels;
        let mut sums = [[bias; PIXELS]; N];
        let mut b = self.panel.as_ptr();
        let mut a = image.as_ptr().wrapping_add(at);
        for _ in 0..height {
            // SAFETY: the caller's promise; pointers step past the end only by wrapping arithmetic.
            unsafe {
                let mut firsts = [a; N];
                unrolled!([0 1 2 3] N, i => firsts[i] = a.wrapping_add(2 * i * across));
                for _ in 0..run {
                    let columns = W::read(b);
                    unrolled!([0 1 2 3] N, i => {
                        let places = [0, across, down, down + across];
                        unrolled!([0 1 2 3] PIXELS, pixel => {
                            let factor = *firsts[i].add(places[pixel]);
                            sums[i][pixel] = W::splat(factor).mul_add(columns, sums[i][pixel]);
                        });
                    });
                    unrolled!([0 1 2 3] N, i => firsts[i] = advance(firsts[i], 1));
                    b = b.wrapping_add(COLUMNS);
                }
            }
            a = a.wrapping_add(line);
        }
        sums
    }
}
