//! `cnn fmt`: files in the one layout of the language.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use cnn_dsl::format::format;
use cnn_dsl::{Checked, Sources, source};

use crate::input::Problem;
use crate::{Outcome, Status, check, complain, difference, write};

/// Formats files in place, or standard input (`-`) to standard output; `only_check` changes
/// nothing and fails if anything would change.
pub fn run(paths: &[PathBuf], only_check: bool) -> Outcome {
    let mut outcome = Outcome::right(String::new());
    for path in paths {
        let status = if path.as_os_str() == "-" {
            let text = standard_input();
            text.and_then(|text| standard(&text, only_check, &mut outcome.output))
                .unwrap_or_else(|problem| report(&problem))
        } else {
            match check::find(path) {
                Ok(files) => files
                    .iter()
                    .map(|file| one(file, only_check).unwrap_or_else(|problem| report(&problem)))
                    .max()
                    .unwrap_or(Status::Right),
                Err(problem) => report(&Problem::Unreadable(problem)),
            }
        };
        outcome.status = outcome.status.max(status);
    }
    outcome
}

fn report(problem: &Problem) -> Status {
    complain(&problem.human());
    problem.status()
}

fn one(file: &Path, only_check: bool) -> Result<Status, Problem> {
    let text = source::read(file).map_err(Problem::Unreadable)?;
    let formatted = formatted(&file.display().to_string(), &text)?;
    if formatted == text {
        return Ok(Status::Right);
    }
    if only_check {
        return Ok(differs(&file.display().to_string(), &text, &formatted));
    }
    write::replace(file, &formatted).map_err(|error| {
        Problem::Unreadable(format!("cannot write `{}`: {error}", file.display()))
    })?;
    Ok(Status::Right)
}

fn standard(text: &str, only_check: bool, output: &mut String) -> Result<Status, Problem> {
    let formatted = formatted("<stdin>", text)?;
    if only_check {
        let right = formatted == text;
        return Ok(if right { Status::Right } else { differs("<stdin>", text, &formatted) });
    }
    output.push_str(&formatted);
    Ok(Status::Right)
}

fn formatted(path: &str, text: &str) -> Result<String, Problem> {
    format(text).map_err(|diagnostics| {
        let sources = Sources::new(path, text);
        Problem::Mistakes(Checked { sources, models: Vec::new(), diagnostics })
    })
}

fn differs(name: &str, text: &str, formatted: &str) -> Status {
    complain(&format!(
        "error: `{name}` is not formatted\n{}  = help: `cnn fmt` formats it",
        difference::first(name, text, formatted)
    ));
    Status::Wrong
}

fn standard_input() -> Result<String, Problem> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(source::MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::Unreadable(format!("cannot read standard input: {error}")))?;
    if bytes.len() as u64 > source::MAX_BYTES {
        let most = source::MAX_BYTES >> 20;
        return Err(Problem::Unreadable(format!("standard input is longer than {most} MiB")));
    }
    String::from_utf8(bytes)
        .map_err(|_| Problem::Unreadable("standard input is not UTF-8".to_owned()))
}
