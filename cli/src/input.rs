//! Files in, checked models out.

use std::path::Path;

use cnn_dsl::diagnostics::did_you_mean;
use cnn_dsl::ir::Model;
use cnn_dsl::names::snake_case;
use cnn_dsl::{Checked, build};

use crate::{Outcome, Status, colored, complain};

/// Why a file gives no models.
pub enum Problem {
    /// In one sentence.
    Unreadable(String),
    /// The text, and what is wrong with it.
    Mistakes(Checked),
}

impl Problem {
    pub fn status(&self) -> Status {
        match self {
            Self::Unreadable(_) => Status::Unusable,
            Self::Mistakes(..) => Status::Wrong,
        }
    }

    /// For a reader, as rustc words it.
    pub fn human(&self) -> String {
        match self {
            Self::Unreadable(problem) => format!("error: {problem}\n"),
            Self::Mistakes(checked) => checked.render(colored()),
        }
    }
}

/// A file without mistakes; there may be warnings.
pub fn load(file: &Path) -> Result<Checked, Problem> {
    let checked = build::check(file).map_err(Problem::Unreadable)?;
    if checked.failed() { Err(Problem::Mistakes(checked)) } else { Ok(checked) }
}

/// The models of a file, or only the one called `name`; else the complaint is printed.
pub fn models(file: &Path, name: Option<&str>) -> Result<Vec<Model>, Outcome> {
    let checked =
        load(file).map_err(|problem| Outcome::failed(problem.status(), &problem.human()))?;
    if !checked.diagnostics.is_empty() {
        complain(&checked.render(colored()));
    }
    let models = checked.models;
    let Some(name) = name else { return Ok(models) };
    let is_called = |model: &Model| model.name == name || snake_case(&model.name) == name;
    if let Some(model) = models.iter().find(|model| is_called(model)) {
        return Ok(vec![model.clone()]);
    }
    let names = models.iter().map(|model| model.name.as_str());
    let help = did_you_mean(name, names.clone()).unwrap_or_else(|| {
        let names: Vec<&str> = names.collect();
        if names.is_empty() {
            "it has no models".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        }
    });
    let shown = file.display();
    let complaint = format!("error: no model `{name}` in `{shown}`\n  = help: {help}");
    Err(Outcome::failed(Status::Unusable, &complaint))
}

/// What `show` makes of the models.
pub fn with_models(
    file: &Path,
    name: Option<&str>,
    show: impl FnOnce(&[Model]) -> String,
) -> Outcome {
    match models(file, name) {
        Ok(models) => Outcome::right(show(&models)),
        Err(outcome) => outcome,
    }
}
