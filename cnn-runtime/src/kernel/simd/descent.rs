//! Parts of a dense kernel's gradient, and at once the optimizer's step over them: the gradient never
//! leaves the first-level cache.

use super::tile::{OfSize, OfTile, by_part_of_sixteen, tile};
use super::{
    COLUMNS, Kernel, Lanes, Listed, Tile, Vector, load_columns, prefetch, store_rows, unrolled,
};
use crate::kernel::panels::Matrix;
use crate::kernel::rmsprop::Rule;

/// Some rows by some panels of sixteen columns of a kernel.
pub(crate) struct Descent<'a> {
    /// What the gradient sums.
    pub tile: Tile<'a>,
    /// The optimizer's rule.
    pub rule: Rule,
    /// The first row's first column.
    pub weights: &'a mut [f32],
    /// What the optimizer remembers, likewise.
    pub squares: &'a mut [f32],
    /// From row to row of both.
    pub stride: usize,
    /// How many columns there are, if fewer than the panels have.
    pub columns: usize,
    /// The first row of packed weights, which take the new ones too.
    pub packed: &'a mut [f32],
    /// From row to row of these.
    pub packed_stride: usize,
}

impl Descent<'_> {
    /// Does `rows` rows, at most `L::ROWS`: [`even_parts`](crate::kernel::matmul::even_parts) of sixteen,
    /// or the last rows of a layer, one by one. As many panels as there are columns for, up to `L::PANELS`.
    #[inline(always)]
    pub(crate) fn go<L: Lanes>(self, rows: usize) {
        let panels = self.columns.div_ceil(COLUMNS).min(L::PANELS);
        let Some(mut left) = by_part_of_sixteen::<L, _>(self, [rows, panels]) else { return };
        for row in 0..rows {
            for panel in 0..panels {
                L::call(OfSize::<_, 1, 1>(left.part(row, panel)));
            }
        }
    }

    /// One row of one panel.
    #[inline(always)]
    fn part(&mut self, row: usize, panel: usize) -> Descent<'_> {
        let Tile { a_at, a_row, b_at, b_panel, .. } = self.tile;
        let at = row * self.stride + panel * COLUMNS;
        Descent {
            tile: Tile { a_at: a_at + row * a_row, b_at: b_at + panel * b_panel, ..self.tile },
            weights: &mut self.weights[at..],
            squares: &mut self.squares[at..],
            columns: self.columns - panel * COLUMNS,
            packed: &mut self.packed[row * self.packed_stride + panel * COLUMNS..],
            ..*self
        }
    }
}

impl OfTile for Descent<'_> {
    #[inline(always)]
    fn run<L: Lanes, const R: usize, const P: usize>(self) {
        let Descent { tile: product, rule, weights, squares, stride, columns, .. } = self;
        let Descent { packed, packed_stride, .. } = self;
        // What the step meets is on its way while the product is made.
        let last = (P * COLUMNS).min(columns) - 1;
        for row in 0..R {
            let at = row * stride;
            for floats in [&*squares, &*weights] {
                (at..at + last).step_by(COLUMNS).for_each(|at| prefetch(&floats[at]));
                prefetch(&floats[at + last]);
            }
            (0..P).for_each(|p| prefetch(&packed[row * packed_stride + p * COLUMNS]));
        }
        let sums = tile::<L::Wide, R, P>(product, [[L::Wide::splat(0.0); R]; P]);
        let mut gradient = [[[0.0; COLUMNS]; R]; P];
        unrolled!([0 1] P, p => {
            unrolled!([0 1 2 3 4 5 6 7] R, row => sums[p][row].store(&mut gradient[p][row]));
        });
        // Loops, since sixteen copies of a step took most of a small stack in debug builds.
        for row in 0..R {
            for (p, gradient) in gradient.iter().enumerate() {
                let at = row * stride + p * COLUMNS;
                let (weights, squares) = (&mut weights[at..], &mut squares[at..]);
                let left = columns - p * COLUMNS;
                let packed = &mut packed[row * packed_stride + p * COLUMNS..];
                step(rule, L::Wide::load(&gradient[row]), weights, squares, left, packed);
            }
        }
    }
}

