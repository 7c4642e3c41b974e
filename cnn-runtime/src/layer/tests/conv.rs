//! `Conv2D`, `ConvPool` and `MaxPooling2D`.

use super::{AT, CHANNELS, Made, Numbers, WIDTHS, part, unguarded};
use crate::kernel::simd::STOPPED;
use crate::layer::{Conv2D, ConvPool, MaxPooling2D};
use crate::network::Parts;
use crate::reference::{self, same_padding, widen};

/// Images in a shard.
const SHARD: usize = 2;
/// Two shards, of which one is not full.
const IMAGES: usize = 3;

#[derive(Clone, Copy)]
enum Padding {
    Same,
    /// Top, bottom, left, right.
    By([usize; 4]),
}

const VALID: Padding = Padding::By([0; 4]);

/// Kernel size, strides, dilation, padding.
type Window = ([usize; 2], [usize; 2], [usize; 2], Padding);

const WINDOWS: [Window; 17] = [
    ([1, 1], [1, 1], [1, 1], VALID),
    ([1, 1], [2, 3], [1, 1], VALID),
    ([2, 2], [1, 1], [1, 1], Padding::Same),
    ([2, 2], [3, 3], [1, 1], VALID),
    ([2, 2], [3, 3], [1, 1], Padding::Same),
    ([3, 3], [1, 1], [1, 1], VALID),
    ([3, 3], [1, 1], [1, 1], Padding::Same),
    ([3, 3], [2, 2], [1, 1], Padding::Same),
    ([4, 4], [2, 2], [1, 1], Padding::Same),
    ([5, 5], [3, 3], [1, 1], Padding::Same),
    ([5, 5], [1, 1], [1, 1], Padding::By([1, 3, 4, 0])),
    ([1, 7], [1, 1], [1, 1], Padding::Same),
    ([3, 1], [1, 1], [1, 1], VALID),
    ([2, 5], [2, 1], [1, 1], Padding::Same),
    ([3, 4], [1, 3], [1, 1], VALID),
    ([3, 3], [1, 1], [2, 2], Padding::Same),
    ([2, 3], [1, 1], [2, 3], VALID),
];

/// A convolution or a fused one, and what it is by definition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    fast: Fast,
    slow: reference::Conv2D,
    bias: bool,
    relu: bool,
    pool: Option<[usize; 2]>,
}

#[derive(Clone, Copy, Debug)]
enum Fast {
    Conv2D(Conv2D),
    ConvPool(ConvPool),
}

impl Entry {
    /// The convolution itself and what it is by definition, if nothing follows it.
    pub(super) fn alone(&self) -> Option<(Conv2D, reference::Conv2D, bool)> {
        match self.fast {
            Fast::Conv2D(conv) if !self.relu => Some((conv, self.slow, self.bias)),
            _ => None,
        }
    }

    /// All ways to compute it.
    fn all(
        slow: reference::Conv2D,
        bias: bool,
        relu: bool,
        pool: Option<[usize; 2]>,
    ) -> impl Iterator<Item = Self> {
        let dense = [slow.strides, slow.dilation] == [[1, 1]; 2];
        let square = matches!(slow.kernel_size, [2, 2] | [3, 3]);
        let winograd = dense && square && matches!(pool, None | Some([2, 2]));
        let entry = move |tiles| Self::new(slow, bias, relu, pool, tiles);
        [Some(entry(None)), winograd.then(|| entry(Some(2)))].into_iter().flatten()
    }

    /// By Winograd's algorithm if there are `tiles`, of so many outputs down and across.
    fn new(
        slow: reference::Conv2D,
        bias: bool,
        relu: bool,
        pool: Option<[usize; 2]>,
        tiles: Option<usize>,
    ) -> Self {
        let fast = Conv2D::new(slow.input, slow.filters, slow.kernel_size)
            .strides(slow.strides)
            .dilation(slow.dilation)
            .padding(slow.padding);
        let fast = if bias { fast } else { fast.no_bias() };
        let fast = if relu { fast.relu() } else { fast };
        let fast = match tiles {
            None => fast,
            Some(2) => fast.winograd(),
            Some(_) => fast.winograd4(),
        };
        let fast = match pool {
            None => Fast::Conv2D(fast.at(AT)),
            Some(pool) => Fast::ConvPool(ConvPool::new(fast, pool).at(AT)),
        };
        Self { fast, slow, bias, relu, pool }
    }

