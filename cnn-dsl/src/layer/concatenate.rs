//! `Concatenate`

use quote::quote;

use crate::bind::{Args, Signature, optional};
use crate::codegen::number;
use crate::diagnostics::thousands;
use crate::ir::{Layer, Shape};
use crate::passes::{Op, array, image_op};
use crate::receptive::Reach;

use super::explain::{Explain, Line};
use super::merge::{at_least_two, disagree};
use super::{Build, Built, Compute, Definition, Kind, Operand, axis, values};

/// Arguments of `Concatenate`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concatenate {
    /// The axis that grows, counted from the first after the batch.
    pub axis: usize,
}

impl Compute for Concatenate {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        self.axis.to_string()
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let outer = number(layer.output.0[..self.axis].iter().product());
        let runs = layer.inputs.iter().map(|input| input.0[self.axis..].iter().product());
        let runs = array(&runs.collect::<Vec<u64>>());
        let mut op = image_op(layer, "Concatenate", quote!(Concatenate::new(#outer, &#runs)));
        op.needs.many = true;
        vec![op]
    }
}

impl Explain for Concatenate {
    fn reach(&self, layer: &Layer, input: usize) -> [Reach; 2] {
        let at = layer.inputs[..input].iter().map(|before| before.0[self.axis]).sum();
        // The last axis are features; those before it are places.
        let grows = |axis: usize| axis == self.axis && axis + 1 < layer.output.rank();
        [0, 1].map(|axis| if grows(axis) { Reach::Part { at } } else { Reach::Same })
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let sizes: Vec<String> =
            layer.inputs.iter().map(|input| thousands(input.0[self.axis].into())).collect();
        let sum = thousands(layer.output.0[self.axis].into());
        let rule = format!("{} = {sum}", sizes.join(" + "));
        vec![Line::new(self.grown(layer), rule), Line::no_params()]
    }
}

impl Concatenate {
    /// What grows.
    fn grown(&self, layer: &Layer) -> &'static str {
        match (layer.output.rank(), self.axis) {
            (3, 2) => "channels",
            (2.., 0) => "rows",
            (3, 1) => "columns",
            _ => "features",
        }
    }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature { name: "Concatenate", params: &[optional("axis")] },
    aliases: &[],
    build: Build::Many(build),
};

fn build(args: &mut Args<'_>, inputs: Option<&[Operand]>) -> Option<Built> {
    let number = args.signed_or("axis", -1)?;
    let inputs = inputs?;
    let first = at_least_two(args, inputs)?;
    let axis = axis(args, "axis", number, &first.shape)?;
    let mut output = first.shape.clone();
    let mut size = u128::from(output.0[axis]);
    for input in &inputs[1..] {
        let differ = differing(&first.shape, &input.shape);
        if differ.as_ref().is_none_or(|axes| axes.iter().any(|other| *other != axis)) {
            let how = format!("do not agree beside axis {}", axis + 1);
            disagree(args, first, input, &how, way_out(first, input, axis, differ));
            return None;
        }
        size += u128::from(input.shape.0[axis]);
    }
    // Too large for the type is too large for the limit as well.
    output.0[axis] = u64::try_from(size).unwrap_or(u64::MAX);
    let at = args.at();
    values(args, &at, &[&output.0], "output values")?;
    Some(Built::weightless(Kind::plain(Concatenate { axis }), output))
}

/// The axes along which two shapes differ, unless they have other numbers of axes.
fn differing(a: &Shape, b: &Shape) -> Option<Vec<usize>> {
    let axes = || (0..a.rank()).filter(|&axis| a.0[axis] != b.0[axis]);
    (a.rank() == b.rank()).then(|| axes().collect())
}

fn way_out(a: &Operand, b: &Operand, axis: usize, differ: Option<Vec<usize>>) -> String {
    let Some(differ) = differ else {
        let image = if a.shape.rank() > b.shape.rank() { a } else { b };
        return format!("all inputs need as many axes: `Flatten` makes `{}` a vector", image.name);
    };
    match differ.as_slice() {
        &[only] if only != axis => {
            format!("along the axis that differs they fit: `axis = {}`", only + 1)
        }
        [first, ..] if a.shape.rank() == 3 && axis == 2 => {
            if a.shape.0[*first] > b.shape.0[*first] { enlarge(b, a) } else { enlarge(a, b) }
        }
        _ => "all other axes must have the same size in all inputs".to_owned(),
    }
}

/// What makes the one image as large as the other.
fn enlarge(small: &Operand, large: &Operand) -> String {
    let factor = |axis: usize| {
        let (n, m) = (large.shape.0[axis], small.shape.0[axis]);
        n.is_multiple_of(m).then_some(n / m)
    };
    let size = match (factor(0), factor(1)) {
        (Some(down), Some(across)) if down == across => down.to_string(),
        (Some(down), Some(across)) => format!("({down}, {across})"),
        _ => return "`padding = same` and the same strides keep height and width alike".to_owned(),
    };
    format!("`UpSampling2D({size})` makes `{}` as large", small.name)
}
