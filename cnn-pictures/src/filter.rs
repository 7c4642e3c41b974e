//! Filters on photographs, equal to OpenCV's `filter2D`.

use std::str::FromStr;

use image::RgbImage;
use ndarray::Array3;

use crate::error::{Error, within};
use crate::picture::Picture;

/// The longest side of a kernel.
pub const MAX_KERNEL: usize = 31;

/// The kernels that have a name: what they are called, and their rows.
pub const NAMED: [(&str, [[f32; 3]; 3]); 6] = [
    ("sobel_x", [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]),
    ("sobel_y", [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]),
    ("blur", [[1.0 / 9.0; 3]; 3]),
    ("sharpen", [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]),
    ("edge", [[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]]),
    ("emboss", [[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]),
];

/// A filter: rows of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    height: usize,
    width: usize,
    weights: Vec<f32>,
}

impl Kernel {
    /// A kernel from its rows, all of one length, 1 to 31 of up to 31 numbers.
    ///
    /// # Errors
    ///
    /// [`Error::BadKernel`] for rows of different lengths, [`Error::Range`] for too few or many,
    /// [`Error::NotFinite`].
    pub fn new<Row: AsRef<[f32]>>(rows: &[Row]) -> Result<Self, Error> {
        let height = within("the number of a kernel's rows", rows.len(), 1, MAX_KERNEL)?;
        let width = rows[0].as_ref().len();
        within("the number of a kernel's columns", width, 1, MAX_KERNEL)?;
        let mut weights = Vec::with_capacity(height * width);
        for (i, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() != width {
                return Err(Error::BadKernel(format!(
                    "the rows of a kernel must have one length: row 1 has {width}, row {} has {}",
                    i + 1,
                    row.len()
                )));
            }
            weights.extend_from_slice(row);
        }
        crate::error::finite("kernel's weights", &weights)?;
        Ok(Self { height, width, weights })
    }

    /// One of [`NAMED`].
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKernel`].
    pub fn named(name: &str) -> Result<Self, Error> {
        match NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, rows)) => Self::new(rows),
            None => Err(Error::UnknownKernel(name.to_owned())),
        }
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }
}

/// A name, or rows written out: `[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]`.
impl FromStr for Kernel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if !text.starts_with('[') {
            return Self::named(text);
        }
        let rows: Vec<Vec<f32>> = serde_json::from_str(text).map_err(|error| {
            Error::BadKernel(format!("a kernel is written as [[1, 2], [3, 4]]: {error}"))
        })?;
        Self::new(&rows)
    }
}

/// The picture, filtered as `cv2.filter2D(picture, -1, kernel)` does it: correlation (the kernel is not
/// turned), channel by channel; the kernel's middle, row `height / 2` and column `width / 2`, lies on
/// the pixel; beyond its border the picture is mirrored without repeating the edge
/// (`BORDER_REFLECT_101`); results are rounded, halves to the even neighbour, and moved into 0..=255
/// (`saturate_cast<uchar>`).
///
/// Sums are taken in `f64`; OpenCV takes them in `f32`. Where these hold every sum exactly, as for
/// whole numbers and binary fractions, all results are equal. For arbitrary weights one pixel in some
/// ten thousand can differ by 1: where the sum lies within a rounding error of a half. From 12x12 on
/// OpenCV goes through a Fourier transform, whose errors are larger.
#[must_use]
pub fn filter2d(picture: Picture<'_>, kernel: &Kernel) -> RgbImage {
    let width = picture.width() * 3;
    let mut pixels = Vec::with_capacity(picture.height() * width);
    each_row(picture, kernel, |sums| pixels.extend(saturated(picture.channels(), sums)));
    RgbImage::from_raw(picture.width() as u32, picture.height() as u32, pixels)
        .expect("a row of output for each row of input")
}

/// The sums of [`filter2d`] before they are rounded and moved into 0..=255: height, width, channels.
#[must_use]
pub fn correlate(picture: Picture<'_>, kernel: &Kernel) -> Array3<f64> {
    let mut all = Vec::with_capacity(picture.pixels().len());
    each_row(picture, kernel, |sums| all.extend_from_slice(sums));
    Array3::from_shape_vec((picture.height(), picture.width(), picture.channels()), all)
        .expect("a sum for each value")
}

/// Rounds and saturates a row; grey three times.
#[allow(clippy::cast_sign_loss)]
fn saturated(channels: usize, sums: &[f64]) -> impl Iterator<Item = u8> {
    let repeat = 3 / channels;
    sums.iter().flat_map(move |sum| std::iter::repeat_n(sum.round_ties_even() as u8, repeat))
}

/// Computes the sums row by row, width times channels at a time.
fn each_row(picture: Picture<'_>, kernel: &Kernel, mut each: impl FnMut(&[f64])) {
    let (height, width, channels) = (picture.height(), picture.width(), picture.channels());
    let padded: Vec<usize> = (0..width + kernel.width - 1)
        .map(|column| reflect(column, kernel.width / 2, width))
        .collect();
    let mut source = vec![0.0; padded.len() * channels];
    let mut sums = vec![0.0; width * channels];
    for y in 0..height {
        sums.fill(0.0);
        for (i, weights) in kernel.weights.chunks_exact(kernel.width).enumerate() {
            let row = reflect(y + i, kernel.height / 2, height);
            let row = &picture.pixels()[row * width * channels..][..width * channels];
            for (to, &column) in source.chunks_exact_mut(channels).zip(&padded) {
                for (to, &from) in to.iter_mut().zip(&row[column * channels..]) {
                    *to = f64::from(from);
                }
            }
            for (j, &weight) in weights.iter().enumerate() {
                let weight = f64::from(weight);
                for (sum, &value) in sums.iter_mut().zip(&source[j * channels..]) {
                    *sum += weight * value;
                }
            }
        }
        each(&sums);
    }
}

/// Which of `length` pixels stands at `place`, counted from the one `before` pixels ahead of the first:
/// `dcb|abcd|cba`.
fn reflect(place: usize, before: usize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    // Whole periods ahead, so that nothing is negative.
    let place = (place + period * before - before) % period;
    place.min(period - place)
}
