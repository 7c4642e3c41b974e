//! The trait's functions that run the segments: whole for most models, and in stages where training
//! sums something over the whole batch in between.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::passes::{Segment, named};
use super::repeats::{Direction, borrows};
use super::storage::start;
use super::{Code, ident, number};
use crate::passes::{Backward, Pull, Scope, Step};

impl Code<'_> {
    /// `forward`, `backward`, `learn`, and what stages need.
    pub(super) fn runs(&self) -> TokenStream {
        let segments = self.segments(Direction::Forward);
        let back = self.segments(Direction::Backward);
        let stages = stages(&segments);
        let (forward, learn, moved) = (self.forward(&stages), self.learn(), self.moved());
        if stages.len() == 1 {
            let backward = self.backward(&back);
            return quote!(#moved #forward #backward #learn);
        }
        let count = number(stages.len() as u64);
        let back = stages_back(&back);
        let (backward, by_image) = (self.backward_stage(&back), by_image(&stages, &back));
        let couplings = self.couplings();
        let exchanging = self.exchanging();
        quote! {
            const STAGES: usize = #count;
            #by_image
            #exchanging
            #moved

            #forward #backward #couplings #learn
        }
    }

    /// What the layers that work on a batch as a whole need.
    fn exchanging(&self) -> Option<TokenStream> {
        let exchange = number(self.plan.exchange);
        (self.plan.exchange > 0).then(|| quote!(const EXCHANGE: usize = #exchange;))
    }

    /// Where the weights of the layers lie that move them by themselves.
    fn moved(&self) -> Option<TokenStream> {
        let steps = self.plan.steps.iter().filter(|step| step.moves());
        let moved = steps.map(|step| {
            let weights = step.op.sizes.map_or(0, |sizes| sizes.weights);
            let [at, len] = [step.at[0], weights].map(number);
            quote!([#at, #len])
        });
        let moved: Vec<_> = moved.collect();
        (!moved.is_empty()).then(|| quote!(const MOVED: &'static [[usize; 2]] = &[#(#moved),*];))
    }

    fn forward_segment(&self, segment: &Segment<'_>) -> TokenStream {
        let step = &segment.steps[0];
        if step.exchange.is_some() {
            let (constant, y) = (ident(&step.constant), self.buffer(step.output));
            return quote! {
                #constant.take(exchange, pass, a.#y[..images].as_flattened_mut());
            };
        }
        if segment.scope() == Scope::Shard {
            return segment.steps.iter().map(|step| self.forward_call(step)).collect();
        }
        let constants = (segment.scope() == Scope::Batch).then(|| {
            let constant = ident(&segment.steps[0].constant);
            quote!(#constant.current(batch),)
        });
        self.call(Direction::Forward, segment, constants.as_ref(), &quote!(Some(&mut t)))
    }

    fn forward(&self, stages: &[&[Segment<'_>]]) -> TokenStream {
        let bodies = stages.iter().enumerate().map(|(stage, segments)| {
            let calls = segments.iter().map(|segment| self.forward_segment(segment));
            let next = stages.get(stage + 1).filter(|next| next[0].scope() == Scope::Batch);
            let measure = next.map(|next| {
                let step = &next[0].steps[0];
                let (constant, x) = (ident(&step.constant), self.buffer(step.input()));
                let sums = self.field(step.sums);
                quote!(#constant.measure(a.#x[..images].as_flattened(), t.#sums);)
            });
            quote!(#(#calls)* #measure)
        });
        let bodies: Vec<_> = bodies.collect();
        let a = mutable("a", &bodies);
        let bodies = dispatch("stage", &bodies);
        let steps = &self.plan.steps;
        let weights = steps.iter().any(|s| s.op.sizes.is_some() && !s.couples());
        let packed = choose(weights, "packed");
        let exchanges = self.plan.exchange > 0;
        let pass = choose(exchanges || steps.iter().any(|step| step.op.needs.pass), "pass");
        let routes = self.live().any(|step| step.op.needs.route);
        let some = !steps.is_empty();
        let stage = choose(stages.len() > 1, "stage");
        let [images, arena] = ["images", "arena"].map(|name| choose(some, name));
        let cut = some.then(|| quote!(let [first, images] = images;));
        let carve_arena = some.then(|| quote!(let #a = Activations::carve(arena, first);));
        let batches = steps.iter().any(|step| step.op.scope == Scope::Batch);
        let [batch, exchange, tape] =
            [(batches, "batch"), (exchanges, "exchange"), (batches || routes, "tape")]
                .map(|(used, name)| choose(used, name));
        let t = if routes { quote!(mut t) } else { quote!(t) };
        let carve = (batches || routes).then(|| quote!(let #t = Tape::carve(tape, first);));
        quote! {
            fn forward(
                #stage: usize,
                #packed: &Self::Packed,
                #batch: &Self::Batch,
                #exchange: &Exchange,
                #pass: Pass,
                #images: [usize; 2],
                #arena: &mut [f32],
                #tape: &mut [f32],
            ) {
                #cut
                #carve_arena
                #carve
                #bodies
            }
        }
    }

    fn backward_segment(&self, segment: &Segment<'_>) -> TokenStream {
        if segment.live().next().is_none() {
            return TokenStream::new();
        }
        let step = &segment.steps[0];
        if step.exchange.is_some() {
            let constant = ident(&step.constant);
            return self.shard_pull(step, |dx| quote!(#constant.take_back(exchange, pass, #dx);));
        }
        if segment.scope() == Scope::Shard {
            return segment.live().map(|step| self.backward_call(step)).collect();
        }
        self.call(Direction::Backward, segment, None, &TokenStream::new())
    }

    fn clear(&self) -> Option<TokenStream> {
        let own = self.live().any(|step| step.op.sizes.is_some_and(|sizes| sizes.gradients > 0));
        own.then(|| quote!(t.gradients.fill(0.0);))
    }

    fn backward(&self, segments: &[Segment<'_>]) -> TokenStream {
        let calls = segments.iter().rev().map(|segment| self.backward_segment(segment));
        let calls: Vec<_> = calls.filter(|call| !call.is_empty()).collect();
        let any = |what: fn(&Step) -> bool| self.live().any(what);
        let transposed = choose(any(|step| step.op.sizes.is_some()), "transposed");
        let pass = choose(any(|step| step.op.needs.pass), "pass");
        let reads = any(|step| step.op.needs.input || step.op.needs.output);
        let [images, tape] = ["images", "tape"].map(|name| choose(!calls.is_empty(), name));
        let cut = (!calls.is_empty()).then(|| quote!(let [first, images] = images;));
        let arena = choose(reads, "arena");
        let carve_arena = reads.then(|| quote!(let a = Activations::carve(arena, first);));
        let t = mutable("t", &calls);
        let carve_tape = (!calls.is_empty()).then(|| quote!(let #t = Tape::carve(tape, first);));
        let clear = self.clear();
        quote! {
            fn backward(
                _stage: usize,
                #transposed: &Self::Transposed,
                _batch: &Self::Batch,
                _exchange: &Exchange,
                #pass: Pass,
                #images: [usize; 2],
                #arena: &mut [f32],
                #tape: &mut [f32],
            ) {
                #cut
                #carve_arena
                #carve_tape
                #clear
                #(#calls)*
            }
        }
    }

    /// Stage by stage: the step that the next one starts with on the way forward, now that the batch
    /// has summed up its gradients; the stage's own; and the sums for the step that it starts with.
    fn backward_stage(&self, stages: &[&[Segment<'_>]]) -> TokenStream {
        let bodies = stages.iter().enumerate().map(|(stage, segments)| {
            let last = stage + 1 == stages.len();
            let clear = last.then(|| self.clear()).flatten();
            let calls = segments.iter().rev().map(|segment| self.backward_segment(segment));
            let before = stage.checked_sub(1).and_then(|before| stages[before].last());
            let measure = before.map(|segment| self.before_coupling(segment.last()));
            quote!(#clear #(#calls)* #measure)
        });
        let bodies: Vec<_> = bodies.collect();
        let t = mutable("t", &bodies);
        let bodies = dispatch("stage", &bodies);
        let weights = self.live().any(|s| s.op.sizes.is_some() && !s.couples());
        let transposed = choose(weights, "transposed");
        let takes = self.live().any(|s| s.exchange.is_some() && s.backward == Backward::Full);
        let pass = choose(takes || self.live().any(|step| step.op.needs.pass), "pass");
        let batches = self.plan.steps.iter().any(|step| step.op.scope == Scope::Batch);
        let [batch, exchange] =
            [(batches, "batch"), (takes, "exchange")].map(|(used, name)| choose(used, name));
        quote! {
            fn backward(
                stage: usize,
                #transposed: &Self::Transposed,
                #batch: &Self::Batch,
                #exchange: &Exchange,
                #pass: Pass,
                images: [usize; 2],
                arena: &mut [f32],
                tape: &mut [f32],
            ) {
                let [first, images] = images;
                let a = Activations::carve(arena, first);
                let #t = Tape::carve(tape, first);
                #bodies
            }
        }
    }

    /// What a stage does last for the step that it starts with, before the batch couples.
    fn before_coupling(&self, step: &Step) -> Option<TokenStream> {
        if step.exchange.is_none() {
            return self.measure_back(step);
        }
        let (constant, y) = (ident(&step.constant), self.buffer(step.output));
        let dy = self.field(self.plan.buffers[step.output].gradient);
        Some(quote! {
            #constant.stop(a.#y[..images].as_flattened(), t.#dy[..images].as_flattened_mut());
        })
    }

    fn measure_back(&self, step: &Step) -> Option<TokenStream> {
        let dy = self.plan.buffers[step.output].gradient?;
        let (constant, dy, sums) =
            (ident(&step.constant), self.field(Some(dy)), self.field(step.sums));
        let x = self.buffer(step.input());
        Some(quote! {
            #constant.measure_back(
                batch, a.#x[..images].as_flattened(), t.#dy[..images].as_flattened(), t.#sums,
            );
        })
    }

    /// `couple`, `couple_back`, `update_statistics`.
    fn couplings(&self) -> TokenStream {
        let steps: Vec<&Step> = self.plan.steps.iter().filter(|step| step.couples()).collect();
        let sums = |step: &Step| start(&self.field(step.sums).to_string());
        let forward = steps.iter().map(|step| {
            let constant = ident(&step.constant);
            if step.exchange.is_some() {
                let x = start(&self.plan.buffers[step.input()].name);
                return quote!(#constant.couple(packed, shards.rows(Activations::#x), exchange););
            }
            let sums = sums(step);
            quote!(#constant.couple(weights, shards, Tape::#sums, batch);)
        });
        let backward = steps.iter().map(|step| {
            let constant = ident(&step.constant);
            if step.exchange.is_some() {
                let dy = self.field(self.plan.buffers[step.output].gradient);
                let (dy, first) = (start(&dy.to_string()), step.pulls[0] == Pull::None);
                return quote! {
                    #constant.couple_back(shards.rows(Tape::#dy), #first, exchange, learner);
                };
            }
            let sums = sums(step);
            quote!(#constant.couple_back(shards, Tape::#sums, batch, learner.gradients());)
        });
        let batches = steps.iter().filter(|step| step.op.scope == Scope::Batch);
        let updates: Vec<_> = batches
            .map(|step| {
                let constant = ident(&step.constant);
                quote!(#constant.update(batch, weights);)
            })
            .collect();
        let (forward, backward) = (
            dispatch("stage", &forward.collect::<Vec<_>>()),
            dispatch("stage", &backward.collect::<Vec<_>>()),
        );
        let stage = choose(steps.len() > 1, "stage");
        let (some, exchanges) = (!updates.is_empty(), self.plan.exchange > 0);
        let [weights, batch] = ["weights", "batch"].map(|name| choose(some, name));
        let [packed, exchange] = ["packed", "exchange"].map(|name| choose(exchanges, name));
        let update = some.then(|| {
            quote! {
                fn update_statistics(batch: &Self::Batch, weights: &mut Self::Weights) {
                    #(#updates)*
                }
            }
        });
        quote! {
            fn couple(
                #stage: usize,
                #weights: &Self::Weights,
                #packed: &Self::Packed,
                shards: &Shards<'_>,
                #batch: &mut Self::Batch,
                #exchange: &mut Exchange,
            ) {
                #forward
            }

            fn couple_back(
                #stage: usize,
                shards: &Shards<'_>,
                #batch: &mut Self::Batch,
                #exchange: &mut Exchange,
                learner: &mut Learner<'_>,
            ) {
                #backward
            }

            #update
        }
    }

    fn learn(&self) -> TokenStream {
        let plan = self.plan;
        let steps = plan.steps.iter().filter(|step| step.learns() && !step.couples());
        let steps: Vec<&Step> = steps.collect();
        let calls = steps.iter().map(|step| {
            let (constant, first) = (ident(&step.constant), step.pulls[0] == Pull::None);
            let from = if step.op.scope == Scope::Shard {
                let x = start(&plan.buffers[step.input()].name);
                let dy = start(&self.field(plan.buffers[step.output].gradient).to_string());
                quote!(shards.rows(Activations::#x), shards.rows(Tape::#dy))
            } else {
                quote!(shards.parts(Tape::GRADIENTS))
            };
            if step.moves() {
                quote!(#constant.learn(#from, #first, learner);)
            } else {
                quote!(#constant.weight_gradients(#from, learner.gradients());)
            }
        });
        let calls: Vec<_> = calls.collect();
        let (shards, learner) = (named("shards", &calls), named("learner", &calls));
        let body = if let Some((middle, at)) = in_two(&steps) {
            let (before, behind) = calls.split_at(middle);
            quote!(learner.in_two(#at, |learner| { #(#before)* }, |learner| { #(#behind)* });)
        } else {
            quote!(#(#calls)*)
        };
        quote! {
            fn learn(#shards: &Shards<'_>, #learner: &mut Learner<'_>) { #body }
        }
    }
}

/// Where layers that learn by themselves are cut in two, which learn beside each other: before the matrix
/// products, if convolutions alone come before them. Each of both is too little work for many threads.
fn in_two(steps: &[&Step]) -> Option<(usize, TokenStream)> {
    let product = |step: &&Step| step.op.scope == Scope::Shard;
    let middle = steps.iter().position(product).filter(|middle| *middle > 0)?;
    let apart = steps[middle..].iter().all(product) && steps.iter().all(|step| step.moves());
    let [weights, packed, transposed] = [0, 1, 2].map(|i| number(steps[middle].at[i]));
    let at = quote! {
        At { weights: #weights, packed: #packed, transposed: #transposed, ..At::START }
    };
    apart.then_some((middle, at))
}

/// The stages in which each image is for itself, both ways, and is work enough to be handed out alone. The last
/// is not among them: it makes scores, and clears gradients.
fn by_image(forward: &[&[Segment<'_>]], back: &[&[Segment<'_>]]) -> Option<TokenStream> {
    let apart = |segment: &Segment<'_>| {
        segment.scope() == Scope::Image || segment.steps[0].exchange.is_some()
    };
    let worth = |segment: &Segment<'_>| {
        segment.steps.iter().any(|step| step.op.sizes.is_some() && step.exchange.is_none())
    };
    let stages = forward.windows(2).zip(back).enumerate().filter(|(_, (stages, back))| {
        let [stage, next] = stages else { return false };
        stage.iter().any(worth) && stage.iter().chain(&next[..1]).chain(back.iter()).all(apart)
    });
    let stages: Vec<_> = stages.map(|(stage, _)| number(stage as u64)).collect();
    (!stages.is_empty()).then(|| quote!(const BY_IMAGE: &'static [usize] = &[#(#stages),*];))
}

/// Segments by stage; every stage but the first starts with a step of the whole batch.
fn stages<'a, 'b>(segments: &'b [Segment<'a>]) -> Vec<&'b [Segment<'a>]> {
    let mut stages = Vec::new();
    let mut from = 0;
    for (index, segment) in segments.iter().enumerate() {
        if segment.steps[0].couples() {
            stages.push(&segments[from..index]);
            from = index;
        }
    }
    stages.push(&segments[from..]);
    stages
}

/// The same on the way back, where every stage but the last ends with a step of the whole batch.
fn stages_back<'a, 'b>(segments: &'b [Segment<'a>]) -> Vec<&'b [Segment<'a>]> {
    let mut stages = Vec::new();
    let mut from = 0;
    for (index, segment) in segments.iter().enumerate() {
        if segment.last().couples() {
            stages.push(&segments[from..=index]);
            from = index + 1;
        }
    }
    stages.push(&segments[from..]);
    stages
}

/// The body of the stage that the variable `name` says, in the plainest form that holds them all.
pub(super) fn dispatch(name: &str, bodies: &[TokenStream]) -> TokenStream {
    let stage = ident(name);
    match bodies {
        [] => TokenStream::new(),
        [only] => only.clone(),
        [first, second] if second.is_empty() => quote!(if #stage == 0 { #first }),
        [first, second] => quote!(if #stage == 0 { #first } else { #second }),
        [first @ .., last] => {
            let arms = first.iter().enumerate().map(|(index, body)| {
                let index = number(index as u64);
                quote!(#index => { #body })
            });
            quote!(match #stage { #(#arms)* _ => { #last } })
        }
    }
}

/// The binding of `name`, mutable if a call borrows it so.
fn mutable(name: &str, calls: &[TokenStream]) -> TokenStream {
    let binding = ident(name);
    let mutable = calls.iter().any(|call| borrows(call.clone(), name));
    if mutable { quote!(mut #binding) } else { quote!(#binding) }
}

/// A parameter's name, marked where it is not used.
pub(super) fn choose(used: bool, name: &str) -> Ident {
    if used { ident(name) } else { format_ident!("_{name}") }
}
