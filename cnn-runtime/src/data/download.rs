//! Fetching data sets: from a list of mirrors, resumed where it broke off, checked by SHA-256, and
//! put in place as a whole or not at all.
//!
//! Nothing is fetched unless a program calls these functions.

use std::fmt::Write;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::full_path;
use super::{cifar10, cifar100};

mod archive;
mod error;
mod request;

pub use archive::unpack;
pub use error::{DownloadError, MirrorProblem};
use request::{Client, Outcome};

/// The most bytes that are fetched unless said otherwise.
const SIZE_LIMIT: u64 = 1 << 30;

/// How often one mirror is asked for more, as long as each answer brings something.
const ATTEMPTS: usize = 32;

/// How to fetch one file.
///
/// ```no_run
/// use cnn_runtime::data::{cifar10, download::Download};
///
/// let folder = Download::cifar10().mirror_first("https://example.org/cifar-10-binary.tar.gz");
/// let set = cifar10::load(folder.cifar10_into("data")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "this only says how to fetch"]
pub struct Download {
    sha256: String,
    mirrors: Vec<String>,
    size_limit: u64,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Download {
    /// A file whose SHA-256 sum, in hexadecimal digits, is `sha256`. There are no mirrors yet.
    pub fn new(sha256: &str) -> Self {
        Self {
            sha256: sha256.to_ascii_lowercase(),
            mirrors: Vec::new(),
            size_limit: SIZE_LIMIT,
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(30),
        }
    }

    /// The archive of CIFAR-10's binary version, 170 MB, from the page of its author.
    pub fn cifar10() -> Self {
        Self::new("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")
            .mirrors(["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"])
    }

    /// The archive of CIFAR-100's binary version, 169 MB, from the page of its author.
    pub fn cifar100() -> Self {
        Self::new("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec")
            .mirrors(["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"])
    }

    /// The addresses of the file, in the order in which they are tried, in place of those there were.
    pub fn mirrors<S: Into<String>>(mut self, urls: impl IntoIterator<Item = S>) -> Self {
        self.mirrors = urls.into_iter().map(Into::into).collect();
        self
    }

    /// An address to try before the others.
    pub fn mirror_first(mut self, url: impl Into<String>) -> Self {
        self.mirrors.insert(0, url.into());
        self
    }

    /// The most bytes that are fetched: 1 GiB unless said otherwise.
    pub const fn size_limit(mut self, bytes: u64) -> Self {
        self.size_limit = bytes;
        self
    }

    /// How long to wait for a connection (15 s unless said otherwise), and without a byte before it is
    /// given up (30 s).
    pub const fn timeouts(mut self, connect: Duration, read: Duration) -> Self {
        (self.connect_timeout, self.read_timeout) = (connect, read);
        self
    }

    /// Fetches the file to `path`, unless it is there already with the right sum. What arrived of it
    /// is kept beside it as `NAME.part`, and the next call goes on from there. A file at `path` is
    /// replaced only by one whose sum is right.
    ///
    /// # Errors
    /// If no mirror gave the right file: the message says why for each; if the file cannot be
    /// written.
    pub fn to_file(&self, path: impl AsRef<Path>) -> Result<(), DownloadError> {
        let path = path.as_ref();
        if path.is_dir() {
            let error = io::ErrorKind::IsADirectory.into();
            return Err(DownloadError::Write { path: full_path(path), error });
        }
        if path.exists() && self.is_right(path)? {
            return Ok(());
        }
        let written = |error| DownloadError::Write { path: full_path(path), error };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::create_dir_all(folder.unwrap_or(Path::new("."))).map_err(written)?;
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);

        let client = Client::new(self.connect_timeout, self.read_timeout);
        let mut failures = Vec::new();
        for url in &self.mirrors {
            match self.fetch(&client, url, &part) {
                Ok(()) => return fs::rename(&part, path).map_err(written),
                Err(MirrorProblem::Write(error)) => {
                    return Err(DownloadError::Write { path: full_path(&part), error });
                }
                Err(problem) => failures.push((url.clone(), problem)),
            }
        }
        Err(DownloadError::Mirrors { path: full_path(path), failures })
    }

    /// Fetches CIFAR-10 into `dir`, unless it is there already, and gives the folder for
    /// [`cifar10::load`].
    ///
    /// # Errors
    /// As for [`to_file`](Self::to_file) and [`unpack`].
    pub fn cifar10_into(&self, dir: impl AsRef<Path>) -> Result<PathBuf, DownloadError> {
        self.archive_into(dir.as_ref(), "cifar-10-binary.tar.gz", cifar10::FOLDER)
    }

    /// Fetches CIFAR-100 into `dir`, unless it is there already, and gives the folder for
    /// [`cifar100::load`].
    ///
    /// # Errors
    /// As for [`to_file`](Self::to_file) and [`unpack`].
    pub fn cifar100_into(&self, dir: impl AsRef<Path>) -> Result<PathBuf, DownloadError> {
        self.archive_into(dir.as_ref(), "cifar-100-binary.tar.gz", cifar100::FOLDER)
    }

    /// The archive goes once its folder is in place, which happens in one step.
    fn archive_into(
        &self,
        dir: &Path,
        archive: &str,
        folder: &str,
    ) -> Result<PathBuf, DownloadError> {
        let (archive, folder) = (dir.join(archive), dir.join(folder));
        if !folder.is_dir() {
            self.to_file(&archive)?;
            unpack(&archive, &folder)?;
            // Only space is lost if it stays.
            let _ = fs::remove_file(&archive);
        }
        Ok(folder)
    }

    /// Brings the whole file from one mirror to `part`, and checks its sum.
    fn fetch(&self, client: &Client, url: &str, part: &Path) -> Result<(), MirrorProblem> {
        let open =
            || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part);
        let mut file = open().map_err(MirrorProblem::Write)?;
        // Two programs that append to one file would spoil it. Released when the file is closed.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(MirrorProblem::Locked);
        }
        let mut resumed = file.metadata().map_err(MirrorProblem::Write)?.len() > 0;
        for _ in 0..ATTEMPTS {
            let before = file.seek(io::SeekFrom::End(0)).map_err(MirrorProblem::Write)?;
            match client.get(url, &mut file, before, self.size_limit) {
                Ok(Outcome::Whole) => {}
                // A connection that breaks after it brought something is worth another.
                Ok(Outcome::Broken(problem)) => {
                    let now = file.stream_position().map_err(MirrorProblem::Write)?;
                    if now == before {
                        return Err(problem);
                    }
                    continue;
                }
                Err(problem) => return Err(problem),
            }
            file.sync_all().map_err(MirrorProblem::Write)?;
            let found = sum(&mut file).map_err(MirrorProblem::Write)?;
            if found == self.sha256 {
                return Ok(());
            }
            // Bytes of another file, of an earlier day or another mirror, may be in it: once more,
            // from the start. What is wrong is of no use to anyone.
            file.set_len(0).map_err(MirrorProblem::Write)?;
            if !resumed {
                return Err(MirrorProblem::Checksum { found, expected: self.sha256.clone() });
            }
            resumed = false;
        }
        Err(MirrorProblem::Slow { attempts: ATTEMPTS })
    }

    fn is_right(&self, path: &Path) -> Result<bool, DownloadError> {
        let found = File::open(path).and_then(|mut file| sum(&mut file));
        let read = |error| DownloadError::Read { path: full_path(path), error };
        Ok(found.map_err(read)? == self.sha256)
    }
}

/// The SHA-256 sum of a whole file, in hexadecimal digits.
fn sum(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}
