//! The three products of a dense layer over a whole batch, of which each task does a part: some panels of
//! units on the way forward, sixteen inputs on the way back.
//!
//! Images lie in panels of sixteen, with a row of sixteen numbers for each input or unit: both
//! factors of every product are then read side by side, whatever the layer's width.

use ndarray::{ArrayViewMut2, ArrayViewMut3};

use super::matmul::{DEPTH, even_parts};
use super::panels::{Matrix, PanelProduct, Sixteen, few_live, live_len};
use super::rmsprop::Rule;
use super::simd::{
    COLUMNS, Descent, Ends, LIST_SLACK, Lanes, Listed, LiveDescent, PANELS, Product, Start, Tile,
    panels_of, vectorized,
};

vectorized! {
    /// What some inputs add to some units of all images: `y[image, unit] += sum of x * kernel`, then relu
    /// if asked. `y` has for each panel of the kernel, from that of `unit` on, sixteen floats for each image,
    /// `apart` from panel to panel. With a `bias`, which may be empty, sums begin with that.
    pub(crate) fn forward(
        inputs: Inputs<'_>,
        kernel: Matrix<'_>,
        unit: usize,
        bias: Option<&[f32]>,
        relu: bool,
        y: &mut [f32],
        apart: usize,
    ) = forward_body;

    /// The gradients of some inputs, at most sixteen, for all images: `dx[image, input] = sum over
    /// units of dy * kernel`. `kernel` holds those inputs' rows, `images` the outputs' gradients in
    /// panels of `units` rows, and `dx` has sixteen floats for each image.
    pub(crate) fn backward(kernel: &[f32], units: usize, images: &[f32], dx: &mut [f32])
        = backward_body;

    /// The gradient of some rows of a kernel, at most sixteen: `gradient[input, unit] = sum over
    /// images of x * dy`.
    pub(crate) fn gradients(outer: Outer<'_>, gradient: &mut [f32]) = gradients_body;

    /// The same, and at once the optimizer's step. `packed` is those rows' place in it: groups of panels x rows
    /// x a group's columns.
    pub(crate) fn descend(
        outer: Outer<'_>,
        rule: Rule,
        weights: &mut [f32],
        squares: &mut [f32],
        packed: ArrayViewMut3<'_, f32>,
    ) = descend_body;
}

/// What outputs sum.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// Panels of images.
    pub images: &'a [f32],
    /// Of each panel what [`list_live`](super::panels::list_live) listed.
    pub live: &'a [f32],
    /// The first of those to sum.
    pub first: usize,
    /// The one behind the last.
    pub end: usize,
}

/// Factors of a kernel's gradient.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'a> {
    /// The inputs, in panels of images.
    pub images: &'a [f32],
    /// Inputs of the layer.
    pub inputs: usize,
    /// The first of the rows.
    pub first: usize,
    /// The outputs' gradients: for each sixteen units a row of sixteen for each image, 0 for units
    /// and images that are not there.
    pub gradients: &'a [f32],
    /// From sixteen units to the next.
    pub stride: usize,
    /// Units of the layer.
    pub units: usize,
}

impl<'a> Outer<'a> {
    /// What the gradient of rows from `row` and of units from `unit` sums.
    #[inline(always)]
    fn tile(&self, row: usize, unit: usize) -> Tile<'a> {
        let square = COLUMNS * COLUMNS;
        Tile {
            counts: [self.images.len() / (self.inputs * COLUMNS), 1, COLUMNS],
            a: self.images,
            a_at: (self.first + row) * COLUMNS,
            a_row: COLUMNS,
            a_steps: [self.inputs * COLUMNS, 0, 1],
            b: self.gradients,
            b_at: unit / COLUMNS * self.stride,
            b_panel: self.stride,
            b_steps: [square, 0, COLUMNS],
        }
    }

    /// Whether most of the inputs of `rows` rows are zero, and there is room for lists of a row.
    #[inline(always)]
    fn is_sparse(&self, rows: usize) -> bool {
        let groups = self.images.chunks_exact(self.inputs * COLUMNS);
        let images = groups.len() * COLUMNS;
        let inputs = groups.map(|group| &group[self.first * COLUMNS..][..rows * COLUMNS]);
        let live: usize = inputs.map(|inputs| inputs.iter().filter(|x| **x != 0.0).count()).sum();
        images <= LISTED && 5 * live < 3 * rows * images
    }

    /// Lists the images in which the inputs of some rows are not zero, as many rows from `row` on, up to
    /// `rows`, as there is room for.
    #[inline(always)]
    fn list<L: Lanes>(&self, row: usize, rows: usize, lists: &mut Lists) {
        let group = self.inputs * COLUMNS;
        let images = self.images.len() / self.inputs;
        let (mut len, Lists { places, live, ends, count }) = (0, lists);
        *count = rows.min(LISTED / images);
        for (row, end) in (row..row + *count).zip(ends) {
            for (first, group) in (0..).step_by(COLUMNS).zip(self.images.chunks_exact(group)) {
                let inputs = &group[(self.first + row) * COLUMNS..][..COLUMNS];
                len += L::pick(None, first, inputs, &mut places[len..], &mut live[len..]);
            }
            *end = len;
        }
    }
}

