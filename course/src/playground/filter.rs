//! Filters on an uploaded image.

use std::io::Cursor;

use cnn_pictures::filter::{Kernel, filter2d};
use cnn_pictures::image::ImageReader;
use cnn_pictures::{Error, Format, Picture, decode, encode};

/// Most pixels of an image. The page shrinks larger ones before it sends them.
const MAX_PIXELS: u64 = 1 << 22;

/// Why an image was not filtered.
pub enum Refused {
    /// It or the kernel is not what it should be.
    Bad(String),
    /// It has too many pixels.
    TooLarge(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::TooLarge { .. } => Self::TooLarge(error.to_string()),
            _ => Self::Bad(error.to_string()),
        }
    }
}

/// Filters a PNG or JPEG by a kernel's name, or by its rows: `[[0, 1], [1, 0]]`. Gives a PNG.
pub fn run(image: &[u8], kernel: &str) -> Result<Vec<u8>, Refused> {
    let kernel: Kernel = kernel.parse()?;
    // The size stands in the first bytes: nothing of a picture too large is unpacked.
    let reader = ImageReader::new(Cursor::new(image)).with_guessed_format();
    let size = reader.map_err(Into::into).and_then(ImageReader::into_dimensions);
    let (width, height) = size.map_err(Error::Decode)?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Refused::TooLarge(format!(
            "the image has {width} x {height} pixels, and {MAX_PIXELS} is the most"
        )));
    }
    let image = decode(image)?;
    let filtered = filter2d(Picture::of(&image)?, &kernel);
    Ok(encode(&filtered, Format::Png)?)
}
