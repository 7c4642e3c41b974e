//! Both doors: a text read as a file and the same text read as tokens.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::Group;

use super::*;

mod programs;

/// The `.cnn` files of a folder beside this package.
fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut texts: Vec<(PathBuf, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cnn"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    texts.sort();
    assert!(texts.len() >= 3);
    texts
}

fn flat(text: &str) -> Flat {
    Flat::new(text.parse().unwrap())
}

/// The text from the first to the last token that an error underlines.
fn underlined(flat: &Flat, mistake: &Diagnostic) -> String {
    let [first, last] = flat.tokens(&mistake.span).unwrap();
    (first..=last).map(|token| flat.token_text(token)).collect::<Vec<_>>().join(" ")
}

fn mistakes(text: &str) -> (Flat, Vec<Diagnostic>) {
    let flat = flat(text);
    let mistakes = cnn_dsl::compile(&flat.text).unwrap_err();
    (flat, mistakes)
}

fn expanded(text: &str) -> String {
    expand(format!("[::cnn_runtime] {text}").parse().unwrap(), |_| Some(7)).to_string()
}

#[test]
fn good_texts_mean_the_same_through_both_doors() {
    for (path, text) in [texts("specs"), texts("cnn-dsl/tests/good")].concat() {
        let file = cnn_dsl::compile(&text).unwrap();
        let tokens = cnn_dsl::compile(&flat(&text).text).unwrap();
        assert_eq!(file, tokens, "{}", path.display());
    }
}

#[test]
fn bad_texts_get_the_same_errors_at_the_same_place() {
    for (path, text) in texts("cnn-dsl/tests/mistakes") {
        let path = path.display();
        let file = cnn_dsl::compile(&text).unwrap_err();
        let (flat, tokens) = mistakes(&text);
        assert_eq!(file.len(), tokens.len(), "{path}");
        for (file, token) in file.iter().zip(&tokens) {
            assert_eq!(file.message, token.message, "{path}");
            assert_eq!(file.label, token.label, "{path}");
            assert_eq!(file.notes, token.notes, "{path}");
            assert_eq!(file.help, token.help, "{path}");
            let labels = |mistake: &Diagnostic| -> Vec<String> {
                mistake.secondary.iter().map(|(_, label)| label.clone()).collect()
            };
            assert_eq!(labels(file), labels(token), "{path}");
            if !file.span.is_empty() {
                let blanks_off = |text: &str| text.split_whitespace().collect::<String>();
                let here = blanks_off(&text[file.span.clone()]);
                assert_eq!(here, blanks_off(&underlined(&flat, token)), "{path}");
            }
        }
    }
}

/// The exact word is underlined, and negative numbers with their sign (`Rust-GPU/rust-gpu#355`,
/// `dtolnay/syn#1085`).
#[test]
fn errors_underline_exactly_the_tokens_at_fault() {
    let table = [
        ("MaxPoling2D(2);", "MaxPoling2D"),
        ("Dense(-10);", "- 10"),
        ("Dropout(-0.5);", "- 0.5"),
        ("Conv2D(8, kernel_size=-3);", "- 3"),
        ("Conv2D(8, 3, groups = 2);", "2"),
        ("Conv2D(8, (3, 3, 3));", "( 3 , 3 , 3 )"),
        ("a: Flatten; a: Flatten;", "a"),
        ("Dense(10, units = 3);", "units"),
        // A `;` is missing behind this.
        ("Flatten", "Flatten"),
        ("Dense(10)", ")"),
        ("Dense(units == 10);", "= ="),
        ("Dense( /// ten\n 10);", "/// ten"),
    ];
    for (layer, expected) in table {
        let (flat, mistakes) = mistakes(&format!("model Net {{ input(8, 8, 3); {layer} }}"));
        assert_eq!(mistakes.len(), 1, "{layer}: {mistakes:?}");
        assert_eq!(underlined(&flat, &mistakes[0]), expected, "{layer}");
    }
    let (flat, mistakes) =
        mistakes("model Net { input(9); type: Dense(-1); fc: Dense(2); fc: X; }");
    let underlined: Vec<String> =
        mistakes.iter().map(|mistake| underlined(&flat, mistake)).collect();
    assert_eq!(underlined, ["type", "- 1", "fc", "X"]);
}

/// 2,000 nested parentheses, which rustc passes on (`dtolnay/syn#901`).
#[test]
fn deep_nesting_is_an_error_with_a_position() {
    let deep = format!("{}10{}", "(".repeat(2_000), ")".repeat(2_000));
    let text = format!("model Net {{ input(7); Dense({deep}); }}");
    let (flat, mistakes) = mistakes(&text);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].message, cnn_dsl::compile(&text).unwrap_err()[0].message);
    assert_eq!(underlined(&flat, &mistakes[0]), "(");
    // `model Net { input ( 7 ) ; Dense` are 9 tokens, and the brace is the first of 64 levels.
    assert_eq!(flat.tokens(&mistakes[0].span), Some([9 + 63; 2]));
    assert!(expanded(&text).contains("compile_error"));
}

#[test]
fn doc_attributes_become_doc_comments() {
    let written =
        "#[doc = \" a\"] #[doc = \"*b\\n c\"] #![doc = \"no\"] model Net { #[doc = \"/\"] x }";
    assert_eq!(flat(written).text, "/// a\n /** *b\n c*/\n model Net { /// /\n x }");
    let models = cnn_dsl::compile(&flat("/** one\n * two */ model A { input(1); Flatten; }").text);
    assert_eq!(models.unwrap()[0].docs, [" one", " two"]);
}

