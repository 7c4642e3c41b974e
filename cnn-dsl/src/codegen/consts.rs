//! The public type with its constants, and the layers' descriptions.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::{Code, decimal, doc, ident, number};
use crate::ir::{Initializer, Layer, Loss, Model, Optimizer, Regularizer, Shape};
use crate::passes::{Backward, Scope, Step};
use crate::receptive::ReceptiveField;
use crate::summary;

impl Code<'_> {
    /// The type, and its constants.
    pub(super) fn public(&self) -> TokenStream {
        let (name, runtime) = (self.name(), self.runtime);
        let docs = docs(self.model);
        // The author wrote for readers of the model, who need no backticks around names.
        let prose = (!self.model.docs.is_empty()).then(|| quote!(#[allow(clippy::doc_markdown)]));
        let constants = self.counts();
        quote! {
            #docs
            #prose
            pub struct #name;

            impl #name {
                #constants

                /// The model with fresh weights: the same for the same seed, on every machine.
                #[must_use]
                pub fn new(seed: u64) -> #runtime::Model<Self> {
                    #runtime::Model::new(seed)
                }
            }
        }
    }

    fn counts(&self) -> TokenStream {
        let trainable: u64 =
            self.weights().filter(|w| w.trainable).map(crate::ir::Weight::len).sum();
        let all: u64 = self.weights().map(crate::ir::Weight::len).sum();
        let macs: u64 = self.model.layers.iter().map(|layer| layer.macs).sum();
        let table = raw_string(&summary::table(self.model));
        let constant = |about: &str, name: &str, kind: TokenStream, value: u64| {
            let (about, name, value) = (doc(about), ident(name), number(value));
            quote!(#about pub const #name: #kind = #value;)
        };
        let (count, bytes) = (quote!(usize), quote!(u64));
        let input = shape_constant(
            "The shape of one input, without the batch.",
            "INPUT_SHAPE",
            &self.model.input,
        );
        let output = shape_constant(
            "The shape of one output, without the batch.",
            "OUTPUT_SHAPE",
            self.output(),
        );
        let figures = [
            constant("Numbers in all weights.", "PARAMS", count.clone(), all),
            constant(
                "Numbers that training changes.",
                "TRAINABLE_PARAMS",
                count.clone(),
                trainable,
            ),
            constant(
                "Numbers that training leaves alone.",
                "NON_TRAINABLE_PARAMS",
                count,
                all - trainable,
            ),
            constant("Multiply-adds for one input.", "MACS", quote!(u64), macs),
            constant(
                "Bytes of the weights.",
                "WEIGHTS_BYTES",
                bytes.clone(),
                self.plan.weights_bytes(),
            ),
            constant(
                "Bytes that predicting one input after the other takes, the input aside.",
                "INFERENCE_BYTES",
                bytes.clone(),
                self.plan.inference_bytes(),
            ),
            constant(
                "Bytes that training with the declared batch size takes, data aside.",
                "TRAINING_BYTES",
                bytes,
                self.plan.training_bytes(),
            ),
        ];
        quote! {
            /// The layers, their shapes and their sizes, as Keras prints them.
            pub const SUMMARY: &'static str = #table;
            #input
            #output
            #(#figures)*
        }
    }

    fn output(&self) -> &Shape {
        self.model.layers.last().map_or(&self.model.input, |layer| &layer.output)
    }

    fn weights(&self) -> impl Iterator<Item = &crate::ir::Weight> {
        self.model.layers.iter().flat_map(|layer| &layer.weights)
    }

    /// A constant for each operation.
    pub(super) fn layer_constants(&self) -> TokenStream {
        self.plan.steps.iter().map(layer_constant).collect()
    }

    /// `LAYERS`: a line each.
    pub(super) fn layers(&self) -> TokenStream {
        let lines = self.model.layers.iter().map(|layer| {
            let (name, class) = (&layer.name, layer.kind.class());
            let (shape, params) = (sizes(&layer.output), number(layer.params()));
            let macs = number(layer.macs);
            let field = field(&layer.field);
            quote! {
                LayerInfo {
                    name: #name, kind: #class, output_shape: &#shape, params: #params, macs: #macs,
                    field: #field,
                }
            }
        });
        quote!(&[#(#lines),*])
    }

    /// `TENSORS`: a line each.
    pub(super) fn tensors(&self) -> TokenStream {
        let mut lines = Vec::new();
        for step in self.plan.steps.iter().filter(|step| step.op.sizes.is_some()) {
            let mut offset = step.at[0];
            if let Some(layer) = self.layer(&step.op.layers[0]) {
                for weight in &layer.weights[step.op.weights.clone()] {
                    let name = format!("{}/{}", layer.name, weight.name);
                    let shape = weight.shape.iter().map(|&size| number(size));
                    let (at, trainable) = (number(offset), weight.trainable);
                    let initializer = initializer(&weight.initializer);
                    let regularizer = regularizer(weight.regularizer);
                    lines.push(quote! {
                        TensorInfo {
                            name: #name, shape: &[#(#shape),*], offset: #at, trainable: #trainable,
                            initializer: #initializer, regularizer: #regularizer,
                        }
                    });
                    offset += weight.len();
                }
            }
        }
        quote!(&[#(#lines),*])
    }

    fn layer(&self, name: &str) -> Option<&Layer> {
        self.model.layers.iter().find(|layer| layer.name == name)
    }

    /// `DEFAULTS`.
    pub(super) fn defaults(&self) -> TokenStream {
        let (batch, epochs) = (number(self.model.fit.batch_size), number(self.model.fit.epochs));
        let fused = self.plan.scores + 1 < self.plan.buffers.len();
        let loss = match self.model.compile.as_ref().map(|compile| compile.loss) {
            Some(Loss::CategoricalCrossentropy | Loss::SparseCategoricalCrossentropy) if fused => {
                quote!(SoftmaxCrossentropy)
            }
            Some(Loss::CategoricalCrossentropy | Loss::SparseCategoricalCrossentropy) | None => {
                quote!(CategoricalCrossentropy)
            }
        };
        let optimizer = match self.model.compile.as_ref().map(|compile| compile.optimizer) {
            Some(Optimizer::RMSprop { learning_rate, rho, epsilon }) => {
                let [learning_rate, rho, epsilon] = [learning_rate, rho, epsilon].map(decimal);
                quote! {
                    OptimizerKind::RMSprop {
                        learning_rate: #learning_rate, rho: #rho, epsilon: #epsilon,
                    }
                }
            }
            None => quote!(OptimizerKind::RMSPROP),
        };
        quote! {
            Defaults {
                loss: LossKind::#loss, optimizer: #optimizer, batch_size: #batch, epochs: #epochs,
            }
        }
    }
}

/// Text with its lines as they are.
fn raw_string(text: &str) -> Literal {
    format!("r#\"{text}\"#").parse().unwrap_or_else(|_| Literal::string(text))
}

/// The user's words, then the table.
fn docs(model: &Model) -> TokenStream {
    let mut lines: Vec<String> = model.docs.clone();
    if lines.is_empty() {
        lines.push(format!(" A network from {} to {}.", model.input, last_shape(model)));
    }
    lines.push(String::new());
    lines.push(" ```text".into());
    lines.extend(summary::table(model).lines().map(|line| format!(" {line}")));
    lines.push(" ```".into());
    quote!(#(#[doc = #lines])*)
}

fn last_shape(model: &Model) -> &Shape {
    model.layers.last().map_or(&model.input, |layer| &layer.output)
}

fn layer_constant(step: &Step) -> TokenStream {
    let (name, kind, descriptor) =
        (ident(&step.constant), ident(step.op.kind), &step.op.descriptor);
    let layers: Vec<String> = step.op.layers.iter().map(|layer| format!("`{layer}`")).collect();
    let part = if step.op.sizes.is_none() && step.op.name != step.op.layers[0] {
        format!("'s {}", step.op.kind.to_lowercase())
    } else {
        String::new()
    };
    let layers = layers.join(", ");
    let about = doc(&format!("{layers}{part}: {} → {}.", step.op.input, step.op.output));
    let at = step.op.sizes.is_some().then(|| place(step));
    quote!(#about const #name: #kind = #descriptor #at;)
}

/// `.at(At { … })`, where anything is not at the start.
fn place(step: &Step) -> TokenStream {
    let [weights, packed, transposed, gradients, batch] = step.at;
    let fields = [
        ("weights", weights),
        ("packed", packed),
        (
            "transposed",
            if step.backward == Backward::Full && !step.couples() { transposed } else { 0 },
        ),
        (
            "gradients",
            if step.op.sizes.is_some_and(|sizes| sizes.gradients > 0) { gradients } else { 0 },
        ),
        ("batch", if step.op.scope == Scope::Batch { batch } else { 0 }),
        ("exchange", step.exchange.unwrap_or(0)),
    ];
    let set: Vec<_> = fields.iter().filter(|(_, at)| *at > 0).collect();
    if set.is_empty() {
        return quote!(.at(At::START));
    }
    let rest = (set.len() < fields.len()).then(|| quote!(..At::START));
    let fields = set.iter().map(|(name, at)| {
        let (name, at) = (ident(name), number(*at));
        quote!(#name: #at,)
    });
    quote!(.at(At { #(#fields)* #rest }))
}

fn sizes(shape: &Shape) -> TokenStream {
    let sizes = shape.0.iter().map(|&size| number(size));
    quote!([#(#sizes),*])
}

/// A receptive field, as the runtime writes it.
fn field(field: &ReceptiveField) -> TokenStream {
    let both = |numbers: [i64; 2]| {
        let numbers = numbers.map(|n| {
            let (sign, size) = ((n < 0).then(|| quote!(-)), number(n.unsigned_abs()));
            quote!(#sign #size)
        });
        quote!([#(#numbers),*])
    };
    let (jump, parts) = (both(field.jump), both(field.parts));
    let (first, last) = (both(field.first), both(field.last));
    quote!(ReceptiveField { jump: #jump, first: #first, last: #last, parts: #parts })
}

fn shape_constant(about: &str, name: &str, shape: &Shape) -> TokenStream {
    let (about, name, rank) = (doc(about), ident(name), number(shape.rank() as u64));
    let sizes = sizes(shape);
    quote!(#about pub const #name: [usize; #rank] = #sizes;)
}

fn initializer(initializer: &Initializer) -> TokenStream {
    match initializer {
        Initializer::Constant(value) => {
            let value = decimal(*value);
            quote!(Initializer::Constant(#value))
        }
        Initializer::Uniform { min, max } => {
            let (min, max) = (decimal(*min), decimal(*max));
            quote!(Initializer::Uniform { min: #min, max: #max })
        }
        Initializer::Normal { mean, stddev } => {
            let (mean, stddev) = (decimal(*mean), decimal(*stddev));
            quote!(Initializer::Normal { mean: #mean, stddev: #stddev })
        }
        Initializer::TruncatedNormal { mean, stddev } => {
            let (mean, stddev) = (decimal(*mean), decimal(*stddev));
            quote!(Initializer::TruncatedNormal { mean: #mean, stddev: #stddev })
        }
        Initializer::VarianceScaling { scale, fan, distribution } => {
            let (scale, fan) = (decimal(*scale), decimal(*fan));
            let distribution = ident(&format!("{distribution:?}"));
            quote! {
                Initializer::VarianceScaling {
                    scale: #scale, fan: #fan, distribution: Distribution::#distribution,
                }
            }
        }
        Initializer::Orthogonal { gain, columns } => {
            let (gain, columns) = (decimal(*gain), number(*columns));
            quote!(Initializer::Orthogonal { gain: #gain, columns: #columns })
        }
        Initializer::Identity { gain, columns } => {
            let (gain, columns) = (decimal(*gain), number(*columns));
            quote!(Initializer::Identity { gain: #gain, columns: #columns })
        }
        Initializer::Values(values) => {
            let values = values.iter().map(|&value| decimal(value));
            quote!(Initializer::Values(&[#(#values),*]))
        }
    }
}

fn regularizer(regularizer: Regularizer) -> TokenStream {
    if regularizer == Regularizer::NONE {
        return quote!(Regularizer::NONE);
    }
    let (l1, l2) = (decimal(regularizer.l1), decimal(regularizer.l2));
    quote!(Regularizer { l1: #l1, l2: #l2 })
}
