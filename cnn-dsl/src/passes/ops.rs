//! Fusion: which layers become one operation of the runtime.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{LANES, Needs, Op, PANEL, Part, Scope, Sizes, lines};
use crate::codegen::{decimal, number};
use crate::ir::{Layer, Model, Shape};
use crate::layer::Kind;
use crate::layer::activation::{Activation, ReLU};
use crate::layer::conv::Conv2D;
use crate::layer::dense::Dense;
use crate::layer::pool::MaxPooling2D;

/// The most places in a window that pooling fused with a convolution can have.
const MAX_WINDOW: u64 = 64;

/// Places of a padded image that a fused pooling's route can name.
const MAX_PLACES: u64 = u32::MAX as u64;

/// The model's operations, in order. Layers that move nothing (`Flatten`) leave none.
#[must_use]
pub fn lower(model: &Model) -> Vec<Op> {
    lower_all(Ahead::new(model)).0
}

/// The same with no two layers as one, and the buffer that holds each layer's output.
pub(super) fn lower_apart(model: &Model) -> (Vec<Op>, Vec<usize>) {
    let (ops, mut buffers) = lower_all(Ahead { apart: true, ..Ahead::new(model) });
    buffers.remove(0);
    (ops, buffers)
}

fn lower_all(mut ahead: Ahead<'_>) -> (Vec<Op>, Vec<usize>) {
    let mut ops: Vec<Op> = Vec::new();
    // The buffer that holds each source: the input, then each layer's output.
    let mut buffers = vec![0];
    while let Some(layer) = ahead.next() {
        let mut fused = vec![layer];
        let chain = operations(layer, &mut ahead, &mut fused, ops.len() as u64);
        let mut sources: Vec<usize> = layer.sources.iter().map(|&source| buffers[source]).collect();
        for op in chain {
            let trains = op.sizes.is_some() && layer.weights.iter().any(|weight| weight.trainable);
            ops.push(Op { sources, trains, ..op });
            sources = vec![ops.len()];
        }
        buffers.extend(fused.iter().map(|_| sources[0]));
    }
    (ops, buffers)
}

/// The layers that are still to come.
struct Ahead<'a> {
    layers: &'a [Layer],
    next: usize,
    /// How many layers read each source.
    readers: Vec<usize>,
    /// Whether each layer stays for itself.
    apart: bool,
}

impl<'a> Ahead<'a> {
    fn new(model: &'a Model) -> Self {
        let mut readers = vec![0; model.layers.len() + 1];
        for &source in model.layers.iter().flat_map(|layer| &layer.sources) {
            readers[source] += 1;
        }
        Self { layers: &model.layers, next: 0, readers, apart: false }
    }

    fn next(&mut self) -> Option<&'a Layer> {
        let layer = self.layers.get(self.next)?;
        self.next += 1;
        Some(layer)
    }

    /// The next layer, if it is the only reader of the one taken last and `fits`.
    fn next_if(&mut self, fits: impl FnOnce(&Layer) -> bool) -> Option<&'a Layer> {
        let layer = self.chained(self.next)?;
        (!self.apart && fits(layer)).then(|| self.next()).flatten()
    }

    /// A layer, if it is the only reader of the one before.
    fn chained(&self, index: usize) -> Option<&'a Layer> {
        let layer = self.layers.get(index)?;
        (layer.sources == [index] && self.readers[index] == 1).then_some(layer)
    }

    /// The pooling that the convolution taken last would be one with, were it not kept apart.
    fn pooling(&self, conv: &Conv2D, layer: &Layer) -> Option<&'a MaxPooling2D> {
        let relu = |next: &&Layer| conv.activation == Activation::Linear && is_relu(next);
        let after = self.chained(self.next).filter(relu).map(|_| self.next + 1);
        let next = self.chained(after.unwrap_or(self.next))?;
        let relu = after.is_some() || conv.activation == Activation::Relu;
        match &next.kind {
            Kind::MaxPooling2D(pool) if pools_in_place(conv, relu, layer, next) => Some(pool),
            _ => None,
        }
    }
}

