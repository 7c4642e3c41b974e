//! A digit as the numbers it is made of.

use image::{Rgb, RgbImage};

use crate::error::{Error, within};
use crate::picture::{BLACK, Picture, WHITE, canvas, fill};
use crate::text;

const CELL: usize = 28;
const NUMBER: f32 = 11.0;

/// A grey picture, every pixel a square with its value (0 to 255) written in: white where the value is
/// below the picture's maximum divided by 2.5, black elsewhere.
///
/// # Errors
///
/// [`Error::Channels`] unless the picture is grey, [`Error::Range`] if a side is longer than 128 pixels.
pub fn digit_values(digit: Picture<'_>) -> Result<RgbImage, Error> {
    if digit.channels() != 1 {
        let expected = "1 channel";
        let found = digit.channels();
        return Err(Error::Channels { what: "a picture of values", expected, found });
    }
    let height = within("the height", digit.height(), 1, 128)?;
    let width = within("the width", digit.width(), 1, 128)?;
    let threshold = f32::from(digit.pixels().iter().copied().max().unwrap_or(0)) / 2.5;
    let mut sheet = canvas(width * CELL, height * CELL)?;
    for (i, &value) in digit.pixels().iter().enumerate() {
        let (x, y) = (i % width * CELL, i / width * CELL);
        fill(&mut sheet, x, y, (CELL, CELL), Rgb([value; 3]));
        let color = if f32::from(value) < threshold { WHITE } else { BLACK };
        // An image without light has no threshold; its zeros must be seen.
        let color = if value == 0 { WHITE } else { color };
        let top = y + (CELL - text::line_height(NUMBER)) / 2;
        text::draw_centered(&mut sheet, &value.to_string(), x + CELL / 2, top, NUMBER, color);
    }
    Ok(sheet)
}
