//! Folders of PNG and JPEG images, one subfolder for each class.

use std::fs;
use std::io::{self, Cursor, Read as _};
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, crop_imm, resize};
use image::metadata::Orientation;
use image::{
    DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageError, ImageReader, Limits, Pixel, Rgb,
};
use ndarray::{Array1, Array3, Array4};
use rayon::prelude::*;

use super::Dataset;
use super::error::{DataError, FileProblem};
use super::file::{PAYLOAD_LIMIT, open_seekable};

/// The longest side of an image that is decoded.
const SIDE_LIMIT: u32 = 16_384;

/// The most bytes that a decoded image may take: 67 million pixels of 16 bits in four channels.
const DECODED_LIMIT: u64 = 1 << 29;

/// The most bytes of a file: hardly any is longer than what becomes of it.
const FILE_LIMIT: u64 = DECODED_LIMIT;

/// The most bytes that one byte of a file can become: deflate's 1032, of one bit a pixel with a
/// palette of three bytes each.
const EXPANSION: u64 = 24 * 1032;

/// The most pixels in between when an image is resized.
const PIXELS_LIMIT: u64 = 1 << 26;

/// Extensions that are read. Which of the two formats it is, the file's first bytes say.
const READ: [&str; 3] = ["jpeg", "jpg", "png"];

/// Extensions of pictures that are not read: these are not passed over in silence.
const OTHER_PICTURES: [&str; 9] =
    ["avif", "bmp", "gif", "heic", "heif", "jxl", "tif", "tiff", "webp"];

/// What to do with an image of another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizing {
    /// It is an error.
    #[default]
    Refuse,
    /// The whole image is stretched or shrunk (bilinear; each pixel of a smaller image is a weighted
    /// mean of those it covers).
    Resize,
    /// The middle is cut out. An image that is too small is an error.
    Crop,
    /// The largest middle part of the wanted proportions is cut out, then resized.
    CropAndResize,
}

/// The channels of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// One channel: 0.299 R + 0.587 G + 0.114 B.
    Grey,
    /// Red, green, blue. Transparency is dropped.
    #[default]
    Rgb,
}

impl Color {
    /// The number of channels.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// How to read images: all become bytes of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "this only says how to read: call `load` or `read`"]
pub struct Images {
    height: u32,
    width: u32,
    color: Color,
    sizing: Sizing,
}

impl Images {
    /// Colour images of this size; others are refused.
    pub const fn new(height: u32, width: u32) -> Self {
        Self { height, width, color: Color::Rgb, sizing: Sizing::Refuse }
    }

    /// Which channels to take.
    pub const fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// What to do with images of another size.
    pub const fn sizing(mut self, sizing: Sizing) -> Self {
        self.sizing = sizing;
        self
    }

    /// Loads all images of a folder whose subfolders hold one class each. The classes are numbered
    /// in the order of the subfolders' names, which become the class names; images come class by
    /// class, in the order of their names.
    ///
    /// Names that start with a dot, and files that are no pictures by their extension, do not count.
    ///
    /// # Errors
    /// If there are no subfolders or one is without images; if an image cannot be read or does not
    /// fit: the message names the file.
    pub fn load(&self, dir: impl AsRef<Path>) -> Result<Dataset, DataError> {
        let dir = dir.as_ref();
        let classes = classes(dir)?;
        let mut files = Vec::new();
        for (class, (folder, _)) in (0..).zip(&classes) {
            files.extend(images_in(folder)?.into_iter().map(|path| (path, class)));
        }
        let len = self.len().map_err(|problem| problem.at(dir))?;
        let declared = files.len() as u128 * len as u128;
        if declared > u128::from(PAYLOAD_LIMIT) {
            return Err(FileProblem::TooLarge { declared, limit: PAYLOAD_LIMIT }.at(dir));
        }
        let mut pixels = vec![0; files.len() * len];
        let images = pixels.par_chunks_exact_mut(len).zip(&files);
        // Of several bad files the first one is told, however many threads there are.
        let bad = images.map(|(to, (path, _))| self.read_into(path, to).err().map(|p| (path, p)));
        if let Some((path, problem)) = bad.find_map_first(|bad| bad) {
            return Err(problem.at(path));
        }
        let (height, width) = (self.height as usize, self.width as usize);
        let shape = (files.len(), height, width, self.color.channels());
        let pixels = Array4::from_shape_vec(shape, pixels).expect("a place for each image");
        let labels = files.iter().map(|&(_, class)| class).collect::<Array1<u32>>();
        let set = Dataset::new(pixels, labels).expect("each image has its class");
        Ok(set.with_class_names(classes.into_iter().map(|(_, name)| name)))
    }