/// The operations of a layer, and of those behind it that it takes along.
fn operations<'a>(
    layer: &'a Layer,
    ahead: &mut Ahead<'a>,
    fused: &mut Vec<&'a Layer>,
    index: u64,
) -> Vec<Op> {
    match &layer.kind {
        Kind::Conv2D(conv) => {
            let relu = take_relu(conv.activation, ahead, fused);
            let pool = ahead.next_if(|next| pools_in_place(conv, relu, layer, next));
            let op = if let Some((next, Kind::MaxPooling2D(pool))) =
                pool.map(|next| (next, &next.kind))
            {
                fused.push(next);
                conv_pool(layer, conv, relu, pool, fused)
            } else {
                // To the last bit as it would be in one with its pooling.
                let pool = ahead.pooling(conv, layer).filter(|_| ahead.apart);
                convolution_by(layer, conv, relu, fused, pool)
            };
            [Some(op), separate(conv.activation, layer)].into_iter().flatten().collect()
        }
        Kind::Dense(dense) => {
            let relu = take_relu(dense.activation, ahead, fused);
            let op = dense_op(layer, dense, relu, fused);
            [Some(op), separate(dense.activation, layer)].into_iter().flatten().collect()
        }
        Kind::MaxPooling2D(pool) => vec![max_pooling(layer, pool)],
        Kind::Activation(Activation::Linear) => Vec::new(),
        Kind::Activation(Activation::Softmax) => vec![softmax(layer, layer.output.rank() - 1)],
        Kind::Activation(activation) => vec![elementwise(layer, &named(*activation))],
        Kind::ReLU(relu) => vec![elementwise(layer, &relu_variant(relu))],
        Kind::Plain(plain) => {
            let with_relu = plain.ops_with_relu(layer);
            let relu = with_relu.is_some() && take_relu(Activation::Linear, ahead, fused);
            let with_relu = with_relu.filter(|_| relu).map(|mut ops| {
                ops[0].layers = names(fused);
                ops
            });
            with_relu.unwrap_or_else(|| plain.ops(layer, index))
        }
    }
}

/// Whether a relu follows at once, as argument or as a layer, which then is taken.
fn take_relu<'a>(
    activation: Activation,
    ahead: &mut Ahead<'a>,
    fused: &mut Vec<&'a Layer>,
) -> bool {
    match activation {
        Activation::Relu => true,
        Activation::Linear => {
            let next = ahead.next_if(is_relu);
            fused.extend(next);
            next.is_some()
        }
        _ => false,
    }
}

fn is_relu(layer: &Layer) -> bool {
    match &layer.kind {
        Kind::Activation(activation) => *activation == Activation::Relu,
        Kind::ReLU(relu) => is_plain(relu),
        _ => false,
    }
}

fn is_plain(relu: &ReLU) -> bool {
    relu.max_value.is_none() && relu.negative_slope == 0.0 && relu.threshold == 0.0
}

/// Whether the next layer's pooling can be done on the convolution's rows as they are made.
fn pools_in_place(conv: &Conv2D, relu: bool, layer: &Layer, next: &Layer) -> bool {
    let Kind::MaxPooling2D(pool) = &next.kind else { return false };
    let padded = (layer.input().0[0] + conv.padding[0] + conv.padding[1])
        .saturating_mul(layer.input().0[1] + conv.padding[2] + conv.padding[3])
        .saturating_mul(layer.input().last());
    (relu || conv.activation == Activation::Linear)
        && conv.groups == 1
        && conv.dilation_rate == [1, 1]
        && pool.strides == pool.pool_size
        && pool.padding == [0; 4]
        && pool.pool_size[0].saturating_mul(pool.pool_size[1]) <= MAX_WINDOW
        && padded <= MAX_PLACES
}

