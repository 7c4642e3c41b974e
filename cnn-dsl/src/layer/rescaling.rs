//! `Rescaling`

use proc_macro2::TokenStream;
use quote::quote;

use crate::bind::{Args, Signature, optional, required};
use crate::ir::{Layer, Shape};
use crate::passes::{Op, float, image_op};
use crate::receptive::Reach;

use super::explain::{Explain, Line, each_value};
use super::{Build, Built, Compute, Definition, Kind};

/// Arguments of `Rescaling`, resolved: one number, or one for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescaling {
    /// Factors.
    pub scale: Vec<f64>,
    /// Added then.
    pub offset: Vec<f64>,
}

impl Compute for Rescaling {
    fn class(&self) -> &'static str {
        DEFINITION.signature.name
    }

    fn arguments(&self) -> String {
        format!("{:?} {:?}", self.scale, self.offset)
    }

    fn ops(&self, layer: &Layer, _index: u64) -> Vec<Op> {
        let list = |numbers: &[f64]| -> TokenStream {
            let numbers = numbers.iter().map(|&number| float(number));
            quote!(&[#(#numbers),*])
        };
        let (scale, offset) = (list(&self.scale), list(&self.offset));
        vec![image_op(layer, "Rescaling", quote!(Rescaling::new(#scale, #offset)))]
    }
}

impl Explain for Rescaling {
    fn reach(&self, _layer: &Layer, _input: usize) -> [Reach; 2] {
        Reach::SAME
    }

    fn explain(&self, layer: &Layer) -> Vec<Line> {
        each_value(layer, format!("times {}, plus {}", numbers(&self.scale), numbers(&self.offset)))
    }
}

/// One number, or one for each channel.
fn numbers(numbers: &[f64]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    if let [only] = texts.as_slice() { only.clone() } else { format!("({})", texts.join(", ")) }
}

/// The layer's entry in [`super::ALL`].
pub const DEFINITION: Definition = Definition {
    signature: Signature { name: "Rescaling", params: &[required("scale"), optional("offset")] },
    aliases: &[],
    build: Build::One(build),
};

fn build(args: &mut Args<'_>, input: Option<&Shape>) -> Option<Built> {
    args.value("scale")?;
    let (scale, offset) = (args.numbers_or("scale", &[1.0]), args.numbers_or("offset", &[0.0]));
    let (scale, offset) = (scale?, offset?);
    let input = input?;
    for (name, numbers) in [("scale", &scale), ("offset", &offset)] {
        if numbers.len() > 1 && numbers.len() as u64 != input.last() {
            let at = args.span(name);
            let message = format!(
                "`{name}` has {} numbers for {} channels of {input}",
                numbers.len(),
                input.last()
            );
            let diagnostic = args.error(at, &message, "neither one nor one for each channel");
            diagnostic.help.push("a single number is for all channels".to_owned());
            return None;
        }
    }
    Some(Built::same_shape(Kind::plain(Rescaling { scale, offset }), input))
}
