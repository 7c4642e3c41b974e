//! `Reshape`, `Permute`

use quote::quote;

use crate::bind::{Args, Signature, required};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, array, image_op};
use crate::receptive::Reach;

use super::explain::{Count, Explain, Line};
use super::{Build, Built, Compute, Definition, Kind, values};

/// The same values under another shape, which the layer's output says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape;

/// Arguments of `Permute`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permute {
    /// For each axis of the output the input's, counted from 0.
    pub order: Vec<usize>,
}

impl Compute for Reshape {
    fn class(&self) -> &'static str {
        RESHAPE.signature.name
    }

    fn arguments(&self) -> String {
        String::new()
    }

    fn ops(&self, _layer: &Layer, _index: u64) -> Vec<Op> {
        Vec::new()
    }
}

impl Compute for Permute {
    fn class(&self) -> &'static str {
        PERMUTE.signature.name
    }

    fn arguments(&self) -> String {
        format!("{:?}", self.order)
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        // Missing axes come first and stay there.
        let missing = 3_usize.saturating_sub(self.order.len());
        let input = array(&[vec![1; missing], layer.input().0.clone()].concat());
        let moved = self.order.iter().map(|&axis| (axis + missing) as u64);
        let order = array(&(0..missing as u64).chain(moved).collect::<Vec<_>>());
        vec![image_op(layer, "Permute", quote!(Permute::new(#input, #order)))]
    }
}

impl Explain for Reshape {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::WHOLE
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let [before, after] = [layer.input(), &layer.output].map(|shape| Count::product(&shape.0));
        let rule = format!("{}, as before: {}", after.equation(), before.equation());
        vec![Line::new("values", rule), Line::no_params()]
    }
}

impl Explain for Permute {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        if self.order.is_sorted() { Reach::SAME } else { Reach::WHOLE }
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        let order: Vec<String> = self.order.iter().map(|axis| (axis + 1).to_string()).collect();
        let rule = format!("axes {} of {}", order.join(", "), layer.input());
        vec![Line::new("shape", rule), Line::no_params()]
    }
}

/// The entry of `Reshape` in [`super::ALL`].
pub const RESHAPE: Definition = Definition {
    signature: Signature { name: "Reshape", params: &[required("target_shape")] },
    aliases: &[],
    build: Build::One(build_reshape),
};

/// The entry of `Permute` in [`super::ALL`].
pub const PERMUTE: Definition = Definition {
    signature: Signature { name: "Permute", params: &[required("dims")] },
    aliases: &[],
    build: Build::One(build_permute),
};

fn build_reshape(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    args.value("target_shape")?;
    let sizes = args.integers_or("target_shape", &[])?;
    let at = args.span("target_shape");
    if sizes.len() > 3 || sizes.iter().any(|size| *size < -1 || *size == 0) {
        let message = format!(
            "`target_shape` must be one to three positive sizes, found `{}`",
            written(&sizes)
        );
        let diagnostic = args.error(at, &message, "not a shape");
        diagnostic.help.push("one of the sizes may be -1: what the others leave".to_owned());
        return None;
    }
    if sizes.iter().filter(|size| **size < 0).count() > 1 {
        let message = "only one size of `target_shape` can be -1";
        let diagnostic = args.error(at, message, "two that are not known");
        diagnostic.help.push("write out all sizes but one".to_owned());
        return None;
    }
    let known: Vec<u64> = sizes.iter().filter_map(|size| u64::try_from(*size).ok()).collect();
    let count = values(args, &at, &[&known], "values of the new shape")?;
    let input = input?;
    let open = known.len() < sizes.len();
    if if open { input.len().is_multiple_of(count) } else { input.len() == count } {
        let rest = input.len() / count;
        let output = sizes.iter().map(|size| u64::try_from(*size).unwrap_or(rest));
        return Some(Built::weightless(Kind::plain(Reshape), Shape(output.collect())));
    }
    let (target, from) = (written(&sizes), input.len());
    let message = if open {
        format!(
            "{from} values of {input} cannot be cut into {target}: {count} does not divide them"
        )
    } else {
        format!("{from} values of {input} cannot become {count} of {target}")
    };
    let diagnostic = args.error(at, &message, format!("the input is {input}"));
    if let [height, width, _] = sizes.as_slice()
        && let Some(places) = height.unsigned_abs().checked_mul(width.unsigned_abs())
        && !open
        && from.is_multiple_of(places)
    {
        diagnostic.help.push(format!("`({height}, {width}, {})` would fit", from / places));
    } else {
        diagnostic
            .help
            .push("`-1` in place of one size stands for what the others leave".to_owned());
    }
    None
}

fn written(sizes: &[i64]) -> String {
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    sizes.join("x")
}

fn build_permute(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    args.value("dims")?;
    let dims = args.integers_or("dims", &[])?;
    let input = input?;
    let rank = input.rank();
    let order: Option<Vec<usize>> =
        dims.iter().map(|dim| usize::try_from(*dim).ok()?.checked_sub(1)).collect();
    let complete =
        |order: &Vec<usize>| order.len() == rank && (0..rank).all(|axis| order.contains(&axis));
    if let Some(order) = order.filter(complete) {
        let output = order.iter().map(|&axis| input.0[axis]).collect();
        return Some(Built::weightless(Kind::plain(Permute { order }), Shape(output)));
    }
    let axes: Vec<String> = (1..=rank).rev().map(|axis| axis.to_string()).collect();
    let found: Vec<String> = dims.iter().map(ToString::to_string).collect();
    let at = args.span("dims");
    let message = format!(
        "`dims` must name each axis of {input} once, from 1 to {rank}, found `({})`",
        found.join(", ")
    );
    let diagnostic = args.error(at, &message, "not an order of the axes");
    diagnostic.help.push(format!("`Permute(({}))` turns them around", axes.join(", ")));
    None
}
