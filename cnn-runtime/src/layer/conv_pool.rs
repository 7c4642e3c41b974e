//! `Conv2D`, relu and `MaxPooling2D` as one: the convolution's output is never stored, and the way
//! back visits only the one place in each window that won.

mod patches;

use super::conv::convolve_row;
use super::winograd::{self, Winograd};
use super::{At, Conv2D};
use crate::kernel::matmul::panels_len;
use crate::kernel::simd::{
    COLUMNS, Distances, Ends, GroupsMut, LANES, LIST_SLACK, Lanes, Left, Listed, Patch, Pixels,
    SCATTERED, STOPPED, Short, Sink, Start, Vector, Windows, gather, list, scatter, store_rows,
    total, unrolled, vectorized,
};
use crate::team::{Team, in_two};

/// The most places in a window.
pub const MAX_WINDOW: usize = STOPPED as usize;

/// A window's places, as bits.
const PLACES: [f32; MAX_WINDOW] = {
    let mut places = [0.0; MAX_WINDOW];
    let mut place = 0;
    while place < MAX_WINDOW {
        places[place] = f32::from_bits(place as u32);
        place += 1;
    }
    places
};

/// A convolution without dilation, followed by max pooling whose windows neither overlap nor are
/// padded. The first maximum in row-major order wins, as in Keras.
#[derive(Clone, Copy, Debug)]
pub struct ConvPool {
    conv: Conv2D,
    pool: [usize; 2],
}

impl ConvPool {
    /// `pool` is the window's height and width, at most [`MAX_WINDOW`] places.
    #[must_use]
    pub const fn new(conv: Conv2D, pool: [usize; 2]) -> Self {
        assert!(pool[0] * pool[1] <= MAX_WINDOW);
        // A window is a tile's outputs.
        assert!(conv.as_winograd().is_none() || pool[0] == 2 && pool[1] == 2);
        Self { conv, pool }
    }

    /// Where its weights lie.
    #[must_use]
    pub const fn at(self, at: At) -> Self {
        Self { conv: self.conv.at(at), ..self }
    }

    /// Height, width and channels of the output.
    #[must_use]
    pub const fn output(&self) -> [usize; 3] {
        let [rows, columns, channels] = self.conv.output();
        [rows / self.pool[0], columns / self.pool[1], channels]
    }

    const fn places(&self) -> usize {
        self.output()[0] * self.output()[1]
    }