    /// The pooling by definition; one place is no pooling.
    fn slow_pool(&self) -> reference::MaxPooling2D {
        let pool = self.pool.unwrap_or([1, 1]);
        let input = self.slow.output();
        reference::MaxPooling2D { input, pool, strides: pool, padding: [0; 4] }
    }

    fn weights_len(&self) -> usize {
        self.slow.kernel_len() + if self.bias { self.slow.filters } else { 0 }
    }
}

/// Every window with channels, widths and heights in ever other combinations, where it fits.
fn table(pools: &[Option<[usize; 2]>]) -> Vec<Entry> {
    let mut table = Vec::new();
    for (w, (kernel_size, strides, dilation, padding)) in WINDOWS.into_iter().enumerate() {
        for i in 0..CHANNELS.len() {
            let (width, height) = (WIDTHS[(i + w) % WIDTHS.len()], 1 + (3 * i + w) % 7);
            let input = [height, width, CHANNELS[i]];
            let filters = CHANNELS[(3 * i + w + 1) % CHANNELS.len()];
            let padding = match padding {
                Padding::By(padding) => padding,
                Padding::Same => {
                    let along = |axis: usize| {
                        same_padding(input[axis], kernel_size[axis], strides[axis], dilation[axis])
                    };
                    let ((top, bottom), (left, right)) = (along(0), along(1));
                    [top, bottom, left, right]
                }
            };
            let fits = |axis: usize| {
                let padded = input[axis] + padding[2 * axis] + padding[2 * axis + 1];
                padded > (kernel_size[axis] - 1) * dilation[axis]
            };
            if !fits(0) || !fits(1) {
                continue;
            }
            let groups = 1;
            let slow = reference::Conv2D {
                input,
                filters,
                kernel_size,
                strides,
                padding,
                dilation,
                groups,
            };
            let (pool, output) = (pools[(i + w) % pools.len()], slow.output());
            match pool {
                Some([down, across]) if down > output[0] || across > output[1] => {}
                Some(_) if dilation != [1, 1] => {}
                pool => table.extend(Entry::all(slow, (i + w) % 3 > 0, (i + w) % 2 > 0, pool)),
            }
        }
    }
    table
}

pub(super) fn convolutions() -> Vec<Entry> {
    table(&[None])
}

/// Also windows of more places than vectors have lanes.
pub(super) fn pooled_convolutions() -> Vec<Entry> {
    let mut table = table(&[Some([2, 2]), Some([1, 1]), Some([3, 2]), Some([1, 4]), Some([2, 1])]);
    table.extend(self::table(&[Some([3, 3]), Some([3, 6])]));
    table
}

/// Inputs, the output's gradients, weights.
fn draw(
    entry: &Entry,
    numbers: Numbers,
    images: usize,
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>, Vec<f32>) {
    let (inputs, outputs) = (product(entry.slow.input), product(entry.slow_pool().output()));
    let draw = |len: usize, stream: u64| {
        (0..images as u64).map(|image| numbers.draw(len, 2 * image + stream)).collect()
    };
    (draw(inputs, 0), draw(outputs, 1), numbers.draw(entry.weights_len(), 9))
}

/// Scratch for two threads.
fn two(len: usize) -> Vec<f32> {
    vec![f32::NAN; 2 * len]
}

#[track_caller]
fn assert_same(one: &[f32], other: &[f32], how: &str) {
    let bits = |floats: &[f32]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(one), bits(other), "{how}");
}

