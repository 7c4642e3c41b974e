//! A network with its weights, and predictions.

use std::fmt;
use std::sync::Mutex;

use ndarray::{Array2, ArrayViewD, IxDyn};

use crate::buffer::{Buffer, Floats, LINE, Storage};
use crate::data::{ExamplesError, Inputs};
use crate::initializer;
use crate::kernel::elementwise;
use crate::network::{Network, Team};
use crate::rng::Rng;
use crate::team::{share, threads};

/// A compiled network `N` with its weights.
pub struct Model<N: Network> {
    weights: Storage<N::Weights>,
    packed: Storage<N::Packed>,
    /// What predictions work in, kept from one to the next.
    arenas: Mutex<Buffer>,
}

impl<N: Network> Model<N> {
    /// A network with fresh weights: the same for the same seed, on every machine.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut model = Self {
            weights: Storage::zeroed(),
            packed: Storage::zeroed(),
            arenas: Mutex::default(),
        };
        model.update(|weights| initialize::<N>(weights, seed));
        model
    }

    /// All weights, each tensor at its [offset](crate::network::TensorInfo::offset).
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        self.weights.floats()
    }

    pub(crate) fn packed(&self) -> &N::Packed {
        &self.packed
    }

    pub(crate) fn stored_weights(&self) -> &N::Weights {
        &self.weights
    }

    /// Changes the weights. What is derived from them is renewed afterwards.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        self.update_stored(|weights| change(weights.floats_mut()));
    }

    pub(crate) fn update_stored(&mut self, change: impl FnOnce(&mut N::Weights)) {
        change(&mut self.weights);
        N::pack(&self.weights, &mut self.packed);
    }

    /// The weights and what is derived from them, for a trainer that keeps both in step.
    pub(crate) fn stored_mut(&mut self) -> (&mut N::Weights, &mut N::Packed) {
        (&mut self.weights, &mut self.packed)
    }

    /// A tensor by its name, such as `conv2d/kernel`.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        tensor::<N>(self.weights(), name)
    }

    /// Replaces one tensor; `values` in row-major order.
    ///
    /// # Errors
    /// If there is no tensor of that name or it has another size; the model is then unchanged.
    pub fn set_tensor(&mut self, name: &str, values: &[f32]) -> Result<(), TensorError> {
        let info = N::TENSORS.iter().find(|info| info.name == name).ok_or_else(|| {
            let known = N::TENSORS.iter().map(|info| info.name).collect();
            TensorError::Unknown { name: name.into(), known }
        })?;
        if info.len() != values.len() {
            return Err(TensorError::Size {
                name: info.name,
                shape: info.shape,
                found: values.len(),
            });
        }
        self.update(|weights| weights[info.offset..][..values.len()].copy_from_slice(values));
        Ok(())
    }

    /// What makes predictions one after the other without allocating.
    #[must_use]
    pub fn predictor(&self) -> Predictor<'_, N> {
        Predictor { model: self, arena: Buffer::zeroed(N::SINGLE_ARENA) }
    }

    /// The outputs for any number of images, a row each, on rayon's current threads.
    ///
    /// # Errors
    /// If the inputs are not whole images.
    pub fn predict(&self, inputs: Inputs<'_>) -> Result<Array2<f32>, ExamplesError> {
        let (len, outputs) = (N::Input::LEN, N::Output::LEN);
        let images = inputs.values() / len;
        if !inputs.values().is_multiple_of(len) {
            return Err(ExamplesError::Ragged {
                what: "inputs",
                values: inputs.values(),
                samples: images + 1,
            });
        }
        let mut all = Array2::zeros((images, outputs));
        let rows = all.as_slice_mut().expect("a new array is contiguous");
        // Each image's outputs are the same in any company, so that threads may share evenly.
        let together = images.div_ceil(threads()).clamp(1, N::TOGETHER);
        let team = if images == 1 { Team::current() } else { Team::One };
        self.sweep(inputs, rows, together, |_, images, rows, arena| {
            N::predict(self.packed(), team, images, together, arena);
            let found = N::predict_outputs(arena, together);
            for (row, output) in rows.chunks_exact_mut(outputs).zip(found) {
                row.copy_from_slice(output.floats());
            }
        });
        Ok(all)
    }

    /// Calls `work(number of the first image, images, their items, an arena)` for every `together` images, in
    /// parallel. Each image has as many items.
    pub(crate) fn sweep<T: Send>(
        &self,
        inputs: Inputs<'_>,
        items: &mut [T],
        together: usize,
        work: impl Fn(usize, &[N::Input], &mut [T], &mut [f32]) + Sync,
    ) {
        let len = N::Input::LEN;
        let images = inputs.values() / len;
        let each = items.len() / images.max(1);
        // Floats are read where they lie.
        let loaded = match inputs {
            Inputs::Bytes(_) => (together * len).next_multiple_of(LINE),
            Inputs::Floats(_) => 0,
        };
        let stride = loaded + together * N::SINGLE_ARENA;
        let count = threads().min(images.div_ceil(together)).max(1);
        // Of several calls at a time one finds the arenas that the last has left.
        let left = self.arenas.lock().map(|mut left| std::mem::take(&mut *left));
        let mut arenas = left.unwrap_or_default();
        if arenas.len() < count * stride {
            arenas = Buffer::zeroed(count * stride);
        }
        for (wave, items) in items.chunks_mut((count * together * each).max(1)).enumerate() {
            let arenas = arenas.chunks_exact_mut(stride);
            share(
                items.chunks_mut(together * each).zip(arenas).enumerate(),
                |(i, (items, arena))| {
                    let (first, some) = ((wave * count + i) * together, items.len() / each);
                    let (loaded, arena) = arena.split_at_mut(loaded);
                    let images = match inputs {
                        Inputs::Floats(floats) => {
                            N::Input::rows(&floats[first * len..][..some * len])
                        }
                        Inputs::Bytes(_) => {
                            let images = &mut N::Input::rows_mut(loaded)[..some];
                            load::<N>(inputs, first.., images);
                            images
                        }
                    };
                    work(first, images, items, arena);
                },
            );
        }
        if let Ok(mut left) = self.arenas.lock() {
            *left = arenas;
        }
    }
}