/// The activation as a call of its own, if it was not fused.
pub(crate) fn separate(activation: Activation, layer: &Layer) -> Option<Op> {
    let mut op = match activation {
        Activation::Linear | Activation::Relu => return None,
        Activation::Softmax => softmax(layer, layer.output.rank() - 1),
        other => elementwise(layer, &named(other)),
    };
    op.name = format!("{}_{}", layer.name, activation.name());
    op.input = layer.output.clone();
    Some(op)
}

pub(crate) fn image_op(layer: &Layer, kind: &'static str, descriptor: TokenStream) -> Op {
    Op {
        name: layer.name.clone(),
        layers: vec![layer.name.clone()],
        sources: Vec::new(),
        trains: false,
        weights: 0..layer.weights.len(),
        kind,
        descriptor,
        input: layer.input().clone(),
        output: layer.output.clone(),
        scope: Scope::Image,
        sizes: None,
        scratch: [0, 0],
        needs: Needs::default(),
        part: Part::Other,
    }
}

fn names(layers: &[&Layer]) -> Vec<String> {
    layers.iter().map(|layer| layer.name.clone()).collect()
}

fn weights(layer: &Layer) -> u64 {
    layer.params()
}

/// Floats of a matrix in panels of sixteen columns.
pub(crate) fn panels(inner: u64, columns: u64) -> u64 {
    columns.div_ceil(PANEL) * inner * PANEL
}

