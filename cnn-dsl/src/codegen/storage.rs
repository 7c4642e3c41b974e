//! The arena and the tape, cut into named arrays.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Code, doc, ident, number};
use crate::passes::{Scope, Step};

impl Code<'_> {
    /// `Activations` and `Tape`.
    pub(super) fn storage(&self) -> TokenStream {
        let (activations, tape) = (self.activations(), self.tape());
        quote!(#activations #tape)
    }

    fn activations(&self) -> TokenStream {
        let mut fields = Vec::new();
        let mut cuts = Vec::new();
        for buffer in &self.plan.buffers {
            let (name, about) = (ident(&buffer.name), doc(&buffer.shape.to_string()));
            let len = number(buffer.shape.len());
            if buffer.passing {
                fields.push(quote!(#about #name: &'a mut [f32; #len]));
                cuts.push(quote!(#name: arena.array()));
            } else {
                fields.push(quote!(#about #name: &'a mut [[f32; #len]]));
                cuts.push(quote!(#name: arena.rows()));
            }
        }
        if self.plan.scratch > 0 {
            let len = number(self.plan.scratch);
            fields.push(quote! {
                /// Of no meaning between two calls.
                scratch: &'a mut [f32; #len]
            });
            cuts.push(quote!(scratch: arena.array()));
        }
        let products =
            self.plan.steps.iter().filter(|step| step.learns() && step.op.scope == Scope::Shard);
        let inputs: BTreeSet<usize> = products.map(Step::input).collect();
        let starts = inputs.into_iter().map(|buffer| {
            let name = start(&self.plan.buffers[buffer].name);
            let at = number(self.plan.buffer_at(buffer));
            quote!(const #name: usize = #at;)
        });
        let starts = commented(
            &starts.collect(),
            "Where the inputs of the batch's matrix products start in a shard.",
        );
        let shard = number(self.plan.shard);
        quote! {
            /// What the layers make of a shard's images in training, a row for each.
            struct Activations<'a> { #(#fields,)* }

            impl<'a> Activations<'a> {
                #starts

                /// The rows from image `first` on.
                fn carve(arena: &'a mut [f32], first: usize) -> Self {
                    let mut arena = Carve::new(arena, #shard).skip(first);
                    Self { #(#cuts,)* }
                }
            }
        }
    }

    fn tape(&self) -> TokenStream {
        let mut fields = Vec::new();
        let mut cuts = Vec::new();
        for field in &self.plan.tape {
            if field.name == "gradients" && field.len == 0 {
                continue;
            }
            if field.name == "scratch" && !self.uses_backward_scratch() {
                continue;
            }
            let (name, about, len) = (ident(&field.name), doc(&field.about), number(field.len));
            if field.rows {
                fields.push(quote!(#about #name: &'a mut [[f32; #len]]));
                cuts.push(quote!(#name: tape.rows()));
            } else {
                fields.push(quote!(#about #name: &'a mut [f32; #len]));
                cuts.push(quote!(#name: tape.array()));
            }
        }
        let shard = number(self.plan.shard);
        let starts = self.tape_starts();
        quote! {
            /// What the way back needs and makes.
            struct Tape<'a> { #(#fields,)* }

            impl<'a> Tape<'a> {
                #starts

                /// The rows from image `first` on.
                fn carve(tape: &'a mut [f32], first: usize) -> Self {
                    let mut tape = Carve::new(tape, #shard).skip(first);
                    Self { #(#cuts,)* }
                }
            }
        }
    }

    fn tape_starts(&self) -> TokenStream {
        let plan = self.plan;
        let mut rows = TokenStream::new();
        let mut own = TokenStream::new();
        let mut sums = TokenStream::new();
        for step in plan.steps.iter().filter(|step| step.learns()) {
            let field = plan.buffers[step.output].gradient;
            match (step.op.scope, field) {
                (Scope::Batch, _) => {}
                (Scope::Shard, Some(field)) => {
                    let (name, at) = (start(&plan.tape[field].name), number(plan.field_at(field)));
                    rows.extend(quote!(const #name: usize = #at;));
                }
                _ => {
                    let field = plan.gradients_field();
                    let (at, len) = (number(plan.field_at(field)), number(plan.tape[field].len));
                    own = quote!(const GRADIENTS: [usize; 2] = [#at, #len];);
                }
            }
        }
        for step in &plan.steps {
            if let Some(field) = step.sums.filter(|_| step.op.scope == Scope::Batch) {
                let (name, len) = (start(&plan.tape[field].name), number(plan.tape[field].len));
                let at = number(plan.field_at(field));
                sums.extend(quote!(const #name: [usize; 2] = [#at, #len];));
            }
        }
        let sums = commented(&sums, "Start and length of what a shard sums up for the batch.");
        let rows = commented(
            &rows,
            "Where the gradients of the batch's matrix products start in a shard.",
        );
        let own = commented(&own, "Start and length of a shard's own gradients.");
        quote!(#rows #own #sums)
    }
}

/// The constant for an array's start.
pub(super) fn start(name: &str) -> Ident {
    ident(&name.to_uppercase())
}

fn commented(constants: &TokenStream, about: &str) -> TokenStream {
    if constants.is_empty() {
        return TokenStream::new();
    }
    let about = doc(about);
    quote!(#about #constants)
}
