//! What the macro emits for a model with mistakes: its name with nothing behind it, so that the
//! rest of the user's crate is not flooded with follow-up errors.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Options, ident};

/// A type of the model's name that has everything a model has, and sizes of 1.
#[must_use]
pub fn skeleton(name: &str, options: &Options) -> TokenStream {
    let (text, name, runtime) = (name, ident(name), &options.runtime);
    quote! {
        #[doc = " A model whose declaration has errors."]
        pub struct #name;

        #[allow(missing_docs)]
        impl #name {
            pub const SUMMARY: &'static str = "";
            pub const INPUT_SHAPE: [usize; 1] = [1];
            pub const OUTPUT_SHAPE: [usize; 1] = [1];
            pub const PARAMS: usize = 0;
            pub const TRAINABLE_PARAMS: usize = 0;
            pub const NON_TRAINABLE_PARAMS: usize = 0;
            pub const MACS: u64 = 0;
            pub const WEIGHTS_BYTES: u64 = 0;
            pub const INFERENCE_BYTES: u64 = 0;
            pub const TRAINING_BYTES: u64 = 0;

            #[must_use]
            pub fn new(seed: u64) -> #runtime::Model<Self> {
                #runtime::Model::new(seed)
            }
        }

        const _: () = {
            use #runtime::__private::Option;
            use #runtime::inspect::{Inspect, View};
            use #runtime::network::{
                Defaults, Exchange, LayerInfo, Learner, LossKind, Network, Pass, Shards, Team,
                TensorInfo,
            };
            use #runtime::optimizer::OptimizerKind;

            impl Network for #name {
                type Weights = [f32; 1];
                type Packed = [f32; 1];
                type Transposed = [f32; 1];
                type Batch = [f32; 1];
                type Input = [f32; 1];
                type Output = [f32; 1];

                const NAME: &'static str = #text;
                const SUMMARY: &'static str = "";
                const INPUT_SHAPE: &'static [usize] = &[1];
                const OUTPUT_SHAPE: &'static [usize] = &[1];
                const LAYERS: &'static [LayerInfo] = &[];
                const TENSORS: &'static [TensorInfo] = &[];
                const ARCHITECTURE_HASH: u64 = 0;
                const DEFAULTS: Defaults = Defaults {
                    loss: LossKind::CategoricalCrossentropy,
                    optimizer: OptimizerKind::RMSPROP,
                    batch_size: 1,
                    epochs: 1,
                };
                const SHARD: usize = 1;
                const TOGETHER: usize = 1;
                const SINGLE_ARENA: usize = 1;
                const SHARD_ARENA: usize = 1;
                const TAPE: usize = 1;

                fn pack(_: &Self::Weights, _: &mut Self::Packed) {}
                fn transpose(_: &Self::Weights, _: &mut Self::Transposed) {}
                fn predict(_: &Self::Packed, _: Team, _: &[Self::Input], _: usize, _: &mut [f32]) {}
                fn predict_outputs(arena: &mut [f32], _: usize) -> &[Self::Output] {
                    arena.as_chunks().0
                }
                fn predict_scores(arena: &mut [f32], _: usize) -> &[Self::Output] {
                    arena.as_chunks().0
                }
                fn inputs(arena: &mut [f32]) -> &mut [Self::Input] {
                    arena.as_chunks_mut().0
                }
                fn scores(arena: &mut [f32]) -> &mut [Self::Output] {
                    arena.as_chunks_mut().0
                }
                fn score_gradients(tape: &mut [f32]) -> &mut [Self::Output] {
                    tape.as_chunks_mut().0
                }
                fn forward(
                    _: usize, _: &Self::Packed, _: &Self::Batch, _: &Exchange, _: Pass,
                    _: [usize; 2], _: &mut [f32], _: &mut [f32],
                ) {}
                fn backward(
                    _: usize, _: &Self::Transposed, _: &Self::Batch, _: &Exchange, _: Pass,
                    _: [usize; 2], _: &mut [f32], _: &mut [f32],
                ) {}
                fn learn(_: &Shards<'_>, _: &mut Learner<'_>) {}
            }

            impl Inspect for #name {
                type Kernels = [f32; 1];
                type Mirrored = [f32; 1];

                const VIEWS: &'static [View] = &[];
                const LOGITS: View = View { output: 0, gradient: 0, steps: 0, rectified: false };
                const INPUT_GRADIENT: usize = 0;
                const VIEW_ARENA: usize = 1;
                const VIEW_TAPE: usize = 1;

                fn lay_out(_: &Self::Weights, _: &mut Self::Kernels, _: &mut Self::Mirrored) {}
                fn look(_: &Self::Kernels, _: &mut [f32], _: Option<&mut [f32]>) {}
                fn look_back(_: usize, _: &Self::Mirrored, _: &mut [f32], _: &mut [f32]) {}
            }
        };
    }
}
