//! A large `Dense` in training: over the whole batch at once, so that a batch reads the weights twice. The way
//! back is parallel over inputs, and the optimizer's step is part of it. The way forward sums first one half of
//! the inputs, then the other, so that each of two cores meets the weights that it wrote.

use std::iter::once;

use ndarray::{ArrayViewMut3, Axis};

use super::Dense;
use super::dense::sum_rows;
use crate::exchange::Exchange;
use crate::kernel::elementwise::{self, copy_few};
use crate::kernel::panels::{Sixteen, list_live, live_len, transpose_panel};
use crate::kernel::products::{self, Inputs, Outer};
use crate::kernel::rmsprop;
use crate::kernel::simd::{COLUMNS, PANELS};
use crate::network::{Pass, Rows};
use crate::optimizer::Learner;
use crate::team::{for_each_chunk, share};

/// Panels of units of which one task makes the outputs: as many as the largest tile has.
const TASK_PANELS: usize = PANELS;

/// Its part of the exchange.
struct Parts<'a> {
    /// Inputs, in panels of sixteen images.
    x: &'a mut [f32],
    /// Outputs, and on the way back their gradients: of sixteen units, a row for each image.
    y: &'a mut [f32],
    /// Gradients of the outputs, in panels of sixteen images.
    dy: &'a mut [f32],
    /// Gradients of the inputs: of sixteen inputs, a row for each image.
    dx: &'a mut [f32],
}

/// What lays the outputs' gradients out: the images of a group, or what sums them for the bias.
enum Task<G, B> {
    Group(G),
    Bias(B),
}

const fn whole(floats: usize) -> usize {
    floats.next_multiple_of(COLUMNS)
}

impl Dense {
    /// Floats of its part of an exchange, for each image.
    #[must_use]
    pub const fn exchange_len(&self) -> usize {
        self.inputs + whole(self.units) + self.units + whole(self.inputs)
    }

    fn parts<'a>(&self, exchange: &'a mut Exchange) -> Parts<'a> {
        let images = exchange.images();
        let (x, rest) = exchange.part_mut(self.at.exchange).split_at_mut(self.inputs * images);
        let (y, rest) = rest.split_at_mut(whole(self.units) * images);
        let (dy, rest) = rest.split_at_mut(self.units * images);
        let (dx, _) = rest.split_at_mut(whole(self.inputs) * images);
        Parts { x, y, dy, dx }
    }

    /// The outputs of all images, for [`take`](Self::take), from their inputs `x`.
    pub fn couple(&self, packed: &[f32], x: Rows<'_>, exchange: &mut Exchange) {
        let (images, groups) = (exchange.images(), x.count.div_ceil(COLUMNS));
        // The inputs' gradients come later.
        let Parts { x: panels, y, dx: live, .. } = self.parts(exchange);
        let panels = &mut panels[..groups * COLUMNS * self.inputs];
        let lists = live.chunks_exact_mut(live_len(self.inputs));
        let all = panels.chunks_exact_mut(self.inputs * COLUMNS).zip(lists).enumerate();
        share(all, |(group, (panel, live))| {
            let rows = sixteen(x, self.inputs, group);
            transpose_panel(&rows, panel);
            list_live(&rows, live);
        });
        let (kernel, bias) = self.packed(packed);
        let (panels, live, halves, count) = (&*panels, &*live, self.halves(), self.inputs);
        let at_once = halves.first(0, count).end == count;
        let sum = |last: bool, task: usize, y: &mut [f32]| {
            let (apart, unit) = (images * COLUMNS, task * TASK_PANELS * COLUMNS);
            let terms = if last { halves.last(unit, count) } else { halves.first(unit, count) };
            let inputs = Inputs { images: panels, live, first: terms.start, end: terms.end };
            let relu = self.relu && (last || at_once);
            let bias = if last { None } else { Some(bias.get(unit..).unwrap_or_default()) };
            products::forward(inputs, kernel, unit, bias, relu, y, apart);
        };
        let task = TASK_PANELS * images * COLUMNS;
        for_each_chunk(y, task, &|task, y| sum(false, task, y));
        if !at_once {
            // Turned around, so that of two threads each keeps its half of the inputs.
            share(y.chunks_mut(task).enumerate().rev(), |(task, y)| sum(true, task, y));
        }
    }

    /// The outputs `y` of a shard's images.
    pub fn take(&self, exchange: &Exchange, pass: Pass, y: &mut [f32]) {
        let from = exchange.part(self.at.exchange + self.inputs);
        spread(from, exchange.images(), pass, self.units, y);
    }

    /// The input gradients `dx` of a shard's images.
    pub fn take_back(&self, exchange: &Exchange, pass: Pass, dx: &mut [f32]) {
        let before = self.inputs + whole(self.units) + self.units;
        let from = exchange.part(self.at.exchange + before);
        spread(from, exchange.images(), pass, self.inputs, dx);
    }

    /// A shard's images: turns `dy`, the gradient of the output `y`, into that before the relu.
    pub fn stop(&self, y: &[f32], dy: &mut [f32]) {
        if self.relu {
            elementwise::mask(dy, y);
        }
    }

    /// From `dy`, what [`stop`](Self::stop) left of the outputs' gradients, the inputs' for
    /// [`take_back`](Self::take_back) unless `first`, nothing before it learning; and the weights',
    /// or the optimizer's step.
    pub fn couple_back(
        &self,
        dy: Rows<'_>,
        first: bool,
        exchange: &mut Exchange,
        learner: &mut Learner<'_>,
    ) {
        let (images, rows) = (exchange.images(), whole(dy.count));
        let Parts { x, y, dy: panels, dx } = self.parts(exchange);
        let panels = &mut panels[..rows * self.units];
        let shape = (whole(self.units) / COLUMNS, images, COLUMNS);
        let mut blocks = ArrayViewMut3::from_shape(shape, &mut *y).expect("all of them");
        let groups = panels.chunks_exact_mut(self.units * COLUMNS);
        let groups = groups.zip(blocks.axis_chunks_iter_mut(Axis(1), COLUMNS)).enumerate();
        // The bias as the last item: too short to be shared by itself.
        let bias = once(Task::Bias(&mut *learner));
        share(groups.map(Task::Group).chain(bias), |task| match task {
            Task::Group((group, (panel, blocks))) => {
                let rows = sixteen(dy, self.units, group);
                cut(&rows, blocks);
                if !first {
                    transpose_panel(&rows, panel);
                }
            }
            Task::Bias(learner) => self.step_bias(dy, learner),
        });
        let outer = Outer {
            images: &x[..rows * self.inputs],
            inputs: self.inputs,
            first: 0,
            gradients: y,
            stride: images * COLUMNS,
            units: self.units,
        };
        let panels = &*panels;
        let back = |kernel: &[f32], dx: &mut [f32]| {
            if !first {
                products::backward(kernel, self.units, panels, &mut dx[..rows * COLUMNS]);
            }
        };
        let dx = dx.chunks_exact_mut(images * COLUMNS);
        let tensor = self.at.weights..self.at.weights + self.kernel_len();
        let part = COLUMNS * self.units;
        let Learner { weights, packed, gradients, squares, rule, .. } = learner;
        if let Some(rule) = *rule {
            let packed = &mut packed[self.at.packed..][..self.packed_kernel()];
            let mut packed = self.groups(packed);
            let packed = packed.axis_chunks_iter_mut(Axis(1), COLUMNS);
            let kernel = weights[tensor.clone()].chunks_mut(part);
            let all = kernel.zip(squares[tensor].chunks_mut(part)).zip(packed).zip(dx).enumerate();
            share(all, |(p, (((weights, squares), packed), dx))| {
                back(weights, dx);
                let outer = Outer { first: p * COLUMNS, ..outer };
                products::descend(outer, rule, weights, squares, packed);
            });
        } else {
            let kernel = weights[tensor.clone()].chunks(part);
            let all = gradients[tensor].chunks_mut(part).zip(kernel).zip(dx).enumerate();
            share(all, |(p, ((gradients, weights), dx))| {
                back(weights, dx);
                products::gradients(Outer { first: p * COLUMNS, ..outer }, gradients);
            });
        }
    }

    fn step_bias(&self, dy: Rows<'_>, learner: &mut Learner<'_>) {
        if !self.bias {
            return;
        }
        let tensor = self.at.weights + self.kernel_len()..self.at.weights + self.weights_len();
        let Learner { weights, packed, gradients, squares, rule, .. } = learner;
        let gradients = &mut gradients[tensor.clone()];
        sum_rows(self.blocks(dy, self.units), gradients);
        if let Some(rule) = *rule {
            let bias = &mut weights[tensor.clone()];
            rmsprop::step(rule, bias, gradients, &mut squares[tensor]);
            let at = self.at.packed + self.packed_kernel();
            packed[at..][..self.units].copy_from_slice(bias);
        }
    }
}

