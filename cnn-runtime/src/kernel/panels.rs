//! Panels of sixteen images: which of their rows hold anything, and products that read only these.

use std::ops::Range;

use super::matmul::even_parts;
use super::simd::{COLUMNS, Lanes, LiveProduct, Product, Start, Tile, vectorized};

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

/// Images of a panel by sixteen units, summed over some of the inputs.
pub(super) struct PanelProduct<'a> {
    /// Sixteen images: of each input a row.
    pub images: &'a [f32],
    /// A kernel's panel: of each input a row of sixteen units.
    pub panel: &'a [f32],
    /// The inputs to sum over.
    pub inputs: Range<usize>,
    /// Of these, what [`few_live`] gave; only for sixteen images.
    pub live: Option<&'a [f32]>,
    pub start: Start<'a>,
    /// Whether a relu follows.
    pub relu: bool,
    /// From image to image of the outputs.
    pub stride: usize,
    /// How many units there are, if fewer than sixteen.
    pub columns: usize,
}

impl PanelProduct<'_> {
    /// Computes the first `rows` images, the first one's first unit at the start of `y`.
    #[inline(always)]
    pub(super) fn compute<L: Lanes>(self, rows: usize, y: &mut [f32]) {
        let Self { images, panel, inputs, live, start, relu, stride, columns } = self;
        for (first, count) in even_parts(rows, L::ROWS) {
            let to = &mut y[first * stride..];
            if let Some(live) = live {
                LiveProduct { live, images, panel, first, start, relu, to, stride, columns }
                    .compute::<L>(count);
                continue;
            }
            let tile = Tile {
                counts: [1, 1, inputs.len()],
                a: images,
                a_at: inputs.start * COLUMNS + first,
                a_row: 1,
                a_steps: [0, 0, COLUMNS],
                b: panel,
                b_at: inputs.start * COLUMNS,
                b_steps: [0, 0, COLUMNS],
            };
            Product { tile, start, relu, to, stride, columns }.compute::<L>(count);
        }
    }
}