    /// Floats of its weights.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.conv.weights_len()
    }

    /// Floats of its packed weights.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.conv.packed_len()
    }

    /// A kernel row's products, in whole vectors.
    const fn run(&self) -> usize {
        (self.conv.kernel[1] * self.conv.input[2]).next_multiple_of(LANES)
    }

    /// One output channel's kernel, its rows in whole vectors.
    const fn patch(&self) -> usize {
        self.conv.kernel[0] * self.run()
    }

    /// Floats of its transposed weights: a patch for each output channel.
    #[must_use]
    pub const fn transposed_len(&self) -> usize {
        self.conv.filters * self.patch()
    }

    /// Floats of its gradients in a shard: a patch for each output channel, and the bias.
    #[must_use]
    pub const fn gradients_len(&self) -> usize {
        self.conv.filters * (self.patch() + 1)
    }

    /// Scratch floats of `forward`: the padded input, and the rows of one row of windows.
    #[must_use]
    pub const fn forward_scratch(&self) -> usize {
        if let Some(winograd) = self.as_winograd() {
            return winograd.scratch();
        }
        self.conv.forward_scratch() + self.pool[0] * self.conv.output()[1] * COLUMNS
    }

    /// Floats of the lists of as many channels as are listed together.
    const fn lists_len(&self) -> usize {
        let filters = self.conv.filters;
        let together = if filters < COLUMNS { filters } else { COLUMNS };
        together * (self.places() + LIST_SLACK)
    }

    /// Scratch floats of `backward`: the padded input, its gradient, the windows' starts, the winners of
    /// sixteen channels, and those of all channels by place.
    #[must_use]
    pub const fn backward_scratch(&self) -> usize {
        let places = self.places();
        let groups = 2 * (places * (self.pool[0] * self.pool[1] + self.conv.filters) + LIST_SLACK);
        2 * self.image_len()
            + places
            + 2 * self.lists_len()
            + if self.groups() { groups } else { 0 }
    }

    /// Its sizes for Winograd's algorithm, if that is how it goes: of whole windows.
    const fn as_winograd(&self) -> Option<Winograd> {
        let Some(winograd) = self.conv.as_winograd() else { return None };
        let [rows, columns, _] = self.output();
        Some(Winograd { windows: [rows, columns], ..winograd })
    }

    /// The padded input, and what a vector may read beyond it, in whole lines of the cache.
    const fn image_len(&self) -> usize {
        (self.conv.padded_len() + LANES).next_multiple_of(COLUMNS)
    }

    /// Lays its weights out for `forward`.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        self.conv.pack(weights, packed);
    }

    /// One image. `route`, of `y`'s shape, takes what `backward` must know: the winner's place in
    /// its window, as bits, or a mark where the relu stops the gradient.
    pub fn forward(
        &self,
        packed: &[f32],
        x: &[f32],
        y: &mut [f32],
        route: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let packed = &packed[self.conv.at.packed..][..self.packed_len()];
        let route = route.unwrap_or_default();
        if let Some(winograd) = self.as_winograd() {
            let tiles = Pooled { output: self.output(), relu: self.conv.relu, y, route };
            return convolve_tiles(&winograd, packed, x, tiles, scratch);
        }
        let (padded, rows) = scratch.split_at_mut(self.conv.forward_scratch());
        let image = if padded.is_empty() {
            x
        } else {
            self.conv.pad(x, padded);
            padded
        };
        forward(self, packed, image, y, route, rows);
    }

    /// One image, by one thread or two.
    pub fn predict(
        &self,
        team: Team,
        packed: &[f32],
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [f32],
    ) {
        if self.output()[0] > 1 && team.shares(self.conv.macs()) {
            self.in_two(packed, x, y, scratch);
        } else {
            self.forward(packed, x, y, None, scratch);
        }
    }

    /// Half of the rows on each of two threads, which have half of the scratch each.
    pub(super) fn in_two(&self, packed: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let rows = self.output()[0];
        let middle = self
            .conv
            .as_winograd()
            .map_or(rows / 2, |winograd| winograd.form.middle(rows * self.pool[0]) / self.pool[0]);
        in_two(rows, middle, y, scratch, |rows, y, scratch| {
            // Rows that no window takes too: tiles that see them round their other outputs by them.
            let end = if rows.end == self.output()[0] {
                self.conv.output()[0]
            } else {
                rows.end * self.pool[0]
            };
            let (conv, inputs) = self.conv.rows(rows.start * self.pool[0]..end);
            Self { conv, ..*self }.forward(packed, &x[inputs], y, None, scratch);
        });
    }

    /// One image: adds to the shard's `gradients`, and writes the input's gradient `dx` if there is
    /// one; `dy` is the gradient of `forward`'s output.
    pub fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        route: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) {
        let patches = if transposed.is_empty() {
            transposed
        } else {
            &transposed[self.conv.at.transposed..][..self.transposed_len()]
        };
        let gradients = &mut gradients[self.conv.at.gradients..][..self.gradients_len()];
        backward(self, patches, x, route, dy, dx, gradients, scratch);
    }

    /// Whether the gradients of all channels are sorted by the patches that they meet: for short ones
    /// that takes longer than it saves.
    const fn groups(&self) -> bool {
        self.patch() > SCATTERED
    }

    /// Whether a kernel's gradient is no work for lists.
    const fn is_short(&self) -> bool {
        self.pool[0] == 2 && self.pool[1] == 2 && self.conv.taps() <= COLUMNS
    }

    /// How the pixels of its windows lie in the padded image.
    const fn pixels<'a>(&self, image: &'a [f32]) -> Pixels<'a> {
        let (conv, line) = (&self.conv, self.conv.padded()[1] * self.conv.input[2]);
        Pixels {
            image,
            line,
            steps: [conv.strides[0] * line, conv.strides[1] * conv.input[2]],
            kernel: [conv.kernel[0], conv.kernel[1] * conv.input[2]],
        }
    }

    /// How a patch lies in the padded image.
    const fn in_image(&self) -> Patch {
        let stride = self.conv.padded()[1] * self.conv.input[2];
        Patch { run: self.run() / LANES, stride }
    }
}

