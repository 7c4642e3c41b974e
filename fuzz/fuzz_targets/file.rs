use std::path::{Path, PathBuf};

/// Writes the bytes to a file of this process, in memory where `TMPDIR` says so.
pub fn with(bytes: &[u8], read: impl FnOnce(&Path)) {
    let path: PathBuf = std::env::temp_dir().join(format!("fuzzed-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    read(&path);
}
