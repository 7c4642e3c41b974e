//! Products of dense layers from those inputs alone that are not zero: relu leaves few, and pictures have
//! margins. What is left out would add zeros.

use super::tile::{OfTile, by_part_of_sixteen, load_columns, relu_rows, store_rows};
use super::{COLUMNS, Ends, Kernel, Lanes, PANELS, Start, Vector, unrolled};
use crate::kernel::panels::Panel;

/// Sixteen images by some panels of units, from inputs that are not zero in all of the images.
pub(crate) struct LiveProduct<'a> {
    /// The inputs to sum over, in order, as `u32` bits.
    pub live: &'a [f32],
    /// Sixteen images: of each input a row.
    pub images: &'a [f32],
    /// A kernel's panels: of each input a row of sixteen units.
    pub panel: Panel<'a>,
    /// The first of the images that are meant.
    pub first: usize,
    /// A row for each image.
    pub ends: Ends<'a>,
}

impl LiveProduct<'_> {
    /// Computes `rows` images, of which [`even_parts`](crate::kernel::matmul::even_parts) of sixteen are
    /// made, by `panels` panels.
    #[inline(always)]
    pub(crate) fn compute<L: Lanes>(self, rows: usize, panels: usize) {
        let left = by_part_of_sixteen::<L, _>(self, [rows, panels]);
        assert!(left.is_none(), "{rows} rows are no part of sixteen");
    }
}

impl OfTile for LiveProduct<'_> {
    #[inline(always)]
    fn run<L: Lanes, const R: usize, const P: usize>(self) {
        let Self { live, images, panel, first, mut ends } = self;
        const { assert!(L::Wide::LEN == COLUMNS) };
        assert!(first + R <= COLUMNS);
        let inputs = (images.len() / COLUMNS).min(panel.rows(P));
        let mut sums = ends.start::<L::Wide, R, P>(0);
        for input in live {
            let input = input.to_bits() as usize;
            assert!(input < inputs, "a live input is an input");
            // SAFETY: the images and the last panel have a row of sixteen for this input, other panels lie
            // before it, and `first + R` is at most sixteen.
            unsafe {
                let row = panel.floats.as_ptr().add(input * panel.row);
                let images = images.as_ptr().add(input * COLUMNS + first);
                let mut units = [L::Wide::read(row); P];
                unrolled!([0 1] P, p => units[p] = L::Wide::read(row.add(p * panel.next)));
                unrolled!([0 1 2 3 4 5 6 7] R, row => {
                    let image = L::Wide::splat(*images.add(row));
                    unrolled!([0 1] P, p => sums[p][row] = image.mul_add(units[p], sums[p][row]));
                });
            }
        }
        ends.store(0, sums);
    }
}

/// One row by up to two panels, whose first `depth` rows are meant.
pub(crate) struct RowTimesPanels<'a> {
    /// Which of the inputs are not zero, in order, as `u32` bits.
    pub live: &'a [f32],
    /// And these.
    pub values: &'a [f32],
    pub panel: Panel<'a>,
    pub depth: usize,
    pub start: Start<'a>,
    /// Whether a relu follows.
    pub relu: bool,
    /// Sixteen columns for each panel; the last may have fewer.
    pub y: &'a mut [f32],
}

impl RowTimesPanels<'_> {
    /// The most panels at a time.
    #[inline(always)]
    pub(crate) const fn most<L: Lanes>() -> usize {
        if L::UNROLLED { PANELS } else { 1 }
    }

    /// Computes `panels` of them: a function for each number.
    #[inline(always)]
    pub(crate) fn compute<L: Lanes>(self, panels: usize) {
        macro_rules! dispatch {
            ($($n:literal)*) => {
                match panels {
                    $($n if const { Self::most::<L>() >= $n } => L::call(Panels::<$n>(self)),)*
                    _ => unreachable!("at most {} panels", Self::most::<L>()),
                }
            };
        }
        dispatch!(1 2);
    }
}

/// The same with its number of panels.
struct Panels<'a, const P: usize>(RowTimesPanels<'a>);

impl<L: Lanes, const P: usize> Kernel<L> for Panels<'_, P> {
    #[inline(always)]
    fn run(self) {
        let RowTimesPanels { live, values, panel, depth, start, relu, y } = self.0;
        assert!(panel.rows(P) >= depth);
        let mut sums = [L::Wide::splat(0.0); P];
        unrolled!([0 1] P, p => match start {
            Start::Zero => {}
            Start::Bias(bias) => sums[p] = L::Wide::load(&bias[p * COLUMNS..]),
            Start::Sum => sums[p] = load_columns(&y[p * COLUMNS..], y.len() - p * COLUMNS),
        });
        for (input, &value) in live.iter().zip(values) {
            let (input, value) = (input.to_bits() as usize, L::Wide::splat(value));
            assert!(input < depth, "a live input is an input");
            // SAFETY: the panels have this row.
            let row = unsafe { panel.floats.as_ptr().add(input * panel.row) };
            unrolled!([0 1] P, p => {
                // SAFETY: as above.
                let units = unsafe { L::Wide::read(row.add(p * panel.next)) };
                sums[p] = value.mul_add(units, sums[p]);
            });
        }
        if relu {
            sums = relu_rows(sums);
        }
        unrolled!([0 1] P, p => {
            let y = &mut y[p * COLUMNS..];
            let left = y.len();
            store_rows([sums[p]], y, 0, left);
        });
    }
}
