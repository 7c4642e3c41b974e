//! `cnn check`: many files, for readers and for editors.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cnn_dsl::{Checked, Diagnostic, Sources};
use serde_json::{Value, json};

use crate::input::{self, Problem};
use crate::{Outcome, complain, report};

/// How mistakes are reported.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As rustc does, on standard error; a line on standard output for each good file
    Human,
    /// An object a line on standard output for each mistake and warning
    Json,
}

/// Checks every file, whatever is wrong with those before.
pub fn run(paths: &[PathBuf], format: Format) -> Outcome {
    let mut outcome = Outcome::right(String::new());
    for path in paths {
        let files = match find(path) {
            Ok(files) => files,
            Err(problem) => {
                report(path, &Problem::Unreadable(problem), format, &mut outcome);
                continue;
            }
        };
        for file in files {
            match input::load(&file) {
                Ok(checked) => {
                    if format == Format::Human {
                        outcome.output += &report::checked(&file, &checked.models);
                    }
                    if !checked.diagnostics.is_empty() {
                        show(&file, &Problem::Mistakes(checked), format, &mut outcome);
                    }
                }
                Err(problem) => report(&file, &problem, format, &mut outcome),
            }
        }
    }
    outcome
}

fn report(file: &Path, problem: &Problem, format: Format, outcome: &mut Outcome) {
    outcome.status = outcome.status.max(problem.status());
    show(file, problem, format, outcome);
}

fn show(file: &Path, problem: &Problem, format: Format, outcome: &mut Outcome) {
    match format {
        Format::Human => complain(&problem.human()),
        Format::Json => {
            for object in objects(file, problem) {
                outcome.output += &object.to_string();
                outcome.output.push('\n');
            }
        }
    }
}

/// The file itself, or the `.cnn` files below a folder in the order of their paths. Hidden folders
/// and cargo's `target` are passed over, links to folders not followed.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let cannot = |error| format!("cannot read the folder `{}`: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let kind = entry.file_type().map_err(cannot)?;
            let path = entry.path();
            let name = entry.file_name();
            if kind.is_dir() {
                let passed_over = name == "target" || name.as_encoded_bytes().starts_with(b".");
                if !passed_over {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "cnn") && !path.is_dir()
            {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        return Err(format!("no .cnn file in the folder `{}`", path.display()));
    }
    files.sort();
    Ok(files)
}

fn objects(file: &Path, problem: &Problem) -> Vec<Value> {
    match problem {
        Problem::Unreadable(message) => vec![json!({
            "file": file.display().to_string(),
            "severity": "error",
            "message": message,
            "labels": [],
            "notes": [],
            "help": [],
        })],
        Problem::Mistakes(Checked { sources, diagnostics, .. }) => diagnostics
            .iter()
            .map(|diagnostic| {
                let severity = if diagnostic.is_error() { "error" } else { "warning" };
                json!({
                    "file": sources.locate(&diagnostic.span).0.path,
                    "severity": severity,
                    "message": diagnostic.message,
                    "labels": labels(sources, diagnostic),
                    "notes": diagnostic.notes,
                    "help": diagnostic.help,
                })
            })
            .collect(),
    }
}

/// The place of the mistake first, then the others that matter, with their file if it is another.
fn labels(sources: &Sources, mistake: &Diagnostic) -> Vec<Value> {
    let (main, _) = sources.locate(&mistake.span);
    let primary = (true, &mistake.span, mistake.label.as_str());
    let secondary = mistake.secondary.iter().map(|(span, label)| (false, span, label.as_str()));
    std::iter::once(primary)
        .chain(secondary)
        .map(|(primary, span, label)| {
            let (file, span) = sources.locate(span);
            let mut object = json!({
                "primary": primary,
                "text": label,
                "start": position(&file.text, span.start),
                "end": position(&file.text, span.end),
            });
            if !std::ptr::eq(file, main) {
                object["file"] = file.path.as_str().into();
            }
            object
        })
        .collect()
}

/// A byte offset, with line and column counted from 1; a column is a character, as in rustc.
fn position(text: &str, offset: usize) -> Value {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    json!({
        "offset": offset,
        "line": before.matches('\n').count() + 1,
        "column": before[line_start..].chars().count() + 1,
    })
}
