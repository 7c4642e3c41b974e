//! Runs cargo on copies of the crates in `tests/user-crates`.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Everything the copies share: their dependencies are built once.
const SHARED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/user-crates");

/// A copy of a crate that a test may change.
pub struct UserCrate {
    folder: PathBuf,
}

impl UserCrate {
    /// Copies `tests/user-crates/NAME`, for one test.
    pub fn copy(name: &str) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let folder = Path::new(SHARED).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        copy_folder(&workspace.join("tests/user-crates").join(name), &folder);
        // The versions that the workspace was built with, so that nothing is downloaded.
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let copy = Self { folder };
        let here = format!("{}/", workspace.display().to_string().replace('\\', "/"));
        copy.edit("Cargo.toml", |text| text.replace("../../../", &here));
        copy
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) {
        let path = self.path(file);
        let before = fs::read_to_string(&path).unwrap();
        let after = change(&before);
        assert_ne!(before, after, "{file} does not hold what was to be changed");
        fs::write(path, after).unwrap();
    }

    /// Replaces a text that occurs once.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        self.edit(file, |text| {
            assert_eq!(text.matches(from).count(), 1, "`{from}` in {file}");
            text.replace(from, to)
        });
    }

    pub fn cargo(&self, arguments: &[&str]) -> Output {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .args(arguments)
            .arg("--offline")
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", Path::new(SHARED).join("target"))
            .env("CARGO_TERM_COLOR", "never")
            .output()
            .unwrap()
    }

    /// What cargo prints on success.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.cargo(arguments);
        assert!(output.status.success(), "cargo {arguments:?}:\n{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What cargo prints as errors on failure.
    pub fn fail(&self, arguments: &[&str]) -> String {
        let output = self.cargo(arguments);
        assert!(!output.status.success(), "cargo {arguments:?} succeeds");
        text(&output.stderr)
    }

    /// Whether cargo succeeds, and everything that rustc or clippy says.
    pub fn diagnostics(&self, arguments: &[&str]) -> (bool, Vec<Said>) {
        let output = self.cargo(&[arguments, &["--message-format=json"]].concat());
        let lines = text(&output.stdout);
        let messages = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let said: Vec<Said> = messages
            .filter(|message| message["reason"] == "compiler-message")
            .filter_map(|message| self.said(&message["message"]))
            .collect();
        let success = output.status.success();
        assert!(success || !said.is_empty(), "cargo {arguments:?}:\n{}", text(&output.stderr));
        (success, said)
    }

    /// `None` for rustc's last words, which count the errors.
    fn said(&self, message: &Value) -> Option<Said> {
        let text = message["message"].as_str()?.to_owned();
        if text.starts_with("aborting due to ") || message["level"] == "failure-note" {
            return None;
        }
        let place = message["spans"]
            .as_array()?
            .iter()
            .find(|span| span["is_primary"] == true)
            .map(|span| self.place(span));
        Some(Said { level: message["level"].as_str()?.to_owned(), text, place })
    }

    fn place(&self, span: &Value) -> Place {
        let number = |key: &str| usize::try_from(span[key].as_u64().unwrap()).unwrap();
        let file = span["file_name"].as_str().unwrap().to_owned();
        let bytes = number("byte_start")..number("byte_end");
        let text = fs::read_to_string(self.path(&file))
            .map_or_else(|_| String::new(), |text| text.get(bytes).unwrap_or_default().to_owned());
        Place { file, line: number("line_start"), column: number("column_start"), text }
    }
}

/// An error or a warning.
#[derive(Debug)]
pub struct Said {
    pub level: String,
    pub text: String,
    pub place: Option<Place>,
}

/// What is underlined.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub text: String,
}

impl Place {
    /// The place of the only `part` within the only `whole` of a text.
    pub fn of(file: &str, text: &str, whole: &str, part: &str) -> Self {
        let once = |text: &str, part: &str| -> Range<usize> {
            assert_eq!(text.matches(part).count(), 1, "`{part}` in `{text}`");
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let start = once(text, whole).start + once(whole, part).start;
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: part.to_owned(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            // Not `fs::copy`, which may keep the old time stamp: cargo goes by it.
            fs::write(to, fs::read(from).unwrap()).unwrap();
        }
    }
}
