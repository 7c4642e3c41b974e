//! `impl Inspect`: a model's functions once more, every layer for itself.

use proc_macro2::TokenStream;
use quote::quote;

use super::passes::named;
use super::stages::{choose, dispatch};
use super::{Code, MANY_STEPS, Options, ident, number, uses};
use crate::ir::Model;
use crate::passes::{Apart, Backward, Scope, Step, View, apart};

/// What a model that says `inspect;` has beside its own code.
pub(super) fn emit(model: &Model, options: &Options) -> TokenStream {
    let Apart { model, plan, views, logits } = apart(model);
    let code = Code { model: &model, plan: &plan, runtime: &options.runtime, chains: Vec::new() };
    let trait_ = code.inspect(&views, logits);
    let body: TokenStream = [code.layer_constants(), code.storage(), trait_].into_iter().collect();
    let uses = uses(&options.runtime, &body, &code.kinds());
    // A step's way back is a call for each input, of ten lines.
    let calls: usize = plan.steps.iter().map(|step| step.inputs.len()).sum();
    let long = (2 * calls > MANY_STEPS).then(|| quote!(#[allow(clippy::too_many_lines)]));
    quote! {
        #long
        const _: () = {
            #uses
            #body
        };
    }
}

impl Code<'_> {
    fn inspect(&self, views: &[View], logits: View) -> TokenStream {
        let (name, plan) = (self.name(), self.plan);
        let [_, kernels, mirrored] = plan.weights.map(number);
        let (views, logits) = (views.iter().map(view), view(&logits));
        let input = plan.buffers[0].gradient.map_or(0, |field| plan.field_at(field));
        let input = number(input.saturating_sub(plan.arena()));
        let (arena, tape) = (number(plan.arena()), number(plan.tape_len()));
        let (lay_out, look, look_back) = (self.lay_out(), self.look(), self.look_back());
        quote! {
            impl Inspect for #name {
                type Kernels = [f32; #kernels];
                type Mirrored = [f32; #mirrored];

                const VIEWS: &'static [View] = &[#(#views),*];
                const LOGITS: View = #logits;
                const INPUT_GRADIENT: usize = #input;
                const VIEW_ARENA: usize = #arena;
                const VIEW_TAPE: usize = #tape;

                #lay_out
                #look
                #look_back
            }
        }
    }

    fn lay_out(&self) -> TokenStream {
        let steps = self.plan.steps.iter().filter(|step| step.op.sizes.is_some());
        let calls = steps.map(|step| {
            let constant = ident(&step.constant);
            let transpose = (step.backward == Backward::Full)
                .then(|| quote!(#constant.transpose(weights, mirrored);));
            quote!(#constant.pack(weights, kernels); #transpose)
        });
        let calls: Vec<_> = calls.collect();
        let [weights, kernels, mirrored] =
            ["weights", "kernels", "mirrored"].map(|name| named(name, &calls));
        quote! {
            fn lay_out(
                #weights: &Self::Weights,
                #kernels: &mut Self::Kernels,
                #mirrored: &mut Self::Mirrored,
            ) {
                #(#calls)*
            }
        }
    }

    fn look(&self) -> TokenStream {
        let calls = self.plan.steps.iter().map(|step| self.forward_call(step));
        let any = |what: fn(&Step) -> bool| self.plan.steps.iter().any(what);
        let routes = any(|step| step.op.needs.route);
        let kernels = choose(any(|step| step.op.sizes.is_some()), "packed");
        let (arena, tape) = (choose(any(|_| true), "arena"), choose(routes, "tape"));
        let carve = any(|_| true).then(|| quote!(let a = Activations::carve(arena, 0);));
        let carve_tape =
            routes.then(|| quote!(let mut tape = tape.map(|tape| Tape::carve(tape, 0));));
        let common = self.common();
        quote! {
            fn look(#kernels: &Self::Kernels, #arena: &mut [f32], #tape: Option<&mut [f32]>) {
                #carve
                #carve_tape
                #common
                #(#calls)*
            }
        }
    }

    fn look_back(&self) -> TokenStream {
        let calls: Vec<TokenStream> =
            self.plan.steps.iter().map(|step| self.backward_call(step)).collect();
        let any = |what: fn(&Step) -> bool| self.plan.steps.iter().any(what);
        let reads = |step: &Step| {
            step.op.scope == Scope::Shard || step.op.needs.input || step.op.needs.output
        };
        let step = choose(calls.len() > 1, "step");
        let body = dispatch("step", &calls);
        let mirrored = choose(any(|step| step.op.sizes.is_some()), "transposed");
        let (arena, tape) = (choose(any(reads), "arena"), choose(any(|_| true), "tape"));
        let carve = any(reads).then(|| quote!(let a = Activations::carve(arena, 0);));
        let carve_tape = any(|_| true).then(|| quote!(let t = Tape::carve(tape, 0);));
        let common = self.common();
        quote! {
            fn look_back(
                #step: usize,
                #mirrored: &Self::Mirrored,
                #arena: &mut [f32],
                #tape: &mut [f32],
            ) {
                #carve
                #carve_tape
                #common
                #body
            }
        }
    }

    /// There is one image, and nothing is dropped.
    fn common(&self) -> TokenStream {
        let any = |what: fn(&Step) -> bool| self.plan.steps.iter().any(what);
        let i = any(|step| step.op.scope != Scope::Shard).then(|| quote!(let i = 0;));
        let images = any(|step| step.op.scope == Scope::Shard).then(|| quote!(let images = 1;));
        let pass = any(|step| step.op.needs.pass).then(|| quote!(let pass = Pass::Inference;));
        quote!(#i #images #pass)
    }
}

fn view(view: &View) -> TokenStream {
    let [output, gradient, steps] = [view.output, view.gradient, view.steps as u64].map(number);
    let rectified = view.rectified;
    quote! {
        View { output: #output, gradient: #gradient, steps: #steps, rectified: #rectified }
    }
}
