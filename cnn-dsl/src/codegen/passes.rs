//! The functions: forward and backward, a chain of one image's operations each, and the trait that
//! ties them together.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::storage::start;
use super::{Code, doc, ident, number};
use crate::passes::{Backward, Scope, Step};

/// Steps of one scope that follow each other.
struct Segment<'a> {
    steps: &'a [Step],
    /// For chains of one image's operations.
    number: usize,
}

impl Segment<'_> {
    fn scope(&self) -> Scope {
        self.steps[0].op.scope
    }

    fn function(&self, direction: &str) -> Ident {
        format_ident!("segment_{}_{direction}", self.number)
    }

    fn about(&self) -> String {
        let (first, last) = (&self.steps[0].op, &self.steps[self.steps.len() - 1].op);
        let names: Vec<&String> = self.steps.iter().flat_map(|step| &step.op.layers).collect();
        let span = match names.as_slice() {
            [only] => format!("`{only}`"),
            [first, .., last] if first != last => format!("`{first}` to `{last}`"),
            [first, ..] => format!("`{first}`"),
            [] => String::new(),
        };
        format!("{span}, one image at a time: {} → {}.", first.input, last.output)
    }

    fn live(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(|step| step.backward != Backward::Skipped)
    }
}

impl Code<'_> {
    fn segments(&self) -> Vec<Segment<'_>> {
        let mut number = 0;
        self.plan
            .steps
            .chunk_by(|a, b| a.op.scope == Scope::Image && b.op.scope == Scope::Image)
            .map(|steps| {
                let segment = Segment { steps, number };
                number += usize::from(segment.scope() == Scope::Image);
                segment
            })
            .collect()
    }

    pub(super) fn uses_backward_scratch(&self) -> bool {
        self.live().any(|step| step.op.scratch[1] > 0)
    }

    fn live(&self) -> impl Iterator<Item = &Step> {
        self.plan.steps.iter().filter(|step| step.backward != Backward::Skipped)
    }

    fn field(&self, index: Option<usize>) -> Ident {
        ident(index.map_or("missing", |index| &self.plan.tape[index].name))
    }

    /// The chains' functions.
    pub(super) fn functions(&self) -> TokenStream {
        let segments = self.segments();
        let chains = segments.iter().filter(|segment| segment.scope() == Scope::Image);
        chains
            .map(|segment| {
                let (forward, backward) =
                    (self.chain_forward(segment), self.chain_backward(segment));
                quote!(#forward #backward)
            })
            .collect()
    }

    fn chain_forward(&self, segment: &Segment<'_>) -> TokenStream {
        let (about, name) = (doc(&segment.about()), segment.function("forward"));
        let calls = segment.steps.iter().map(|step| self.forward_call(step));
        let (parameters, _) = self.forward_parameters(segment);
        quote! {
            #about
            fn #name(#parameters) {
                for i in 0..images {
                    #(#calls)*
                }
            }
        }
    }

    /// Parameters of a chain's forward function, and the arguments for them.
    fn forward_parameters(&self, segment: &Segment<'_>) -> (TokenStream, TokenStream) {
        let packed_len = number(self.plan.weights[1]);
        let mut parameters = TokenStream::new();
        let mut arguments = TokenStream::new();
        if segment.steps.iter().any(|step| step.op.sizes.is_some()) {
            parameters.extend(quote!(packed: &[f32; #packed_len],));
            arguments.extend(quote!(packed,));
        }
        if segment.steps.iter().any(|step| step.op.needs.pass) {
            parameters.extend(quote!(pass: Pass,));
            arguments.extend(quote!(pass,));
        }
        parameters.extend(quote!(images: usize, a: &mut Activations<'_>,));
        arguments.extend(quote!(images, &mut a,));
        if segment.live().any(|step| step.op.needs.route) {
            let muted = quote!(mut tape: Option<&mut Tape<'_>>,);
            parameters.extend(muted);
            arguments.extend(quote!(tape.as_mut(),));
        }
        (parameters, arguments)
    }

    fn forward_call(&self, step: &Step) -> TokenStream {
        let constant = ident(&step.constant);
        let x = ident(&self.plan.buffers[step.input].name);
        let y = ident(&self.plan.buffers[step.input + 1].name);
        let packed = step.op.sizes.is_some().then(|| quote!(packed,));
        if step.op.scope == Scope::Shard {
            return quote! {
                #constant.forward(
                    #packed a.#x[..images].as_flattened(), a.#y[..images].as_flattened_mut(),
                );
            };
        }
        let pass = step.op.needs.pass.then(|| quote!(pass, i,));
        let route = step.op.needs.route.then(|| {
            if step.backward == Backward::Skipped {
                return quote!(None,);
            }
            let route = self.field(self.plan.buffers[step.input + 1].route);
            quote!(tape.as_mut().map(|tape| tape.#route[i].as_mut_slice()),)
        });
        let scratch = (step.op.scratch != [0, 0]).then(|| {
            // A layer without forward scratch still takes the parameter.
            if self.plan.scratch > 0 { quote!(a.scratch,) } else { quote!(&mut [],) }
        });
        quote!(#constant.forward(#packed #pass &a.#x[i], &mut a.#y[i], #route #scratch);)
    }

    fn chain_backward(&self, segment: &Segment<'_>) -> Option<TokenStream> {
        segment.live().next()?;
        let (about, name) =
            (doc(&format!("Back through {}", segment.about())), segment.function("backward"));
        let calls = segment.live().rev().map(|step| self.backward_call(step));
        let (parameters, _) = self.backward_parameters(segment);
        Some(quote! {
            #about
            fn #name(#parameters) {
                for i in 0..images {
                    #(#calls)*
                }
            }
        })
    }

    fn backward_parameters(&self, segment: &Segment<'_>) -> (TokenStream, TokenStream) {
        let transposed_len = number(self.plan.weights[2]);
        let mut parameters = TokenStream::new();
        let mut arguments = TokenStream::new();
        if segment.live().any(|step| step.op.sizes.is_some()) {
            parameters.extend(quote!(transposed: &[f32; #transposed_len],));
            arguments.extend(quote!(transposed,));
        }
        if segment.live().any(|step| step.op.needs.pass) {
            parameters.extend(quote!(pass: Pass,));
            arguments.extend(quote!(pass,));
        }
        parameters.extend(quote!(images: usize,));
        arguments.extend(quote!(images,));
        if segment.live().any(|step| step.op.needs.input || step.op.needs.output) {
            parameters.extend(quote!(a: &Activations<'_>,));
            arguments.extend(quote!(&a,));
        }
        parameters.extend(quote!(t: &mut Tape<'_>,));
        arguments.extend(quote!(&mut t,));
        (parameters, arguments)
    }

    /// A buffer's gradient: a row of it, or the one row there is.
    fn gradient(&self, buffer: usize, mutable: bool) -> TokenStream {
        let index = self.plan.buffers[buffer].gradient;
        let name = self.field(index);
        match (index.is_some_and(|index| self.plan.tape[index].rows), mutable) {
            (true, false) => quote!(&t.#name[i]),
            (true, true) => quote!(&mut t.#name[i]),
            (false, _) => quote!(t.#name),
        }
    }

    fn backward_call(&self, step: &Step) -> TokenStream {
        let constant = ident(&step.constant);
        let (input, output) = (step.input, step.input + 1);
        let (x, y) =
            (ident(&self.plan.buffers[input].name), ident(&self.plan.buffers[output].name));
        let full = step.backward == Backward::Full;
        if step.op.scope == Scope::Shard {
            let dy = self.field(self.plan.buffers[output].gradient);
            let dx = self.field(self.plan.buffers[input].gradient);
            let dx =
                if full { quote!(Some(t.#dx[..images].as_flattened_mut())) } else { quote!(None) };
            return quote! {
                #constant.backward(
                    transposed, a.#y[..images].as_flattened(),
                    t.#dy[..images].as_flattened_mut(), #dx,
                );
            };
        }
        let needs = step.op.needs;
        let transposed = step.op.sizes.is_some().then(|| quote!(transposed,));
        let pass = needs.pass.then(|| quote!(pass, i,));
        let x = needs.input.then(|| quote!(&a.#x[i],));
        let y = needs.output.then(|| quote!(&a.#y[i],));
        let route = needs.route.then(|| {
            let route = self.field(self.plan.buffers[output].route);
            quote!(&t.#route[i],)
        });
        let dy = self.gradient(output, false);
        let dx = match (full, step.op.sizes.is_some()) {
            (true, true) => {
                let dx = self.gradient(input, true);
                quote!(Some(#dx),)
            }
            (true, false) => {
                let dx = self.gradient(input, true);
                quote!(#dx,)
            }
            (false, _) => quote!(None,),
        };
        let gradients = step.op.sizes.is_some().then(|| quote!(t.gradients,));
        let scratch = (step.op.scratch != [0, 0]).then(|| quote!(t.scratch,));
        quote!(#constant.backward(#transposed #pass #x #y #route #dy, #dx #gradients #scratch);)
    }

    /// `impl Network`.
    pub(super) fn network(&self) -> TokenStream {
        let (name, text, plan) = (self.name(), &self.model.name, self.plan);
        let [weights, packed, transposed] = plan.weights.map(number);
        let last = plan.buffers.len() - 1;
        let input = number(plan.buffers[0].shape.len());
        let output = number(plan.buffers[last].shape.len());
        let (layers, tensors, defaults) = (self.layers(), self.tensors(), self.defaults());
        let hash = ident_hash(crate::passes::architecture_hash(self.model));
        let shard = number(plan.shard);
        let (single, arena, tape) =
            (number(plan.arena(1)), number(plan.arena(plan.shard)), number(plan.tape_len()));
        let places = self.places();
        let (pack, transpose) = (self.pack(), self.transpose());
        let (forward, backward) = (self.forward(), self.backward());
        let gradients = self.weight_gradients();
        quote! {
            impl Network for #name {
                type Weights = [f32; #weights];
                type Packed = [f32; #packed];
                type Transposed = [f32; #transposed];
                type Input = [f32; #input];
                type Output = [f32; #output];

                const NAME: &'static str = #text;
                const SUMMARY: &'static str = Self::SUMMARY;
                const INPUT_SHAPE: &'static [usize] = &Self::INPUT_SHAPE;
                const OUTPUT_SHAPE: &'static [usize] = &Self::OUTPUT_SHAPE;
                const LAYERS: &'static [LayerInfo] = #layers;
                const TENSORS: &'static [TensorInfo] = #tensors;
                const ARCHITECTURE_HASH: u64 = #hash;
                const DEFAULTS: Defaults = #defaults;
                const SHARD: usize = #shard;
                const SINGLE_ARENA: usize = #single;
                const SHARD_ARENA: usize = #arena;
                const TAPE: usize = #tape;

                #pack
                #transpose
                #places
                #forward
                #backward
                #gradients
            }
        }
    }

    fn places(&self) -> TokenStream {
        let plan = self.plan;
        let last = ident(&plan.buffers[plan.buffers.len() - 1].name);
        let scores = ident(&plan.buffers[plan.scores].name);
        let gradient = self.field(plan.buffers[plan.scores].gradient);
        let input_gradients = plan.buffers[0].gradient.map(|index| {
            let field = self.field(Some(index));
            quote! {
                fn input_gradients(tape: &mut [f32]) -> Option<&mut [Self::Input]> {
                    Some(Tape::carve(tape).#field)
                }
            }
        });
        quote! {
            fn inputs(arena: &mut [f32], capacity: usize) -> &mut [Self::Input] {
                Activations::carve(arena, capacity).input
            }
            fn outputs(arena: &mut [f32], capacity: usize) -> &mut [Self::Output] {
                Activations::carve(arena, capacity).#last
            }
            fn scores(arena: &mut [f32], capacity: usize) -> &mut [Self::Output] {
                Activations::carve(arena, capacity).#scores
            }
            fn score_gradients(tape: &mut [f32]) -> &mut [Self::Output] {
                Tape::carve(tape).#gradient
            }
            #input_gradients
        }
    }

    fn pack(&self) -> TokenStream {
        let calls: Vec<_> = self
            .plan
            .steps
            .iter()
            .filter(|step| step.op.sizes.is_some())
            .map(|step| {
                let constant = ident(&step.constant);
                quote!(#constant.pack(weights, packed);)
            })
            .collect();
        let (weights, packed) = (named("weights", &calls), named("packed", &calls));
        quote! {
            fn pack(#weights: &Self::Weights, #packed: &mut Self::Packed) { #(#calls)* }
        }
    }

    fn transpose(&self) -> TokenStream {
        let steps = self
            .plan
            .steps
            .iter()
            .filter(|step| step.op.sizes.is_some() && step.backward == Backward::Full);
        let calls: Vec<_> = steps
            .map(|step| {
                let constant = ident(&step.constant);
                quote!(#constant.transpose(weights, transposed);)
            })
            .collect();
        let (weights, transposed) = (named("weights", &calls), named("transposed", &calls));
        quote! {
            fn transpose(#weights: &Self::Weights, #transposed: &mut Self::Transposed) { #(#calls)* }
        }
    }

    fn forward(&self) -> TokenStream {
        let segments = self.segments();
        let calls = segments.iter().map(|segment| match segment.scope() {
            Scope::Shard => segment.steps.iter().map(|step| self.forward_call(step)).collect(),
            Scope::Image => {
                let function = segment.function("forward");
                let (_, arguments) = self.forward_parameters(segment);
                quote!(#function(#arguments);)
            }
        });
        let steps = &self.plan.steps;
        let packed = if steps.iter().any(|step| step.op.sizes.is_some()) {
            ident("packed")
        } else {
            ident("_packed")
        };
        let pass = if steps.iter().any(|step| step.op.needs.pass) {
            ident("pass")
        } else {
            ident("_pass")
        };
        let routes = self.live().any(|step| step.op.needs.route && step.op.scope == Scope::Image);
        let tape = if routes { ident("tape") } else { ident("_tape") };
        let carve = routes.then(|| quote!(let mut tape = tape.map(Tape::carve);));
        let chains = segments.iter().any(|segment| segment.scope() == Scope::Image);
        let a = if chains { quote!(mut a) } else { quote!(a) };
        let unused = |name: &str| {
            if steps.is_empty() { format_ident!("_{name}") } else { ident(name) }
        };
        let (images, capacity, arena) = (unused("images"), unused("capacity"), unused("arena"));
        let carve_arena =
            (!steps.is_empty()).then(|| quote!(let #a = Activations::carve(arena, capacity);));
        quote! {
            fn forward(
                #packed: &Self::Packed,
                #pass: Pass,
                #images: usize,
                #capacity: usize,
                #arena: &mut [f32],
                #tape: Option<&mut [f32]>,
            ) {
                #carve_arena
                #carve
                #(#calls)*
            }
        }
    }

    fn backward(&self) -> TokenStream {
        let segments = self.segments();
        let calls = segments.iter().rev().filter(|segment| segment.live().next().is_some());
        let calls: Vec<TokenStream> = calls
            .map(|segment| match segment.scope() {
                Scope::Shard => segment.live().map(|step| self.backward_call(step)).collect(),
                Scope::Image => {
                    let function = segment.function("backward");
                    let (_, arguments) = self.backward_parameters(segment);
                    quote!(#function(#arguments);)
                }
            })
            .collect();
        let any = |what: fn(&Step) -> bool| self.live().any(what);
        let choose =
            |used: bool, name: &str| if used { ident(name) } else { format_ident!("_{name}") };
        let transposed = choose(any(|step| step.op.sizes.is_some()), "transposed");
        let pass = choose(any(|step| step.op.needs.pass), "pass");
        let reads = any(|step| step.op.needs.input || step.op.needs.output);
        let (images, arena, tape) = (
            choose(!calls.is_empty(), "images"),
            choose(reads, "arena"),
            choose(!calls.is_empty(), "tape"),
        );
        let shard = number(self.plan.shard);
        let carve_arena = reads.then(|| quote!(let a = Activations::carve(arena, #shard);));
        let chains = self.live().any(|step| step.op.scope == Scope::Image);
        let t = if chains { quote!(mut t) } else { quote!(t) };
        let carve_tape = (!calls.is_empty()).then(|| quote!(let #t = Tape::carve(tape);));
        let own = self.live().any(|step| step.op.sizes.is_some_and(|sizes| sizes.gradients > 0));
        let clear = own.then(|| quote!(t.gradients.fill(0.0);));
        quote! {
            fn backward(
                #transposed: &Self::Transposed,
                #pass: Pass,
                #images: usize,
                #arena: &mut [f32],
                #tape: &mut [f32],
            ) {
                #carve_arena
                #carve_tape
                #clear
                #(#calls)*
            }
        }
    }

    fn weight_gradients(&self) -> TokenStream {
        let plan = self.plan;
        let calls: Vec<_> = self.gathered().map(|step| {
            let constant = ident(&step.constant);
            if step.op.sizes.is_some_and(|sizes| sizes.gradients > 0) {
                return quote!(#constant.weight_gradients(shards.parts(Tape::GRADIENTS), gradients););
            }
            let x = start(&plan.buffers[step.input].name);
            let dy = start(&self.field(plan.buffers[step.input + 1].gradient).to_string());
            quote! {
                #constant.weight_gradients(
                    shards.rows(Activations::#x), shards.rows(Tape::#dy), gradients,
                );
            }
        }).collect();
        let (shards, gradients) = (named("shards", &calls), named("gradients", &calls));
        quote! {
            fn weight_gradients(#shards: &Shards<'_>, #gradients: &mut Self::Weights) { #(#calls)* }
        }
    }
}

/// A parameter's name, marked as unused where there are no calls.
fn named(name: &str, calls: &[TokenStream]) -> Ident {
    if calls.is_empty() { format_ident!("_{name}") } else { ident(name) }
}

fn ident_hash(hash: u64) -> proc_macro2::Literal {
    let digits = format!("{hash:016x}");
    let groups: Vec<&str> = (0..4).map(|i| &digits[4 * i..4 * i + 4]).collect();
    let text = format!("0x{}", groups.join("_"));
    text.parse().unwrap_or_else(|_| proc_macro2::Literal::u64_unsuffixed(hash))
}
