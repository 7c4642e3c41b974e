//! How a model predicts: its slots, the convolutions that others are folded into, and the calls.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::stages::choose;
use super::{Code, doc, ident, number};
use crate::passes::{Call, Folded, Scope, Step};

/// Kinds whose calls two threads can share.
const SHARED: [&str; 3] = ["Conv2D", "ConvPool", "Dense"];

impl Code<'_> {
    /// `a` to `z`, then `a1` and so on: no prefix, which clippy would have taken off.
    fn slot(index: usize) -> Ident {
        let letter = char::from(b'a' + (index % 26) as u8);
        match index / 26 {
            0 => format_ident!("{letter}"),
            round => format_ident!("{letter}{round}"),
        }
    }

    fn folded_constant(&self, call: &Call) -> Ident {
        format_ident!("{}_FOLDED", self.plan.steps[call.step].constant)
    }

    fn folded_calls(&self) -> impl Iterator<Item = (&Call, &Folded)> {
        let calls = self.plan.predict.calls.iter();
        calls.filter_map(|call| call.folded.as_ref().map(|folded| (call, folded)))
    }

    /// A constant for each convolution that others are folded into.
    pub(super) fn folded_constants(&self) -> TokenStream {
        let constants = self.folded_calls().map(|(call, folded)| {
            let (conv, norm) = (&self.plan.steps[call.step], &self.plan.steps[folded.norm]);
            let names = [conv, norm].map(|step| format!("`{}`", step.op.layers.join("`, `")));
            let about = doc(&format!("{} as one, for predictions.", names.join(" and ")));
            let (name, at) = (self.folded_constant(call), number(self.plan.weights[1] + folded.at));
            let (conv, norm_constant) = (ident(&conv.constant), ident(&norm.constant));
            let layer = (norm.op.scope != Scope::Batch).then(|| quote!(.layer()));
            let relu = folded.relu.then(|| quote!(.relu()));
            quote! {
                #about
                const #name: Folded =
                    Folded::new(#conv, #norm_constant #layer) #relu.packed_at(#at);
            }
        });
        constants.collect()
    }

    /// Calls that lay out what is folded.
    pub(super) fn pack_folded(&self) -> impl Iterator<Item = TokenStream> {
        self.folded_calls().map(|(call, _)| {
            let constant = self.folded_constant(call);
            quote!(#constant.pack(weights, packed);)
        })
    }

    /// `Slots`.
    pub(super) fn slots(&self) -> TokenStream {
        let predict = &self.plan.predict;
        let (mut fields, mut cuts) = (Vec::new(), Vec::new());
        let mut any_rows = false;
        for (index, slot) in predict.slots.iter().enumerate() {
            let (name, len) = (Self::slot(index), number(slot.len));
            let held = predict.places.iter().enumerate();
            let held = held.filter(|(_, place)| place.is_some_and(|place| place.slot == index));
            let held: Vec<String> =
                held.map(|(buffer, _)| format!("`{}`", self.plan.buffers[buffer].name)).collect();
            let each = if slot.rows { "of each image" } else { "of one image" };
            let about = doc(&format!("{} {each}.", shortened(&held)));
            fields.push(quote!(#about #name: Slot<'a>));
            any_rows |= slot.rows;
            let cut = if slot.rows { ident("slot") } else { ident("single") };
            cuts.push(quote!(#name: slots.#cut(#len)));
        }
        if predict.scratch > 0 {
            let len = number(predict.scratch);
            fields.push(quote! {
                /// Of no meaning between two calls; a half for each of two threads.
                scratch: &'a mut [f32; #len]
            });
            cuts.push(quote!(scratch: slots.array()));
        }
        let capacity = choose(any_rows, "capacity");
        let carve = if any_rows { quote!(capacity) } else { quote!(1) };
        quote! {
            /// What predictions work in: arrays whose lives do not meet share a slot.
            struct Slots<'a> { #(#fields,)* }

            impl<'a> Slots<'a> {
                fn carve(arena: &'a mut [f32], #capacity: usize) -> Self {
                    let mut slots = Carve::new(arena, #carve);
                    Self { #(#cuts,)* }
                }
            }
        }
    }

    /// `predict`, and where its outputs lie.
    pub(super) fn predictions(&self) -> TokenStream {
        let predict = &self.plan.predict;
        let scope = |call: &Call| self.plan.steps[call.step].op.scope;
        let many = self.plan.together > 1;
        let chains =
            predict.calls.chunk_by(|a, b| scope(a) != Scope::Shard && scope(b) != Scope::Shard);
        let mut counts = many && predict.places[0].is_some();
        let mut bodies = Vec::new();
        for chain in chains {
            let calls: Vec<_> = chain.iter().map(|call| self.predict_call(call)).collect();
            let shared = scope(&chain[0]) == Scope::Shard;
            let given =
                predict.places[0].is_none() && chain.iter().any(|call| call.inputs.contains(&0));
            counts |= many && (shared || !given);
            bodies.push(match (shared || !many, given) {
                (true, _) => quote!(#(#calls)*),
                (false, true) => quote!(for (i, input) in inputs.iter().enumerate() { #(#calls)* }),
                (false, false) => quote!(for i in 0..images { #(#calls)* }),
            });
        }
        let steps = || predict.calls.iter().map(|call| &self.plan.steps[call.step]);
        let packed = choose(steps().any(|step| step.op.sizes.is_some()), "packed");
        let team = choose(steps().any(|step| SHARED.contains(&step.op.kind)), "team");
        let images = counts.then(|| quote!(let images = inputs.len();));
        let kept = predict.places[0].map(|place| {
            let (slot, len) = (Self::slot(place.slot), number(self.plan.buffers[0].shape.len()));
            let images = if many { quote!(images) } else { quote!(1) };
            quote!(s.#slot.first_mut(#images, #len).copy_from_slice(inputs.as_flattened());)
        });
        let [outputs, scores] = [predict.outputs, predict.scores]
            .map(|buffer| Self::slot(predict.places[buffer].map_or(0, |place| place.slot)));
        quote! {
            fn predict(
                #packed: &Self::Packed,
                #team: Team,
                inputs: &[Self::Input],
                capacity: usize,
                arena: &mut [f32],
            ) {
                let mut s = Slots::carve(arena, capacity);
                #images
                #kept
                #(#bodies)*
            }
            fn predict_outputs(arena: &mut [f32], capacity: usize) -> &[Self::Output] {
                Slots::carve(arena, capacity).#outputs.rows()
            }
            fn predict_scores(arena: &mut [f32], capacity: usize) -> &[Self::Output] {
                Slots::carve(arena, capacity).#scores.rows()
            }
        }
    }

    fn predict_call(&self, call: &Call) -> TokenStream {
        let step = &self.plan.steps[call.step];
        let output = self.predict_array(call.output, step, true);
        let inputs: Vec<TokenStream> =
            call.inputs.iter().map(|&input| self.predict_array(input, step, false)).collect();
        let x = &inputs[0];
        let scratch =
            if self.plan.predict.scratch > 0 { quote!(s.scratch,) } else { quote!(&mut [],) };
        if call.folded.is_some() {
            let constant = self.folded_constant(call);
            let other = inputs.get(1).map_or_else(|| quote!(None), |other| quote!(Some(#other)));
            return quote!(#constant.predict(team, packed, #x, #other, #output, #scratch););
        }
        let constant = ident(&step.constant);
        let packed = step.op.sizes.is_some().then(|| quote!(packed,));
        if step.op.kind == "Dense" {
            return quote!(#constant.predict(team, packed, #x, #output););
        }
        if SHARED.contains(&step.op.kind) {
            return quote!(#constant.predict(team, packed, #x, #output, #scratch););
        }
        if step.op.scope == Scope::Batch {
            return quote!(#constant.forward(#constant.moving(packed), #x, #output););
        }
        let x = if step.op.needs.many { quote!(&[#(#inputs),*],) } else { quote!(#(#inputs,)*) };
        let route = step.op.needs.route.then(|| quote!(None,));
        let scratch = (step.op.scratch != [0, 0]).then_some(scratch);
        quote!(#constant.forward(#packed #x #output, #route #scratch);)
    }

    /// The rows of a buffer that a call of `step` takes: one, or those of all images.
    fn predict_array(&self, buffer: usize, step: &Step, mutable: bool) -> TokenStream {
        let Some(place) = self.plan.predict.places[buffer] else {
            return match (buffer, self.plan.together) {
                (0, 1) => quote!(&inputs[0]),
                (0, _) => quote!(input),
                _ => TokenStream::new(),
            };
        };
        let (slot, len) = (Self::slot(place.slot), number(self.plan.buffers[buffer].shape.len()));
        if step.op.scope == Scope::Shard {
            let first = if mutable { ident("first_mut") } else { ident("first") };
            let images = if self.plan.together == 1 { quote!(1) } else { quote!(images) };
            return quote!(s.#slot.#first(#images, #len));
        }
        let row = if mutable { ident("row_mut") } else { ident("row") };
        let index = if place.rows { quote!(i) } else { quote!(0) };
        quote!(s.#slot.#row::<#len>(#index))
    }
}

/// The first names, and how many there are beside them.
fn shortened(names: &[String]) -> String {
    match names {
        [first, second, third, _, _, ..] => {
            format!("{first}, {second}, {third} and {} others,", names.len() - 3)
        }
        names => names.join(", "),
    }
}