    /// Reads one image, of shape (height, width, channels).
    ///
    /// # Errors
    /// If it cannot be read or does not fit.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Array3<u8>, DataError> {
        let path = path.as_ref();
        let read = self.len().and_then(|len| {
            let mut pixels = vec![0; len];
            self.read_into(path, &mut pixels)?;
            Ok(pixels)
        });
        let shape = (self.height as usize, self.width as usize, self.color.channels());
        let pixels = read.map_err(|problem| problem.at(path))?;
        Ok(Array3::from_shape_vec(shape, pixels).expect("a place for each pixel"))
    }

    /// The bytes of one image.
    fn len(&self) -> Result<usize, FileProblem> {
        let (rows, columns) = (self.height, self.width);
        if rows == 0 || columns == 0 {
            return Err(FileProblem::NoPixels { rows, columns });
        }
        if rows > SIDE_LIMIT || columns > SIDE_LIMIT {
            return Err(too_large(rows, columns));
        }
        Ok(rows as usize * columns as usize * self.color.channels())
    }

    fn read_into(&self, path: &Path, to: &mut [u8]) -> Result<(), FileProblem> {
        let image = decode(path)?;
        let bytes = match self.color {
            Color::Rgb => self.fit(image.into_rgb8())?.into_raw(),
            Color::Grey => self.fit(grey(image))?.into_raw(),
        };
        to.copy_from_slice(&bytes);
        Ok(())
    }

    fn fit<P>(&self, image: Buffer<P>) -> Result<Buffer<P>, FileProblem>
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        let (width, height) = image.dimensions();
        let (to_width, to_height) = (self.width, self.height);
        if (width, height) == (to_width, to_height) {
            return Ok(image);
        }
        let size = |expectation| FileProblem::ImageSize {
            found: (height, width),
            expected: (to_height, to_width),
            expectation,
        };
        match self.sizing {
            Sizing::Refuse => Err(size("expected")),
            Sizing::Resize => self.resize(&image),
            Sizing::Crop if width < to_width || height < to_height => {
                Err(size("to be cut out of it"))
            }
            Sizing::Crop => Ok(middle(&image, to_width, to_height)),
            Sizing::CropAndResize => {
                // The side that is too long for the proportions gets shorter, rounded down as Keras
                // does, but never to nothing.
                let part = |of: u32, a: u32, b: u32| {
                    (u64::from(of) * u64::from(a) / u64::from(b)).max(1) as u32
                };
                let cut_width = width.min(part(height, to_width, to_height));
                let cut_height = height.min(part(width, to_height, to_width));
                self.resize(&middle(&image, cut_width, cut_height))
            }
        }
    }

    fn resize<P>(&self, image: &Buffer<P>) -> Result<Buffer<P>, FileProblem>
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        // In between, the image has the new width and the old height, in floats.
        if u64::from(self.width) * u64::from(image.height()) > PIXELS_LIMIT {
            return Err(too_large(self.height, self.width));
        }
        Ok(resize(image, self.width, self.height, FilterType::Triangle))
    }
}

type Buffer<P> = ImageBuffer<P, Vec<u8>>;

fn middle<P>(image: &Buffer<P>, width: u32, height: u32) -> Buffer<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let (x, y) = ((image.width() - width) / 2, (image.height() - height) / 2);
    crop_imm(image, x, y, width, height).to_image()
}

