//! What layers learned: kernels, feature maps, and the patches that excite a feature.

use image::{Rgb, RgbImage};
use ndarray::{ArrayRef3, ArrayRef4, Axis};

use crate::error::{Error, finite, within};
use crate::grid::{Cell, check_area, compose, tiles};
use crate::palette::{Palette, normalizer};
use crate::picture::{BLACK, Picture, canvas, check_side, fill, paste, unit_to_byte};

/// The kernels of a first layer as tiles in rows of `columns`, each `side` pixels at most. The shape is
/// Keras's: height, width, input channels, filters. With three input channels a kernel is shown in
/// colours, with one in grey. Zero is the middle grey, and each kernel has a scale of its own: its
/// largest magnitude is full brightness or none.
///
/// # Errors
///
/// [`Error::Channels`] unless there are 1 or 3 input channels, [`Error::Empty`], [`Error::NotFinite`],
/// [`Error::Range`] for `columns` outside 1..=1000 or `side` outside 1..=4096, [`Error::TooLarge`].
pub fn kernels(kernels: &ArrayRef4<f32>, columns: usize, side: usize) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    let (height, width, channels, filters) = kernels.dim();
    if kernels.is_empty() {
        return Err(Error::Empty("kernels"));
    }
    if channels != 1 && channels != 3 {
        let expected = "1 input channel or 3";
        return Err(Error::Channels { what: "kernels to look at", expected, found: channels });
    }
    within("a kernel's side", height.max(width), 1, 1024)?;
    check_area(filters, side)?;
    finite("kernels", kernels.iter())?;
    let images: Vec<RgbImage> = kernels
        .axis_iter(Axis(3))
        .map(|kernel| {
            let most = kernel.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
            RgbImage::from_fn(width as u32, height as u32, |x, y| {
                Rgb(std::array::from_fn(|channel| {
                    let weight = kernel[[y as usize, x as usize, channel.min(channels - 1)]];
                    unit_to_byte(if most > 0.0 { 0.5 + weight / most * 0.5 } else { 0.5 })
                }))
            })
        })
        .collect();
    // Wide enough that a white weight is no gap.
    tiles(&images, columns, side, 6)
}

/// The feature maps of a layer for one image (height, width, channels) as tiles in viridis, in rows of
/// `columns`, each `side` pixels at most. Each map has a scale of its own, from its smallest to its
/// largest value; one of equal values is dark.
///
/// # Errors
///
/// [`Error::Empty`], [`Error::NotFinite`], [`Error::Range`] for `columns` outside 1..=1000 or `side`
/// outside 1..=4096, [`Error::TooLarge`].
pub fn feature_maps(maps: &ArrayRef3<f32>, columns: usize, side: usize) -> Result<RgbImage, Error> {
    let side = check_side(side)?;
    if maps.is_empty() {
        return Err(Error::Empty("feature maps"));
    }
    let (height, width, channels) = maps.dim();
    check_area(channels, side)?;
    crate::picture::check_size(width as u64, height as u64)?;
    finite("feature maps", maps.iter())?;
    let images: Vec<RgbImage> = maps
        .axis_iter(Axis(2))
        .map(|map| {
            let scale = normalizer(map.iter());
            RgbImage::from_fn(width as u32, height as u32, |x, y| {
                Palette::Viridis.color(scale(map[[y as usize, x as usize]]))
            })
        })
        .collect();
    tiles(&images, columns, side, 2)
}

/// A feature of a layer, and what excites it.
#[derive(Clone, Copy, Debug)]
pub struct FeaturePatches<'a> {
    /// Written above.
    pub title: &'a str,
    /// Up to nine patches of the data set, the most exciting first.
    pub patches: &'a [Picture<'a>],
    /// What the layer sees in each of them, in the same order.
    pub seen: &'a [Picture<'a>],
}

/// For each feature a block of 3x3 patches of the data set, and right of it a block of what the layer
/// sees in them; features in rows of `columns`. `side` is the longer side of a patch in pixels. What
/// is missing to nine stays grey.
///
/// # Errors
///
/// [`Error::Empty`] without features, [`Error::Range`] for more than nine patches, for `columns` outside
/// 1..=1000 or `side` outside 1..=1024, [`Error::TooLarge`].
pub fn top_patches(
    features: &[FeaturePatches<'_>],
    columns: usize,
    side: usize,
) -> Result<RgbImage, Error> {
    const BETWEEN: usize = 6;
    let side = within("the side of a patch in pixels", side, 1, 1024)?;
    let block = 3 * side + 4;
    check_area(features.len().saturating_mul(2), block)?;
    let cells = features.iter().map(|feature| {
        let mut image = canvas(2 * block + BETWEEN, block)?;
        paste(&mut image, &three_by_three(feature.patches, side)?, 0, 0);
        paste(&mut image, &three_by_three(feature.seen, side)?, block + BETWEEN, 0);
        Ok(Cell { image, title: feature.title.to_owned(), color: BLACK })
    });
    compose(&cells.collect::<Result<Vec<_>, Error>>()?, columns, 2 * block + BETWEEN)
}

fn three_by_three(patches: &[Picture<'_>], side: usize) -> Result<RgbImage, Error> {
    const EMPTY: Rgb<u8> = Rgb([208; 3]);
    within("the number of patches", patches.len(), 0, 9)?;
    let length = 3 * side + 4;
    let mut block = canvas(length, length)?;
    for place in 0..9 {
        let (x, y) = (1 + place % 3 * (side + 1), 1 + place / 3 * (side + 1));
        fill(&mut block, x, y, (side, side), EMPTY);
        if let Some(patch) = patches.get(place) {
            let image = patch.fitted(side);
            // A patch cut off at the picture's border is smaller than the others.
            let (width, height) = (image.width() as usize, image.height() as usize);
            paste(&mut block, &image, x + (side - width) / 2, y + (side - height) / 2);
        }
    }
    Ok(block)
}
