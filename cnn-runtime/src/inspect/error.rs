use crate::data::ExamplesError;

/// Why something cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// No layer has this name.
    #[error("the model has no layer `{name}`; it has {}", .known.join(", "))]
    Layer {
        /// What was asked for.
        name: String,
        /// The names of all layers.
        known: Vec<&'static str>,
    },
    /// A layer has no such output.
    #[error(
        "`{layer}` has {rows} x {columns} outputs of {features} features: there is no feature \
         {feature} at row {row}, column {column}"
    )]
    Output {
        /// The layer.
        layer: &'static str,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Its channels or units.
        features: usize,
        /// What was asked for.
        feature: usize,
        /// Where.
        row: usize,
        /// Where.
        column: usize,
    },
    /// The network has no output for this class.
    #[error("there is no class {class}: the network has {outputs} outputs")]
    Class {
        /// What was asked for.
        class: usize,
        /// How many outputs there are.
        outputs: usize,
    },
    /// The layer's outputs have no rows and columns.
    #[error("`{layer}` has no rows and columns: Grad-CAM is of layers before `Flatten`")]
    NoImage {
        /// The layer.
        layer: &'static str,
    },
    /// The layer comes after the scores of the classes.
    #[error("`{layer}` is the softmax itself, which the scores of the classes come before")]
    AfterScores {
        /// The layer.
        layer: &'static str,
    },
    /// An image of another size than the network's input.
    #[error("the image has {found} values: the network expects {expected}")]
    Image {
        /// Its values.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// No image of this number.
    #[error("there is no image {index}: there are {count}, counted from 0")]
    Index {
        /// What was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Inputs that are not whole images.
    #[error(transparent)]
    Inputs(#[from] ExamplesError),
}