/// The images with a live input, and these inputs, row after row.
struct Lists {
    places: [f32; LISTED + LIST_SLACK],
    live: [f32; LISTED + LIST_SLACK],
    /// Where each row's end.
    ends: [usize; COLUMNS],
    /// How many rows there are.
    count: usize,
}

impl Lists {
    const EMPTY: Self = Self {
        places: [0.0; LISTED + LIST_SLACK],
        live: [0.0; LISTED + LIST_SLACK],
        ends: [0; COLUMNS],
        count: 0,
    };

    fn listed(&self) -> ([Listed<'_>; COLUMNS], usize) {
        let (mut rows, mut start) = ([Listed { places: &[], gradients: &[] }; COLUMNS], 0);
        for (row, &end) in rows.iter_mut().zip(&self.ends[..self.count]) {
            *row = Listed { places: &self.places[start..end], gradients: &self.live[start..end] };
            start = end;
        }
        (rows, self.count)
    }
}

/// Room for lists of images with a live input: sixteen rows of 128.
const LISTED: usize = COLUMNS * 128;

#[inline(always)]
fn forward_body<L: Lanes>(
    inputs: Inputs<'_>,
    kernel: Matrix<'_>,
    first_unit: usize,
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
    apart: usize,
) {
    let Inputs { images, live, first, end } = inputs;
    let inputs = kernel.rows;
    for (unit, count) in panels_of::<L>(y.len() / apart * COLUMNS) {
        let panel = kernel.panel(first_unit + unit);
        for from in (first..end).step_by(DEPTH) {
            let depth = (end - from).min(DEPTH);
            let lists = live.chunks_exact(live_len(inputs));
            let groups = images.chunks_exact(inputs * COLUMNS).zip(lists).enumerate();
            for (group, (images, live)) in groups {
                let live = few_live(live, inputs).map(|live| {
                    let before =
                        |end: usize| live.partition_point(|at| (at.to_bits() as usize) < end);
                    &live[before(from)..before(from + depth)]
                });
                let start = match bias.filter(|_| from == first) {
                    Some([]) => Start::Zero,
                    Some(bias) => Start::Bias(&bias[unit..]),
                    None => Start::Sum,
                };
                let (relu, inputs) = (relu && from + depth == end, from..from + depth);
                let to = &mut y[unit / COLUMNS * apart + group * COLUMNS * COLUMNS..];
                let (stride, columns) = (COLUMNS, count * COLUMNS);
                let ends = Ends { start, relu, to, stride, panel: apart, columns };
                PanelProduct { images, panel, inputs, live, ends }.compute::<L>(COLUMNS, count);
            }
        }
    }
}

#[inline(always)]
fn backward_body<L: Lanes>(kernel: &[f32], units: usize, images: &[f32], dx: &mut [f32]) {
    let (rows, square) = (kernel.len() / units, COLUMNS * COLUMNS);
    for (image, groups) in panels_of::<L>(images.len() / units) {
        // For each input its gradients in the images of each group.
        let mut turned = [0.0; PANELS * COLUMNS * COLUMNS];
        for (row, count) in even_parts(rows, L::ROWS) {
            let tile = Tile {
                counts: [1, 1, units],
                a: kernel,
                a_at: row * units,
                a_row: units,
                a_steps: [0, 0, 1],
                b: images,
                b_at: image * units,
                b_panel: units * COLUMNS,
                b_steps: [0, 0, COLUMNS],
            };
            let (start, to) = (Start::Zero, &mut turned[row * COLUMNS..]);
            let (stride, panel, columns) = (COLUMNS, square, groups * COLUMNS);
            let ends = Ends { start, relu: false, to, stride, panel, columns };
            Product { tile, ends }.compute::<L>(count, groups);
        }
        let to = dx[image * COLUMNS..].chunks_exact_mut(square);
        for (to, turned) in to.zip(turned.chunks_exact(square)).take(groups) {
            Sixteen::new(turned.chunks_exact(COLUMNS)).turn::<L>(to);
        }
    }
}

#[inline(always)]
fn gradients_body<L: Lanes>(outer: Outer<'_>, gradient: &mut [f32]) {
    let units = outer.units;
    for (row, count) in even_parts(gradient.len() / units, L::ROWS) {
        for (unit, panels) in panels_of::<L>(units) {
            let (tile, to) = (outer.tile(row, unit), &mut gradient[row * units + unit..]);
            let (start, relu, columns) = (Start::Zero, false, units - unit);
            let ends = Ends { start, relu, to, stride: units, panel: COLUMNS, columns };
            Product { tile, ends }.compute::<L>(count, panels);
        }
    }
}

#[inline(always)]
fn descend_body<L: Lanes>(
    outer: Outer<'_>,
    rule: Rule,
    weights: &mut [f32],
    squares: &mut [f32],
    mut packed: ArrayViewMut3<'_, f32>,
) {
    let (units, width) = (outer.units, packed.dim().2);
    if outer.is_sparse(weights.len() / units) {
        return descend_live::<L>(outer, rule, weights, squares, packed);
    }
    for (first, group) in (0..).step_by(width).zip(packed.outer_iter_mut()) {
        let group = rows_of(group);
        let end = units.min(first + width);
        for (unit, _) in panels_of::<L>(end - first) {
            for (row, count) in even_parts(weights.len() / units, L::ROWS) {
                let at = row * units + first + unit;
                Descent {
                    tile: outer.tile(row, first + unit),
                    rule,
                    weights: &mut weights[at..],
                    squares: &mut squares[at..],
                    stride: units,
                    columns: end - first - unit,
                    packed: &mut group[row * width + unit..],
                    packed_stride: width,
                }
                .go::<L>(count);
            }
        }
    }
}

/// The rows of a group of panels.
#[inline(always)]
fn rows_of(group: ArrayViewMut2<'_, f32>) -> &mut [f32] {
    group.into_slice().expect("rows of a group lie side by side")
}

/// [`descend`] from live inputs alone: some units of all rows at a time, which share the outputs' gradients.
#[inline(always)]
fn descend_live<L: Lanes>(
    outer: Outer<'_>,
    rule: Rule,
    weights: &mut [f32],
    squares: &mut [f32],
    mut packed: ArrayViewMut3<'_, f32>,
) {
    let (units, width) = (outer.units, packed.dim().2);
    let (mut lists, mut row) = (Lists::EMPTY, 0);
    while row < weights.len() / units {
        outer.list::<L>(row, weights.len() / units - row, &mut lists);
        let (rows, count) = lists.listed();
        let mut groups = packed.outer_iter_mut().map(|group| &mut rows_of(group)[row * width..]);
        let step = LiveDescent::GROUPS * width;
        for unit in (0..units).step_by(step) {
            let mut packed = <[&mut [f32]; LiveDescent::GROUPS]>::default();
            packed.iter_mut().zip(&mut groups).for_each(|(to, group)| *to = group);
            LiveDescent {
                rows: &rows[..count],
                gradients: &outer.gradients[unit / COLUMNS * outer.stride..],
                gradients_stride: outer.stride,
                rule,
                weights: &mut weights[row * units + unit..],
                squares: &mut squares[row * units + unit..],
                stride: units,
                columns: step.min(units - unit),
                packed,
                packed_stride: width,
            }
            .go::<L>();
        }
        row += count;
    }
}
