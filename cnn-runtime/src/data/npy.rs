//! NumPy's `.npy` files, raw or gzip, and its `.npz` archives of them.
//!
//! The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Arrays in C
//! order are read, with numbers of either byte order. Nothing is ever unpickled.

use std::io::Read;
use std::path::Path;

use ndarray::{Array1, Array4, ArrayD, Axis, IxDyn};
use ndarray_npy::npy::header::{Header, Layout};

use super::error::{DataError, FileProblem, full_path};
use super::file::{self, PAYLOAD_LIMIT, read_payload, stream_problem};
use super::{Dataset, ExamplesError};

mod archive;

pub use archive::Npz;

/// Magic string, version, and the header's length in two or four bytes.
const PRELUDE: usize = 12;

/// NumPy's own limit of a header that it trusts.
const HEADER_LIMIT: usize = 10_000;

/// A header has a dictionary and a tuple. The parser recurses, so more are refused before it runs.
const BRACKETS_LIMIT: usize = 8;

/// NumPy's limit.
const AXES_LIMIT: usize = 64;

const INTEGERS: &str = "an integer type of at most 64 bits";

/// Reads an array of bytes (`uint8`) of any shape.
///
/// # Errors
/// If the file cannot be read, is no array of this type in C order, or its length disagrees with its
/// header.
pub fn read_bytes(path: impl AsRef<Path>) -> Result<ArrayD<u8>, DataError> {
    read(path.as_ref(), Raw::bytes)
}

/// Reads an array of `float32` or `float64` of any shape; the latter is rounded to `f32`.
///
/// # Errors
/// As for [`read_bytes`].
pub fn read_floats(path: impl AsRef<Path>) -> Result<ArrayD<f32>, DataError> {
    read(path.as_ref(), Raw::floats)
}

/// Reads classes: integers of any width, of shape (samples) or (samples, 1).
///
/// # Errors
/// As for [`read_bytes`]; also if a number is negative or does not fit in 32 bits.
pub fn read_labels(path: impl AsRef<Path>) -> Result<Array1<u32>, DataError> {
    read(path.as_ref(), Raw::labels)
}

/// Reads a file of `uint8` images, of shape (samples, height, width) or (samples, height, width,
/// channels), and one of their classes.
///
/// # Errors
/// As for [`read_bytes`] and [`read_labels`]; also if the numbers of images and classes differ.
pub fn read_dataset(
    images: impl AsRef<Path>,
    labels: impl AsRef<Path>,
) -> Result<Dataset, DataError> {
    let (images_path, labels_path) = (images.as_ref(), labels.as_ref());
    let images = read(images_path, Raw::images)?;
    join(images_path, images, labels_path, read_labels(labels_path)?)
}

fn read<T>(path: &Path, take: fn(Raw) -> Result<T, FileProblem>) -> Result<T, DataError> {
    let read = file::open(path).and_then(|(stream, len)| take(Raw::read(stream, len)?));
    read.map_err(|problem| problem.at(path))
}

fn join(
    images_path: &Path,
    images: Array4<u8>,
    labels_path: &Path,
    labels: Array1<u32>,
) -> Result<Dataset, DataError> {
    let counts = (images.len_of(Axis(0)), labels.len());
    Dataset::new(images, labels).map_err(|_: ExamplesError| DataError::CountMismatch {
        images_path: full_path(images_path),
        images: counts.0,
        labels_path: full_path(labels_path),
        labels: counts.1,
    })
}

/// An array as it lies in the file.
struct Raw {
    /// As NumPy writes it, such as `<f4`: byte order, kind, bytes an element.
    element: String,
    shape: Vec<usize>,
    payload: Vec<u8>,
}

impl Raw {
    /// Reads header and elements. `len` is the length of the stream, where that is known.
    fn read(mut stream: impl Read, len: Option<u64>) -> Result<Self, FileProblem> {
        let (header, header_len) = read_header(&mut stream)?;
        let element = match header.type_descriptor.as_string() {
            Some(element) => element.clone(),
            None => return Err(element_type(&header.type_descriptor, "a plain type")),
        };
        if header.layout == Layout::Fortran {
            return Err(FileProblem::FortranOrder);
        }
        let size = element_size(&element)
            .ok_or_else(|| element_type(&header.type_descriptor, "numbers of 1 to 8 bytes"))?;
        let present = len.map(|len| len.saturating_sub(header_len));
        let payload = read_payload(stream, declared(&header.shape, size)?, present)?;
        Ok(Self { element, shape: header.shape, payload })
    }

    fn bytes(self) -> Result<ArrayD<u8>, FileProblem> {
        match self.element.as_str() {
            "|u1" | "<u1" | ">u1" | "u1" => shaped(&self.shape, self.payload),
            _ => Err(self.other("'|u1' (uint8)")),
        }
    }

    fn floats(self) -> Result<ArrayD<f32>, FileProblem> {
        let values = match self.element.as_str() {
            "<f4" => elements(&self.payload, f32::from_le_bytes).collect(),
            ">f4" => elements(&self.payload, f32::from_be_bytes).collect(),
            "<f8" => elements(&self.payload, f64::from_le_bytes).map(|v| v as f32).collect(),
            ">f8" => elements(&self.payload, f64::from_be_bytes).map(|v| v as f32).collect(),
            _ => return Err(self.other("'<f4' (float32) or '<f8' (float64)")),
        };
        shaped(&self.shape, values)
    }

