//! Borrowed inputs and targets, the form in which a trainer takes its data.

use std::convert::Infallible;

use ndarray::{Array, ArrayView, ArrayView1, ArrayView2, Dimension, Ix1, Ix2};

/// The inputs of `n` samples, one after the other, each in row-major H, W, C order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inputs<'a> {
    /// Bytes 0 to 255, divided by 255 when they are used.
    Bytes(&'a [u8]),
    /// Values used as they are.
    Floats(&'a [f32]),
}

impl Inputs<'_> {
    /// The number of values over all samples.
    #[must_use]
    pub const fn values(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
        }
    }
}

/// What a network should answer for `n` samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Targets<'a> {
    /// One class index a sample.
    Classes(&'a [u32]),
    /// One value for each output a sample: one-hot rows, or a distribution over the classes.
    OneHot(&'a [f32]),
}

/// Samples to train on or to evaluate: inputs and targets of equal count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Examples<'a> {
    /// `len() * input_len()` values.
    pub inputs: Inputs<'a>,
    /// `len()` classes, or `len() * output_len()` one-hot values.
    pub targets: Targets<'a>,
    samples: usize,
}

/// Why arrays or slices cannot serve as examples of a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExamplesError {
    /// An array whose elements do not lie one after the other.
    #[error(
        "the {what} of shape {shape:?} have strides {strides:?}: expected row-major order without \
         gaps; copy them first with `.as_standard_layout()`"
    )]
    Layout {
        /// `inputs` or `targets`.
        what: &'static str,
        /// The array's shape.
        shape: Vec<usize>,
        /// The array's strides, in elements.
        strides: Vec<isize>,
    },
    /// An array without a sample axis.
    #[error(
        "the inputs are a single number: expected an array whose first axis counts the samples"
    )]
    NoSampleAxis,
    /// Unequal numbers of inputs and targets.
    #[error("{inputs} inputs and {targets} targets: expected one target for each input")]
    Count {
        /// Samples in the inputs.
        inputs: usize,
        /// Samples in the targets.
        targets: usize,
    },
    /// A slice that does not divide into samples.
    #[error("{values} values of {what} do not divide into {samples} samples of equal size")]
    Ragged {
        /// `inputs` or `targets`.
        what: &'static str,
        /// The length of the slice.
        values: usize,
        /// The number of samples asked for.
        samples: usize,
    },
    /// No samples at all.
    #[error("there are no samples: expected at least one")]
    Empty,
    /// Inputs of another size than the network's.
    #[error("each sample has {found} input values: the network expects {expected}")]
    InputLen {
        /// Values a sample found.
        found: usize,
        /// Values a sample expected.
        expected: usize,
    },
    /// One-hot rows of another width than the network's output.
    #[error("each one-hot target has {found} values: the network has {expected} outputs")]
    TargetLen {
        /// Values a sample found.
        found: usize,
        /// Outputs of the network.
        expected: usize,
    },
    /// A class the network has no output for.
    #[error(
        "sample {sample} has class {class}: the network has {outputs} outputs, classes 0 to {}",
        .outputs.saturating_sub(1)
    )]
    Class {
        /// The index of the sample.
        sample: usize,
        /// Its class.
        class: u32,
        /// Outputs of the network.
        outputs: usize,
    },
}

impl From<Infallible> for ExamplesError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl<'a> Examples<'a> {
    /// Views an array of inputs, whose first axis counts the samples, beside its targets: a slice
    /// or array of classes (`u32`), or an array of one-hot rows (`f32`, samples x outputs).
    ///
    /// # Errors
    /// If an array is not in row-major order, or the numbers of samples differ.
    #[expect(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn new<P, D, T>(inputs: ArrayView<'a, P, D>, targets: T) -> Result<Self, ExamplesError>
    where
        D: Dimension,
        Inputs<'a>: From<&'a [P]>,
        T: TryInto<Targets<'a>>,
        ExamplesError: From<T::Error>,
    {
        let samples = *inputs.shape().first().ok_or(ExamplesError::NoSampleAxis)?;
        let inputs: &'a [P] = contiguous("inputs", &inputs)?;
        Self::from_slices(inputs, targets, samples)
    }

