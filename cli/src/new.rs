//! `cnn new`: a crate with a network, which builds at once.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cnn_dsl::names::model_name_problem;

use crate::{Outcome, Status};

const MODEL: &str = include_str!("new/model.cnn");
const BUILD: &str = include_str!("new/build.rs.txt");
const MAIN: &str = include_str!("new/main.rs.txt");

/// Makes the folder `name` in the current one. The crates are taken from the repository at `path`,
/// or by the version of this program.
pub fn run(name: &str, path: Option<&Path>) -> Outcome {
    let wrong = |problem: String| Outcome::failed(Status::Unusable, &format!("error: {problem}"));
    if let Some(problem) = name_problem(name) {
        return wrong(format!("`{name}` cannot name a crate: {problem}"));
    }
    let dependencies = match path.map(repository).transpose() {
        Ok(repository) => Dependencies(repository),
        Err(problem) => return wrong(problem),
    };
    let files = files(name, &dependencies);
    let folder = Path::new(name);
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return wrong(format!(
                "`{name}` is already there\n  = help: choose another name, or remove it first"
            ));
        }
        Err(error) => return wrong(format!("cannot make the folder `{name}`: {error}")),
    }
    if let Err(error) = write(folder, &files) {
        // Half a crate helps nobody; it is ours, made a moment ago.
        let _ = fs::remove_dir_all(folder);
        return wrong(format!("cannot write to `{name}`: {error}"));
    }
    Outcome::right(format!(
        "{name}: a crate with the network of {name}/specs/{name}.cnn\n\n    cd {name}\n    \
         cargo test\n    cargo run --release -- --data DIR    # with MNIST's four files\n"
    ))
}

/// Why a crate cannot be called so: cargo's rules, and what the crate itself needs.
fn name_problem(name: &str) -> Option<String> {
    // Devices of Windows, and folders of cargo's own.
    const TAKEN: [&str; 15] = [
        "test",
        "core",
        "std",
        "alloc",
        "proc_macro",
        "con",
        "prn",
        "aux",
        "nul",
        "deps",
        "examples",
        "build",
        "incremental",
        "cnn_dsl",
        "cnn_runtime",
    ];
    const LONGEST: usize = 64;
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        return Some(format!("`{}` is no letter (a to z), digit, `-` or `_`", c.escape_debug()));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("it must start with a letter".to_owned());
    }
    if name.len() > LONGEST {
        return Some(format!("it is longer than {LONGEST} characters"));
    }
    let taken = TAKEN.contains(&stem(name).to_lowercase().as_str());
    if taken || ["cnn_macros", "insta"].contains(&stem(name).as_str()) {
        return Some("the name is taken".to_owned());
    }
    // `match` is a keyword, and so is the type `Self`.
    let keyword = model_name_problem(name).filter(|problem| problem.contains("keyword"));
    keyword.or_else(|| model_name_problem(&type_name(name)))
}

/// `my-net` → `my_net`, as rustc calls the crate.
fn stem(name: &str) -> String {
    name.replace('-', "_")
}

/// `my-net` → `MyNet`
fn type_name(name: &str) -> String {
    name.split(['-', '_'])
        .flat_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars)
        })
        .collect()
}

/// The repository as an absolute path.
fn repository(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    let folder =
        fs::canonicalize(path).map_err(|error| format!("cannot use `{shown}`: {error}"))?;
    for package in ["cnn-runtime", "cnn-dsl"] {
        if !folder.join(package).join("Cargo.toml").is_file() {
            return Err(format!(
                "no `{package}` in `{shown}`\n  = help: `--path` takes the folder that holds the \
                 crates `cnn-runtime` and `cnn-dsl`"
            ));
        }
    }
    Ok(folder)
}

/// Where the crates come from.
struct Dependencies(Option<PathBuf>);

impl Dependencies {
    /// A value for TOML.
    fn of(&self, package: &str) -> String {
        match &self.0 {
            None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
            Some(folder) => {
                // TOML's strings escape what JSON's do.
                let path = folder.join(package).display().to_string();
                format!("{{ path = {} }}", serde_json::Value::from(path))
            }
        }
    }
}

/// Paths within the crate, and texts.
fn files(name: &str, dependencies: &Dependencies) -> Vec<(String, String)> {
    let (stem, model) = (stem(name), type_name(name));
    let fill = |text: &str| {
        text.replace("NAME", name).replace("STEM", &stem).replace("Net::", &format!("{model}::"))
    };
    let spec = MODEL.replace("model Net ", &format!("model {model} "));
    let mut files = vec![
        ("Cargo.toml".to_owned(), manifest(name, dependencies)),
        (".gitignore".to_owned(), "/target\n".to_owned()),
        ("build.rs".to_owned(), fill(BUILD)),
        ("src/main.rs".to_owned(), fill(MAIN)),
    ];
    if let Ok([model]) = cnn_dsl::compile(&spec).as_deref() {
        let table = cnn_dsl::summary::table(model);
        let snapshot = format!(
            "---\nsource: src/main.rs\nexpression: \"{}::SUMMARY\"\n---\n{table}",
            model.name
        );
        files.push((format!("src/snapshots/{stem}__tests__summary.snap"), snapshot));
    }
    files.push((format!("specs/{name}.cnn"), spec));
    files
}

fn manifest(name: &str, dependencies: &Dependencies) -> String {
    let (runtime, dsl) = (dependencies.of("cnn-runtime"), dependencies.of("cnn-dsl"));
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\ncnn-runtime = {runtime}\n\n\
         [build-dependencies]\ncnn-dsl = {dsl}\n\n\
         [dev-dependencies]\ninsta = \"1\"\n\n\
         # No member of a workspace around it; remove this to make it one.\n[workspace]\n"
    )
}

fn write(folder: &Path, files: &[(String, String)]) -> io::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_crates_are_cargos() {
        for name in ["net", "my-net", "my_net2", "N", "a--b"] {
            assert_eq!(name_problem(name), None, "{name}");
        }
        for name in [
            "",
            "2net",
            "-net",
            "_net",
            "my net",
            "é",
            "a/b",
            "..",
            "match",
            "test",
            "CON",
            "cnn-dsl",
            "self-",
            &"x".repeat(65),
        ] {
            assert!(name_problem(name).is_some(), "{name}");
        }
        assert_eq!(type_name("my-net_v2"), "MyNetV2");
    }

    #[test]
    fn the_text_is_formatted_and_has_a_summary() {
        assert_eq!(cnn_dsl::format::format(MODEL).as_deref(), Ok(MODEL));
        let files = files("my-net", &Dependencies(None));
        assert!(files.iter().any(|(path, _)| path == "src/snapshots/my_net__tests__summary.snap"));
        assert!(files.iter().all(|(_, text)| !text.contains("NAME") && !text.contains("STEM")));
    }
}
