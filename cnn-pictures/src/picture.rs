//! The pixels that functions take, and the canvas they draw on.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::error::{Error, within};

/// Most pixels of one picture: 192 MiB of bytes.
pub(crate) const MAX_PIXELS: u64 = 1 << 26;

/// Longest side in pixels that a caller may ask for.
pub(crate) const MAX_SIDE: usize = 4096;

pub(crate) const WHITE: Rgb<u8> = Rgb([255; 3]);
pub(crate) const BLACK: Rgb<u8> = Rgb([0; 3]);

/// Somebody's pixels: bytes in the order rows, columns, channels (H x W x C), as Keras's data sets
/// and image files have them. One channel is grey; three are red, green, blue.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    pixels: &'a [u8],
    height: usize,
    width: usize,
    channels: usize,
}

impl<'a> Picture<'a> {
    /// A view of `pixels`, `height * width * channels` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] without pixels, [`Error::Channels`] if there are not 1 or 3, [`Error::Length`]
    /// if the bytes do not fill the shape, [`Error::TooLarge`] beyond 2^26 pixels.
    pub fn new(
        pixels: &'a [u8],
        height: usize,
        width: usize,
        channels: usize,
    ) -> Result<Self, Error> {
        if channels != 1 && channels != 3 {
            let expected = "1 channel or 3";
            return Err(Error::Channels { what: "a picture", expected, found: channels });
        }
        if height == 0 || width == 0 {
            return Err(Error::Empty("pixels"));
        }
        check_size(width as u64, height as u64)?;
        let expected = height * width * channels;
        if pixels.len() != expected {
            let found = pixels.len();
            return Err(Error::Length { height, width, channels, expected, found });
        }
        Ok(Self { pixels, height, width, channels })
    }

    /// The pixels of an image, without copying them.
    ///
    /// # Errors
    ///
    /// As [`Picture::new`]: an `RgbImage` can be empty, too.
    pub fn of(image: &'a RgbImage) -> Result<Self, Error> {
        Self::new(image.as_raw(), image.height() as usize, image.width() as usize, 3)
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 for grey, 3 for red, green and blue.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All bytes, H x W x C.
    #[must_use]
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// Pixel by pixel, row by row; grey three times.
    pub(crate) fn rgb(&self) -> impl Iterator<Item = [u8; 3]> + 'a {
        let channels = self.channels;
        self.pixels.chunks_exact(channels).map(move |pixel| match *pixel {
            [r, g, b] => [r, g, b],
            _ => [pixel[0]; 3],
        })
    }

    /// A copy in colours.
    #[must_use]
    pub fn to_rgb(&self) -> RgbImage {
        let mut image = RgbImage::new(self.width as u32, self.height as u32);
        for (to, from) in image.pixels_mut().zip(self.rgb()) {
            *to = Rgb(from);
        }
        image
    }

    /// The picture with squares for pixels if it is enlarged (by a whole number, so that all are
    /// alike), averaged if it has to shrink, so that its longer side is at most `side`.
    pub(crate) fn fitted(&self, side: usize) -> RgbImage {
        fit(&self.to_rgb(), side)
    }
}

/// Network inputs in [0, 1] as bytes: times 255, rounded; what lies outside is moved to the ends,
/// and NaN is 0.
#[must_use]
pub fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().map(|&value| unit_to_byte(value)).collect()
}

/// A value in [0, 1] as a byte. The cast saturates, and takes NaN to 0.
#[allow(clippy::cast_sign_loss)]
pub(crate) fn unit_to_byte(value: f32) -> u8 {
    (value * 255.0).round() as u8
}

/// See [`Picture::fitted`].
pub(crate) fn fit(image: &RgbImage, side: usize) -> RgbImage {
    let (width, height) = image.dimensions();
    let longest = width.max(height).max(1);
    let side = side as u32;
    if longest <= side {
        let factor = side / longest;
        return RgbImage::from_fn(width * factor, height * factor, |x, y| {
            *image.get_pixel(x / factor, y / factor)
        });
    }
    let shrunk = |length: u32| {
        let exact = u64::from(length) * u64::from(side) / u64::from(longest);
        (exact as u32).max(1)
    };
    imageops::resize(image, shrunk(width), shrunk(height), FilterType::Triangle)
}

pub(crate) fn check_size(width: u64, height: u64) -> Result<(), Error> {
    let pixels = width.saturating_mul(height);
    let too_long = width.max(height) > u64::from(u32::MAX / 4);
    if pixels > MAX_PIXELS || too_long { Err(Error::TooLarge { width, height }) } else { Ok(()) }
}

/// A white sheet.
pub(crate) fn canvas(width: usize, height: usize) -> Result<RgbImage, Error> {
    check_size(width as u64, height as u64)?;
    Ok(RgbImage::from_pixel(width as u32, height as u32, WHITE))
}

/// The longer side that the caller wants a picture in a grid to have, in pixels.
pub(crate) fn check_side(side: usize) -> Result<usize, Error> {
    within("the side in pixels", side, 1, MAX_SIDE)
}

/// Copies `image` onto `canvas`, its top left corner at column `x`, row `y`.
pub(crate) fn paste(canvas: &mut RgbImage, image: &RgbImage, x: usize, y: usize) {
    imageops::replace(canvas, image, i64::from(x as u32), i64::from(y as u32));
}

/// Fills a rectangle, as far as it lies on the canvas.
pub(crate) fn fill(canvas: &mut RgbImage, x: usize, y: usize, side: (usize, usize), with: Rgb<u8>) {
    let (width, height) = (canvas.width() as usize, canvas.height() as usize);
    for row in y..(y + side.1).min(height) {
        for column in x..(x + side.0).min(width) {
            canvas.put_pixel(column as u32, row as u32, with);
        }
    }
}
