//! `.npz` files: zip archives whose members are `.npy` files.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array4, ArrayD};
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Raw, join};
use crate::data::error::{DataError, FileProblem};
use crate::data::{Dataset, file};

/// An open `.npz` archive, as `numpy.savez` and `numpy.savez_compressed` write it.
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens an archive and reads its list of arrays, but none of them.
    ///
    /// # Errors
    /// If the file cannot be read or is no zip archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let archive = file::open_seekable(path)
            .and_then(|file| ZipArchive::new(BufReader::new(file)).map_err(zip_problem));
        let archive = archive.map_err(|problem| problem.at(path))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// The names of the arrays, without `.npy`, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self.archive.file_names();
        let mut names: Vec<String> =
            names.map(|name| name.strip_suffix(".npy").unwrap_or(name).to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Reads an array of bytes (`uint8`) of any shape.
    ///
    /// # Errors
    /// If there is no such array, it is damaged, or not of this type in C order.
    pub fn read_bytes(&mut self, name: &str) -> Result<ArrayD<u8>, DataError> {
        self.read(name, Raw::bytes)
    }

    /// Reads an array of `float32` or `float64` of any shape; the latter is rounded to `f32`.
    ///
    /// # Errors
    /// As for [`read_bytes`](Self::read_bytes).
    pub fn read_floats(&mut self, name: &str) -> Result<ArrayD<f32>, DataError> {
        self.read(name, Raw::floats)
    }

    /// Reads classes: integers of any width, of shape (samples) or (samples, 1).
    ///
    /// # Errors
    /// As for [`read_bytes`](Self::read_bytes); also if a number is negative or does not fit in 32
    /// bits.
    pub fn read_labels(&mut self, name: &str) -> Result<Array1<u32>, DataError> {
        self.read(name, Raw::labels)
    }

    /// Reads `uint8` images, of shape (samples, height, width) or (samples, height, width, channels),
    /// and their classes: for example `x_train` and `y_train` of Keras's `mnist.npz`.
    ///
    /// # Errors
    /// As for the two arrays; also if the numbers of images and classes differ.
    pub fn read_dataset(&mut self, images: &str, labels: &str) -> Result<Dataset, DataError> {
        let pixels: Array4<u8> = self.read(images, Raw::images)?;
        let classes = self.read_labels(labels)?;
        join(&self.path.join(images), pixels, &self.path.join(labels), classes)
    }

    fn read<T>(
        &mut self,
        name: &str,
        take: fn(Raw) -> Result<T, FileProblem>,
    ) -> Result<T, DataError> {
        let member = [format!("{name}.npy"), name.to_owned()]
            .iter()
            .find_map(|member| self.archive.index_for_name(member));
        let read = match member {
            None => Err(FileProblem::NoArray { name: name.to_owned(), names: self.names() }),
            Some(member) => self
                .archive
                .by_index(member)
                .map_err(zip_problem)
                // The length that the archive's list declares is not trusted.
                .and_then(|stream| Raw::read(stream, None).map_err(from_zip))
                .and_then(take)
                .map_err(|problem| FileProblem::Inside {
                    name: name.to_owned(),
                    problem: Box::new(problem),
                }),
        };
        read.map_err(|problem| problem.at(&self.path))
    }
}

impl fmt::Debug for Npz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Npz").field("path", &self.path).finish_non_exhaustive()
    }
}

fn zip_problem(error: ZipError) -> FileProblem {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => FileProblem::Io(error),
        error => FileProblem::Zip(error.to_string()),
    }
}

/// Bad compressed data are known by their kind of error alone.
fn from_zip(problem: FileProblem) -> FileProblem {
    match problem {
        FileProblem::Gzip(error) => FileProblem::Zip(error.to_string()),
        problem => problem,
    }
}
