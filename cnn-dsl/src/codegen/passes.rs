//! The functions: forward and backward, a chain of one image's operations each, and the trait that
//! ties them together.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::repeats::{Chain, Direction};
use super::{Code, ident, number, shared};
use crate::passes::{Backward, Pull, Scope, Step};

/// Steps of one scope that follow each other.
pub(super) struct Segment<'a> {
    pub(super) steps: &'a [Step],
    /// For chains of one image's operations.
    pub(super) number: usize,
}

impl Segment<'_> {
    pub(super) fn scope(&self) -> Scope {
        self.steps[0].op.scope
    }

    pub(super) fn last(&self) -> &Step {
        &self.steps[self.steps.len() - 1]
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

    pub(super) fn live(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(|step| step.backward != Backward::Skipped)
    }
}

impl Code<'_> {
    pub(super) fn segments(&self, direction: Direction) -> Vec<Segment<'_>> {
        let (mut number, way) = (0, direction as usize);
        self.plan
            .steps
            .chunk_by(|a, b| a.segments[way] == b.segments[way])
            .map(|steps| {
                let segment = Segment { steps, number };
                number += usize::from(segment.scope() != Scope::Shard);
                segment
            })
            .collect()
    }

    pub(super) fn uses_backward_scratch(&self) -> bool {
        self.live().any(|step| step.op.scratch[1] > 0)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Step> {
        self.plan.steps.iter().filter(|step| step.backward != Backward::Skipped)
    }

    pub(super) fn field(&self, index: Option<usize>) -> Ident {
        ident(index.map_or("missing", |index| &self.plan.tape[index].name))
    }

    /// The chains' functions; chains that differ in nothing but places and names are one.
    pub(super) fn functions(&self) -> TokenStream {
        let chains = self.chains.iter().filter(|chain| chain.is_first());
        chains.map(Self::function).collect()
    }

    pub(super) fn forward_chain(&self, segment: &Segment<'_>) -> Chain {
        let packed = shared(self.plan.packed());
        let mut parameters = TokenStream::new();
        let mut arguments = TokenStream::new();
        if segment.scope() == Scope::Batch {
            parameters.extend(quote!(constants: &[f32],));
        }
        if segment.steps.iter().any(takes_weights) {
            parameters.extend(quote!(packed: #packed,));
            arguments.extend(quote!(packed,));
        }
        if segment.steps.iter().any(|step| step.op.needs.pass) {
            parameters.extend(quote!(pass: Pass,));
            arguments.extend(quote!(pass,));
        }
        let mut arrays = (quote!(a: &mut Activations<'_>,), quote!(&mut a,));
        if segment.live().any(|step| step.op.needs.route) {
            arrays.0.extend(quote!(mut tape: Option<&mut Tape<'_>>,));
        }
        Chain {
            direction: Direction::Forward,
            segment: segment.number,
            about: segment.about(),
            common: (parameters, arguments),
            routes: segment.live().any(|step| step.op.needs.route),
            arrays,
            calls: segment.steps.iter().map(|step| self.forward_call(step)).collect(),
            shared: None,
        }
    }

    pub(super) fn backward_chain(&self, segment: &Segment<'_>) -> Option<Chain> {
        segment.live().next()?;
        let mut parameters = TokenStream::new();
        let mut arguments = TokenStream::new();
        let again = self.made_again(segment);
        let passed = || {
            let pulls = |step: &&Step| step.op.scope != Scope::Batch || step.pulls[0] != Pull::None;
            segment.live().filter(pulls)
        };
        passed().next()?;
        if again.is_some() || passed().any(|step| step.op.scope == Scope::Batch) {
            let floats = shared(self.plan.batch);
            parameters.extend(quote!(batch: #floats,));
            arguments.extend(quote!(batch,));
        }
        if passed().any(takes_weights) {
            let floats = shared(self.plan.weights[2]);
            parameters.extend(quote!(transposed: #floats,));
            arguments.extend(quote!(transposed,));
        }
        if segment.live().any(|step| step.op.needs.pass) {
            parameters.extend(quote!(pass: Pass,));
            arguments.extend(quote!(pass,));
        }
        let mut arrays = (TokenStream::new(), TokenStream::new());
        if segment.live().any(|step| step.op.needs.input || step.op.needs.output) {
            arrays = (quote!(a: &Activations<'_>,), quote!(&a,));
        }
        arrays.0.extend(quote!(t: &mut Tape<'_>,));
        arrays.1.extend(quote!(&mut t,));
        Some(Chain {
            direction: Direction::Backward,
            segment: segment.number,
            about: segment.about(),
            common: (parameters, arguments),
            routes: false,
            arrays,
            calls: again
                .map(|step| self.call_again(step))
                .into_iter()
                .chain(passed().rev().map(|step| self.backward_call(step)))
                .collect(),
            shared: None,
        })
    }

    /// The step whose output a chain needs on the way back and that was not kept.
    pub(super) fn made_again(&self, segment: &Segment<'_>) -> Option<&Step> {
        let chain = segment.steps[0].segments[Direction::Backward as usize];
        self.plan.steps.iter().find(|step| self.plan.buffers[step.output].again == Some(chain))
    }

    fn call_again(&self, step: &Step) -> TokenStream {
        let (constant, x) = (ident(&step.constant), self.row(step.input(), Direction::Backward));
        let len = number(self.plan.buffers[step.output].shape.len());
        quote!(#constant.forward(#constant.current(batch), #x, &mut t.again[..#len]);)
    }

    /// The image's row of a buffer, to be read.
    fn row(&self, index: usize, direction: Direction) -> TokenStream {
        let (name, buffer) = (self.buffer(index), &self.plan.buffers[index]);
        match (buffer.passing, direction) {
            (false, _) => quote!(&a.#name[i]),
            (true, Direction::Forward) => quote!(&a.#name[..]),
            (true, Direction::Backward) => {
                let len = number(buffer.shape.len());
                quote!(&t.again[..#len])
            }
        }
    }

    /// The same, to be written.
    fn row_mut(&self, index: usize) -> TokenStream {
        let name = self.buffer(index);
        if self.plan.buffers[index].passing {
            quote!(&mut a.#name[..])
        } else {
            quote!(&mut a.#name[i])
        }
    }

    pub(super) fn buffer(&self, index: usize) -> Ident {
        ident(&self.plan.buffers[index].name)
    }

    /// The image's input, or the list of them.
    fn inputs(&self, step: &Step, direction: Direction) -> TokenStream {
        let rows = step.inputs.iter().map(|&input| self.row(input, direction));
        if step.op.needs.many { quote!(&[#(#rows),*],) } else { quote!(#(#rows,)*) }
    }

    pub(super) fn forward_call(&self, step: &Step) -> TokenStream {
        let constant = ident(&step.constant);
        let y = self.buffer(step.output);
        let packed = step.op.sizes.is_some().then(|| quote!(packed,));
        if step.op.scope == Scope::Shard {
            let x = self.buffer(step.input());
            return quote! {
                #constant.forward(
                    #packed a.#x[..images].as_flattened(), a.#y[..images].as_flattened_mut(),
                );
            };
        }
        let (x, row) = (self.inputs(step, Direction::Forward), self.row_mut(step.output));
        if step.op.scope == Scope::Batch {
            return quote!(#constant.forward(constants, #x #row););
        }
        let pass = step.op.needs.pass.then(|| quote!(pass, i,));
        let route = step.op.needs.route.then(|| {
            if step.backward == Backward::Skipped {
                return quote!(None,);
            }
            let route = self.field(self.plan.buffers[step.output].route);
            quote!(tape.as_mut().map(|tape| tape.#route[i].as_mut_slice()),)
        });
        let scratch = (step.op.scratch != [0, 0]).then(|| {
            // A layer without forward scratch still takes the parameter.
            if self.plan.scratch > 0 { quote!(a.scratch,) } else { quote!(&mut [],) }
        });
        quote!(#constant.forward(#packed #pass #x #row, #route #scratch);)
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

    pub(super) fn backward_call(&self, step: &Step) -> TokenStream {
        if step.op.scope == Scope::Shard {
            return self.shard_backward_call(step);
        }
        if step.in_place {
            let constant = ident(&step.constant);
            let y = self.row(step.output, Direction::Backward);
            let gradient = self.gradient(step.output, true);
            return quote!(#constant.backward_in_place(#y, #gradient););
        }
        if step.op.needs.many {
            let calls = step.pulls.iter().enumerate().map(|(k, &pull)| {
                let (which, buffer) = (number(k as u64), step.inputs[k]);
                self.pull(pull, buffer, |dx| self.image_backward_call(step, Some(&which), dx))
            });
            return calls.collect();
        }
        let writes = step.op.sizes.is_some() && step.op.scope != Scope::Batch;
        self.pull(step.pulls[0], step.input(), |dx| {
            let dx = match (dx, writes) {
                (Some(dx), true) => Some(quote!(Some(#dx))),
                (Some(dx), false) => Some(dx),
                (None, _) => Some(quote!(None)),
            };
            self.image_backward_call(step, None, dx)
        })
    }

    /// A call that makes the gradient of `buffer`, written there or added to it.
    fn pull(
        &self,
        pull: Pull,
        buffer: usize,
        call: impl FnOnce(Option<TokenStream>) -> TokenStream,
    ) -> TokenStream {
        let gradient = || self.gradient(buffer, true);
        match pull {
            Pull::None => call(None),
            Pull::Write => call(Some(gradient())),
            Pull::Add => {
                let len = number(self.plan.buffers[buffer].shape.len());
                let (call, sum) = (call(Some(quote!(&mut t.spare[..#len]))), gradient());
                quote!(#call accumulate(#sum, &t.spare[..#len]);)
            }
        }
    }

    fn image_backward_call(
        &self,
        step: &Step,
        which: Option<&proc_macro2::Literal>,
        dx: Option<TokenStream>,
    ) -> TokenStream {
        let Some(dx) = dx else { return TokenStream::new() };
        let (constant, needs) = (ident(&step.constant), step.op.needs);
        let which = which.map(|which| quote!(#which,));
        let weights = step.op.sizes.map(|_| match step.op.scope {
            Scope::Batch => quote!(batch,),
            Scope::Image | Scope::Shard => quote!(transposed,),
        });
        let pass = needs.pass.then(|| quote!(pass, i,));
        let x = needs.input.then(|| self.inputs(step, Direction::Backward));
        let y = needs.output.then(|| {
            let y = self.buffer(step.output);
            quote!(&a.#y[i],)
        });
        let route = needs.route.then(|| {
            let route = self.field(self.plan.buffers[step.output].route);
            quote!(&t.#route[i],)
        });
        let dy = self.gradient(step.output, false);
        let own = step.op.sizes.is_some() && step.op.scope == Scope::Image;
        let gradients = own.then(|| quote!(t.gradients,));
        let scratch = (step.op.scratch != [0, 0]).then(|| quote!(t.scratch,));
        quote!(#constant.backward(#which #weights #pass #x #y #route #dy, #dx, #gradients #scratch);)
    }

    fn shard_backward_call(&self, step: &Step) -> TokenStream {
        let constant = ident(&step.constant);
        let y = self.buffer(step.output);
        let dy = self.field(self.plan.buffers[step.output].gradient);
        let call = |dx| {
            quote! {
                #constant.backward(
                    transposed,
                    a.#y[..images].as_flattened(),
                    t.#dy[..images].as_flattened_mut(),
                    #dx,
                );
            }
        };
        match step.pulls[0] {
            Pull::None => call(quote!(None)),
            Pull::Write | Pull::Add => self.shard_pull(step, |dx| call(quote!(Some(#dx)))),
        }
    }

    /// A call that makes the input's gradients of a shard's images, written there or added to them.
    pub(super) fn shard_pull(
        &self,
        step: &Step,
        call: impl FnOnce(TokenStream) -> TokenStream,
    ) -> TokenStream {
        let dx = self.field(self.plan.buffers[step.input()].gradient);
        match step.pulls[0] {
            Pull::None => TokenStream::new(),
            Pull::Write => call(quote!(t.#dx[..images].as_flattened_mut())),
            Pull::Add => {
                let len = number(self.plan.buffers[step.input()].shape.len());
                let call = call(quote!(&mut t.spare[..images * #len]));
                quote! {
                    #call
                    accumulate(t.#dx[..images].as_flattened_mut(), &t.spare[..images * #len]);
                }
            }
        }
    }

    /// `impl Network`.
    pub(super) fn network(&self) -> TokenStream {
        let (name, text, plan) = (self.name(), &self.model.name, self.plan);
        let [weights, packed, transposed] =
            [plan.weights[0], plan.packed(), plan.weights[2]].map(number);
        let batch = number(plan.batch);
        let last = plan.buffers.len() - 1;
        let input = number(plan.buffers[0].shape.len());
        let output = number(plan.buffers[last].shape.len());
        let (layers, tensors, defaults) = (self.layers(), self.tensors(), self.defaults());
        let hash = ident_hash(crate::passes::architecture_hash(self.model));
        let (shard, together) = (number(plan.shard), number(plan.together));
        let (single, arena, tape) =
            (number(plan.predict.arena(1)), number(plan.arena()), number(plan.tape_len()));
        let places = self.places();
        let layouts = self.layouts();
        let (predictions, runs) = (self.predictions(), self.runs());
        quote! {
            impl Network for #name {
                type Weights = [f32; #weights];
                type Packed = [f32; #packed];
                type Transposed = [f32; #transposed];
                type Batch = [f32; #batch];
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
                const TOGETHER: usize = #together;
                const SINGLE_ARENA: usize = #single;
                const SHARD_ARENA: usize = #arena;
                const TAPE: usize = #tape;

                #layouts
                #predictions
                #places
                #runs
            }
        }
    }

    fn places(&self) -> TokenStream {
        let plan = self.plan;
        let scores = ident(&plan.buffers[plan.scores].name);
        let gradient = self.field(plan.buffers[plan.scores].gradient);
        let input_gradients = plan.buffers[0].gradient.map(|index| {
            let field = self.field(Some(index));
            quote! {
                fn input_gradients(tape: &mut [f32]) -> Option<&mut [Self::Input]> {
                    Some(Tape::carve(tape, 0).#field)
                }
            }
        });
        quote! {
            fn inputs(arena: &mut [f32]) -> &mut [Self::Input] {
                Activations::carve(arena, 0).input
            }
            fn scores(arena: &mut [f32]) -> &mut [Self::Output] {
                Activations::carve(arena, 0).#scores
            }
            fn score_gradients(tape: &mut [f32]) -> &mut [Self::Output] {
                Tape::carve(tape, 0).#gradient
            }
            #input_gradients
        }
    }

    /// `pack` and `transpose`, and the same for those weights that no layer moves by itself.
    fn layouts(&self) -> TokenStream {
        let pack = self.pack("pack", |_| true);
        let transpose = self.transpose("transpose", |_| true);
        let others = self.plan.steps.iter().any(Step::moves).then(|| {
            let pack = self.pack("repack", |step| !step.moves());
            let transpose = self.transpose("transpose_again", |step| !step.moves());
            quote!(#pack #transpose)
        });
        quote!(#pack #transpose #others)
    }

    fn pack(&self, name: &str, which: impl Fn(&Step) -> bool) -> TokenStream {
        let steps = self.plan.steps.iter().filter(|step| step.op.sizes.is_some() && which(step));
        let constants = steps.map(|step| ident(&step.constant));
        let calls = constants.map(|constant| quote!(#constant.pack(weights, packed);));
        let calls: Vec<TokenStream> = calls.chain(self.pack_folded()).collect();
        let (name, weights, packed) =
            (ident(name), named("weights", &calls), named("packed", &calls));
        quote! {
            fn #name(#weights: &Self::Weights, #packed: &mut Self::Packed) { #(#calls)* }
        }
    }

    fn transpose(&self, name: &str, which: impl Fn(&Step) -> bool) -> TokenStream {
        let steps = self.plan.steps.iter();
        let steps = steps.filter(|step| step.op.sizes.is_some() && step.backward == Backward::Full);
        let steps = steps.filter(|step| step.exchange.is_none() && which(step));
        let constants = steps.map(|step| ident(&step.constant));
        let calls = constants.map(|constant| quote!(#constant.transpose(weights, transposed);));
        let calls: Vec<TokenStream> = calls.collect();
        let (name, weights, transposed) =
            (ident(name), named("weights", &calls), named("transposed", &calls));
        quote! {
            fn #name(#weights: &Self::Weights, #transposed: &mut Self::Transposed) { #(#calls)* }
        }
    }
}

/// Whether a step takes weights that are laid out, and not what the batch shares.
fn takes_weights(step: &Step) -> bool {
    step.op.sizes.is_some() && step.op.scope != Scope::Batch
}

/// A parameter's name, marked as unused where there are no calls.
pub(super) fn named(name: &str, calls: &[TokenStream]) -> Ident {
    if calls.is_empty() { format_ident!("_{name}") } else { ident(name) }
}

fn ident_hash(hash: u64) -> proc_macro2::Literal {
    let digits = format!("{hash:016x}");
    let groups: Vec<&str> = (0..4).map(|i| &digits[4 * i..4 * i + 4]).collect();
    let text = format!("0x{}", groups.join("_"));
    text.parse().unwrap_or_else(|_| proc_macro2::Literal::u64_unsuffixed(hash))
}
