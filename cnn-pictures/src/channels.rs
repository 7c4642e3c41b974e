//! What a colour photograph is made of.

use image::RgbImage;

use crate::error::Error;
use crate::grid::{Cell, compose};
use crate::palette::Palette;
use crate::picture::{BLACK, Picture, check_side, fit};

/// The red, green and blue channel of a picture side by side, each in the colours of `palette`, with
/// titles. `side` is the longer side of each in pixels.
///
/// # Errors
///
/// [`Error::Range`] for a `side` outside 1..=4096, [`Error::TooLarge`].
pub fn channels(picture: Picture<'_>, palette: Palette, side: usize) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    crate::grid::check_area(3, side)?;
    let cells = ["red", "green", "blue"].iter().enumerate().map(|(channel, title)| Cell {
        image: fit(&painted(picture, palette, |pixel| pixel[channel]), side),
        title: (*title).to_owned(),
        color: BLACK,
    });
    compose(&cells.collect::<Vec<_>>(), 3, side)
}

/// The brightness of a picture ([`luma`]) in the colours of `palette`, pixel for pixel.
#[must_use]
pub fn grey(picture: Picture<'_>, palette: Palette) -> RgbImage {
    painted(picture, palette, luma)
}

/// The brightness of a pixel: 0.299 R + 0.587 G + 0.114 B, rounded (Recommendation ITU-R BT.601,
/// section 2.5.1; `cv2.COLOR_RGB2GRAY`).
#[must_use]
pub fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    ((sum + 500) / 1000) as u8
}

fn painted(picture: Picture<'_>, palette: Palette, value: impl Fn([u8; 3]) -> u8) -> RgbImage {
    let mut image = RgbImage::new(picture.width() as u32, picture.height() as u32);
    for (to, from) in image.pixels_mut().zip(picture.rgb()) {
        *to = palette.of_byte(value(from));
    }
    image
}
