//! Where a network looks: saliency and Grad-CAM as colours.

use image::{Rgb, RgbImage};
use ndarray::ArrayRef2;

use crate::error::{Error, finite};
use crate::palette::{Palette, normalizer};
use crate::picture::{Picture, check_side, check_size, fit};
use crate::text::blend;

/// Numbers (height, width) in the colours of `palette`, from the smallest to the largest; `side` is the
/// longer side in pixels.
///
/// # Errors
///
/// [`Error::Empty`], [`Error::NotFinite`], [`Error::Range`] for a `side` outside 1..=4096,
/// [`Error::TooLarge`].
pub fn heat_map(values: &ArrayRef2<f32>, palette: Palette, side: usize) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    check(values)?;
    let (height, width) = values.dim();
    let scale = normalizer(values.iter());
    let image = RgbImage::from_fn(width as u32, height as u32, |x, y| {
        palette.color(scale(values[[y as usize, x as usize]]))
    });
    Ok(fit(&image, side))
}

/// Heat over a picture: the numbers (height, width; any size, such as Grad-CAM's) are stretched to the
/// picture (bilinear, between centres of pixels) and coloured in turbo from the smallest to the
/// largest, over the picture in grey. The share of colour in a pixel is `opacity` (0 to 1) times the heat
/// there: where it is cold, the picture stays as it is.
/// `side` is the longer side in pixels.
///
/// # Errors
///
/// As [`heat_map`].
pub fn overlay(
    picture: Picture<'_>,
    heat: &ArrayRef2<f32>,
    opacity: f32,
    side: usize,
) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    check(heat)?;
    if opacity.is_nan() {
        return Err(Error::NotFinite("opacities"));
    }
    let scale = normalizer(heat.iter());
    let mut image = fit(&crate::channels::grey(picture, Palette::Grey), side);
    let (width, height) = image.dimensions();
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let value = scale(stretched(heat, (y, height), (x, width)));
        let Rgb(over) = Palette::Turbo.color(value);
        for (to, from) in pixel.0.iter_mut().zip(over) {
            *to = blend(*to, from, opacity * value);
        }
    }
    Ok(image)
}

fn check(values: &ArrayRef2<f32>) -> Result<(), Error> {
    if values.is_empty() {
        return Err(Error::Empty("values"));
    }
    check_size(values.ncols() as u64, values.nrows() as u64)?;
    finite("values", values.iter())
}

/// The value at row `y.0` of `y.1` and column `x.0` of `x.1`.
fn stretched(values: &ArrayRef2<f32>, y: (u32, u32), x: (u32, u32)) -> f32 {
    let (top, bottom, down) = between(y, values.nrows());
    let (left, right, across) = between(x, values.ncols());
    let mix = |from: f32, to: f32, share: f32| from * (1.0 - share) + to * share;
    let above = mix(values[[top, left]], values[[top, right]], across);
    let below = mix(values[[bottom, left]], values[[bottom, right]], across);
    mix(above, below, down)
}

/// The two of `count` values that position `at` of `of` lies between, and how far it is to the second.
#[allow(clippy::cast_sign_loss)]
fn between((at, of): (u32, u32), count: usize) -> (usize, usize, f32) {
    let exact = (f64::from(at) + 0.5) * count as f64 / f64::from(of) - 0.5;
    let exact = exact.clamp(0.0, (count - 1) as f64);
    let first = exact.floor();
    (first as usize, (first as usize + 1).min(count - 1), (exact - first) as f32)
}