fn product(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

impl Fast {
    /// The packed and the transposed weights.
    fn lay_out(&self, weights: &[f32]) -> [Vec<f32>; 2] {
        let weights = [part(AT.weights, 0, 0.0), weights.to_vec()].concat();
        let parts = |packed, transposed| {
            [part(AT.packed, packed, 0.0), part(AT.transposed, transposed, 0.0)]
        };
        let [mut packed, mut transposed] = match self {
            Self::Conv2D(layer) => parts(layer.packed_len(), layer.transposed_len()),
            Self::ConvPool(layer) => parts(layer.packed_len(), layer.transposed_len()),
        };
        match self {
            Self::Conv2D(layer) => {
                layer.pack(&weights, &mut packed);
                layer.transpose(&weights, &mut transposed);
            }
            Self::ConvPool(layer) => {
                layer.pack(&weights, &mut packed);
                layer.transpose(&weights, &mut transposed);
            }
        }
        unguarded(AT.packed, &packed);
        unguarded(AT.transposed, &transposed);
        [packed, transposed]
    }

    /// One image's output, and what the way back needs: the output again, or the route.
    fn forward(&self, packed: &[f32], x: &[f32], outputs: usize) -> [Vec<f32>; 2] {
        let mut y = vec![f32::NAN; outputs];
        match self {
            Self::Conv2D(layer) => {
                layer.forward(packed, x, &mut y, &mut vec![f32::NAN; layer.forward_scratch()]);
                let (mut shared, mut scratch) =
                    (vec![f32::NAN; outputs], two(layer.forward_scratch()));
                layer.in_two(packed, x, &mut shared, &mut scratch, &|_, _| {});
                assert_same(&y, &shared, "by two threads");
                [y.clone(), y]
            }
            Self::ConvPool(layer) => {
                let (mut route, mut predicted) = (y.clone(), y.clone());
                let scratch = || vec![f32::NAN; layer.forward_scratch()];
                layer.forward(packed, x, &mut y, Some(&mut route), &mut scratch());
                layer.forward(packed, x, &mut predicted, None, &mut scratch());
                assert_same(&y, &predicted, "without a route");
                layer.in_two(packed, x, &mut predicted, &mut two(layer.forward_scratch()));
                assert_same(&y, &predicted, "by two threads");
                [y, route]
            }
        }
    }

    fn backward(
        &self,
        transposed: &[f32],
        x: &[f32],
        kept: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
    ) {
        let scratch = |len| vec![f32::NAN; len];
        match self {
            Self::Conv2D(layer) => {
                let mut scratch = scratch(layer.backward_scratch());
                layer.backward(transposed, x, kept, dy, dx, gradients, &mut scratch);
            }
            Self::ConvPool(layer) => {
                let mut scratch = scratch(layer.backward_scratch());
                layer.backward(transposed, x, kept, dy, dx, gradients, &mut scratch);
            }
        }
    }

    fn gradients_len(&self) -> usize {
        match self {
            Self::Conv2D(layer) => layer.gradients_len(),
            Self::ConvPool(layer) => layer.gradients_len(),
        }
    }

    fn weight_gradients(&self, shards: &[Vec<f32>]) -> Vec<f32> {
        let (floats, stride) = (shards.concat(), shards[0].len());
        let shards = Parts::new(&floats, stride);
        let gradients = |len| part(AT.weights, len, f32::NAN);
        let gradients = match self {
            Self::Conv2D(layer) => {
                let mut gradients = gradients(layer.weights_len());
                layer.weight_gradients(shards, &mut gradients);
                gradients
            }
            Self::ConvPool(layer) => {
                let mut gradients = gradients(layer.weights_len());
                layer.weight_gradients(shards, &mut gradients);
                gradients
            }
        };
        unguarded(AT.weights, &gradients)
    }
}

/// What the layer itself makes.
pub(super) fn run(entry: &Entry, numbers: Numbers, images: usize) -> Made<f32> {
    let (x, dy, weights) = draw(entry, numbers, images);
    let fast = &entry.fast;
    let [packed, transposed] = fast.lay_out(&weights);
    let mut made = Made::default();
    let mut shards = Vec::new();
    for (x, dy) in x.chunks(SHARD).zip(dy.chunks(SHARD)) {
        let mut gradients = part(AT.gradients, fast.gradients_len(), 0.0);
        let mut again = gradients.clone();
        for (x, dy) in x.iter().zip(dy) {
            let [y, kept] = fast.forward(&packed, x, dy.len());
            let mut dx = vec![f32::NAN; x.len()];
            fast.backward(&transposed, x, &kept, dy, Some(&mut dx), &mut gradients);
            fast.backward(&[], x, &kept, dy, None, &mut again);
            made.output.extend(y);
            made.input_gradient.extend(dx);
        }
        assert_eq!(gradients, again, "with and without an input gradient");
        unguarded(AT.gradients, &gradients);
        shards.push(gradients);
    }
    made.weight_gradient = fast.weight_gradients(&shards);
    made
}

/// What the definition makes.
fn run_slow(entry: &Entry, numbers: Numbers, images: usize) -> Made<f64> {
    let (x, dy, weights) = draw(entry, numbers, images);
    let (slow, pool, weights) = (&entry.slow, entry.slow_pool(), widen(&weights));
    let (kernel, bias) = weights.split_at(slow.kernel_len());
    let none = vec![0.0; slow.filters];
    let bias = if entry.bias { bias } else { &none };
    let mut made = Made { weight_gradient: vec![0.0; weights.len()], ..Made::default() };
    for (x, dy) in x.iter().zip(&dy) {
        let (x, dy) = (widen(x), widen(dy));
        let mut z = slow.forward(&x, kernel, bias);
        if entry.relu {
            z = z.into_iter().map(|z| z.max(0.0)).collect();
        }
        let mut dz = pool.backward(&z, &dy);
        if entry.relu {
            dz.iter_mut().zip(&z).for_each(|(dz, &z)| *dz = if z > 0.0 { *dz } else { 0.0 });
        }
        made.output.extend(pool.forward(&z));
        made.input_gradient.extend(slow.grad_input(kernel, &dz));
        let gradients = slow.grad_kernel(&x, &dz).into_iter().chain(slow.grad_bias(&dz));
        made.weight_gradient.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum += gradient);
    }
    made
}

