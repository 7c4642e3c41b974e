//! What a trained network has learnt: feature maps, the patches that excite a feature most, and what
//! an output looked at.
//!
//! A network computes fused layers and keeps little. One whose text says `inspect;` is compiled a
//! second time, every layer for itself, which [`Inspector`] runs:
//!
//! ```
//! # #[cfg(feature = "macros")]
//! # {
//! use cnn_runtime::inspect::Inspector;
//!
//! cnn_runtime::cnn! {
//!     model Small {
//!         input(8, 8, 1);
//!         Conv2D(4, 3, padding = same, activation = relu);
//!         MaxPooling2D(2);
//!         Flatten;
//!         Dense(3, activation = softmax);
//!         inspect;
//!     }
//! }
//!
//! let mut inspector = Inspector::new(&Small::new(1));
//! let mut seen = inspector.run(&[0.5; 64])?;
//! assert_eq!(seen.feature_maps("conv2d")?.dim(), (8, 8, 4));
//! assert_eq!(seen.saliency(2)?.dim(), (8, 8));
//! assert_eq!(seen.grad_cam(2, "max_pooling2d")?.dim(), (4, 4));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod confusion;
mod error;
mod seen;
mod strongest;

use std::fmt;
use std::marker::PhantomData;

use ndarray::{Array3, ArrayView3};

pub use confusion::confusion_matrix;
pub use error::InspectError;
pub use seen::{Rule, Seen};
pub use strongest::{Place, Strongest, cut};

use crate::buffer::{Buffer, Floats, Storage};
use crate::data::{ExamplesError, Inputs};
use crate::model::{Model, load_one};
use crate::network::{LayerInfo, Network, ReceptiveField};

/// Where a layer's output is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its first float in the arena.
    pub output: usize,
    /// Its gradient's first float in the tape.
    pub gradient: usize,
    /// How many operations make it; the last of them is its own.
    pub steps: usize,
    /// Whether that ends in a relu, or a function that is 0 for all that is negative as well.
    pub rectified: bool,
}

/// A network compiled a second time, every layer for itself and in inference alone, so that all
/// outputs and their gradients can be read. The compiler implements it for models with `inspect;`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be looked into",
    note = "write `inspect;` into the model"
)]
pub trait Inspect: Network {
    /// `[f32; N]`: the weights laid out for the way forward.
    type Kernels: Floats;
    /// `[f32; N]`: the weights laid out for the way back.
    type Mirrored: Floats;

    /// Of each of [`LAYERS`](Network::LAYERS), in order.
    const VIEWS: &'static [View];
    /// The last layer's output, without its softmax if that comes last.
    const LOGITS: View;
    /// The first float of the input's gradient in the tape.
    const INPUT_GRADIENT: usize;
    /// Floats of an arena: the input, then what the layers make of it.
    const VIEW_ARENA: usize;
    /// Floats of a tape: gradients, and what the way back needs.
    const VIEW_TAPE: usize;

    /// Lays the weights out.
    fn lay_out(weights: &Self::Weights, kernels: &mut Self::Kernels, mirrored: &mut Self::Mirrored);

    /// Runs the layers over the image at the arena's start. With a tape, notes there what
    /// [`look_back`](Self::look_back) needs.
    fn look(kernels: &Self::Kernels, arena: &mut [f32], tape: Option<&mut [f32]>);

    /// Takes the gradient of an operation's output back to its inputs.
    fn look_back(step: usize, mirrored: &Self::Mirrored, arena: &mut [f32], tape: &mut [f32]);
}

/// Looks into a network. It holds the weights as they were when it was made, in two layouts, and room
/// for one image.
pub struct Inspector<N: Inspect> {
    kernels: Storage<N::Kernels>,
    mirrored: Storage<N::Mirrored>,
    arena: Buffer,
    tape: Buffer,
    network: PhantomData<N>,
}