/// The rows of one panel.
fn sixteen(rows: Rows<'_>, width: usize, group: usize) -> Sixteen<'_> {
    let images = group * COLUMNS..rows.count;
    Sixteen::new(images.map(|image| rows.row(image, width)))
}

/// Puts up to sixteen rows into blocks of sixteen columns, zeros where there is nothing.
fn cut(rows: &Sixteen<'_>, mut blocks: ArrayViewMut3<'_, f32>) {
    for (first, block) in (0..).step_by(COLUMNS).zip(blocks.outer_iter_mut()) {
        let block = block.into_slice().expect("images lie side by side");
        let (to, _) = block.as_chunks_mut::<COLUMNS>();
        let mut rows = rows.rows().iter().map(|row| &row[first..]);
        for to in to {
            match rows.next() {
                Some(row) if row.len() >= COLUMNS => to.copy_from_slice(&row[..COLUMNS]),
                Some(row) => {
                    *to = [0.0; COLUMNS];
                    copy_few(&mut to[..row.len()], row);
                }
                None => *to = [0.0; COLUMNS],
            }
        }
    }
}

/// The rows of `pass`'s images, `width` floats each, from blocks of sixteen columns.
fn spread(blocks: &[f32], images: usize, pass: Pass, width: usize, rows: &mut [f32]) {
    for (row, image) in rows.chunks_exact_mut(width).zip(pass.first()..) {
        let mut blocks =
            blocks.chunks_exact(images * COLUMNS).map(|block| &block[image * COLUMNS..]);
        let (parts, rest) = row.as_chunks_mut::<COLUMNS>();
        for (part, block) in parts.iter_mut().zip(&mut blocks) {
            part.copy_from_slice(&block[..COLUMNS]);
        }
        if !rest.is_empty() {
            let block = blocks.next().expect("a block for each sixteen columns");
            rest.copy_from_slice(&block[..rest.len()]);
        }
    }
}