#[track_caller]
fn assert_exact(table: &[Entry]) {
    for entry in table {
        let made = run(entry, Numbers::Exact, IMAGES).widen();
        assert!(made == run_slow(entry, Numbers::Exact, IMAGES), "{entry:?}");
    }
}

#[test]
fn convolutions_are_exact() {
    let table = convolutions();
    assert_eq!(table.len(), 175, "of 170, those whose kernel fits the input, some in two ways");
    assert_exact(&table);
}

#[test]
fn pooled_convolutions_are_exact() {
    let table = pooled_convolutions();
    assert_eq!(
        table.len(),
        152,
        "of 300, those whose window fits the output too, some in two ways"
    );
    assert_exact(&table);
}

/// What pools a window, one value after the other: the larger wins, and NaN.
fn pool_in_order(window: [f32; 4], relu: bool) -> [u32; 2] {
    let (mut best, mut winner) = (f32::NEG_INFINITY, 0);
    for (place, value) in window.into_iter().enumerate() {
        if value > best || value.is_nan() {
            (best, winner) = (value, place as u32);
        }
    }
    if relu {
        winner = if best > 0.0 { winner } else { STOPPED };
        best = if best < 0.0 { 0.0 } else { best };
    }
    [best.to_bits(), winner]
}

/// All windows of values that compare in a way of their own, through a kernel that changes nothing.
pub(super) fn run_odd_windows(relu: bool) -> Made<f32> {
    let odd = [f32::NAN, f32::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f32::INFINITY];
    let count = odd.len().pow(4);
    let window = |w: usize| [1, 7, 49, 343].map(|base| odd[w / base % odd.len()]);
    let mut x = vec![0.0; 4 * count];
    for w in 0..count {
        let [a, b, c, d] = window(w);
        (x[2 * w], x[2 * w + 1]) = (a, b);
        (x[2 * (count + w)], x[2 * (count + w) + 1]) = (c, d);
    }
    let filters = 17;
    let conv = Conv2D::new([2, 2 * count, 1], filters, [1, 1]);
    let layer = ConvPool::new(if relu { conv.relu() } else { conv }, [2, 2]);
    // A bias of -0 leaves zeros their sign.
    let weights = [[1.0; 17], [-0.0; 17]].concat();
    let mut packed = vec![0.0; layer.packed_len()];
    layer.pack(&weights, &mut packed);
    let (mut y, mut route) = (vec![0.0; count * filters], vec![0.0; count * filters]);
    let mut scratch = vec![f32::NAN; layer.forward_scratch()];
    layer.forward(&packed, &x, &mut y, Some(&mut route), &mut scratch);
    let mut predicted = vec![0.0; count * filters];
    layer.forward(&packed, &x, &mut predicted, None, &mut scratch);
    let bits = |floats: &[f32]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&predicted), bits(&y));
    for (i, (y, route)) in y.iter().zip(&route).enumerate() {
        let window = window(i / filters);
        let [best, winner] = pool_in_order(window, relu);
        assert_eq!([y.to_bits(), route.to_bits()], [best, winner], "{window:?}, relu: {relu}");
    }
    Made { output: y, ..Made::default() }
}

