//! The runtime of networks that `cnn-dsl` compiles: layers, training, evaluation, data.
//!
//! A network is declared in a few lines, here inline; its shapes and sizes are checked and counted
//! when the program is compiled:
//!
//! ```
//! # #[cfg(feature = "macros")]
//! # {
//! use cnn_runtime::data::Examples;
//! use cnn_runtime::trainer::{Fit, Verbose};
//!
//! cnn_runtime::cnn! {
//!     /// A tiny classifier.
//!     model Tiny {
//!         input(8, 8, 1);
//!         Conv2D(4, 3, padding = same, activation = relu);
//!         MaxPooling2D(2);
//!         Flatten;
//!         Dense(10, activation = softmax);
//!         compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
//!         fit(batch_size = 10, epochs = 20);
//!     }
//! }
//!
//! assert_eq!(Tiny::PARAMS, 4 * (9 + 1) + 10 * (4 * 4 * 4 + 1));
//!
//! // Pixels as bytes, classes as numbers.
//! let (pixels, classes) = (vec![128_u8; 64 * 50], vec![7_u32; 50]);
//! let examples = Examples::from_slices(&pixels[..], &classes[..], 50)?;
//! let mut model = Tiny::new(42);
//! model.fit(&examples, Fit::new().verbose(Verbose::Silent))?;
//! assert!(model.evaluate(&examples)?.accuracy > 0.99);
//!
//! let mut predictor = model.predictor();
//! let probabilities: &[f32; 10] = predictor.predict(&[0.5; 64]);
//! assert!(probabilities[7] > 0.5);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same text may stand in a `.cnn` file that a build script compiles; see
//! [`include_model!`].

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod buffer;
pub mod checkpoint;
pub mod data;
pub mod engine;
pub mod exchange;
mod initializer;
pub mod inspect;
mod kernel;
pub mod layer;
pub mod loss;
pub mod math;
pub mod model;
pub mod network;
pub mod optimizer;
mod receptive;
#[cfg(test)]
mod reference;
mod regularizer;
pub mod rng;
mod team;
pub mod trainer;

/// Compiles a network that is declared inline; see the crate's front page.
#[cfg(feature = "macros")]
#[macro_export]
macro_rules! cnn {
    ($($text:tt)*) => {
        $crate::__private::cnn_impl! { [$crate] $($text)* }
    };
}

/// Includes what the build script made of `specs/NAME.cnn`: `include_model!("NAME")`.
#[macro_export]
macro_rules! include_model {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}

pub use engine::{Settings, Totals, Trainer};
pub use kernel::simd::Path;
pub use model::{Model, Predictor};
pub use network::Network;
