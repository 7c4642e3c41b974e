//! What can be wrong with a checkpoint, said with its full path.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

/// Differences listed in a message; the rest is counted.
const LISTED: usize = 6;

/// A checkpoint that cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct CheckpointError {
    /// The file's full path.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: Box<CheckpointProblem>,
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointProblem {
    /// There is no such file.
    #[error("not found")]
    NotFound,
    /// The path names no regular file.
    #[error("is not a file")]
    NotAFile,
    /// The folder to save into does not exist.
    #[error("cannot be saved: the folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// The operating system could not read it.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The operating system could not write it.
    #[error("cannot be saved: {0}")]
    Write(#[source] io::Error),
    /// Too short to be a safetensors file.
    #[error(
        "not a safetensors file: the length of its header takes 8 bytes, the file has {file_len}"
    )]
    TooShort {
        /// The file's length in bytes.
        file_len: u64,
    },
    /// The declared length of the header cannot be true.
    #[error(
        "not a safetensors file, or cut off: a header of {declared} bytes is declared, the file has \
         {file_len} in all (and a header at most {limit})"
    )]
    HeaderLength {
        /// The header's length by the first 8 bytes.
        declared: u64,
        /// The file's length in bytes.
        file_len: u64,
        /// The longest header that the format allows.
        limit: u64,
    },
    /// The header is not what the format asks for.
    #[error("not a safetensors file: {0}")]
    Header(#[source] serde_json::Error),
    /// The header declares more or fewer bytes than there are.
    #[error("damaged: tensors of {declared} bytes are declared, {found} are present")]
    DataLength {
        /// Bytes of all tensors by the header.
        declared: u64,
        /// Bytes after the header.
        found: u64,
    },
    /// A file of another program whose tensors do not fit.
    #[error("does not fit the model `{model}`: {}", list(differences))]
    Tensors {
        /// The model to load into.
        model: String,
        /// What does not fit.
        differences: Vec<Difference>,
    },
    /// A checkpoint of another architecture.
    #[error(
        "saved from the model `{found_model}` of architecture {found}, cannot be loaded into \
         `{model}` of architecture {expected}: {}",
        if differences.is_empty() {
            "the tensors agree, so the models differ elsewhere, such as in an activation or a stride"
                .to_owned()
        } else {
            list(differences)
        }
    )]
    Architecture {
        /// The model that was saved.
        found_model: String,
        /// The hash in the file.
        found: String,
        /// The model to load into.
        model: String,
        /// Its hash.
        expected: String,
        /// The tensors in which the two differ.
        differences: Vec<Difference>,
    },
}

impl CheckpointProblem {
    pub(super) fn at(self, path: &Path) -> CheckpointError {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        CheckpointError { path, problem: Box::new(self) }
    }

    pub(super) fn read(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Read(error),
        }
    }
}

/// One tensor in which a file and a model differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The model has it, the file does not.
    Missing {
        /// The tensor's name.
        name: String,
    },
    /// The file has it, the model does not.
    Unknown {
        /// The tensor's name.
        name: String,
        /// Its shape in the file.
        shape: Vec<usize>,
    },
    /// Both have it, in different shapes.
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the model.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// Its numbers are of a kind that is not converted.
    Dtype {
        /// The tensor's name.
        name: String,
        /// The kind in the file.
        found: Dtype,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(f, "missing tensor {name}"),
            Self::Unknown { name, shape } => write!(f, "unknown tensor {name} of shape {shape:?}"),
            Self::Shape { name, expected, found } => {
                write!(f, "tensor {name} has shape {found:?}, expected {expected:?}")
            }
            Self::Dtype { name, found } => {
                write!(f, "tensor {name} has unsupported dtype {found}, expected F32")
            }
        }
    }
}

fn list(differences: &[Difference]) -> String {
    let mut parts: Vec<_> = differences.iter().take(LISTED).map(ToString::to_string).collect();
    if let Some(more @ 1..) = differences.len().checked_sub(LISTED) {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}