#[test]
fn invisible_groups_are_looked_through() {
    let hidden = TokenTree::Group(Group::new(Delimiter::None, quote!(10)));
    let flat = Flat::new(quote!(model Net { input(3); Dense(#hidden); }));
    assert_eq!(cnn_dsl::compile(&flat.text).unwrap()[0].output().0, [10]);
}

#[test]
fn one_error_per_mistake_and_a_skeleton_per_model() {
    let out = expanded("model A { input(3); Dens(2); } model B { input(3); Dense(0); Dense(1) ; }");
    assert_eq!(out.matches("compile_error").count(), 2, "{out}");
    assert!(out.contains("did you mean `Dense`?"), "{out}");
    let skeleton = |name| codegen::skeleton(name, &Options::default()).to_string();
    assert!(out.contains(&skeleton("A")) && out.contains(&skeleton("B")), "{out}");
    // The other place has no underline of its own on stable Rust.
    let out = expanded("model A { input(3); a: Dense(2); a: Dense(2); }");
    assert!(out.contains("note: line 7, `a`: the first one is here"), "{out}");
}

#[test]
fn a_string_literal_names_a_file() {
    for end in ["", ";"] {
        let out = expanded(&format!("\"../specs/mnist_cnn.cnn\"{end}"));
        assert!(!out.contains("compile_error"), "{out}");
        assert!(out.contains("include_bytes"), "{out}");
        assert!(out.contains("MnistCnn"), "{out}");
    }
    let missing = expanded("\"no such/net v1.cnn\"");
    let resolved = Path::new(env!("CARGO_MANIFEST_DIR")).join("no such/net v1.cnn");
    assert!(missing.contains(&format!("no file `{}`", resolved.display())), "{missing}");
    let bad = expanded("\"../cnn-dsl/tests/mistakes/unknown_layer.cnn\"");
    assert!(bad.contains("unknown layer `MaxPoling2D`"), "{bad}");
    assert!(bad.contains("unknown_layer.cnn:4:5"), "{bad}");
    assert!(bad.contains("include_bytes"), "{bad}");
}

/// `use` in tokens starts at the package; the compiler watches what it brings in.
#[test]
fn used_files_are_read_and_watched() {
    let text = "use \"../cnn-dsl/tests/uses/parts/residual.cnn\";
        model Net { input(8, 8, 3); Residual(4); }";
    let out = expanded(text);
    assert!(!out.contains("compile_error"), "{out}");
    for file in ["residual.cnn", "conv.cnn", "sizes.cnn"] {
        assert!(out.contains(&format!("parts/{file}\")")), "{file}: {out}");
    }
    assert_eq!(out.matches("include_bytes").count(), 3, "{out}");
    // The same through a file, which is watched as well.
    let out = expanded("\"../cnn-dsl/tests/uses/main.cnn\"");
    assert_eq!(out.matches("include_bytes").count(), 4, "{out}");
}

/// A mistake in a used file is shown with its text, at the `use` that leads there.
#[test]
fn mistakes_in_used_files_lie_at_the_use() {
    let text = "use \"../cnn-dsl/tests/uses/parts/broken.cnn\";
        model Net { input(8, 8, 3); Broken(3); Dense(HALV); }";
    let flat = flat(text);
    let checked = cnn_dsl::check("cnn!", &flat.text, &resolve(""));
    let inside: Vec<&Diagnostic> =
        mistakes_of(&checked).filter(|mistake| mistake.span.start > flat.text.len()).collect();
    assert_eq!(inside.len(), 2);
    for mistake in inside {
        let out = at_tokens(&flat, &checked.sources, mistake, |_| Some(7)).to_string();
        assert!(out.contains("parts/broken.cnn:"), "{out}");
        let used_at = checked.sources.locate(&mistake.span).0.used_at.clone().unwrap();
        assert!(flat.text[used_at].ends_with("broken.cnn\""));
    }
    let out = expanded(text);
    assert_eq!(out.matches("compile_error").count(), 3, "{out}");
    assert!(out.contains("include_bytes"), "{out}");
    // A block of this text, expanded in it: the note says the line.
    let out = expanded("block A(n) { Dense(n); } model Net { input(3); A(-1); }");
    assert!(out.contains("note: line 7, `A`: in `A(n = -1)`"), "{out}");
}

/// A macro cannot warn on stable Rust.
#[test]
fn warnings_are_left_to_the_other_tools() {
    for (path, text) in texts("cnn-dsl/tests/warnings") {
        let tokens = cnn_dsl::check("cnn!", &flat(&text).text, Path::new(""));
        let file = cnn_dsl::check("file", &text, Path::new(""));
        assert_eq!(tokens.models, file.models, "{}", path.display());
        assert_eq!(tokens.diagnostics.len(), file.diagnostics.len(), "{}", path.display());
        assert!(!expanded(&text).contains("compile_error"), "{}", path.display());
    }
}

#[test]
fn the_runtime_path_is_used_as_given() {
    let call = "[::renamed::runtime] \"../specs/mnist_cnn.cnn\"".parse().unwrap();
    let out = expand(call, |_| None).to_string();
    assert!(out.contains(":: renamed :: runtime :: __private"), "{out}");
    assert!(!out.contains("cnn_runtime"), "{out}");
    assert!(
        expand("model A {}".parse().unwrap(), |_| None).to_string().contains("cnn_runtime::cnn!")
    );
}

/// The same code comes out of both doors.
#[test]
fn emitted_code_is_the_same_through_both_doors() {
    for (path, text) in texts("specs") {
        let options = Options::default();
        let file = codegen::emit(&cnn_dsl::compile(&text).unwrap(), &options);
        assert_eq!(expanded(&text), file.to_string(), "{}", path.display());
    }
}