vectorized! {
    fn convolve_tiles(
        winograd: &Winograd,
        packed: &[f32],
        x: &[f32],
        pooled: Pooled<'_>,
        scratch: &mut [f32],
    ) = convolve_tiles_body;

    fn forward(
        this: &ConvPool,
        packed: &[f32],
        image: &[f32],
        y: &mut [f32],
        route: &mut [f32],
        rows: &mut [f32],
    ) = forward_body;

    fn backward(
        this: &ConvPool,
        patches: &[f32],
        x: &[f32],
        route: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) = backward_body;
}

#[inline(always)]
fn convolve_tiles_body<L: Lanes>(
    winograd: &Winograd,
    packed: &[f32],
    x: &[f32],
    mut pooled: Pooled<'_>,
    scratch: &mut [f32],
) {
    winograd::convolve::<L>(winograd, packed, x, scratch, &mut pooled);
}

/// Where pooled windows go.
struct Pooled<'a> {
    output: [usize; 3],
    relu: bool,
    y: &'a mut [f32],
    route: &'a mut [f32],
}

impl Pooled<'_> {
    /// Takes the pooled sixteen filters from `filter` on of windows side by side.
    #[inline(always)]
    fn take<W: Vector, const N: usize>(
        &mut self,
        filter: usize,
        first: [usize; 2],
        mut maxima: [Maxima<W>; N],
    ) {
        if self.relu {
            unrolled!(N, i => maxima[i] = maxima[i].relu());
        }
        let (mut best, mut winners) = ([maxima[0].best; N], [maxima[0].winners; N]);
        unrolled!(N, i => (best[i], winners[i]) = (maxima[i].best, maxima[i].winners));
        self.store(filter, first, best);
        if !self.route.is_empty() {
            let (at, channels) = self.at(filter, first);
            store_rows(winners, &mut self.route[at..], channels, channels - filter);
        }
    }

    #[inline(always)]
    fn store<W: Vector, const N: usize>(&mut self, filter: usize, first: [usize; 2], best: [W; N]) {
        let (at, channels) = self.at(filter, first);
        store_rows(best, &mut self.y[at..], channels, channels - filter);
    }

    /// Where a window's outputs from `filter` on start, and the number of filters.
    #[inline(always)]
    fn at(&self, filter: usize, [row, column]: [usize; 2]) -> (usize, usize) {
        let [_, columns, channels] = self.output;
        ((row * columns + column) * channels + filter, channels)
    }
}

impl Sink for Pooled<'_> {
    #[inline(always)]
    fn put<W: Vector, const N: usize>(
        &mut self,
        filter: usize,
        first: [usize; 2],
        outputs: [[W; 4]; N],
    ) {
        if self.relu && self.route.is_empty() {
            let mut best = [outputs[0][0]; N];
            unrolled!(N, window => best[window] = largest(outputs[window]).relu());
            return self.store(filter, first, best);
        }
        let mut maxima = [Maxima::new(outputs[0][0]); N];
        unrolled!(N, window => {
            maxima[window] = Maxima::new(outputs[window][0]);
            unrolled!(3, i => maxima[window].see(outputs[window][1 + i], 1 + i));
        });
        self.take(filter, first, maxima);
    }
}

