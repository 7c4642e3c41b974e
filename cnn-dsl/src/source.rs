//! Reading `.cnn` files.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest text accepted, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// Reads a text.
///
/// # Errors
///
/// One sentence with the path: not found, a directory, not UTF-8 (with the line), or too long.
pub fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("no file `{shown}`"),
        _ => format!("cannot open `{shown}`: {error}"),
    })?;
    if path.is_dir() {
        return Err(format!("`{shown}` is a directory, not a file"));
    }
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("`{shown}` is longer than {} MiB", MAX_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        format!("`{shown}` is not UTF-8: line {line} has a byte that is no character")
    })
}
