//! Replacing a file as a whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::Builder;

use super::error::CheckpointProblem;

const SUFFIX: &str = ".tmp";

/// A temporary file older than this belongs to a run that was killed.
const STALE: Duration = Duration::from_secs(3600);

/// Has `write` fill a temporary file in the folder of `path`, brings it to the disk and renames it.
/// On failure `path` is untouched and the temporary file removed.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), CheckpointProblem> {
    let (folder, name) = place(path)?;
    let prefix = format!(".{name}.");
    remove_stale(&folder, &prefix);
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    // As for any new file, the umask decides who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(&folder).map_err(CheckpointProblem::Write)?;
    write(file.as_file_mut()).map_err(CheckpointProblem::Write)?;
    file.as_file().sync_all().map_err(CheckpointProblem::Write)?;
    file.persist(path).map_err(|failed| CheckpointProblem::Write(failed.error))?;
    sync_folder(&folder);
    Ok(())
}

/// The folder and the name of a file that may be written.
pub(super) fn place(path: &Path) -> Result<(PathBuf, String), CheckpointProblem> {
    let name = path.file_name().filter(|_| !path.is_dir()).ok_or(CheckpointProblem::NotAFile)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    if !folder.is_dir() {
        return Err(CheckpointProblem::NoFolder(std::path::absolute(&folder).unwrap_or(folder)));
    }
    Ok((folder, name.to_string_lossy().into_owned()))
}

/// Removes what killed runs left. That this may fail does not keep anyone from saving.
fn remove_stale(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|n| n.starts_with(prefix) && n.ends_with(SUFFIX));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if ours && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the rename itself survive a loss of power, where the system offers that.
fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}
