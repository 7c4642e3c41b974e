//! `cnn fmt` on every text of the repository, and on what becomes of them by chance.

use std::fs;
use std::path::{Path, PathBuf};

use cnn_dsl::format::format;
use cnn_dsl::scan;

/// Every `.cnn` file here that has no syntax error.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![root.join("specs"), root.join("cnn-dsl/tests"), root.join("tests")];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "cnn") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
        .filter(|(_, text)| format(text).is_ok())
        .collect();
    assert!(texts.len() > 60, "{} texts", texts.len());
    texts
}

/// The tokens, but for a comma at the end of a list, and the comments without their blanks.
fn content(text: &str) -> (Vec<String>, String) {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    let (mut tokens, mut comments): (Vec<String>, String) = (Vec::new(), String::new());
    let mut end = 0;
    // A comment that moved past a `;` or `,` is still there.
    let mut gap = |gap: &str| comments.push_str(&squeeze(gap));
    for token in scan::tokens(text, 0) {
        gap(&text[end..token.span.start]);
        end = token.span.end;
        let token = squeeze(&text[token.span]);
        if matches!(token.as_str(), ")" | "]") && tokens.last().is_some_and(|last| last == ",") {
            tokens.pop();
        }
        tokens.push(token);
    }
    gap(&text[end..]);
    (tokens, comments)
}

/// The formatted text, once all that must hold of it does.
fn formatted(name: &str, text: &str) -> String {
    let once = format(text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}\n{text}"));
    let twice = format(&once).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}\n{once}"));
    assert_eq!(once, twice, "{name}: not idempotent, from\n{text}");
    assert_eq!(content(text), content(&once), "{name}: another content\n{once}");
    for line in once.lines() {
        assert!(!line.ends_with([' ', '\t']), "{name}: blanks at the end of `{line}`");
    }
    once
}

#[test]
fn layouts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        insta::assert_snapshot!(name.clone(), formatted(&name, &text));
    }
}

#[test]
fn every_text_keeps_its_meaning() {
    let mut good = 0;
    for (name, text) in texts() {
        let once = formatted(&name, &text);
        // `use` starts at the folder of the file.
        let folder = Path::new(&name).parent().unwrap();
        let models = |text: &str| cnn_dsl::check("", text, folder).models;
        let meant = models(&text);
        good += usize::from(!meant.is_empty());
        assert_eq!(models(&once), meant, "{name}: another model\n{once}");
        let windows = format(&text.replace('\n', "\r\n")).unwrap();
        if text.contains('\n') {
            assert_eq!(windows, once.replace('\n', "\r\n"), "{name}");
        }
    }
    assert!(good > 15, "{good} texts have models");
}

/// The specs that ship are in the layout already.
#[test]
fn specs_are_formatted() {
    let specs: Vec<_> =
        texts().into_iter().filter(|(name, _)| name.contains("/../specs/")).collect();
    assert!(specs.len() >= 3);
    for (name, text) in specs {
        assert_eq!(formatted(&name, &text), text, "{name}");
    }
}

/// Numbers from a seed (Steele et al. 2014, splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

/// `text` with something else between its tokens: `fill` gets whether anything must be there, and
/// may give nothing. What stands around a comment stays.
fn respaced(text: &str, mut fill: impl FnMut(bool) -> &'static str) -> String {
    let mut out = String::new();
    let mut end = 0;
    let mut doc_line = false;
    for token in scan::tokens(text, 0) {
        let gap = &text[end..token.span.start];
        let comments = !gap.trim().is_empty();
        if comments || doc_line {
            out.push_str(gap);
        } else {
            // Neighbours that were apart stay apart, and what was one number or operator one.
            let apart = !gap.is_empty();
            let glued = !apart && end > 0 && is_part(&text[..end], &text[token.span.start..]);
            if !glued {
                out.push_str(fill(apart));
            }
        }
        out.push_str(&text[token.span.clone()]);
        end = token.span.end;
        doc_line = text[token.span].starts_with("///");
    }
    out + &text[end..]
}

/// Whether a blank between might part a number or an operator of two characters.
fn is_part(before: &str, after: &str) -> bool {
    let number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    let operator = |c: char| "<>=!&|-.:".contains(c);
    (before.ends_with(number) && after.starts_with(number))
        || (before.ends_with(operator) && after.starts_with(operator))
}

fn without_blank_lines(text: &str) -> String {
    text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn spaces_do_not_matter() {
    const FILLS: [&str; 6] = ["", " ", "\n", "\t  ", "\n\n\n", " \n "];
    let mut chance = Chance(1);
    for (name, text) in texts() {
        let expected = without_blank_lines(&formatted(&name, &text));
        for _ in 0..2 {
            let other = respaced(&text, |apart| FILLS[chance.below(6).max(usize::from(apart))]);
            let found = without_blank_lines(&formatted(&name, &other));
            // A comment may be at the end of its line now, or no longer.
            if !text.contains("/*") && !text.contains("//") {
                assert_eq!(found, expected, "{name}, from\n{other}");
            }
        }
    }
}

#[test]
fn comments_can_stand_anywhere() {
    const FILLS: [&str; 8] =
        [" ", "", "\n", " /* b */ ", "\n/* c */\n", " // d\n", "\n// e\n\n", "/* f\n  g */"];
    let mut chance = Chance(2);
    for (name, text) in texts() {
        for rarity in [1, 15] {
            let other = respaced(&text, |apart| {
                let fill = if chance.below(rarity) == 0 { chance.below(8) } else { 0 };
                FILLS[if apart && fill == 1 { 0 } else { fill }]
            });
            // Where a comment becomes part of a doc comment it is no longer a comment.
            if format(&other).is_ok() {
                formatted(&name, &other);
            }
        }
    }
}

/// Time grows with the length of a text, not with its square, however it nests.
#[test]
fn long_texts_take_no_time() {
    let layer = "Conv2D(8, 3, strides = (1, 1), activation = relu); // comment\n";
    let list = format!("Dense({}1);", "1, ".repeat(20_000));
    let deep = format!("A({}1{});", "[1,".repeat(50), "]".repeat(50)).repeat(100);
    for body in [layer.repeat(2_000), list, deep] {
        let text = format!("model Long {{ input(8, 8, 1); {body} }}");
        let start = std::time::Instant::now();
        format(&text).unwrap();
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }
}

#[test]
fn syntax_errors_are_reported() {
    let mistakes = format("model A { input(3) Dense(1); }").unwrap_err();
    assert!(mistakes[0].message.contains("expected `;`"), "{mistakes:?}");
}
