//! What a build script calls: `.cnn` files in, Rust modules out.
//!
//! ```no_run
//! // build.rs
//! cnn_dsl::build::compile("specs/mnist_cnn.cnn");
//! ```
//!
//! and in the crate, `include!(concat!(env!("OUT_DIR"), "/mnist_cnn.rs"));`.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use quote::ToTokens as _;

use crate::codegen::{self, Options};
use crate::{Checked, Diagnostic, Sources, ir};

/// Compiles one file, given relative to the package, into `$OUT_DIR/<file stem>.rs`.
///
/// Mistakes are printed to standard error, and the build script ends with exit code 1.
pub fn compile(spec: impl Into<PathBuf>) {
    Builder::new().spec(spec).compile();
}

/// Compiles several files, or into another place, or against a renamed runtime.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    specs: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
    runtime: Option<String>,
}

/// Why nothing was emitted, as it is to be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Builder {
    /// Nothing to compile yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; a relative path starts at the package (`CARGO_MANIFEST_DIR`).
    #[must_use]
    pub fn spec(mut self, path: impl Into<PathBuf>) -> Self {
        self.specs.push(path.into());
        self
    }

    /// Writes there instead of into `OUT_DIR`.
    #[must_use]
    pub fn out_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(path.into());
        self
    }

    /// Names the runtime in the emitted code, for a dependency that was renamed; `::cnn_runtime`
    /// unless given.
    #[must_use]
    pub fn runtime(mut self, path: impl Into<String>) -> Self {
        self.runtime = Some(path.into());
        self
    }

    /// Compiles everything; on mistakes prints them to standard error and exits with code 1.
    pub fn compile(&self) {
        if let Err(error) = self.try_compile() {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "{error}");
            std::process::exit(1);
        }
    }

    /// Compiles everything and gives the paths written, one for each file.
    ///
    /// # Errors
    ///
    /// The mistakes of all files, rendered; or what could not be read or written.
    pub fn try_compile(&self) -> Result<Vec<PathBuf>, Error> {
        let out_dir = match &self.out_dir {
            Some(path) => path.clone(),
            None => env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
                Error("OUT_DIR is not set: call this from a build script, or set `out_dir`".into())
            })?,
        };
        let color = std::io::stderr().is_terminal();
        let mut taken: HashMap<String, &Path> = HashMap::new();
        let mut written = Vec::new();
        let mut problems = Vec::new();
        for spec in &self.specs {
            let stem = stem(spec);
            if let Some(other) = taken.insert(stem.clone(), spec) {
                problems.push(format!(
                    "error: `{}` and `{}` would both be written to `{stem}.rs`",
                    other.display(),
                    spec.display()
                ));
                continue;
            }
            match self.emit(&resolve(spec), color) {
                Ok(code) => {
                    let path = out_dir.join(format!("{stem}.rs"));
                    match write_if_changed(&path, &code) {
                        Ok(()) => written.push(path),
                        Err(error) => problems
                            .push(format!("error: cannot write `{}`: {error}", path.display())),
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(written) } else { Err(Error(problems.join("\n"))) }
    }

    fn emit(&self, path: &Path, color: bool) -> Result<String, String> {
        println!("cargo::rerun-if-changed={}", path.display());
        let checked = check(path).map_err(|problem| format!("error: {problem}"))?;
        for used in &checked.sources.files()[1..] {
            println!("cargo::rerun-if-changed={}", used.path);
        }
        if checked.failed() {
            return Err(checked.render(color));
        }
        for warning in &checked.diagnostics {
            println!("cargo::warning={}", one_line(&checked.sources, warning));
        }
        Ok(codegen::pretty(codegen::emit(&checked.models, &self.options()?)))
    }

    fn options(&self) -> Result<Options, String> {
        let mut options = Options::default();
        if let Some(runtime) = &self.runtime {
            let path = syn::parse_str::<syn::Path>(runtime)
                .map_err(|_| format!("error: `{runtime}` is not a path to the runtime"))?;
            options.runtime = path.into_token_stream();
        }
        Ok(options)
    }
}

/// Reads and checks one file.
///
/// # Errors
///
/// The mistakes, rendered with path, line and column; or why the file could not be read.
pub fn load(path: &Path, color: bool) -> Result<Vec<ir::Model>, String> {
    let checked = check(path).map_err(|problem| format!("error: {problem}"))?;
    if checked.failed() { Err(checked.render(color)) } else { Ok(checked.models) }
}

/// Reads and checks one file; the paths in its `use` lines start at its folder.
///
/// # Errors
///
/// Why the file could not be read. Mistakes in it are in what is given.
pub fn check(path: &Path) -> Result<Checked, String> {
    let text = crate::source::read(path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    Ok(crate::check(&path.display().to_string(), &text, folder))
}

/// Cargo shows a warning as one line.
fn one_line(sources: &Sources, warning: &Diagnostic) -> String {
    let (file, span) = sources.locate(&warning.span);
    let before = &file.text[..span.start];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let mut out = format!("{}:{line}:{column}: {}", file.path, warning.message);
    for help in warning.notes.iter().chain(&warning.help) {
        out.push_str("; ");
        out.push_str(help);
    }
    out.replace('\n', " ")
}

/// Relative paths start at the package of the build script.
fn resolve(spec: &Path) -> PathBuf {
    match env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => Path::new(&package).join(spec),
        None => spec.to_owned(),
    }
}

/// The file's name without its extension, as a module could be called: `net v1` → `net_v1`.
fn stem(spec: &Path) -> String {
    let stem = spec.file_stem().unwrap_or_default().to_string_lossy();
    let stem: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if stem.is_empty() { "model".to_owned() } else { stem }
}

/// Keeps the time stamp of a file that is already right, so that cargo rebuilds nothing.
fn write_if_changed(path: &Path, code: &str) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == code.as_bytes()) {
        return Ok(());
    }
    fs::write(path, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_can_name_modules() {
        assert_eq!(stem(Path::new("my models/net v1.cnn")), "net_v1");
        assert_eq!(stem(Path::new("specs/mnist_cnn.cnn")), "mnist_cnn");
        assert_eq!(stem(Path::new("a.b-c.cnn")), "a_b_c");
    }
}
