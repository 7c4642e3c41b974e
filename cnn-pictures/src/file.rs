//! Bytes of files to pixels and back.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageDecoder as _, ImageReader, Limits, RgbImage};

use crate::Error;
use crate::picture::check_size;

/// How an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Exactly.
    Png,
    /// Small, and slightly changed (quality 92 of 100).
    Jpeg,
}

impl Format {
    /// By a file's extension, in capitals or not: `png`, `jpg`, `jpeg`.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }
}

/// Reads a PNG or JPEG, turned upright if its EXIF data says how. Transparency is dropped and
/// 16 bits become 8, as `cv2.imread` does.
///
/// # Errors
///
/// [`Error::Decode`] for other formats and damaged files, [`Error::TooLarge`] beyond 2^26 pixels
/// (before any of them is read), [`Error::Cut`] for a file whose end is missing.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, Error> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::Decode(image::ImageError::IoError(error)))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(Error::Decode)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    if cnn_images::is_cut(bytes) {
        return Err(Error::Cut);
    }
    let orientation = decoder.orientation().map_err(Error::Decode)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(Error::Decode)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// The bytes of a file.
///
/// # Errors
///
/// [`Error::Encode`] for an image without pixels, or with more in a row or column than a JPEG can have
/// (65,535).
pub fn encode(image: &RgbImage, format: Format) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    match format {
        Format::Png => image.write_with_encoder(PngEncoder::new_with_quality(
            &mut bytes,
            CompressionType::Default,
            FilterType::Adaptive,
        )),
        Format::Jpeg => image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 92)),
    }
    .map_err(Error::Encode)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn files_come_back() {
        let image = RgbImage::from_fn(16, 8, |x, y| Rgb([(x * 16) as u8, (y * 32) as u8, 90]));
        let png = encode(&image, Format::Png).unwrap();
        assert_eq!(decode(&png).unwrap(), image);
        let jpeg = decode(&encode(&image, Format::Jpeg).unwrap()).unwrap();
        assert_eq!(jpeg.dimensions(), (16, 8));
        for (from, to) in image.iter().zip(jpeg.iter()) {
            assert!(from.abs_diff(*to) < 24, "{from} became {to}");
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let image = RgbImage::new(9, 9);
        for format in [Format::Png, Format::Jpeg] {
            let bytes = encode(&image, format).unwrap();
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
                let mut flipped = bytes.clone();
                flipped[end] ^= 0x55;
                let _ = decode(&flipped);
            }
        }
        assert!(decode(b"<html>").is_err());
        assert!(encode(&RgbImage::new(0, 0), Format::Png).is_err());
    }
}