/// The largest of four; NaN wins.
#[inline(always)]
fn largest<W: Vector>([a, b, c, d]: [W; 4]) -> W {
    d.larger(c.larger(b.larger(a))).unless_nan([a, b, c, d])
}

/// The maxima of sixteen channels over the places of a window seen so far, and these places as bits.
#[derive(Clone, Copy)]
struct Maxima<W> {
    best: W,
    winners: W,
}

impl<W: Vector> Maxima<W> {
    /// Of the first place.
    #[inline(always)]
    fn new(values: W) -> Self {
        Self { best: values, winners: W::splat(PLACES[0]) }
    }

    /// Of one place more. NaN wins and stays.
    #[inline(always)]
    fn see(&mut self, values: W, place: usize) {
        let wins = values.wins(self.best);
        self.best = values.select(wins, self.best);
        self.winners = W::splat(PLACES[place]).select(wins, self.winners);
    }

    /// Behind a relu; [`STOPPED`] where it is flat.
    #[inline(always)]
    fn relu(self) -> Self {
        let active = self.best.exceeds(W::splat(0.0));
        let stopped = W::splat(f32::from_bits(STOPPED));
        Self { best: self.best.relu(), winners: self.winners.select(active, stopped) }
    }
}

#[inline(always)]
fn forward_body<L: Lanes>(
    this: &ConvPool,
    packed: &[f32],
    image: &[f32],
    y: &mut [f32],
    route: &mut [f32],
    rows: &mut [f32],
) {
    let (conv, output) = (this.conv.without_relu(), this.output());
    let mut pooled = Pooled { output, relu: this.conv.relu, y, route };
    let (panels, bias) = packed.split_at(panels_len(conv.taps(), conv.filters));
    for (p, panel) in panels.chunks_exact(conv.taps() * COLUMNS).enumerate() {
        let (filter, bias) = (p * COLUMNS, &bias[p * COLUMNS..]);
        if Windows::fit::<L>() && this.pool == [2, 2] {
            let (pixels, size) = (this.pixels(image), [output[0], output[1]]);
            let windows = Windows { pixels, panel, bias, filter, size };
            windows.convolve::<L>(&mut pooled);
        } else {
            pool_rows::<L>(&conv, image, panel, bias, filter, this.pool, rows, &mut pooled);
        }
    }
}

/// Sixteen filters of windows of any size, a row of them at a time in `rows`.
#[inline(always)]
fn pool_rows<L: Lanes>(
    conv: &Conv2D,
    image: &[f32],
    panel: &[f32],
    bias: &[f32],
    filter: usize,
    [down, across]: [usize; 2],
    rows: &mut [f32],
    pooled: &mut Pooled<'_>,
) {
    let ([height, columns, _], width) = (pooled.output, conv.output()[1] * COLUMNS);
    for row in 0..height {
        for (i, values) in rows.chunks_exact_mut(width).take(down).enumerate() {
            let (start, relu, columns) = (Start::Bias(bias), conv.relu, COLUMNS);
            let mut ends = Ends { start, relu, to: values, stride: COLUMNS, panel: 0, columns };
            convolve_row::<L>(conv, image, panel, 1, row * down + i, &mut ends);
        }
        for column in 0..columns {
            let at = |place| place / across * width + (column * across + place % across) * COLUMNS;
            let mut maxima = Maxima::new(L::Wide::load(&rows[at(0)..]));
            for place in 1..down * across {
                maxima.see(L::Wide::load(&rows[at(place)..]), place);
            }
            pooled.take(filter, [row, column], [maxima]);
        }
    }
}

