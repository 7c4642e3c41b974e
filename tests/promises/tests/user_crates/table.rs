//! Every mistake that the language knows, made in crates of users: through either door `cargo check`
//! says one thing for each, at its place.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::cargo::{Place, UserCrate};

/// A text and what is wrong with it.
struct Wrong {
    name: String,
    text: String,
    mistakes: Vec<cnn_dsl::Diagnostic>,
}

fn texts() -> Vec<Wrong> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cnn-dsl/tests/mistakes");
    let mut texts: Vec<Wrong> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cnn"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let mistakes = cnn_dsl::compile(&text).unwrap_err();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Wrong { name, text, mistakes }
        })
        .collect();
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(texts.len() >= 60, "only {} texts", texts.len());
    texts
}

/// Line and column, from 1, of a byte of a text.
fn position(text: &str, at: usize) -> [usize; 2] {
    let line_start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    [text[..at].matches('\n').count() + 1, text[line_start..at].chars().count() + 1]
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn the_macro_underlines_every_mistake() {
    let texts = texts();
    let mut program = "#![allow(dead_code)]\n".to_owned();
    let mut expected: Vec<(&cnn_dsl::Diagnostic, Place)> = Vec::new();
    for (index, wrong) in texts.iter().enumerate() {
        let _ = writeln!(program, "mod m{index} {{ cnn_runtime::cnn! {{");
        let first = program.matches('\n').count();
        for mistake in &wrong.mistakes {
            let [line, column] = position(&wrong.text, mistake.span.start);
            let place = Place {
                file: "src/main.rs".to_owned(),
                line: first + line,
                column,
                text: wrong.text[mistake.span.clone()].to_owned(),
            };
            expected.push((mistake, place));
        }
        let _ = writeln!(program, "{}\n}} }}", wrong.text);
    }
    program.push_str("fn main() {}\n");

    let net = UserCrate::copy("table");
    fs::write(net.path("src/main.rs"), program).unwrap();
    let (success, said) = net.diagnostics(&["check"]);
    assert!(!success);
    for said in &said {
        assert_eq!(said.level, "error", "{said:#?}");
    }
    let mut left = said;
    for (mistake, place) in &expected {
        // At the very end of a text a macro has no token to underline, only those before it.
        let ends_it = place.text.is_empty();
        // All of what the snapshots show, but for the text.
        let message = mistake.plain();
        let found = left.iter().position(|said| {
            let at = said.place.as_ref().unwrap();
            said.text.starts_with(&message)
                && (ends_it
                    || at.line == place.line
                        && at.column == place.column
                        && without_blanks(&at.text) == without_blanks(&place.text))
        });
        let found =
            found.unwrap_or_else(|| panic!("no error `{message}` at {place:?} in {left:#?}"));
        left.remove(found);
    }
    assert!(left.is_empty(), "more errors than mistakes: {left:#?}");
}

#[test]
fn the_build_script_points_at_every_mistake() {
    let texts = texts();
    let net = UserCrate::copy("table_build");
    fs::create_dir(net.path("specs")).unwrap();
    for wrong in &texts {
        fs::write(net.path(&format!("specs/{}.cnn", wrong.name)), &wrong.text).unwrap();
    }
    let said = net.fail(&["check"]);
    // Cargo indents what a build script prints.
    let lines = |text: &str| text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    let all = lines(&said);
    let mut count = 0;
    for wrong in &texts {
        let path = net.path(&format!("specs/{}.cnn", wrong.name));
        let path_shown = path.display().to_string();
        let shown = cnn_dsl::render(&path_shown, &wrong.text, &wrong.mistakes, false);
        assert!(all.contains(lines(&shown).trim_end()), "{shown}");
        for mistake in &wrong.mistakes {
            let [line, column] = position(&wrong.text, mistake.span.start);
            let place = format!("{}:{line}:{column}", path.display());
            assert!(said.contains(&mistake.message), "{}: {}", wrong.name, mistake.message);
            assert!(said.contains(&place), "{place}: {}", mistake.message);
            count += 1;
        }
    }
    // Cargo says in one more that the script failed.
    assert_eq!(said.matches("error: ").count(), count + 1, "{said}");
}