    /// Takes `samples` samples from plain slices (or anything that [`Targets`] and [`Inputs`]
    /// convert from).
    ///
    /// # Errors
    /// If a slice does not divide into `samples` equal parts, or the number of classes differs.
    pub fn from_slices<T>(
        inputs: impl Into<Inputs<'a>>,
        targets: T,
        samples: usize,
    ) -> Result<Self, ExamplesError>
    where
        T: TryInto<Targets<'a>>,
        ExamplesError: From<T::Error>,
    {
        let (inputs, targets) = (inputs.into(), targets.try_into()?);
        divide("inputs", inputs.values(), samples)?;
        match targets {
            Targets::Classes(classes) if classes.len() != samples => {
                return Err(ExamplesError::Count { inputs: samples, targets: classes.len() });
            }
            Targets::Classes(_) => {}
            Targets::OneHot(rows) => divide("targets", rows.len(), samples)?,
        }
        Ok(Self { inputs, targets, samples })
    }

    /// The number of samples.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.samples
    }

    /// Whether there are no samples.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The number of input values of one sample; 0 without samples.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        match self.inputs.values().checked_div(self.samples) {
            Some(values) => values,
            None => 0,
        }
    }

    /// The class of sample `index`: for one-hot targets the first of the largest values.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    #[must_use]
    pub fn class(&self, index: usize) -> usize {
        match self.targets {
            Targets::Classes(classes) => classes[index] as usize,
            Targets::OneHot(rows) => {
                let outputs = rows.len() / self.samples;
                let row = &rows[index * outputs..][..outputs];
                (1..outputs)
                    .fold(0, |best, class| if row[class] > row[best] { class } else { best })
            }
        }
    }

    /// The first `at` samples and the rest.
    ///
    /// # Panics
    /// If `at` is greater than [`len`](Self::len).
    #[must_use]
    pub fn split_at(&self, at: usize) -> (Self, Self) {
        assert!(at <= self.samples, "cannot split {} samples at {at}", self.samples);
        let input_at = at * self.input_len();
        let (first_inputs, last_inputs) = match self.inputs {
            Inputs::Bytes(bytes) => {
                let (first, last) = bytes.split_at(input_at);
                (Inputs::Bytes(first), Inputs::Bytes(last))
            }
            Inputs::Floats(floats) => {
                let (first, last) = floats.split_at(input_at);
                (Inputs::Floats(first), Inputs::Floats(last))
            }
        };
        let (first_targets, last_targets) = match self.targets {
            Targets::Classes(classes) => {
                let (first, last) = classes.split_at(at);
                (Targets::Classes(first), Targets::Classes(last))
            }
            Targets::OneHot(rows) => {
                let (first, last) = rows.split_at(at * rows.len() / self.samples.max(1));
                (Targets::OneHot(first), Targets::OneHot(last))
            }
        };
        (
            Self { inputs: first_inputs, targets: first_targets, samples: at },
            Self { inputs: last_inputs, targets: last_targets, samples: self.samples - at },
        )
    }

    /// All but the last `share` of the samples, and that last share. As in Keras, the first part
    /// has `floor(len * (1 - share))` samples.
    #[must_use]
    pub fn split_last(&self, share: f64) -> (Self, Self) {
        let first = (self.samples as f64 * (1.0 - share)).floor().max(0.0);
        #[expect(clippy::cast_sign_loss, reason = "not negative, and NaN becomes 0")]
        self.split_at((first as usize).min(self.samples))
    }

    /// Checks that a network of `input_len` inputs and `output_len` outputs can take these samples.
    ///
    /// # Errors
    /// If there are no samples, or sizes or classes do not fit.
    pub fn check(&self, input_len: usize, output_len: usize) -> Result<(), ExamplesError> {
        if self.samples == 0 {
            return Err(ExamplesError::Empty);
        }
        if self.input_len() != input_len {
            return Err(ExamplesError::InputLen { found: self.input_len(), expected: input_len });
        }
        match self.targets {
            Targets::Classes(classes) => {
                let unfit = classes.iter().position(|&class| class as usize >= output_len);
                unfit.map_or(Ok(()), |sample| {
                    Err(ExamplesError::Class {
                        sample,
                        class: classes[sample],
                        outputs: output_len,
                    })
                })
            }
            Targets::OneHot(rows) if rows.len() / self.samples != output_len => {
                let found = rows.len() / self.samples;
                Err(ExamplesError::TargetLen { found, expected: output_len })
            }
            Targets::OneHot(_) => Ok(()),
        }
    }
}