/// The optimizer's step over the first `columns` columns, at most a vector's, of a row of a kernel and of
/// what the optimizer remembers. `packed` takes the new weights too, and zeros where there are fewer.
#[inline(always)]
fn step<W: Vector>(
    rule: Rule,
    gradient: W,
    weights: &mut [f32],
    squares: &mut [f32],
    columns: usize,
    packed: &mut [f32],
) {
    let weight: W = load_columns(weights, columns);
    let (weight, square) = rule.step(weight, gradient, load_columns(squares, columns));
    store_rows([weight], weights, 0, columns);
    store_rows([square], squares, 0, columns);
    weight.store(packed);
}

/// Some units of some rows of a kernel, their gradients from those images alone in which a row's input is
/// not zero: what is left out are zeros, and the others are added in the same order.
pub(crate) struct LiveDescent<'a> {
    /// Of each row the images, and what the input is there.
    pub rows: &'a [Listed<'a>],
    /// The outputs' gradients, sixteen floats for each image.
    pub gradients: &'a [f32],
    /// From sixteen units to the next.
    pub gradients_stride: usize,
    /// The optimizer's rule.
    pub rule: Rule,
    /// The first row's first unit.
    pub weights: &'a mut [f32],
    /// What the optimizer remembers, likewise.
    pub squares: &'a mut [f32],
    /// From row to row of both.
    pub stride: usize,
    /// How many units there are, at most those of the groups.
    pub columns: usize,
    /// The first row of groups of panels of packed weights, which take the new ones too.
    pub packed: [&'a mut [f32]; LiveDescent::GROUPS],
    /// From row to row of these.
    pub packed_stride: usize,
}

impl LiveDescent<'_> {
    /// Groups of panels that are worked on together: their sums stay in registers on all paths, and the
    /// gradients of 128 images in a common first-level cache.
    pub(crate) const GROUPS: usize = 4 / Matrix::BESIDE;

    #[inline(always)]
    pub(crate) fn go<L: Lanes>(self) {
        match self.columns.div_ceil(COLUMNS) {
            1 => L::call(Panels::<1>(self)),
            2 => L::call(Panels::<2>(self)),
            3 => L::call(Panels::<3>(self)),
            _ => L::call(Panels::<4>(self)),
        }
    }
}

/// The group of a panel, and its first column there.
#[inline(always)]
const fn in_group(panel: usize) -> [usize; 2] {
    [panel / Matrix::BESIDE, panel % Matrix::BESIDE * COLUMNS]
}

/// The same with its number of panels.
struct Panels<'a, const P: usize>(LiveDescent<'a>);

impl<L: Lanes, const P: usize> Kernel<L> for Panels<'_, P> {
    #[inline(always)]
    fn run(self) {
        let LiveDescent { rows, gradients, rule, weights, squares, stride, columns, .. } = self.0;
        let (apart, packed, packed_stride) =
            (self.0.gradients_stride, self.0.packed, self.0.packed_stride);
        let room = (gradients.len() + 1).saturating_sub((P - 1) * apart + COLUMNS);
        for (row, listed) in rows.iter().enumerate() {
            // What the next row's step meets is on its way while this one's sums are made.
            for p in 0..P {
                let next = (row + 1) * stride + p * COLUMNS;
                if let (Some(weight), Some(square)) = (weights.get(next), squares.get(next)) {
                    let [group, first] = in_group(p);
                    prefetch(weight);
                    prefetch(square);
                    prefetch(&packed[group][(row + 1) * packed_stride + first]);
                }
            }
            let mut sums = [L::Wide::splat(0.0); P];
            for (image, &input) in listed.places.iter().zip(listed.gradients) {
                let place = image.to_bits() as usize * COLUMNS;
                assert!(place < room, "a listed image has gradients");
                let input = L::Wide::splat(input);
                unrolled!([0 1 2 3] P, p => {
                    // SAFETY: of each image in `room` the last panel's units lie in `gradients`.
                    let units = unsafe { L::Wide::read(gradients.as_ptr().add(place + p * apart)) };
                    sums[p] = input.mul_add(units, sums[p]);
                });
            }
            unrolled!([0 1 2 3] P, p => {
                let at = row * stride + p * COLUMNS;
                let (weights, squares) = (&mut weights[at..], &mut squares[at..]);
                let left = columns - p * COLUMNS;
                let [group, first] = in_group(p);
                let packed = &mut packed[group][row * packed_stride + first..];
                step(rule, sums[p], weights, squares, left, packed);
            });
        }
    }
}
