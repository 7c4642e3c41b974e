//! `Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`: several inputs as one, element
//! by element.

use quote::{format_ident, quote};

use crate::bind::{Args, Signature};
use crate::codegen::number;
use crate::ir::{Layer, Shape};
use crate::passes::{Op, Part, array, image_op};
use crate::receptive::Reach;

use super::explain::{Explain, Line};
use super::{Build, Built, Compute, Definition, Kind, Operand, values};

/// What becomes of the elements in one place of all inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Their sum.
    Add,
    /// The first less the second.
    Subtract,
    /// Their product.
    Multiply,
    /// Their sum divided by their number.
    Average,
    /// The largest.
    Maximum,
    /// The smallest.
    Minimum,
}

impl Merge {
    const fn definition(self) -> &'static Definition {
        match self {
            Self::Add => &ADD,
            Self::Subtract => &SUBTRACT,
            Self::Multiply => &MULTIPLY,
            Self::Average => &AVERAGE,
            Self::Maximum => &MAXIMUM,
            Self::Minimum => &MINIMUM,
        }
    }

    /// Whether nothing is repeated to be added.
    fn is_plain_sum(self, layer: &Layer) -> bool {
        self == Self::Add && layer.inputs.iter().all(|input| *input == layer.output)
    }
}

impl Compute for Merge {
    fn class(&self) -> &'static str {
        self.definition().signature.name
    }

    fn arguments(&self) -> String {
        String::new()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        if self.is_plain_sum(layer) {
            return vec![sum(layer, false)];
        }
        let (rule, output) = (format_ident!("{self:?}"), array(&image(&layer.output)));
        let mut descriptor = quote!(Merge::new(Rule::#rule, #output));
        if layer.inputs.iter().any(|input| *input != layer.output) {
            let inputs = layer.inputs.iter().map(|input| array(&image(input)));
            descriptor.extend(quote!(.of(&[#(#inputs),*])));
        }
        let mut op = image_op(layer, "Merge", descriptor);
        op.needs.input = true;
        op.needs.many = true;
        vec![op]
    }

    fn ops_with_relu(&self, layer: &Layer) -> Option<Vec<Op>> {
        self.is_plain_sum(layer).then(|| vec![sum(layer, true)])
    }
}

/// `Add` of inputs that are all of one shape.
fn sum(layer: &Layer, relu: bool) -> Op {
    let relu_call = relu.then(|| quote!(.relu()));
    let len = number(layer.output.len());
    let mut op = image_op(layer, "Add", quote!(Add::new(#len) #relu_call));
    if layer.inputs.len() == 2 {
        op.part = Part::Sum { relu };
    }
    op.needs.output = true;
    op.needs.many = true;
    op
}

impl Explain for Merge {
    fn reach(&self, layer: &Layer, input: usize) -> [Reach; 2] {
        // A vector meets the channels: every place sees all of it.
        if layer.inputs[input].rank() < layer.output.rank() { Reach::WHOLE } else { Reach::SAME }
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let inputs: Vec<String> = layer.inputs.iter().map(ToString::to_string).collect();
        let what = match self {
            Self::Add => "added",
            Self::Subtract => "the first minus the second",
            Self::Multiply => "multiplied",
            Self::Average => "averaged",
            Self::Maximum => "the largest",
            Self::Minimum => "the smallest",
        };
        let rule = format!("{} of {}", layer.output, inputs.join(", "));
        vec![Line::new("shape", rule), Line::new("values", what), Line::no_params()]
    }
}

/// Three sizes, missing ones in front.
fn image(shape: &Shape) -> Vec<u64> {
    let missing = 3_usize.saturating_sub(shape.rank());
    [vec![1; missing], shape.0.clone()].concat()
}

const fn definition(name: &'static str, build: Build) -> Definition {
    Definition { signature: Signature { name, params: &[] }, aliases: &[], build }
}

/// The entry of `Add` in [`super::ALL`].
pub const ADD: Definition =
    definition("Add", Build::Many(|args, inputs| build(args, inputs, Merge::Add)));

/// The entry of `Subtract` in [`super::ALL`].
pub const SUBTRACT: Definition =
    definition("Subtract", Build::Many(|args, inputs| build(args, inputs, Merge::Subtract)));

/// The entry of `Multiply` in [`super::ALL`].
pub const MULTIPLY: Definition =
    definition("Multiply", Build::Many(|args, inputs| build(args, inputs, Merge::Multiply)));

/// The entry of `Average` in [`super::ALL`].
pub const AVERAGE: Definition =
    definition("Average", Build::Many(|args, inputs| build(args, inputs, Merge::Average)));

/// The entry of `Maximum` in [`super::ALL`].
pub const MAXIMUM: Definition =
    definition("Maximum", Build::Many(|args, inputs| build(args, inputs, Merge::Maximum)));

/// The entry of `Minimum` in [`super::ALL`].
pub const MINIMUM: Definition =
    definition("Minimum", Build::Many(|args, inputs| build(args, inputs, Merge::Minimum)));

fn build(args: &mut Args<'_>, inputs: Option<&[Operand]>, merge: Merge) -> Option<Built> {
    let inputs = inputs?;
    let first = at_least_two(args, inputs)?;
    if merge == Merge::Subtract && inputs.len() > 2 {
        let message = format!("takes exactly 2 inputs, found {}", inputs.len());
        let diagnostic = args.error(inputs[2].span.clone(), &message, "one too many");
        diagnostic.help.push("add up what is to be taken away: `Add` before it".to_owned());
        return None;
    }
    let mut output = first.shape.clone();
    for (index, input) in inputs.iter().enumerate() {
        let Some(shape) = broadcast(&output, &input.shape) else {
            let clash = |before: &&Operand| broadcast(&before.shape, &input.shape).is_none();
            let before = inputs[..index].iter().find(clash).unwrap_or(first);
            disagree(args, before, input, "do not agree", way_out(before, input));
            return None;
        };
        output = shape;
    }
    let at = args.at();
    values(args, &at, &[&output.0], "output values")?;
    Some(Built::weightless(Kind::plain(merge), output))
}

/// The first of the inputs; a mistake unless another follows.
pub(super) fn at_least_two<'a>(args: &mut Args<'_>, inputs: &'a [Operand]) -> Option<&'a Operand> {
    if let [first, _, ..] = inputs {
        return Some(first);
    }
    let at = inputs.first().map_or_else(|| args.at(), |only| only.span.clone());
    let message = format!("merges at least 2 inputs, found {}", inputs.len());
    args.error(at, &message, "nothing to merge it with");
    None
}

/// The shape of two that are merged, last axes in line: sizes are equal, or one of them is 1.
fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
    let (long, short) = if a.rank() < b.rank() { (b, a) } else { (a, b) };
    let mut output = long.clone();
    let tail = output.0.iter_mut().rev().zip(short.0.iter().rev());
    for (size, &other) in tail {
        match (*size, other) {
            (_, 1) => {}
            (1, _) => *size = other,
            (size, other) if size == other => {}
            _ => return None,
        }
    }
    Some(output)
}

/// A mistake at `b`, which does not fit `a`.
pub(super) fn disagree(args: &mut Args<'_>, a: &Operand, b: &Operand, how: &str, help: String) {
    let message = format!("{} of `{}` and {} of `{}` {how}", a.shape, a.name, b.shape, b.name);
    let diagnostic = args.error(b.span.clone(), &message, format!("this is {}", b.shape));
    diagnostic.secondary.push((a.span.clone(), format!("this is {}", a.shape)));
    diagnostic.help.push(help);
}

/// What would make two inputs of an elementwise merge fit.
fn way_out(a: &Operand, b: &Operand) -> String {
    match (a.shape.0.as_slice(), b.shape.0.as_slice()) {
        (&[h1, w1, channels], &[h2, w2, _]) if [h1, w1] == [h2, w2] => format!(
            "`Conv2D({channels}, 1)` gives `{}` {channels} channels; `Concatenate` puts channels \
             side by side",
            b.name
        ),
        (&[h1, w1, c1], &[h2, w2, c2]) => {
            if let Some(strides) = strides([h1, w1], [h2, w2]) {
                shrink(&a.name, c2, &strides, &b.shape)
            } else if let Some(strides) = strides([h2, w2], [h1, w1]) {
                shrink(&b.name, c1, &strides, &a.shape)
            } else {
                "`padding = same` keeps height and width; `ZeroPadding2D` and `Cropping2D` change \
                 them"
                    .to_owned()
            }
        }
        (&[.., last], &[.., _]) if a.shape.rank() == b.shape.rank() => {
            format!("`Dense({last})` gives `{}` {last} features", b.name)
        }
        (&[.., _], &[.., _]) if a.shape.len() == b.shape.len() => {
            format!("`Flatten` makes both {}", a.shape.len())
        }
        _ => "shapes must be equal, or 1 along an axis to be repeated there".to_owned(),
    }
}

fn shrink(name: &str, channels: u64, strides: &str, shape: &Shape) -> String {
    format!("`Conv2D({channels}, 1, strides = {strides})` makes `{name}` {shape}")
}

/// With which strides a 1x1 convolution makes one size out of another.
fn strides(from: [u64; 2], to: [u64; 2]) -> Option<String> {
    let along = |axis: usize| {
        let (n, m) = (from[axis], to[axis]);
        let stride = n.div_ceil(m);
        (n.div_ceil(stride) == m).then_some(stride)
    };
    let (down, across) = (along(0)?, along(1)?);
    Some(if down == across { down.to_string() } else { format!("({down}, {across})") })
}

#[cfg(test)]
mod tests;
