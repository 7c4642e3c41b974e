//! What can be wrong with a request for a picture.

use crate::picture::MAX_PIXELS;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The values do not fill the shape.
    #[error("{height}x{width} pixels of {channels} channels are {expected} values, not {found}")]
    Length {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Values a pixel.
        channels: usize,
        /// Their product.
        expected: usize,
        /// How many values there are.
        found: usize,
    },
    /// A picture is grey or has red, green and blue.
    #[error("{what} must have {expected}, not {found}")]
    Channels {
        /// Of what.
        what: &'static str,
        /// Which numbers of channels can be shown.
        expected: &'static str,
        /// The number of channels.
        found: usize,
    },
    /// There is nothing to show.
    #[error("there are no {0} to show")]
    Empty(&'static str),
    /// Two lists that belong together differ in length.
    #[error("{expected} {of} need as many {what}, not {found}")]
    Count {
        /// The shorter or longer list.
        what: &'static str,
        /// The list that it belongs to.
        of: &'static str,
        /// The length of `of`.
        expected: usize,
        /// The length of `what`.
        found: usize,
    },
    /// A number outside what makes sense.
    #[error("{what} must be from {min} to {max}, not {found}")]
    Range {
        /// What the number says.
        what: &'static str,
        /// The smallest.
        min: usize,
        /// The largest.
        max: usize,
        /// The number.
        found: usize,
    },
    /// A matrix of confusions has a row and a column for each class.
    #[error("a confusion matrix is square, not {rows}x{columns}")]
    NotSquare {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// Infinite, or not a number.
    #[error("the {0} have a value that is not finite")]
    NotFinite(&'static str),
    /// More pixels than one picture may have.
    #[error("the picture would have {width}x{height} pixels; {MAX_PIXELS} are the most")]
    TooLarge {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// No filter is called so.
    #[error("no kernel is called `{0}`")]
    UnknownKernel(String),
    /// A filter's kernel is a rectangle of numbers.
    #[error("{0}")]
    BadKernel(String),
    /// A file that is no PNG or JPEG, or a damaged one.
    // Some decoders end what they say with a line break.
    #[error("cannot read the picture: {}", .0.to_string().trim_end())]
    Decode(#[source] image::ImageError),
    /// A PNG or JPEG without its end.
    #[error("cannot read the picture: its file is cut, the end is missing")]
    Cut,
    /// The encoder refused.
    #[error("cannot encode the picture: {0}")]
    Encode(#[source] image::ImageError),
}

/// `found` if it lies in `min..=max`.
pub(crate) fn within(
    what: &'static str,
    found: usize,
    min: usize,
    max: usize,
) -> Result<usize, Error> {
    if (min..=max).contains(&found) {
        Ok(found)
    } else {
        Err(Error::Range { what, min, max, found })
    }
}

/// Whether a list has as many items as the one it belongs to.
pub(crate) fn same_count(
    what: &'static str,
    found: usize,
    of: &'static str,
    expected: usize,
) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Count { what, of, expected, found }) }
}

/// Refuses infinities and NaN, which have no place on a scale of colours.
pub(crate) fn finite<'a>(
    what: &'static str,
    values: impl IntoIterator<Item = &'a f32>,
) -> Result<(), Error> {
    if values.into_iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(Error::NotFinite(what))
    }
}
