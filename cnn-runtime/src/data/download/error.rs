//! Why a file could not be fetched or unpacked.

use std::io;
use std::path::PathBuf;

/// A file that could not be fetched, or an archive that could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// No mirror gave the right file.
    #[error("{} could not be fetched: {}", path.display(), told(failures))]
    Mirrors {
        /// Where the file should have gone.
        path: PathBuf,
        /// Each mirror with what was wrong there; empty if there are no mirrors.
        failures: Vec<(String, MirrorProblem)>,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {error}", path.display())]
    Write {
        /// The file's full path.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Read {
        /// The file's full path.
        path: PathBuf,
        /// What the operating system or the decoder says.
        #[source]
        error: io::Error,
    },
    /// An archive holds what it should not.
    #[error("{}: {what}; nothing was unpacked", path.display())]
    Archive {
        /// The archive's full path.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The place of a folder is taken.
    #[error("{}: is there already: move it away first", .0.display())]
    Exists(PathBuf),
}

/// Why one mirror did not give the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorProblem {
    /// No connection, or it was lost, or it was silent for too long.
    #[error("{0}")]
    Connection(String),
    /// The server answered that it has no such file, or the like.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// A page, of a login or an error, in place of the file.
    #[error("the server answered with an HTML page in place of the file")]
    Html,
    /// Another part of the file than asked for.
    #[error("bytes from {from} on were asked for, the server sent `{sent}`")]
    Range {
        /// The first byte asked for.
        from: u64,
        /// The answer's `Content-Range`.
        sent: String,
    },
    /// More bytes than the file may have.
    #[error("the file is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The most that is fetched.
        limit: u64,
    },
    /// The connection ended before the file did.
    #[error("the connection ended after {found} of {expected} bytes")]
    Truncated {
        /// Bytes there are.
        found: u64,
        /// Bytes the server declared.
        expected: u64,
    },
    /// The mirror breaks off again and again.
    #[error("the file was not complete after {attempts} connections")]
    Slow {
        /// How many connections were made.
        attempts: usize,
    },
    /// A whole file, but another one.
    #[error("the file has the SHA-256 sum {found}, {expected} expected")]
    Checksum {
        /// The sum of what arrived.
        found: String,
        /// The sum asked for.
        expected: String,
    },
    /// Another program is fetching it to the same place.
    #[error("another program is fetching it to the same place")]
    Locked,
    /// What arrived cannot be written.
    #[error("cannot be written: {0}")]
    Write(#[source] io::Error),
}

fn told(failures: &[(String, MirrorProblem)]) -> String {
    if failures.is_empty() {
        return "no mirrors are given".to_owned();
    }
    failures.iter().map(|(url, problem)| format!("{url}: {problem}")).collect::<Vec<_>>().join("; ")
}