impl<N: Inspect> Inspector<N> {
    /// Looks into `model` as it is now.
    #[must_use]
    pub fn new(model: &Model<N>) -> Self {
        let (mut kernels, mut mirrored) = (Storage::zeroed(), Storage::zeroed());
        N::lay_out(model.stored_weights(), &mut kernels, &mut mirrored);
        Self {
            kernels,
            mirrored,
            arena: Buffer::zeroed(N::VIEW_ARENA),
            tape: Buffer::zeroed(N::VIEW_TAPE),
            network: PhantomData,
        }
    }

    /// Runs the network over an image, its values in row-major order.
    ///
    /// # Errors
    /// If `image` has another size than the network's input.
    pub fn run(&mut self, image: &[f32]) -> Result<Seen<'_, N>, InspectError> {
        if image.len() != N::Input::LEN {
            return Err(InspectError::Image { found: image.len(), expected: N::Input::LEN });
        }
        self.arena[..image.len()].copy_from_slice(image);
        Ok(self.see())
    }

    /// Runs the network over image number `index` of some.
    ///
    /// # Errors
    /// If there is none of that number, or the inputs are not whole images.
    pub fn run_example(
        &mut self,
        inputs: Inputs<'_>,
        index: usize,
    ) -> Result<Seen<'_, N>, InspectError> {
        check_index::<N>(inputs, index)?;
        load_one::<N>(inputs, index, N::Input::of_mut(&mut self.arena[..N::Input::LEN]));
        Ok(self.see())
    }

    fn see(&mut self) -> Seen<'_, N> {
        N::look(&self.kernels, &mut self.arena, Some(&mut self.tape));
        Seen::new(self)
    }

    /// The network's layers, in order.
    #[must_use]
    pub const fn layers() -> &'static [LayerInfo] {
        N::LAYERS
    }

    /// Which pixels of the input the outputs of a layer can depend on.
    ///
    /// # Errors
    /// If there is no layer of that name.
    pub fn field(layer: &str) -> Result<ReceptiveField, InspectError> {
        Ok(find::<N>(layer)?.0.field)
    }
}

impl<N: Inspect> fmt::Debug for Inspector<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inspector<{}>", N::NAME)
    }
}

/// A layer by its name.
fn find<N: Inspect>(name: &str) -> Result<(&'static LayerInfo, View), InspectError> {
    let found = N::LAYERS.iter().zip(N::VIEWS).find(|(info, _)| info.name == name);
    found.map(|(info, view)| (info, *view)).ok_or_else(|| InspectError::Layer {
        name: name.to_owned(),
        known: N::LAYERS.iter().map(|info| info.name).collect(),
    })
}

/// How many whole images there are.
fn count<N: Network>(inputs: Inputs<'_>) -> Result<usize, InspectError> {
    let (values, len) = (inputs.values(), N::Input::LEN);
    let images = values / len;
    if values.is_multiple_of(len) {
        return Ok(images);
    }
    Err(ExamplesError::Ragged { what: "inputs", values, samples: images + 1 }.into())
}

fn check_index<N: Network>(inputs: Inputs<'_>, index: usize) -> Result<(), InspectError> {
    let count = count::<N>(inputs)?;
    if index < count { Ok(()) } else { Err(InspectError::Index { index, count }) }
}

/// Rows, columns and features of a layer's outputs.
fn sizes(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [rows, columns, features] => [rows, columns, features],
        [rows, features] => [rows, 1, features],
        _ => [1, 1, shape.iter().product()],
    }
}

/// Height, width and channels of the input as a picture: of two axes the second one is the width,
/// of a vector the only one.
fn picture(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [height, width, channels] => [height, width, channels],
        [height, width] => [height, width, 1],
        _ => [1, shape.iter().product(), 1],
    }
}

fn array(shape: [usize; 3], values: &[f32]) -> ArrayView3<'_, f32> {
    ArrayView3::from_shape(shape, values).expect("as many values as the shape holds")
}

fn owned(shape: [usize; 3], values: &[f32]) -> Array3<f32> {
    array(shape, values).to_owned()
}
