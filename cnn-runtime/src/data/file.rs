//! Opening files of data, and reading no more of them than there is.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::{DataError, FileProblem, full_path};

pub(super) const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// The most payload that is read into memory: 91 times the training images of MNIST.
pub(super) const PAYLOAD_LIMIT: u64 = 1 << 32;

/// The first of the usual places of a file that exists: in `dir` or its `subfolder`, plain or `.gz`.
pub(super) fn find(dir: &Path, subfolder: &str, name: &str) -> Result<PathBuf, DataError> {
    if !dir.exists() {
        return Err(FileProblem::NotFound.at(dir));
    }
    if !dir.is_dir() {
        return Err(FileProblem::NotADirectory.at(dir));
    }
    let mut tried = Vec::with_capacity(4);
    for folder in [dir.to_owned(), dir.join(subfolder)] {
        for name in [name.to_owned(), format!("{name}.gz")] {
            let path = folder.join(name);
            if path.exists() {
                return Ok(path);
            }
            tried.push(full_path(&path));
        }
    }
    Err(DataError::Missing { name: name.to_owned(), tried })
}

/// Opens a file for reading, through a decoder if its first bytes are those of gzip. The number is
/// the file's length where that is the number of bytes to come.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), FileProblem> {
    let mut file = open_regular(path)?;
    if is_gzip(&mut file)? {
        return Ok((Box::new(MultiGzDecoder::new(BufReader::new(file))), None));
    }
    let len = file.metadata().map_err(FileProblem::io)?.len();
    Ok((Box::new(file), Some(len)))
}

/// Reads a file whose own length is the only word on its size.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let (stream, len) = open(path)?;
    let too_large = |declared: u64| FileProblem::TooLarge {
        declared: u128::from(declared),
        limit: PAYLOAD_LIMIT,
    };
    if let Some(len) = len.filter(|&len| len > PAYLOAD_LIMIT) {
        return Err(too_large(len));
    }
    let mut bytes = Vec::with_capacity(len.unwrap_or(0) as usize);
    stream.take(PAYLOAD_LIMIT + 1).read_to_end(&mut bytes).map_err(stream_problem)?;
    match bytes.len() as u64 {
        found if found > PAYLOAD_LIMIT => Err(too_large(found)),
        _ => Ok(bytes),
    }
}

/// Opens a file whose reader jumps about in it, which a decoder of gzip cannot.
#[cfg(any(feature = "npy", feature = "images"))]
pub(super) fn open_seekable(path: &Path) -> Result<File, FileProblem> {
    let mut file = open_regular(path)?;
    if is_gzip(&mut file)? { Err(FileProblem::Compressed) } else { Ok(file) }
}

fn is_gzip(file: &mut File) -> Result<bool, FileProblem> {
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    file.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start).map_err(FileProblem::io)?;
    file.rewind().map_err(FileProblem::io)?;
    Ok(start == GZIP_MAGIC)
}

/// Opens a regular file only: a pipe would block, a device might never end.
fn open_regular(path: &Path) -> Result<File, FileProblem> {
    let kind = fs::metadata(path).map_err(FileProblem::io)?;
    if kind.is_dir() {
        return Err(FileProblem::Directory);
    }
    if !kind.is_file() {
        return Err(FileProblem::NotAFile);
    }
    File::open(path).map_err(FileProblem::io)
}

/// Reads `declared` bytes and checks that the stream ends there. `present` is the number of bytes
/// left, where it is known. Memory grows with the bytes that arrive, never with the declaration.
pub(super) fn read_payload(
    mut reader: impl Read,
    declared: u128,
    present: Option<u64>,
) -> Result<Vec<u8>, FileProblem> {
    check_payload(declared, present)?;
    let Some(wanted) = u64::try_from(declared).ok().filter(|&wanted| wanted <= PAYLOAD_LIMIT)
    else {
        let found = count_bytes(reader.take(PAYLOAD_LIMIT))?;
        return Err(if found < PAYLOAD_LIMIT {
            FileProblem::Truncated { declared, found }
        } else {
            FileProblem::TooLarge { declared, limit: PAYLOAD_LIMIT }
        });
    };
    let mut payload = Vec::with_capacity(present.map_or(0, |present| present as usize));
    let read = reader.by_ref().take(wanted).read_to_end(&mut payload);
    let found = payload.len() as u64;
    if found < wanted {
        end_of_stream(read.map(drop))?;
        return Err(FileProblem::Truncated { declared, found });
    }
    // Reading one byte more also makes a gzip stream verify its checksum.
    match reader.read(&mut [0]).map_err(stream_problem)? {
        0 => Ok(payload),
        more => Err(FileProblem::Trailing { declared, found: found + more as u64 }),
    }
}

/// Compares the header with the length of a file, before anything is read.
fn check_payload(declared: u128, present: Option<u64>) -> Result<(), FileProblem> {
    match present {
        Some(found) if u128::from(found) < declared => {
            Err(FileProblem::Truncated { declared, found })
        }
        Some(found) if u128::from(found) > declared => {
            Err(FileProblem::Trailing { declared, found })
        }
        Some(found) if found > PAYLOAD_LIMIT => {
            Err(FileProblem::TooLarge { declared, limit: PAYLOAD_LIMIT })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads to the end of a stream and keeps nothing.
fn count_bytes(mut reader: impl Read) -> Result<u64, FileProblem> {
    let (mut buffer, mut count) = ([0; 8192], 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(read) => count += read as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return end_of_stream(Err(error)).map(|()| count),
        }
    }
}

/// A compressed stream that breaks off has ended as well.
fn end_of_stream(read: io::Result<()>) -> Result<(), FileProblem> {
    match read {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(stream_problem(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn stream_problem(error: io::Error) -> FileProblem {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            FileProblem::Gzip(error)
        }
        _ => FileProblem::io(error),
    }
}
