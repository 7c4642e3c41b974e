//! `cnn emit`: the Rust code of a file, printed, written or compared.

use std::fs;
use std::path::Path;

use cnn_dsl::codegen::{self, Options};

use crate::{Outcome, Status, difference, input, write};

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
        difference::first(&shown.to_string(), &String::from_utf8_lossy(&found), code)
    );
    Outcome::failed(Status::Wrong, &complaint)
}