impl<'a> From<&'a [u8]> for Inputs<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a [f32]> for Inputs<'a> {
    fn from(floats: &'a [f32]) -> Self {
        Self::Floats(floats)
    }
}

impl<'a, D: Dimension> TryFrom<ArrayView<'a, u8, D>> for Inputs<'a> {
    type Error = ExamplesError;

    fn try_from(bytes: ArrayView<'a, u8, D>) -> Result<Self, ExamplesError> {
        contiguous("inputs", &bytes).map(Self::Bytes)
    }
}

impl<'a, D: Dimension> TryFrom<ArrayView<'a, f32, D>> for Inputs<'a> {
    type Error = ExamplesError;

    fn try_from(floats: ArrayView<'a, f32, D>) -> Result<Self, ExamplesError> {
        contiguous("inputs", &floats).map(Self::Floats)
    }
}

impl<'a> From<&'a [u32]> for Targets<'a> {
    fn from(classes: &'a [u32]) -> Self {
        Self::Classes(classes)
    }
}

impl<'a, const N: usize> From<&'a [u32; N]> for Targets<'a> {
    fn from(classes: &'a [u32; N]) -> Self {
        Self::Classes(classes)
    }
}

impl<'a> From<&'a Vec<u32>> for Targets<'a> {
    fn from(classes: &'a Vec<u32>) -> Self {
        Self::Classes(classes)
    }
}

impl<'a> TryFrom<ArrayView1<'a, u32>> for Targets<'a> {
    type Error = ExamplesError;

    fn try_from(classes: ArrayView1<'a, u32>) -> Result<Self, ExamplesError> {
        contiguous("targets", &classes).map(Self::Classes)
    }
}

impl<'a> TryFrom<&'a Array<u32, Ix1>> for Targets<'a> {
    type Error = ExamplesError;

    fn try_from(classes: &'a Array<u32, Ix1>) -> Result<Self, ExamplesError> {
        classes.view().try_into()
    }
}

impl<'a> TryFrom<ArrayView2<'a, f32>> for Targets<'a> {
    type Error = ExamplesError;

    fn try_from(rows: ArrayView2<'a, f32>) -> Result<Self, ExamplesError> {
        contiguous("targets", &rows).map(Self::OneHot)
    }
}

impl<'a> TryFrom<&'a Array<f32, Ix2>> for Targets<'a> {
    type Error = ExamplesError;

    fn try_from(rows: &'a Array<f32, Ix2>) -> Result<Self, ExamplesError> {
        rows.view().try_into()
    }
}

fn contiguous<'a, P, D: Dimension>(
    what: &'static str,
    array: &ArrayView<'a, P, D>,
) -> Result<&'a [P], ExamplesError> {
    let (shape, strides) = (array.shape().to_vec(), array.strides().to_vec());
    array.to_slice().ok_or(ExamplesError::Layout { what, shape, strides })
}

