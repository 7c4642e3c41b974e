//! Convolutions as operations of the runtime: their sizes, and whether Winograd's algorithm computes them.

use proc_macro2::TokenStream;
use quote::quote;

use super::ops::{array, image_op, names, panels, weights};
use super::{LANES, Needs, Op, PANEL, Part, Sizes, lines};
use crate::codegen::number;
use crate::ir::{Layer, Shape};
use crate::layer::conv::Conv2D;
use crate::layer::pool::MaxPooling2D;

fn conv_descriptor(
    layer: &Layer,
    conv: &Conv2D,
    relu: bool,
    winograd: Option<Winograd>,
) -> TokenStream {
    let (input, filters) = (array(&layer.input().0), number(conv.filters));
    let kernel = array(&conv.kernel_size);
    let settings = settings(conv.strides, conv.dilation_rate, conv.padding, conv.use_bias, relu);
    let groups = (conv.groups > 1).then(|| {
        let groups = number(conv.groups);
        quote!(.groups(#groups))
    });
    let winograd = winograd.map(|winograd| {
        if winograd.outputs == 2 { quote!(.winograd()) } else { quote!(.winograd4()) }
    });
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

/// Tiles of four by four outputs from which on they take less time than those of two by two: with fewer a
/// product has too few rows for each factor that it reads.
const FOURS: u64 = 8;

/// The same of 2x2 kernels, whose larger tiles have 25 places instead of 36.
const FOURS_OF_2X2: u64 = 4;

/// The same for sums over tiles, of a kernel's gradient: fewer do not make up for the sums of more places.
const FOURS_IN_SUMS: u64 = 32;

/// A convolution by Winograd's algorithm.
#[derive(Clone, Copy)]
struct Winograd {
    /// Rows and columns.
    input: [u64; 2],
    /// The same, as far as they are wanted.
    output: [u64; 2],
    /// The kernel's height and width.
    kernel: u64,
    /// A tile's outputs, down and across.
    outputs: u64,
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
        let whole = |size: u64| if pool.is_some() { size / 2 * 2 } else { size };
        let output = [whole(rows), whole(columns)];
        let twos = Self { input: [height, width], output, kernel, outputs: 2 };
        let fours = Self { outputs: 4, ..twos };
        let tiles = |by: Self| by.tiles(output).into_iter().product::<u64>();
        let least = if kernel == 2 { FOURS_OF_2X2 } else { FOURS };
        let larger =
            tiles(fours) >= least && tiles(fours) * fours.places() < tiles(twos) * twos.places();
        pays.then_some(if larger { fours } else { twos })
    }

    /// Tiles that make so many outputs, down and across.
    fn tiles(self, outputs: [u64; 2]) -> [u64; 2] {
        outputs.map(|size| size.div_ceil(self.outputs))
    }

    /// Places in a transformed tile.
    fn places(self) -> u64 {
        (self.outputs + self.kernel - 1).pow(2)
    }

    /// Floats of packed weights.
    fn packed(self, channels: u64, filters: u64) -> u64 {
        filters.next_multiple_of(PANEL) * (self.places() * channels + 1)
    }

    /// Floats of some rows of tiles, with 512 floats a place or, of many places, eight tiles, and of two panels
    /// of sums.
    fn scratch(self, outputs: [u64; 2], channels: u64, filters: u64) -> u64 {
        let block = if self.places() > 16 { 8 } else { 512 / channels.next_multiple_of(PANEL) };
        self.block(block, outputs, [channels, filters.min(2 * PANEL)])
    }

    /// How the kernel's gradient goes.
    fn of_gradient(self) -> Self {
        let tiles: u64 = self.tiles(self.output).into_iter().product();
        Self { outputs: if tiles < FOURS_IN_SUMS { 2 } else { self.outputs }, ..self }
    }

    /// The same for that gradient: 64 tiles of channels and of filters.
    fn gradient_scratch(self, group: [u64; 2]) -> u64 {
        let tiles = self.of_gradient();
        tiles.block(64, tiles.output, group)
    }

    /// Floats of as many rows of tiles as make `block`, at least one, with gaps, and of their lines, framed.
    fn block(self, block: u64, outputs: [u64; 2], group: [u64; 2]) -> u64 {
        let [down, across] = self.tiles(outputs);
        let rows = (block / across).clamp(1, down);
        let group = group.map(|count| count.next_multiple_of(PANEL));
        let framed = |tiles: u64| tiles * self.outputs + self.kernel - 1;
        let tiles = self.places() * (rows * across * (group[0] + group[1]) + 2 * PANEL);
        framed(rows) * framed(across) * group[0] + tiles
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
        let (Winograd { input, output, .. }, [channels, filters]) = (winograd, self.group);
        let masked = if relu { output[0] * output[1] * filters } else { 0 };
        let kernel = winograd.gradient_scratch(self.group);
        masked + kernel.max(winograd.scratch(input, filters, channels))
    }

    /// Of a shard's gradients without the bias.
    fn gradients(&self) -> u64 {
        let [channels, filters] = self.group;
        match self.back() {
            Some(winograd) => {
                winograd.of_gradient().places() * channels * filters.next_multiple_of(PANEL)
            }
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
            Some(winograd) => winograd.scratch(winograd.output, self.group[0], self.group[1]),
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
pub(super) fn convolution_by(
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
        ..image_op(layer, "Conv2D", conv_descriptor(layer, conv, relu, sizes.winograd))
    }
}

pub(super) fn conv_pool(
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
    let conv_descriptor = conv_descriptor(layer, conv, relu, sizes.winograd);
    let window = array(&pool.pool_size);
    let rows = match sizes.winograd {
        Some(_) => 0,
        None => pool.pool_size[0] * layer.output.0[1] * PANEL,
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
        scratch: [sizes.forward_scratch() + rows, backward_scratch],
        needs: Needs { input: true, route: true, learner: true, ..Needs::default() },
        ..image_op(layer, "ConvPool", quote!(ConvPool::new(#conv_descriptor, #window)))
    }
}
