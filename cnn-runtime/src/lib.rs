//! The runtime of networks that `cnn-dsl` compiles: layers, training, evaluation, data.
//!
//! A network is declared in a few lines, here inline; its shapes and sizes are checked and counted
//! when the program is compiled:
//!
//! ```ignore
//! cnn_runtime::cnn! {
//!     /// A tiny classifier.
//!     model Tiny {
//!         input(8, 8, 1);
//!         Conv2D(4, 3, padding = same, activation = relu);
//!         MaxPooling2D(2);
//!         Flatten;
//!         Dense(10, activation = softmax);
//!         compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
//!     }
//! }
//! ```

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod buffer;
pub mod checkpoint;
pub mod data;
pub mod engine;
mod kernel;
pub mod layer;
pub mod loss;
pub mod math;
pub mod model;
pub mod network;
pub mod optimizer;
pub mod reference;
pub mod rng;
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