/// The largest errors of output and of input and weight gradient against `f64`, by their largest values.
fn errors(entry: &Entry, images: usize) -> [f64; 3] {
    let made = run(entry, Numbers::Noise, images).widen();
    let slow = run_slow(entry, Numbers::Noise, images);
    let largest = |values: &[f64]| values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let error = |made: &[f64], slow: &[f64]| {
        let errors: Vec<f64> = made.iter().zip(slow).map(|(made, slow)| made - slow).collect();
        largest(&errors) / largest(slow)
    };
    [
        error(&made.output, &slow.output),
        error(&made.input_gradient, &slow.input_gradient),
        error(&made.weight_gradient, &slow.weight_gradient),
    ]
}

/// On 14x14x32 to 64 filters, and on more than one block of tiles.
#[test]
fn winograd_rounds_like_the_definition() {
    let sizes = [([14, 14, 32], 64), ([19, 37, 17], 20)];
    for ((input, filters), side) in sizes.into_iter().flat_map(|size| [(size, 2), (size, 3)]) {
        let (kernel_size, ones) = ([side; 2], [1, 1]);
        let (strides, dilation, padding, groups) = (ones, ones, [1; 4], 1);
        let slow =
            reference::Conv2D { input, filters, kernel_size, strides, padding, dilation, groups };
        let [plain, winograd] =
            [None, Some(2)].map(|tiles| errors(&Entry::new(slow, true, false, None, tiles), 1));
        // Back from 2x2 kernels both go by the definition.
        let compared = if side == 2 { 1 } else { 3 };
        for (plain, winograd) in plain.into_iter().zip(winograd).take(compared) {
            assert!(plain < 1e-6 && winograd < 1e-6, "{plain:e} and {winograd:e}");
        }
    }
}

/// By Winograd's algorithm, with tiles that lie half outside and without, and in several blocks.
pub(super) fn tiled_convolutions() -> Vec<Entry> {
    let mut table = Vec::new();
    for (i, size) in [[4, 4], [5, 8], [8, 7], [9, 11], [19, 37]].into_iter().enumerate() {
        for (w, channels) in [16, 17, 20, 33].into_iter().enumerate() {
            let filters = [16, 33, 17, 20][(i + w) % 4];
            let (strides, dilation, groups) = ([1, 1], [1, 1], 1);
            let input = [size[0], size[1], channels];
            for side in [2, 3] {
                let padding = [[0; 4], [1; 4], [0, side - 1, side - 1, 1]][(i + w) % 3];
                let kernel_size = [side; 2];
                let slow = reference::Conv2D {
                    input,
                    filters,
                    kernel_size,
                    strides,
                    padding,
                    dilation,
                    groups,
                };
                table.push(Entry::new(slow, w % 2 > 0, w > 1, None, Some(2)));
            }
        }
    }
    table
}

/// Of two shards.
#[test]
fn winograds_gradients_round_like_the_definitions() {
    for entry in tiled_convolutions() {
        let plain = Entry::new(entry.slow, entry.bias, false, None, None);
        let winograd = Entry::new(entry.slow, entry.bias, false, None, Some(2));
        let [plain, winograd] = [plain, winograd].map(|entry| errors(&entry, IMAGES));
        for (plain, winograd) in plain.into_iter().zip(winograd) {
            assert!(plain < 1.2e-6 && winograd < 1.2e-6, "{entry:?}: {plain:e} and {winograd:e}");
        }
    }
    assert_exact(&tiled_convolutions());
}