fn decode(path: &Path) -> Result<DynamicImage, FileProblem> {
    let bytes = file_bytes(path)?;
    let file_len = bytes.len() as u64;
    let mut reader = ImageReader::new(Cursor::new(&bytes));
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_LIMIT);
    limits.max_image_width = Some(SIDE_LIMIT);
    limits.max_image_height = Some(SIDE_LIMIT);
    reader.limits(limits);
    let reader = reader.with_guessed_format().map_err(FileProblem::io)?;
    let mut decoder = reader.into_decoder().map_err(|error| image_problem(&error))?;
    if decoder.total_bytes() > DECODED_LIMIT {
        let (columns, rows) = decoder.dimensions();
        return Err(too_large(rows, columns));
    }
    if decoder.total_bytes() / EXPANSION > file_len {
        let (columns, rows) = decoder.dimensions();
        let text = format!("{rows} x {columns} pixels declared in a file of {file_len} bytes");
        return Err(FileProblem::Image(text));
    }
    if cnn_images::is_cut(&bytes) {
        return Err(FileProblem::ImageCut);
    }
    // Cameras store how they were held. Where that cannot be read, the image is taken as it lies.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| image_problem(&error))?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn file_bytes(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let file = open_seekable(path)?;
    let declared = file.metadata().map_err(FileProblem::io)?.len();
    if declared > FILE_LIMIT {
        let declared = u128::from(declared);
        return Err(FileProblem::TooLarge { declared, limit: FILE_LIMIT });
    }
    let mut bytes = Vec::with_capacity(declared as usize);
    // A file that grows in the meantime is read as far as it went.
    file.take(declared).read_to_end(&mut bytes).map_err(FileProblem::io)?;
    Ok(bytes)
}

/// As OpenCV rounds it: the weights in units of 2^-15.
fn grey(image: DynamicImage) -> GrayImage {
    match image {
        DynamicImage::ImageLuma8(image) => image,
        image => {
            let image = image.into_rgb8();
            let luma = |&Rgb([r, g, b]): &Rgb<u8>| {
                let sum = 9_798 * u32::from(r) + 19_235 * u32::from(g) + 3_735 * u32::from(b);
                ((sum + (1 << 14)) >> 15) as u8
            };
            let bytes = image.pixels().map(luma).collect();
            GrayImage::from_raw(image.width(), image.height(), bytes).expect("a byte a pixel")
        }
    }
}

fn too_large(rows: u32, columns: u32) -> FileProblem {
    FileProblem::ImageTooLarge { rows, columns }
}

fn image_problem(error: &ImageError) -> FileProblem {
    // Some decoders end what they say with a line break.
    FileProblem::Image(error.to_string().trim_end().to_owned())
}

/// The subfolders of a folder, with their names, in the order of these.
fn classes(dir: &Path) -> Result<Vec<(PathBuf, String)>, DataError> {
    let mut classes = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            classes.push((path, name));
        } else if is_image(&path)? {
            return Err(FileProblem::Unclassified.at(&path));
        }
    }
    if classes.is_empty() {
        return Err(FileProblem::NoClasses.at(dir));
    }
    Ok(classes)
}

/// The images in the folder of a class, in the order of their names.
fn images_in(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut images = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            return Err(FileProblem::Directory.at(&path));
        }
        if is_image(&path)? {
            images.push(path);
        }
    }
    if images.is_empty() {
        return Err(FileProblem::NoImages.at(folder));
    }
    Ok(images)
}

/// What lies in a folder, but for hidden files, in the order of names.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut entries = list().map_err(|error| FileProblem::io(error).at(dir))?;
    let hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    entries.retain(|path| !hidden(path));
    entries.sort_unstable();
    Ok(entries)
}

fn is_image(path: &Path) -> Result<bool, DataError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if OTHER_PICTURES.contains(&extension.as_str()) {
        return Err(FileProblem::OtherPicture.at(path));
    }
    Ok(READ.contains(&extension.as_str()))
}
