//! Networks in crates of users with habits of their own, and with mistakes.

mod cargo;
mod table;

use std::fs;

use cargo::{Place, UserCrate};

/// Generated code sets off strict lints (`rwf2/Rocket#2211`, `slint-ui/slint#7433`). Where clippy is
/// not installed rustc's lints are checked all the same.
#[test]
fn strict_crates_have_nothing_to_complain_about() {
    let strict = UserCrate::copy("strict");
    let has_clippy = strict.cargo(&["clippy", "--version"]).status.success();
    let command = if has_clippy { "clippy" } else { "check" };
    let (success, said) = strict.diagnostics(&[command, "--all-targets"]);
    assert!(success && said.is_empty(), "{said:#?}");

    // The lints are on: one of clippy::nursery, or one of rustc's, shows where it should.
    strict.edit("src/lib.rs", |text| {
        format!("{text}\n/// Could be const.\n#[must_use]\npub fn one() -> u8 {{\n    1\n}}\n\npub mod bare {{}}\n")
    });
    let (success, said) = strict.diagnostics(&[command]);
    assert!(!success);
    let texts: Vec<&str> = said.iter().map(|said| said.text.as_str()).collect();
    assert!(texts.contains(&"missing documentation for a module"), "{texts:?}");
    assert!(!has_clippy || texts.contains(&"this could be a `const fn`"), "{texts:?}");
}

/// Generated code says `Result`, `Vec`, `Ok` and meets the user's own (`jprochazk/garde#22`,
/// `PyO3/pyo3#1805`); the second use of a macro in one module redefines a helper
/// (`dtolnay/proc-macro-hack#2`, `near/near-sdk-rs#50`); the dependency is renamed.
#[test]
fn names_never_meet() {
    let hygiene = UserCrate::copy("hygiene");
    let (success, said) = hygiene.diagnostics(&["check", "--all-targets"]);
    assert!(success && said.is_empty(), "{said:#?}");
    let tested = hygiene.succeed(&["test"]);
    assert!(tested.contains("each_has_its_own_parameters_and_summary ... ok"), "{tested}");
}

/// Editing a file that a macro read does not rebuild (`SOF3/include-flate#12`,
/// `askama-rs/askama#383`).
#[test]
fn an_edited_model_is_compiled_again() {
    const MODEL: &str = "my models/net v1.cnn";
    let rebuild = UserCrate::copy("rebuild");
    assert_eq!(rebuild.succeed(&["run"]), "70 70\n");
    rebuild.replace(MODEL, "Dense(10)", "Dense(12)");
    assert_eq!(rebuild.succeed(&["run"]), "84 84\n");
    // A file that it uses.
    rebuild.replace("my models/parts/sizes.cnn", "6", "7");
    assert_eq!(rebuild.succeed(&["run"]), "96 96\n");

    // A mistake comes out of the build script with its place in the file.
    let path = rebuild.path(MODEL);
    rebuild.replace(MODEL, "Dense(12)", "Dense(-12)");
    let said = rebuild.fail(&["check"]);
    assert!(said.contains(&format!("{}:4:11", path.display())), "{said}");
    assert!(said.contains("-12") && !said.contains("panicked"), "{said}");
    assert_eq!(said.matches("error: ").count(), 2, "the mistake, and cargo's own: {said}");

    // Through the macro alone likewise, at the literal that names the file.
    fs::write(rebuild.path("build.rs"), "fn main() {}\n").unwrap();
    let built = "mod built {\n    cnn_runtime::include_model!(\"net_v1\");\n}\n\n";
    rebuild.replace("src/main.rs", built, "");
    rebuild.replace("src/main.rs", "println!(\"{} {}\", built::Net::PARAMS, ", "println!(\"{}\", ");
    let text = fs::read_to_string(rebuild.path("src/main.rs")).unwrap();
    let literal = format!("\"{MODEL}\"");
    let place = Place::of("src/main.rs", &text, &format!("cnn!({literal})"), &literal);
    let (_, said) = rebuild.diagnostics(&["check"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].text.contains(&format!("{}:4:11", path.display())), "{said:#?}");
    assert!(said[0].text.contains("-12"), "{said:#?}");
    assert_eq!(said[0].place.as_ref(), Some(&place));

    fs::remove_file(&path).unwrap();
    let (_, said) = rebuild.diagnostics(&["check"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].text.contains(&path.display().to_string()), "{said:#?}");
    assert_eq!(said[0].place.as_ref(), Some(&place));
}

