//! What can be wrong with a data file, said with its full path.

use std::io;
use std::path::{Path, PathBuf};

/// A data file, or a folder of them, that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// One file is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file's full path.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: FileProblem,
    },
    /// None of the usual names of a file exists.
    #[error("no {name} found: tried {}", paths(tried))]
    Missing {
        /// The file's usual name.
        name: String,
        /// The full paths tried.
        tried: Vec<PathBuf>,
    },
    /// A file of images beside a file with another number of labels.
    #[error(
        "{} holds {images} images and {} holds {labels} labels: expected one label for each image; \
         are the files from different sets?",
        images_path.display(), labels_path.display()
    )]
    CountMismatch {
        /// The file of images.
        images_path: PathBuf,
        /// Its number of images.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// Its number of labels.
        labels: usize,
    },
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// There is no such file.
    #[error("not found")]
    NotFound,
    /// The path names a directory.
    #[error("is a directory, not a file")]
    Directory,
    /// The path names a file.
    #[error("is a file, not a directory")]
    NotADirectory,
    /// The path names a pipe, a device or the like.
    #[error("is not a regular file")]
    NotAFile,
    /// The operating system could not open or read it.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// The gzip stream is damaged.
    #[error("damaged gzip data: {0}")]
    Gzip(#[source] io::Error),
    /// The file is compressed where that is not undone.
    #[error("compressed by gzip: decompress it first")]
    Compressed,
    /// The file ends within its header.
    #[error("the header of {kind} needs {needed} bytes, got {found}")]
    Header {
        /// `IDX images` or `IDX labels`.
        kind: &'static str,
        /// The header's size in bytes.
        needed: usize,
        /// The bytes present.
        found: usize,
    },
    /// The first four bytes are those of another format.
    #[error("magic number {found} found, {expected} expected{hint}")]
    Magic {
        /// The number found, read big-endian.
        found: u32,
        /// The number expected.
        expected: u32,
        /// What the number found may mean; empty, or text that follows.
        hint: &'static str,
    },
    /// Images without pixels.
    #[error("images of {rows} x {columns} pixels: expected at least one pixel")]
    NoPixels {
        /// Rows declared.
        rows: u32,
        /// Columns declared.
        columns: u32,
    },
    /// Fewer bytes than the header declares.
    #[error("the file ends too early: {declared} payload bytes declared, {found} present")]
    Truncated {
        /// Bytes after the header by the header's word.
        declared: u128,
        /// Bytes after the header.
        found: u64,
    },
    /// More bytes than the header declares.
    #[error("bytes left over at the end: {declared} payload bytes declared, {found} present")]
    Trailing {
        /// Bytes after the header by the header's word.
        declared: u128,
        /// Bytes after the header: exact for a raw file, at least for a compressed one.
        found: u64,
    },
    /// A file that is not a whole number of records of equal size, or empty.
    #[error(
        "whole records of {kind}, {record} bytes each, expected, {found} bytes found: {} x {record} \
         + {}{hint}",
        found / record, found % record
    )]
    Records {
        /// The format.
        kind: &'static str,
        /// Bytes a record.
        record: usize,
        /// Bytes found.
        found: usize,
        /// What the file may be instead; empty, or text that follows.
        hint: &'static str,
    },
    /// A label that the format does not have.
    #[error("record {record} has the {kind} {label}, 0 to {last} expected{hint}")]
    Label {
        /// Such as `CIFAR-10 label`.
        kind: &'static str,
        /// The index of the record.
        record: usize,
        /// Its label.
        label: u8,
        /// The last label there is.
        last: u8,
        /// What the file may be instead; empty, or text that follows.
        hint: &'static str,
    },
    /// A list of class names of another length, or not in UTF-8.
    #[error("{expected} class names expected, one a line, {found} found")]
    Names {
        /// Names expected.
        expected: usize,
        /// Lines that hold a name.
        found: usize,
    },
    /// The start of the file is no header of a NumPy array.
    #[error("no NumPy array: {0}")]
    Npy(String),
    /// An array with elements of a type that is not read here.
    #[error("elements of the type {found}, {expected} expected")]
    ElementType {
        /// NumPy's name of the type, such as `'<f4'`.
        found: String,
        /// The types that would do.
        expected: &'static str,
    },
    /// An array whose first axis varies fastest.
    #[error(
        "the array is in Fortran order, C order expected: save it again after \
         `numpy.ascontiguousarray`"
    )]
    FortranOrder,
    /// An array of another number of axes.
    #[error("an array of shape {found:?}, {expected} expected")]
    Shape {
        /// The array's shape.
        found: Vec<usize>,
        /// The shapes that would do.
        expected: &'static str,
    },
    /// A number that cannot be a class.
    #[error("label {index} is {value}, 0 to 4294967295 expected")]
    LabelValue {
        /// The index of the label.
        index: usize,
        /// Its value.
        value: i128,
    },
    /// The archive is damaged, or compressed in a way that is not read here.
    #[error("damaged or unknown zip data: {0}")]
    Zip(String),
    /// The archive does not hold this array.
    #[error("no array `{name}` in it; there are: {}", names.join(", "))]
    NoArray {
        /// The name asked for.
        name: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// Something is wrong with one array of an archive.
    #[error("{name}: {problem}")]
    Inside {
        /// The array's name.
        name: String,
        /// What is wrong with it.
        #[source]
        problem: Box<FileProblem>,
    },
    /// The image cannot be decoded.
    #[error("cannot be decoded as PNG or JPEG: {0}")]
    Image(String),
    /// The file of an image has lost its end. A decoder would fill the rest with grey.
    #[error("an image that is cut: its end is missing")]
    ImageCut,
    /// An image of another size, where only one size is taken.
    #[error(
        "an image of {} x {} pixels (height x width), {} x {} {expectation}",
        found.0, found.1, expected.0, expected.1
    )]
    ImageSize {
        /// Height and width of the image.
        found: (u32, u32),
        /// Height and width asked for.
        expected: (u32, u32),
        /// Such as `expected`.
        expectation: &'static str,
    },
    /// An image that would take too much memory.
    #[error("an image of {rows} x {columns} pixels: at most 16384 x 16384 and 512 MiB are decoded")]
    ImageTooLarge {
        /// Its height.
        rows: u32,
        /// Its width.
        columns: u32,
    },
    /// A folder without a subfolder for each class.
    #[error("no folders in it: one folder of images for each class expected")]
    NoClasses,
    /// A folder of a class without images.
    #[error("no PNG or JPEG images in it")]
    NoImages,
    /// An image that lies beside the folders of the classes.
    #[error("lies beside the folders of the classes: which class is it?")]
    Unclassified,
    /// A picture in a format that is not read here.
    #[error("a picture that is neither PNG nor JPEG: convert it, or move it away")]
    OtherPicture,
    /// More bytes than this reader takes into memory.
    #[error("{declared} payload bytes declared: the reader's limit is {limit}")]
    TooLarge {
        /// Bytes after the header by the header's word.
        declared: u128,
        /// The most that is read.
        limit: u64,
    },
}

impl FileProblem {
    /// The error for this problem of the file at `path`.
    #[must_use]
    pub fn at(self, path: &Path) -> DataError {
        DataError::File { path: full_path(path), problem: self }
    }

    pub(super) fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::IsADirectory => Self::Directory,
            io::ErrorKind::NotADirectory => Self::NotADirectory,
            _ => Self::Io(error),
        }
    }
}

/// The absolute form of a path, so that a message does not depend on the working directory.
pub(super) fn full_path(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn paths(tried: &[PathBuf]) -> String {
    tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
