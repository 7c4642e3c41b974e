//! Unpacking a `.tar.gz` of one folder of files.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::DownloadError;
use crate::data::error::full_path;

/// The most that an archive may hold: twice CIFAR-10 and more.
const UNPACKED_LIMIT: u64 = 1 << 29;

/// The most files of an archive.
const FILES_LIMIT: usize = 1000;

/// Unpacks the files of a `.tar.gz` archive that lie in a folder of the same name as `folder`, to
/// `folder`, which must not exist: it appears as a whole or not at all.
///
/// Only plain files and folders are taken. Nothing is written outside of `folder`'s own parent.
///
/// # Errors
/// If `folder` exists; if the archive is damaged, holds more than 512 MiB or 1000 files, a link or a
/// device, a path that leads out of it, or nothing of that folder; if a file cannot be written.
pub fn unpack(archive: impl AsRef<Path>, folder: impl AsRef<Path>) -> Result<(), DownloadError> {
    let (archive, folder) = (archive.as_ref(), folder.as_ref());
    if folder.symlink_metadata().is_ok() {
        return Err(DownloadError::Exists(full_path(folder)));
    }
    let written = |error| DownloadError::Write { path: full_path(folder), error };
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let (parent, Some(name)) = (parent.unwrap_or(Path::new(".")), folder.file_name()) else {
        return Err(written(io::ErrorKind::InvalidInput.into()));
    };
    fs::create_dir_all(parent).map_err(written)?;
    // Removed when it goes out of scope.
    let place = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent).map_err(written)?;
    extract(archive, place.path())?;
    let unpacked = place.path().join(name);
    if !unpacked.is_dir() {
        return Err(unfit(archive, format!("there is no folder {} in it", name.display())));
    }
    fs::rename(unpacked, folder).map_err(written)
}

fn extract(archive: &Path, place: &Path) -> Result<(), DownloadError> {
    let read = |error| DownloadError::Read { path: full_path(archive), error };
    let file = File::open(archive).map_err(read)?;
    let stream = MultiGzDecoder::new(BufReader::new(file)).take(UNPACKED_LIMIT);
    let mut entries = Archive::new(stream);
    let mut unpacked = 0;
    // Raw: long names and the like are entries of their own, and refused below, before anything of
    // a size that the archive declares is kept in memory.
    for (count, entry) in entries.entries().map_err(read)?.raw(true).enumerate() {
        let mut entry = entry.map_err(read)?;
        if count >= FILES_LIMIT {
            return Err(unfit(archive, format!("more than {FILES_LIMIT} files in it")));
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XHeader | EntryType::XGlobalHeader) {
            continue;
        }
        let path = entry.path().map_err(read)?.into_owned();
        let Some(relative) = inside(&path) else {
            return Err(unfit(archive, format!("the path {} leads out of it", path.display())));
        };
        let to = place.join(relative);
        let written = |error| DownloadError::Write { path: full_path(&to), error };
        match kind {
            EntryType::Directory => fs::create_dir_all(&to).map_err(written)?,
            EntryType::Regular => {
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder).map_err(written)?;
                }
                let declared = entry.size();
                unpacked = declared.saturating_add(unpacked);
                if unpacked > UNPACKED_LIMIT {
                    return Err(unfit(archive, "more than 512 MiB in it".to_owned()));
                }
                let mut file = File::create_new(&to).map_err(written)?;
                let copied = io::copy(&mut entry, &mut file).map_err(read)?;
                if copied != declared {
                    let found = format!("it ends {copied} bytes into {}", path.display());
                    return Err(unfit(archive, format!("{found}, {declared} expected")));
                }
            }
            _ => {
                let what = "is neither a file nor a folder";
                return Err(unfit(archive, format!("{} {what}", path.display())));
            }
        }
    }
    // To the end, where the sum is that tells of damage.
    io::copy(&mut entries.into_inner(), &mut io::sink()).map_err(read)?;
    Ok(())
}

/// The path, if it stays below where it starts.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(relative)
}

fn unfit(archive: &Path, what: String) -> DownloadError {
    DownloadError::Archive { path: full_path(archive), what }
}