impl<N: Network> Clone for Model<N> {
    fn clone(&self) -> Self {
        Self {
            weights: self.weights.clone(),
            packed: self.packed.clone(),
            arenas: Mutex::default(),
        }
    }
}

impl<N: Network> fmt::Debug for Model<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model<{}>({} weights)", N::NAME, N::Weights::LEN)
    }
}

/// Why a tensor was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// No tensor has this name.
    #[error("the model has no tensor `{name}`; it has {}", .known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of all tensors.
        known: Vec<&'static str>,
    },
    /// The values do not fill the tensor.
    #[error("`{name}` has shape {shape:?}, which takes {}, not {found} values", .shape.iter().product::<usize>())]
    Size {
        /// The tensor.
        name: &'static str,
        /// Its shape.
        shape: &'static [usize],
        /// How many values were given.
        found: usize,
    },
}

/// A tensor in a buffer of all of them.
pub(crate) fn tensor<'a, N: Network>(floats: &'a [f32], name: &str) -> Option<ArrayViewD<'a, f32>> {
    let info = N::TENSORS.iter().find(|info| info.name == name)?;
    let values = &floats[info.offset..][..info.len()];
    ArrayViewD::from_shape(IxDyn(info.shape), values).ok()
}

/// Each tensor from its own stream of random numbers.
fn initialize<N: Network>(weights: &mut [f32], seed: u64) {
    for (stream, info) in N::TENSORS.iter().enumerate() {
        let values = &mut weights[info.offset..][..info.len()];
        initializer::fill(info.initializer, &mut Rng::new(seed, stream as u64), values);
    }
}

/// Makes predictions for single images, without allocating. Inside a rayon pool of several threads
/// ([`rayon::ThreadPool::install`]) two of them share an image's larger layers.
pub struct Predictor<'m, N: Network> {
    model: &'m Model<N>,
    arena: Buffer,
}

impl<N: Network> Predictor<'_, N> {
    /// The outputs for one image, its values in row-major order.
    ///
    /// # Panics
    /// If `image` has another size than the network's input.
    pub fn predict(&mut self, image: &[f32]) -> &N::Output {
        let (len, found) = (N::Input::LEN, image.len());
        assert!(found == len, "{} takes images of {len} values, not {found}", N::NAME);
        let (images, team) = (N::Input::rows(image), Team::current());
        N::predict(self.model.packed(), team, images, 1, &mut self.arena);
        &N::predict_outputs(&mut self.arena, 1)[0]
    }
}

impl<N: Network> fmt::Debug for Predictor<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predictor<{}>", N::NAME)
    }
}

/// Puts the images from number `first` on into an arena.
fn load<N: Network>(
    inputs: Inputs<'_>,
    first: std::ops::RangeFrom<usize>,
    images: &mut [N::Input],
) {
    for (index, image) in first.zip(images) {
        load_one::<N>(inputs, index, image);
    }
}

/// Puts one image into an arena.
pub(crate) fn load_one<N: Network>(inputs: Inputs<'_>, index: usize, image: &mut N::Input) {
    let (len, image) = (N::Input::LEN, image.floats_mut());
    match inputs {
        Inputs::Bytes(bytes) => elementwise::rescale(&bytes[index * len..][..len], image),
        Inputs::Floats(floats) => image.copy_from_slice(&floats[index * len..][..len]),
    }
}
