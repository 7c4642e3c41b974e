//! A convolution's predictions: of one image, by one thread or two.

use std::ops::Range;

use super::Conv2D;
use crate::team::{Team, in_two};

impl Conv2D {
    /// One image, by one thread or two.
    pub fn predict(
        &self,
        team: Team,
        packed: &[f32],
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [f32],
    ) {
        self.predict_then(team, packed, x, y, scratch, &|_, _| {});
    }

    /// The same; each thread calls `then(index of its first float, its part of the output)` at last.
    pub(in crate::layer) fn predict_then(
        &self,
        team: Team,
        packed: &[f32],
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [f32],
        then: &(impl Fn(usize, &mut [f32]) + Sync),
    ) {
        if self.output()[0] > 1 && team.shares(self.macs()) {
            return self.in_two(packed, x, y, scratch, then);
        }
        self.forward(packed, x, y, scratch);
        then(0, y);
    }

    /// Half of the rows on each of two threads, which have half of the scratch each.
    pub(in crate::layer) fn in_two(
        &self,
        packed: &[f32],
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [f32],
        then: &(impl Fn(usize, &mut [f32]) + Sync),
    ) {
        let [rows, columns, channels] = self.output();
        let middle = self.winograd.map_or(rows / 2, |form| form.middle(rows));
        in_two(rows, middle, y, scratch, |rows, y, scratch| {
            let first = rows.start * columns * channels;
            let (part, inputs) = self.rows(rows);
            part.forward(packed, &x[inputs], y, scratch);
            then(first, y);
        });
    }

    /// The convolution that makes some rows of the output, and the part of the input that it takes.
    pub(in crate::layer) fn rows(&self, rows: Range<usize>) -> (Self, Range<usize>) {
        let ([height, width, channels], [top, _, left, right]) = (self.input, self.padding);
        let first = rows.start * self.strides[0];
        let end = (rows.end - 1) * self.strides[0] + self.extent()[0];
        let (from, to) = (first.saturating_sub(top), (end - top).min(height));
        let padding = [top.saturating_sub(first), (end - top) - to, left, right];
        let part = Self { input: [to - from, width, channels], padding, ..*self };
        (part, from * width * channels..to * width * channels)
    }
}
