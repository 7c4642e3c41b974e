//! Fusion: which layers become one operation of the runtime.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::conv::{conv_pool, convolution_by};
use super::{Needs, Op, PANEL, Part, Scope, Sizes, lines};
use crate::codegen::{decimal, number};
use crate::ir::{Layer, Model};
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

pub(super) fn names(layers: &[&Layer]) -> Vec<String> {
    layers.iter().map(|layer| layer.name.clone()).collect()
}

pub(super) fn weights(layer: &Layer) -> u64 {
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
    // Panels lie two by two, unless there is only one.
    let group = if units > PANEL { 2 * PANEL } else { PANEL };
    Op {
        layers: names(fused),
        scope: Scope::Shard,
        sizes: Some(Sizes {
            weights: weights(layer),
            packed: inputs * units.next_multiple_of(group) + units.next_multiple_of(PANEL),
            transposed: panels(units, inputs),
            exchange: inputs + lines(units) + units + lines(inputs),
            ..Sizes::default()
        }),
        needs: Needs { output: true, learner: true, ..Needs::default() },
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
