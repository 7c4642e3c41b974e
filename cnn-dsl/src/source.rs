//! Texts: reading `.cnn` files, and finding the text that a place is in.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::ast::Span;

/// Texts laid end to end, so that one number says both which and where: the first is the one that
/// was asked for and starts at 0, the others are those that `use` brought in.
#[derive(Clone, Debug)]
pub struct Sources {
    files: Vec<Source>,
}

/// A text and where it begins.
#[derive(Clone, Debug)]
pub struct Source {
    /// How it is called in messages.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Where it begins among all.
    pub base: usize,
    /// The `use` that brought it in; none for the first.
    pub used_at: Option<Span>,
}

impl Sources {
    /// One text.
    #[must_use]
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let first = Source { path: path.into(), text: text.into(), base: 0, used_at: None };
        Self { files: vec![first] }
    }

    /// Adds a text behind the others and gives its beginning.
    pub(crate) fn add(&mut self, path: String, text: String, used_at: Span) -> usize {
        // One apart, so that the end of a text is not the beginning of the next.
        let base = self.files.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.files.push(Source { path, text, base, used_at: Some(used_at) });
        base
    }

    /// All of them, the first first.
    #[must_use]
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// The text that a place is in, and the place in it, on character boundaries.
    #[must_use]
    pub fn locate(&self, span: &Span) -> (&Source, Span) {
        let at = self.files.partition_point(|file| file.base <= span.start);
        let file = &self.files[at.saturating_sub(1)];
        let floor = |at: usize| {
            let mut at = at.saturating_sub(file.base).min(file.text.len());
            while !file.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        (file, start..floor(span.end).max(start))
    }

    /// What stands at a place.
    #[must_use]
    pub fn text(&self, span: &Span) -> &str {
        let (file, span) = self.locate(span);
        &file.text[span]
    }
}

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
