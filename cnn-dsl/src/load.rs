//! A text and those that it uses, read and parsed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::ast;
use crate::diagnostics::{Diagnostic, quote};
use crate::source::{self, Sources};

/// A text with the texts that it uses.
#[derive(Debug)]
pub struct Program {
    /// The text itself is the first.
    pub files: Vec<File>,
    /// All files, each behind those that it uses.
    pub order: Vec<usize>,
}

/// One text of a program.
#[derive(Debug)]
pub struct File {
    /// What it says.
    pub ast: ast::File,
    /// The files that its `use` lines name, in their order.
    pub uses: Vec<usize>,
}

/// The most files in a program.
const MAX_FILES: usize = 256;

/// Parses the first of `sources`, and all that it uses; paths start at `folder`. The texts found
/// are added to `sources`.
///
/// # Errors
///
/// The first syntax error of each text, files that cannot be read, and cycles.
pub fn load(sources: &mut Sources, folder: &Path) -> Result<Program, Vec<Diagnostic>> {
    let text = sources.files()[0].text.clone();
    let mut loading = Loading {
        sources,
        files: Vec::new(),
        order: Vec::new(),
        known: HashMap::new(),
        open: Vec::new(),
        errors: Vec::new(),
    };
    if let Ok(identity) = Path::new(&loading.sources.files()[0].path).canonicalize() {
        loading.known.insert(identity, 0);
    }
    loading.file(&text, 0, folder);
    let Loading { files, order, errors, .. } = loading;
    if errors.is_empty() { Ok(Program { files, order }) } else { Err(errors) }
}

struct Loading<'a> {
    sources: &'a mut Sources,
    files: Vec<File>,
    order: Vec<usize>,
    /// By path without links and detours.
    known: HashMap<PathBuf, usize>,
    /// The files whose `use` lines are being followed.
    open: Vec<usize>,
    errors: Vec<Diagnostic>,
}

impl Loading<'_> {
    fn file(&mut self, text: &str, base: usize, folder: &Path) -> usize {
        let ast = match crate::parse::parse(text, base) {
            Ok(ast) => ast,
            Err(error) => {
                self.errors.push(error);
                ast::File::default()
            }
        };
        let index = self.files.len();
        let uses = ast.uses.clone();
        self.files.push(File { ast, uses: Vec::new() });
        self.open.push(index);
        for used in uses {
            if let Some(file) = self.used(&used, folder) {
                self.files[index].uses.push(file);
            }
        }
        self.open.pop();
        self.order.push(index);
        index
    }

    fn used(&mut self, used: &ast::Use, folder: &Path) -> Option<usize> {
        let path = folder.join(&used.path);
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(&file) = self.known.get(&identity) {
            if self.open.contains(&file) {
                let message = if self.open.last() == Some(&file) {
                    "a file cannot use itself".to_owned()
                } else {
                    format!("{} uses this file in turn", quote(&used.path))
                };
                self.errors.push(
                    Diagnostic::new(used.span.clone(), message)
                        .label("a cycle of files")
                        .help("move what is needed twice into another file"),
                );
                return None;
            }
            return Some(file);
        }
        if self.files.len() == MAX_FILES {
            let message = format!("more than {MAX_FILES} files in one program");
            self.errors.push(Diagnostic::new(used.span.clone(), message).label("one too many"));
            return None;
        }
        match source::read(&path) {
            Err(problem) => {
                self.errors.push(
                    Diagnostic::new(used.span.clone(), problem)
                        .label("cannot be used")
                        .help("paths start at the folder of the file that uses them"),
                );
                None
            }
            Ok(text) => {
                let shown = path.display().to_string();
                let base = self.sources.add(shown, text.clone(), used.span.clone());
                self.known.insert(identity, self.files.len());
                let folder = path.parent().unwrap_or(folder).to_owned();
                Some(self.file(&text, base, &folder))
            }
        }
    }
}