/// A mistake in the declaration: exactly one error, at the tokens at fault, whatever the rest of
/// the program does with the network.
fn one_mistake(net: &UserCrate, arguments: &[&str], mistake: &Mistake) {
    const MAIN: &str = "src/main.rs";
    let right = fs::read_to_string(net.path(MAIN)).unwrap();
    net.replace(MAIN, mistake.right, mistake.wrong);
    let text = fs::read_to_string(net.path(MAIN)).unwrap();
    let (success, said) = net.diagnostics(arguments);
    assert!(!success && said.len() == 1, "{}: {said:#?}", mistake.wrong);
    assert_eq!(said[0].level, "error");
    let place = Place::of(MAIN, &text, mistake.wrong, mistake.underlined);
    assert_eq!(said[0].place.as_ref(), Some(&place), "{said:#?}");
    for part in mistake.says {
        assert!(said[0].text.contains(part), "`{part}` in: {}", said[0].text);
    }
    fs::write(net.path(MAIN), right).unwrap();
}

struct Mistake {
    right: &'static str,
    wrong: &'static str,
    underlined: &'static str,
    says: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    // Errors that underline the whole macro (`Rust-GPU/rust-gpu#355`).
    Mistake {
        right: "MaxPooling2D(2);",
        wrong: "MaxPoling2D(2);",
        underlined: "MaxPoling2D",
        says: &["`MaxPoling2D`", "did you mean `MaxPooling2D`?"],
    },
    // Negative numbers are two tokens (`rust-lang/rust#48889`, `dtolnay/syn#1085`).
    Mistake {
        right: "Dense(10, activation = softmax)",
        wrong: "Dense(-10, activation = softmax)",
        underlined: "-10",
        says: &["-10", "positive integer"],
    },
    Mistake {
        right: "Flatten;",
        wrong: "Flatten; Dropout(-0.5);",
        underlined: "-0.5",
        says: &["-0.5", "[0,1)"],
    },
    Mistake {
        right: "MaxPooling2D(2);",
        wrong: "Conv2D(8, kernel_size = -3);",
        underlined: "-3",
        says: &["-3", "positive integer"],
    },
    // A kernel larger than its input.
    Mistake {
        right: "MaxPooling2D(2);",
        wrong: "Conv2D(8, kernel_size = 25);",
        underlined: "25",
        says: &["25x25 kernel", "24x24 input"],
    },
];

#[test]
fn a_mistake_is_one_error_at_its_place() {
    let net = UserCrate::copy("mistakes");
    let (success, said) = net.diagnostics(&["check"]);
    assert!(success && said.is_empty(), "without a mistake: {said:#?}");
    for mistake in MISTAKES {
        one_mistake(&net, &["check"], mistake);
    }

    // A product of sizes that wraps in release builds only (`huggingface/candle#3816`).
    net.replace("src/main.rs", "input(28, 28, 1)", "input(65536, 65536, 1)");
    let first = "        Conv2D(8, 3, activation = relu);\n";
    net.edit("src/main.rs", |text| text.replace(first, ""));
    net.replace("src/main.rs", "        MaxPooling2D(2);\n", "");
    let overflow = Mistake {
        right: "Dense(10, activation = softmax)",
        wrong: "Dense(4294967296, activation = softmax)",
        underlined: "Dense",
        says: &["`dense`", "size overflow", "18,446,744,078,004,518,912"],
    };
    for arguments in [&["check"][..], &["check", "--release"]] {
        one_mistake(&net, arguments, &overflow);
    }
}