pub(crate) fn array(sizes: &[u64]) -> TokenStream {
    let sizes = sizes.iter().map(|&size| number(size));
    quote!([#(#sizes),*])
}

pub(crate) fn float(value: f64) -> TokenStream {
    // Through f32, so that the digits are those of the number that is used.
    decimal(value as f32)
}

fn conv_descriptor(layer: &Layer, conv: &Conv2D, relu: bool, winograd: bool) -> TokenStream {
    let (input, filters) = (array(&layer.input().0), number(conv.filters));
    let kernel = array(&conv.kernel_size);
    let settings = settings(conv.strides, conv.dilation_rate, conv.padding, conv.use_bias, relu);
    let groups = (conv.groups > 1).then(|| {
        let groups = number(conv.groups);
        quote!(.groups(#groups))
    });
    let winograd = winograd.then(|| quote!(.winograd()));
    quote!(Conv2D::new(#input, #filters, #kernel) #groups #settings #winograd)
}

/// What a convolution's description says beside its sizes, where that is not the usual.
pub(crate) fn settings(
    strides: [u64; 2],
    dilation: [u64; 2],
    padding: [u64; 4],
    use_bias: bool,
    relu: bool,
) -> TokenStream {
    let mut settings = TokenStream::new();
    if strides != [1, 1] {
        let strides = array(&strides);
        settings.extend(quote!(.strides(#strides)));
    }
    if dilation != [1, 1] {
        let dilation = array(&dilation);
        settings.extend(quote!(.dilation(#dilation)));
    }
    if padding != [0; 4] {
        let padding = array(&padding);
        settings.extend(quote!(.padding(#padding)));
    }
    if !use_bias {
        settings.extend(quote!(.no_bias()));
    }
    if relu {
        settings.extend(quote!(.relu()));
    }
    settings
}

/// What a convolution's sizes are made of.
struct ConvSizes {
    /// Of the kernel, without its channels.
    places: u64,
    groups: u64,
    /// Channels and filters of a group.
    group: [u64; 2],
    padded: u64,
    is_padded: bool,
    /// Floats of the output's gradient, framed.
    framed: u64,
    /// If Winograd's algorithm computes it.
    winograd: Option<Winograd>,
}

/// Channels and filters from which on Winograd's algorithm takes less time than the definition: with
/// fewer its transformations work on vectors that are partly empty.
const WINOGRAD: u64 = PANEL;

/// A convolution by Winograd's algorithm, which works on tiles of two by two outputs.
#[derive(Clone, Copy)]
struct Winograd {
    /// Rows and columns.
    input: [u64; 2],
    /// The same.
    output: [u64; 2],
    /// The kernel's height and width.
    kernel: u64,
}

impl Winograd {
    /// If that takes less time than the definition. Max pooling behind it has to pool its tiles; with
    /// 2x2 kernels, which save less, only that makes up for the tiles' way through memory.
    fn of(layer: &Layer, conv: &Conv2D, pool: Option<&MaxPooling2D>) -> Option<Self> {
        let ([height, width, channels], [rows, columns, filters]) =
            (dims(layer.input()), dims(&layer.output));
        let kernel = match (conv.kernel_size, pool.map(|pool| pool.pool_size)) {
            ([3, 3], None | Some([2, 2])) => 3,
            ([2, 2], Some([2, 2])) => 2,
            _ => return None,
        };
        let pays = [conv.strides, conv.dilation_rate] == [[1, 1]; 2]
            && conv.groups == 1
            && channels.min(filters) >= WINOGRAD
            && rows.min(columns) >= 4;
        pays.then_some(Self { input: [height, width], output: [rows, columns], kernel })
    }

    /// Places in a transformed tile.
    fn places(self) -> u64 {
        (self.kernel + 1).pow(2)
    }

    /// Floats of packed weights.
    fn packed(self, channels: u64, filters: u64) -> u64 {
        filters.next_multiple_of(PANEL) * (self.places() * channels + 1)
    }

    /// Floats of as many rows of tiles as make 64, at least one, with gaps, and of two panels of sums.
    fn scratch(self, tiles: [u64; 2], channels: u64, filters: u64) -> u64 {
        self.gradient_scratch(tiles, channels, filters.min(2 * PANEL))
    }

    /// The same for a kernel's gradient: tiles of channels and of filters.
    fn gradient_scratch(self, [down, across]: [u64; 2], channels: u64, filters: u64) -> u64 {
        let rows = (64 / across).clamp(1, down);
        let [channels, filters] = [channels, filters].map(|count| count.next_multiple_of(PANEL));
        self.places() * (rows * across * (channels + filters) + 2 * PANEL)
    }
}

impl ConvSizes {
    /// `pool` is the max pooling behind it, if there is one.
    fn of(layer: &Layer, conv: &Conv2D, pool: Option<&MaxPooling2D>) -> Self {
        let [rows, columns, channels] = dims(layer.input());
        let [top, bottom, left, right] = conv.padding;
        let extent = |axis: usize| (conv.kernel_size[axis] - 1) * conv.dilation_rate[axis];
        Self {
            places: conv.kernel_size[0] * conv.kernel_size[1],
            groups: conv.groups,
            group: [channels / conv.groups, conv.filters / conv.groups],
            padded: (rows + top + bottom) * (columns + left + right) * channels,
            is_padded: conv.padding != [0; 4],
            framed: framed(rows, extent(0), conv.strides[0], top)
                * framed(columns, extent(1), conv.strides[1], left)
                * conv.filters,
            winograd: Winograd::of(layer, conv, pool),
        }
    }

    fn packed(&self) -> u64 {
        self.panels(self.winograd, self.group[0], self.group[1])
    }

    fn transposed(&self) -> u64 {
        self.panels(self.back(), self.group[1], self.group[0])
    }

    /// If the way back too goes by Winograd's algorithm.
    fn back(&self) -> Option<Winograd> {
        self.winograd.filter(|winograd| winograd.kernel == 3)
    }

    /// Of `backward`: frames, or the gradient behind a relu and Winograd's tiles for kernel or input.
    fn backward_scratch(&self, relu: bool) -> u64 {
        let Some(winograd) = self.back() else {
            return self.padded + self.framed + PANEL;
        };
        let tiles = |sizes: [u64; 2]| sizes.map(|size| size.div_ceil(2));
        let (Winograd { input, output, .. }, [channels, filters]) = (winograd, self.group);
        let masked = if relu { output[0] * output[1] * filters } else { 0 };
        let kernel = winograd.gradient_scratch(tiles(output), channels, filters);
        masked + kernel.max(winograd.scratch(tiles(input), filters, channels))
    }

    /// Of a shard's gradients without the bias.
    fn gradients(&self) -> u64 {
        let [channels, filters] = self.group;
        match self.back() {
            Some(_) => 16 * channels * filters.next_multiple_of(PANEL),
            None => self.places * channels * filters * self.groups,
        }
    }

    /// Of all groups, with a bias each.
    fn panels(&self, winograd: Option<Winograd>, inputs: u64, outputs: u64) -> u64 {
        if let Some(winograd) = winograd {
            return winograd.packed(inputs, outputs);
        }
        self.groups * (panels(self.places * inputs, outputs) + outputs.next_multiple_of(PANEL))
    }

    fn forward_scratch(&self) -> u64 {
        match self.winograd {
            Some(winograd) => {
                let tiles = winograd.output.map(|size| size.div_ceil(2));
                winograd.scratch(tiles, self.group[0], self.group[1])
            }
            None if self.is_padded => self.padded,
            None => 0,
        }
    }
}

/// Rows or columns of a convolution's framed output gradient: each of `input` pixels finds all taps there
/// that meet it. `reach` is what the kernel covers, less one; `before` are the zeros before the input.
pub(crate) fn framed(input: u64, reach: u64, stride: u64, before: u64) -> u64 {
    (reach - before) / stride + (input - 1 + before) / stride + 1
}

fn dims(shape: &Shape) -> [u64; 3] {
    [shape.0[0], shape.0[1], shape.0[2]]
}

/// A convolution with its bias and, if asked, a relu, for all the layers in `fused`.
pub(crate) fn convolution(layer: &Layer, conv: &Conv2D, relu: bool, fused: &[&Layer]) -> Op {
    convolution_by(layer, conv, relu, fused, None)
}

/// The same, by the algorithm that it takes in one with a pooling behind it.
fn convolution_by(
    layer: &Layer,
    conv: &Conv2D,
    relu: bool,
    fused: &[&Layer],
    pool: Option<&MaxPooling2D>,
) -> Op {
    if let Some(depthwise) = conv.depthwise(layer.input().last()) {
        return Op { layers: names(fused), ..depthwise.op(layer, relu) };
    }
    let sizes = ConvSizes::of(layer, conv, pool);
    Op {
        layers: names(fused),
        sizes: Some(Sizes {
            weights: weights(layer),
            packed: sizes.packed(),
            transposed: sizes.transposed(),
            gradients: sizes.gradients() + if conv.use_bias { conv.filters } else { 0 },
            ..Sizes::default()
        }),
        scratch: [sizes.forward_scratch(), sizes.backward_scratch(relu)],
        needs: Needs { input: true, output: true, ..Needs::default() },
        part: if relu { Part::Other } else { Part::Convolution },
        ..image_op(layer, "Conv2D", conv_descriptor(layer, conv, relu, sizes.winograd.is_some()))
    }
}

fn conv_pool(
    layer: &Layer,
    conv: &Conv2D,
    relu: bool,
    pool: &MaxPooling2D,
    fused: &[&Layer],
) -> Op {
    let sizes = ConvSizes::of(layer, conv, Some(pool));
    let output = fused.last().map_or_else(|| layer.output.clone(), |last| last.output.clone());
    let row = (conv.kernel_size[1] * layer.input().last()).next_multiple_of(LANES);
    let patch = conv.kernel_size[0] * row;
    let places = output.0[0] * output.0[1];
    let conv_descriptor = conv_descriptor(layer, conv, relu, sizes.winograd.is_some());
    let window = array(&pool.pool_size);
    let forward_scratch = match sizes.winograd {
        Some(winograd) => {
            winograd.scratch([output.0[0], output.0[1]], sizes.group[0], conv.filters)
        }
        None => sizes.forward_scratch() + pool.pool_size[0] * layer.output.0[1] * PANEL,
    };
    // Where patches are long, gradients are sorted by them.
    let groups = 2 * (places * (pool.pool_size[0] * pool.pool_size[1] + conv.filters) + PANEL);
    let lists = places + 2 * PANEL.min(conv.filters) * (places + PANEL);
    let groups = if patch > 8 * PANEL { groups } else { 0 };
    let backward_scratch = 2 * lines(sizes.padded + LANES) + lists + groups;
    Op {
        layers: names(fused),
        output,
        sizes: Some(Sizes {
            weights: weights(layer),
            packed: sizes.packed(),
            transposed: conv.filters * patch,
            gradients: conv.filters * (patch + 1),
            ..Sizes::default()
        }),
        scratch: [forward_scratch, backward_scratch],
        needs: Needs { input: true, route: true, ..Needs::default() },
        ..image_op(layer, "ConvPool", quote!(ConvPool::new(#conv_descriptor, #window)))
    }
}

fn dense_op(layer: &Layer, dense: &Dense, relu: bool, fused: &[&Layer]) -> Op {
    let (inputs, units) = (layer.input().last(), dense.units);
    let positions = layer.input().len() / inputs;
    let mut descriptor = {
        let (inputs, units) = (number(inputs), number(units));
        quote!(Dense::new(#inputs, #units))
    };
    if positions > 1 {
        let positions = number(positions);
        descriptor.extend(quote!(.positions(#positions)));
    }
    if !dense.use_bias {
        descriptor.extend(quote!(.no_bias()));
    }
    if relu {
        descriptor.extend(quote!(.relu()));
    }
    Op {
        layers: names(fused),
        scope: Scope::Shard,
        sizes: Some(Sizes {
            weights: weights(layer),
            packed: panels(inputs, units) + units.next_multiple_of(PANEL),
            transposed: panels(units, inputs),
            exchange: inputs + lines(units) + units + lines(inputs),
            ..Sizes::default()
        }),
        needs: Needs { output: true, ..Needs::default() },
        ..image_op(layer, "Dense", descriptor)
    }
}

fn max_pooling(layer: &Layer, pool: &MaxPooling2D) -> Op {
    let (input, size) = (array(&layer.input().0), array(&pool.pool_size));
    let (strides, padding) = (array(&pool.strides), array(&pool.padding));
    let descriptor = quote!(MaxPooling2D::new(#input, #size, #strides, #padding));
    let mut op = image_op(layer, "MaxPooling2D", descriptor);
    op.needs.route = true;
    op
}

pub(crate) fn softmax(layer: &Layer, axis: usize) -> Op {
    let shape = &layer.output.0;
    let outer = number(shape[..axis].iter().product());
    let (len, inner) = (number(shape[axis]), number(shape[axis + 1..].iter().product()));
    let mut op = image_op(layer, "Softmax", quote!(Softmax::new(#outer, #len, #inner)));
    op.needs.output = true;
    op
}

pub(crate) fn elementwise(layer: &Layer, variant: &TokenStream) -> Op {
    let mut op = image_op(layer, "Activation", quote!(Activation::#variant));
    op.needs = Needs { input: true, output: true, ..Needs::default() };
    op
}

/// The runtime's variant; where it has a parameter, with Keras's default.
fn named(activation: Activation) -> TokenStream {
    match activation {
        Activation::LeakyRelu => quote!(LeakyRelu { slope: 0.2 }),
        Activation::Elu => quote!(Elu { alpha: 1.0 }),
        other => {
            let variant = format_ident!("{other:?}");
            quote!(#variant)
        }
    }
}

fn relu_variant(relu: &ReLU) -> TokenStream {
    if is_plain(relu) {
        return quote!(Relu);
    }
    // Keras's rule for a gradient at exactly 6 differs for this one.
    if *relu == (ReLU { max_value: Some(6.0), negative_slope: 0.0, threshold: 0.0 }) {
        return quote!(Relu6);
    }
    let max_value = relu.max_value.map_or_else(|| quote!(f32::INFINITY), float);
    let (slope, threshold) = (float(relu.negative_slope), float(relu.threshold));
    quote!(ReLU { max_value: #max_value, negative_slope: #slope, threshold: #threshold })
}