fn divide(what: &'static str, values: usize, samples: usize) -> Result<(), ExamplesError> {
    let fits = values.checked_rem(samples).map_or(values == 0, |rest| rest == 0);
    fits.then_some(()).ok_or(ExamplesError::Ragged { what, values, samples })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array4, arr1, arr2};

    use super::*;

    #[test]
    fn arrays_and_slices_give_the_same_examples() {
        let images = Array4::from_shape_fn((3, 2, 2, 1), |(n, h, w, _)| (4 * n + 2 * h + w) as u8);
        let bytes: Vec<u8> = (0..12).collect();
        let classes = [2_u32, 0, 1];
        let from_array = Examples::new(images.view(), &arr1(&classes)).map(|e| e.len());
        assert_eq!(from_array, Ok(3));
        let from_view = Examples::new(images.view(), &classes[..]).unwrap();
        let from_slices = Examples::from_slices(&bytes[..], &classes[..], 3).unwrap();
        assert_eq!(from_view, from_slices);
        assert_eq!(Examples::new(images.view(), &classes), Ok(from_view));
        assert_eq!(Examples::new(images.view(), &classes.to_vec()), Ok(from_view));
        assert_eq!(Inputs::try_from(images.view()), Ok(from_view.inputs));
        assert_eq!(from_view.input_len(), 4);
        assert_eq!((0..3).map(|i| from_view.class(i)).collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn a_one_hot_class_is_the_first_maximum() {
        let rows = arr2(&[[0.0, 1.0, 0.0], [0.4, 0.2, 0.4], [0.1, 0.2, 0.7_f32]]);
        let inputs = Array2::<f32>::zeros((3, 5));
        let examples = Examples::new(inputs.view(), &rows).unwrap();
        assert_eq!((0..3).map(|i| examples.class(i)).collect::<Vec<_>>(), [1, 0, 2]);
        assert_eq!(examples.check(5, 3), Ok(()));
    }

    #[test]
    fn a_transposed_view_is_refused_rather_than_misread() {
        let images = Array2::<u8>::zeros((2, 3));
        let error = Examples::new(images.t(), &[0_u32, 0, 0][..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the inputs of shape [3, 2] have strides [1, 3]: expected row-major order without gaps; \
             copy them first with `.as_standard_layout()`"
        );
    }

    #[test]
    fn counts_and_sizes_must_agree() {
        let bytes = [0_u8; 12];
        let count = Examples::from_slices(&bytes[..], &[0_u32, 1][..], 3).unwrap_err();
        assert_eq!(count, ExamplesError::Count { inputs: 3, targets: 2 });
        let ragged = Examples::from_slices(&bytes[..], &[0_u32; 5][..], 5).unwrap_err();
        assert_eq!(
            ragged.to_string(),
            "12 values of inputs do not divide into 5 samples of equal size"
        );
        assert!(Examples::from_slices(&bytes[..], &[][..] as &[u32], 0).is_err());
    }

    #[test]
    fn a_network_says_what_does_not_fit() {
        let bytes = [0_u8; 12];
        let examples = Examples::from_slices(&bytes[..], &[9_u32, 10, 11][..], 3).unwrap();
        assert_eq!(
            examples.check(4, 10).unwrap_err().to_string(),
            "sample 1 has class 10: the network has 10 outputs, classes 0 to 9"
        );
        assert_eq!(
            examples.check(784, 12).unwrap_err().to_string(),
            "each sample has 4 input values: the network expects 784"
        );
        let empty = Examples::from_slices(&[][..] as &[u8], &[][..] as &[u32], 0).unwrap();
        assert_eq!(empty.check(4, 10), Err(ExamplesError::Empty));
    }

    #[test]
    fn splits_keep_inputs_and_targets_together() {
        let bytes: Vec<u8> = (0..20).collect();
        let rows: Vec<f32> = (0..30_u8).map(f32::from).collect();
        let examples = Examples::from_slices(&bytes[..], Targets::OneHot(&rows), 10).unwrap();
        // floor(10 * (1 - 0.25)) = 7, as Keras splits.
        let (first, last) = examples.split_last(0.25);
        assert_eq!((first.len(), last.len()), (7, 3));
        assert_eq!(last.inputs, Inputs::Bytes(&bytes[14..]));
        assert_eq!(last.targets, Targets::OneHot(&rows[21..]));
        assert_eq!(first.input_len(), 2);
    }
}
