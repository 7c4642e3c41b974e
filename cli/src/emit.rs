//! `cnn emit`: the Rust code of a file, printed, written or compared.

use std::fs;
use std::path::Path;

use cnn_dsl::codegen::{self, Options};

use crate::{Outcome, Status, input, write};

/// Prints the code, unless it is to be compared with `expected` or written to `out`.
pub fn run(file: &Path, expected: Option<&Path>, out: Option<&Path>) -> Outcome {
    let models = match input::models(file, None) {
        Ok(models) => models,
        Err(outcome) => return outcome,
    };
    let code = codegen::pretty(codegen::emit(&models, &Options::default()));
    match (expected, out) {
        (Some(expected), _) => compare(file, &code, expected),
        (None, Some(out)) => match write::replace(out, &code) {
            Ok(()) => Outcome::right(String::new()),
            Err(error) => {
                let complaint = format!("error: cannot write `{}`: {error}", out.display());
                Outcome::failed(Status::Unusable, &complaint)
            }
        },
        (None, None) => Outcome::right(code),
    }
}

fn compare(file: &Path, code: &str, expected: &Path) -> Outcome {
    let (spec, shown) = (file.display(), expected.display());
    let found = match fs::read(expected) {
        Ok(found) => found,
        Err(error) => {
            let complaint = format!(
                "error: cannot read `{shown}`: {error}\n  = help: `cnn emit {spec} -o {shown}` \
                 writes it"
            );
            return Outcome::failed(Status::Unusable, &complaint);
        }
    };
    if found == code.as_bytes() {
        return Outcome::right(format!("{shown}: up to date with {spec}\n"));
    }
    let complaint = format!(
        "error: `{shown}` is not what `{spec}` compiles to\n{}  = help: `cnn emit {spec} -o \
         {shown}` renews it",
        first_difference(&shown.to_string(), &String::from_utf8_lossy(&found), code)
    );
    Outcome::failed(Status::Wrong, &complaint)
}

/// The first line that differs, as it is and as it should be.
fn first_difference(path: &str, found: &str, code: &str) -> String {
    let (mut old, mut new) = (found.split('\n'), code.split('\n'));
    let mut line = 1;
    loop {
        match (old.next(), new.next()) {
            (Some(old), Some(new)) if old == new => line += 1,
            (None, None) => return String::new(),
            (old, new) => {
                let side = |mark: char, text: Option<&str>| match text {
                    // A carriage return would be invisible.
                    Some(text) => format!("  {mark} {}\n", text.replace('\r', "\\r")),
                    None => format!("  {mark} (the end of the file)\n"),
                };
                let place = format!(" --> {path}:{line}\n");
                return [place, side('-', old), side('+', new)].concat();
            }
        }
    }
}