impl ConvPool {
    /// Where in the padded input each window's first patch starts, as `u32` bits.
    #[inline(always)]
    fn window_starts(&self, starts: &mut [f32]) {
        let ([_, columns, _], [down, across]) = (self.output(), self.pool);
        let [down, across] = {
            let steps = self.pixels(&[]).steps;
            [down * steps[0], across * steps[1]]
        };
        for (row, starts) in starts.chunks_exact_mut(columns).enumerate() {
            for (column, start) in starts.iter_mut().enumerate() {
                *start = f32::from_bits((row * down + column * across) as u32);
            }
        }
    }

    #[inline(always)]
    fn distances(&self) -> Distances {
        let ([down, across], [sy, sx]) = (self.pool, self.conv.strides);
        let (width, inputs) = (self.conv.padded()[1], self.conv.input[2]);
        let mut distances = [0; 128];
        for i in 0..down {
            for j in 0..across {
                distances[i * across + j] = ((i * sy * width + j * sx) * inputs) as u32;
            }
        }
        distances
    }
}

#[inline(always)]
fn backward_body<L: Lanes>(
    this: &ConvPool,
    patches: &[f32],
    x: &[f32],
    route: &[f32],
    dy: &[f32],
    dx: Option<&mut [f32]>,
    gradients: &mut [f32],
    scratch: &mut [f32],
) {
    let conv = &this.conv;
    let (image, scratch) = scratch.split_at_mut(this.image_len());
    let (image_gradient, scratch) = scratch.split_at_mut(this.image_len());
    let (starts, scratch) = scratch.split_at_mut(this.places());
    let (places, scratch) = scratch.split_at_mut(this.lists_len());
    let (values, scratch) = scratch.split_at_mut(this.lists_len());
    conv.pad(x, image);
    if dx.is_some() {
        image_gradient.fill(0.0);
    }
    let (patch_gradients, bias) = gradients.split_at_mut(conv.filters * this.patch());
    if this.is_short() {
        let (pixels, windows) = (this.pixels(image), this.output());
        let short = Short { pixels, run: this.run(), windows, route, dy };
        short.gradient::<L>(patch_gradients, bias);
        if dx.is_none() {
            return;
        }
    }
    this.window_starts(starts);
    let (len, patch) = (this.patch(), this.in_image());
    let ([.., channels], [down, across]) = (this.output(), this.pool);
    let left = Left {
        winners: route,
        gradients: dy,
        stride: channels,
        channels,
        starts,
        window: down * across,
        distances: &this.distances(),
    };
    let (room, mut lens) = (this.places() + LIST_SLACK, [0; COLUMNS]);
    for (first, bias) in (0..channels).step_by(COLUMNS).zip(bias.chunks_mut(COLUMNS)) {
        let (winners, gradients) = (&route[first..], &dy[first..]);
        let some = Left { winners, gradients, channels: bias.len(), ..left };
        list::<L>(some, places, values, &mut lens);
        for (of, bias) in bias.iter_mut().enumerate() {
            let listed = of * room..of * room + lens[of];
            let listed = Listed { places: &places[listed.clone()], gradients: &values[listed] };
            let own = (first + of) * len..(first + of + 1) * len;
            if !this.is_short() {
                *bias += total::<L>(listed.gradients);
                gather::<L>(listed, image, patch, &mut patch_gradients[own.clone()]);
            }
            if dx.is_some() && !this.groups() {
                scatter::<L>(listed, &patches[own], patch, image_gradient);
            }
        }
    }
    if dx.is_some() && this.groups() {
        let (places, scratch) = scratch.split_at_mut(this.places() * down * across);
        let (ends, scratch) = scratch.split_at_mut(this.places() * down * across);
        let (entries, values) = scratch.split_at_mut(this.places() * channels + LIST_SLACK);
        let groups = GroupsMut { places, ends, channels: entries, gradients: values };
        groups.fill::<L>(left).scatter::<L>(patches, len, patch, image_gradient);
    }
    if let Some(dx) = dx {
        conv.crop(image_gradient, dx);
    }
}
