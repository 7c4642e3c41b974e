//! Replacing a file as a whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes `content` to a temporary file beside `path` and renames it. A file that is there keeps its
/// permissions, and a link its place; a file that holds `content` already is left alone.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let content = content.as_ref();
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let file = temporary(path, content)?;
    if let Ok(present) = fs::metadata(path) {
        // A write-protected file is meant to stay as it is.
        if present.permissions().readonly() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is write-protected"));
        }
        file.as_file().set_permissions(present.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// As [`replace`], but [`io::ErrorKind::AlreadyExists`] if there is anything at `path`.
pub fn create(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let file = temporary(path, content.as_ref())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// A file beside `path` that holds `content`, and goes away unless it is renamed.
fn temporary(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = Builder::new();
    builder.prefix(".cnn.").suffix(".tmp");
    // As for any new file, the umask decides who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    Ok(file)
}