    fn labels(self) -> Result<Array1<u32>, FileProblem> {
        if !matches!(self.shape[..], [_] | [_, 1]) {
            let found = self.shape;
            return Err(FileProblem::Shape { found, expected: "(samples) or (samples, 1)" });
        }
        let big = self.element.starts_with('>');
        let size = element_size(&self.element).unwrap_or(1);
        let signed = match self.element.trim_start_matches(['<', '>', '|', '=']).chars().next() {
            Some('i') => true,
            Some('u') => false,
            _ => return Err(self.other(INTEGERS)),
        };
        let labels = self.payload.chunks_exact(size).enumerate().map(|(index, bytes)| {
            let value = integer(bytes, big, signed);
            u32::try_from(value).map_err(|_| FileProblem::LabelValue { index, value })
        });
        labels.collect::<Result<Vec<_>, _>>().map(Array1::from)
    }

    fn images(self) -> Result<Array4<u8>, FileProblem> {
        const EXPECTED: &str = "(samples, height, width) or (samples, height, width, channels)";
        let wrong =
            |found: &[usize]| FileProblem::Shape { found: found.to_vec(), expected: EXPECTED };
        let images = self.bytes()?;
        let images = match images.ndim() {
            3 => images.insert_axis(Axis(3)),
            _ => images,
        };
        if images.ndim() != 4 || images.shape()[1..].contains(&0) {
            return Err(wrong(images.shape()));
        }
        let shape = images.shape().to_vec();
        images.into_dimensionality().map_err(|_| wrong(&shape))
    }

    fn other(&self, expected: &'static str) -> FileProblem {
        FileProblem::ElementType { found: format!("'{}'", self.element), expected }
    }
}

/// The header, and its length in bytes from the start of the file.
fn read_header(stream: &mut impl Read) -> Result<(Header, u64), FileProblem> {
    let mut bytes = Vec::with_capacity(128);
    let read = stream.by_ref().take(PRELUDE as u64).read_to_end(&mut bytes);
    let short = |found| FileProblem::Header { kind: "a NumPy array", needed: PRELUDE, found };
    if !bytes.starts_with(&b"\x93NUMPY"[..bytes.len().min(6)]) {
        let hint =
            if bytes.starts_with(b"PK") { " (of a zip archive, as `.npz` files are)" } else { "" };
        let start = bytes[..bytes.len().min(6)].escape_ascii();
        return Err(FileProblem::Npy(format!("the first bytes are {start}{hint}")));
    }
    if bytes.len() < PRELUDE {
        read.map_err(stream_problem)?;
        return Err(short(bytes.len()));
    }
    let (before, len) = match bytes[6] {
        1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
        _ => (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize),
    };
    if len > HEADER_LIMIT {
        let text = format!("a header of {len} bytes, at most {HEADER_LIMIT} expected");
        return Err(FileProblem::Npy(text));
    }
    let rest = (before + len).saturating_sub(PRELUDE);
    stream.take(rest as u64).read_to_end(&mut bytes).map_err(stream_problem)?;
    let needed = before + len;
    if bytes.len() < needed {
        return Err(FileProblem::Header { kind: "a NumPy array", needed, found: bytes.len() });
    }
    if bytes.len() > needed {
        // The prelude of version 1 is two bytes shorter than what was read of it.
        return Err(FileProblem::Npy(format!("a header of {len} bytes holds no array's shape")));
    }
    if bytes.iter().filter(|byte| b"([{".contains(byte)).count() > BRACKETS_LIMIT {
        return Err(FileProblem::Npy("its header is not that of a plain array".to_owned()));
    }
    let header = Header::from_reader(&mut &bytes[..]);
    let header = header.map_err(|error| FileProblem::Npy(error.to_string()))?;
    Ok((header, needed as u64))
}

/// The bytes that a shape declares.
fn declared(shape: &[usize], size: usize) -> Result<u128, FileProblem> {
    let too_large = FileProblem::TooLarge { declared: u128::MAX, limit: PAYLOAD_LIMIT };
    if shape.len() > AXES_LIMIT {
        let text = format!("{} axes, at most {AXES_LIMIT} expected", shape.len());
        return Err(FileProblem::Npy(text));
    }
    if shape.contains(&0) {
        return Ok(0);
    }
    let bytes = shape.iter().try_fold(size as u128, |all, &axis| all.checked_mul(axis as u128));
    bytes.ok_or(too_large)
}

fn element_size(element: &str) -> Option<usize> {
    let plain = element.trim_start_matches(['<', '>', '|', '=']);
    let size = plain.strip_prefix(['u', 'i', 'f', 'b'])?.parse().ok()?;
    matches!(size, 1 | 2 | 4 | 8).then_some(size)
}

fn element_type(found: &impl ToString, expected: &'static str) -> FileProblem {
    // A type of many fields may be long.
    FileProblem::ElementType { found: found.to_string().chars().take(80).collect(), expected }
}

fn elements<const SIZE: usize, T>(
    payload: &[u8],
    read: impl Fn([u8; SIZE]) -> T,
) -> impl Iterator<Item = T> {
    payload.as_chunks::<SIZE>().0.iter().map(move |&bytes| read(bytes))
}

/// An integer of 1 to 8 bytes.
fn integer(bytes: &[u8], big: bool, signed: bool) -> i128 {
    let mut value = 0_i128;
    for index in 0..bytes.len() {
        let byte = bytes[if big { index } else { bytes.len() - 1 - index }];
        value = value << 8 | i128::from(byte);
    }
    let bits = 8 * bytes.len();
    if signed && value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
}

fn shaped<T>(shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>, FileProblem> {
    let declared = values.len() as u128;
    ArrayD::from_shape_vec(IxDyn(shape), values)
        .map_err(|_| FileProblem::TooLarge { declared, limit: PAYLOAD_LIMIT })
}
