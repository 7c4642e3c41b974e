//! Every mistake of `tests/mistakes` with its error text, one snapshot each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The texts of a folder, by name.
fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut texts: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (stem, fs::read_to_string(&path).unwrap())
        })
        .collect();
    texts.sort();
    assert!(!texts.is_empty());
    texts
}

fn snapshot(folder: &str) {
    for (name, text) in texts(folder) {
        let mistakes = cnn_dsl::compile(&text).expect_err(&name);
        let mut shown = text.clone();
        let _ = writeln!(shown, "{:-<60}", "");
        shown.push_str(&cnn_dsl::render(&format!("{name}.cnn"), &text, &mistakes, false));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                                snapshot_path => format!("snapshots/{folder}") }, {
            insta::assert_snapshot!(name, shown);
        });
    }
}

#[test]
fn mistakes() {
    snapshot("mistakes");
}

#[test]
fn mistakes_of_files() {
    snapshot("mistakes_of_files");
}

/// Texts without mistakes that are probably not meant.
#[test]
fn warnings() {
    for (name, text) in texts("warnings") {
        let checked = cnn_dsl::check(&format!("{name}.cnn"), &text, Path::new(""));
        assert!(!checked.failed() && !checked.diagnostics.is_empty(), "{name}");
        assert!(!checked.models.is_empty(), "{name}");
        let shown = format!("{text}{:-<60}\n{}", "", checked.render(false));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                                snapshot_path => "snapshots/warnings" }, {
            insta::assert_snapshot!(name, shown);
        });
    }
}

/// Texts that use others: each diagnostic names the file that it lies in.
#[test]
fn mistakes_in_used_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/uses");
    for (name, text) in texts("uses").into_iter().filter(|(name, _)| name.starts_with("bad_")) {
        // The path is real, so that a file that uses itself is known to be the same.
        let checked = cnn_dsl::check(&format!("tests/uses/{name}.cnn"), &text, &folder);
        assert!(checked.failed() && checked.models.is_empty(), "{name}");
        let folder = format!("{}/", folder.display());
        let shown = format!("{text}{:-<60}\n{}", "", checked.render(false).replace(&folder, ""));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                                snapshot_path => "snapshots/uses" }, {
            insta::assert_snapshot!(name, shown);
        });
    }
}

/// Whatever is typed, there is an answer and a rendering of it: good texts cut at many places, and
/// with characters left out or replaced.
#[test]
fn damaged_texts_never_panic() {
    const REPLACEMENTS: [&str; 9] = ["", "\"", "(", "}", "é", "-", "/*", "0", "\u{0}"];
    let check = |text: &str| {
        if let Err(mistakes) = cnn_dsl::compile(text) {
            assert!(!mistakes.is_empty());
            for mistake in &mistakes {
                assert!(text.get(mistake.span.clone()).is_some(), "{mistake:?}");
            }
            let shown = cnn_dsl::render("damaged.cnn", text, &mistakes, false);
            assert!(shown.contains("damaged.cnn:"));
        }
        let _ = cnn_dsl::scan::model_names(text);
    };
    for name in ["everything", "structure"] {
        let texts = texts("good");
        let (_, text) = texts.iter().find(|(other, _)| other == name).unwrap();
        for (i, (at, c)) in text.char_indices().enumerate().step_by(3) {
            let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
            // Most cuts leave a bracket open, which is found before anything else.
            if i % 4 == 0 {
                check(before);
            }
            check(&[before, REPLACEMENTS[i % REPLACEMENTS.len()], after].concat());
        }
    }
}