/// With tiles of four by four outputs, some of which lie partly outside; behind half of them a pooling. The
/// last ones have tiles enough for a kernel's gradient to go by them too.
pub(super) fn convolutions_in_fours() -> Vec<Entry> {
    let slow: Vec<_> = tiled_convolutions().into_iter().map(|entry| entry.slow).collect();
    let of = |side: usize, (input, filters)| {
        let (kernel_size, padding) = ([side; 2], [1; 4]);
        reference::Conv2D { input, filters, kernel_size, padding, ..slow[0] }
    };
    let wide = [([14, 14, 32], 64), ([32, 32, 16], 16), ([24, 25, 16], 17)];
    let wide: Vec<_> =
        [2, 3].into_iter().flat_map(|side| wide.map(|size| of(side, size))).collect();
    let entry = |(i, slow): (usize, reference::Conv2D)| {
        let fits = slow.output()[..2].iter().all(|&size| size > 1);
        let pool = (i % 2 > 0 && fits).then_some([2, 2]);
        Entry::new(slow, i % 3 > 0, i % 4 > 1, pool, Some(4))
    };
    slow.into_iter().chain(wide).enumerate().map(entry).collect()
}

/// Their transforms have factors that are not whole, so that sums which are exact by definition are not.
#[test]
fn fours_round_like_the_definition() {
    for entry in convolutions_in_fours() {
        let plain = Entry::new(entry.slow, entry.bias, entry.relu, entry.pool, None);
        let [plain, fours] = [plain, entry].map(|entry| errors(&entry, IMAGES));
        for (plain, fours) in plain.into_iter().zip(fours) {
            assert!(plain < 1.2e-6 && fours < 1.6e-6, "{entry:?}: {plain:e} and {fours:e}");
        }
    }
}

/// Windows that overlap, leave gaps, or lie partly on padding.
pub(super) fn poolings() -> Vec<MaxPooling2D> {
    let mut table = Vec::new();
    let windows = [
        ([2, 2], [2, 2], [0; 4]),
        ([3, 3], [2, 2], [0, 1, 0, 1]),
        ([3, 2], [1, 2], [1, 1, 0, 1]),
        ([2, 2], [3, 3], [0; 4]),
    ];
    for (i, channels) in CHANNELS.into_iter().enumerate() {
        for (w, (pool, strides, padding)) in windows.into_iter().enumerate() {
            let input = [3 + (i + w) % 5, WIDTHS[1 + (i + w) % 6], channels];
            table.push(MaxPooling2D::new(input, pool, strides, padding));
        }
    }
    table
}

pub(super) fn run_pooling(layer: &MaxPooling2D, numbers: Numbers) -> Made<f32> {
    let x = numbers.draw(product(layer.input), 0);
    let dy = numbers.draw(product(layer.output), 1);
    let (mut y, mut route) = (vec![f32::NAN; dy.len()], vec![f32::NAN; dy.len()]);
    let mut dx = vec![f32::NAN; x.len()];
    layer.forward(&x, &mut y, Some(&mut route));
    layer.backward(&route, &dy, &mut dx);
    Made { output: y, input_gradient: dx, weight_gradient: Vec::new() }
}

#[test]
fn poolings_are_exact() {
    for layer in poolings() {
        let MaxPooling2D { input, pool, strides, padding, output } = layer;
        let slow = reference::MaxPooling2D { input, pool, strides, padding };
        let x = widen(&Numbers::Exact.draw(product(input), 0));
        let dy = widen(&Numbers::Exact.draw(product(output), 1));
        let made = run_pooling(&layer, Numbers::Exact).widen();
        assert_eq!(made.output, slow.forward(&x), "{layer:?}");
        assert_eq!(made.input_gradient, slow.backward(&x, &dy), "{layer:?}");
    }
}
