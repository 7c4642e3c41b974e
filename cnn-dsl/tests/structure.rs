//! Graphs, blocks, rounds, branches and files: what they expand to.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cnn_dsl::ir::Model;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn one(text: &str) -> Model {
    cnn_dsl::compile(text).unwrap().remove(0)
}

/// A line for each layer: number, name, class, what it takes, what it makes.
fn listing(model: &Model) -> String {
    let mut out = format!("0 input {}\n", model.input);
    for (index, layer) in model.layers.iter().enumerate() {
        let sources: Vec<String> = layer.sources.iter().map(usize::to_string).collect();
        let _ = writeln!(
            out,
            "{} {} {}({}) {}, {} parameters",
            index + 1,
            layer.name,
            layer.kind.class(),
            sources.join(", "),
            layer.output,
            layer.params()
        );
    }
    out
}

#[test]
fn expansions() {
    for name in ["mixed", "graph", "structure", "resnet20"] {
        let text = fs::read_to_string(folder().join(format!("good/{name}.cnn"))).unwrap();
        let shown = format!("{text}{:-<60}\n{}", "", listing(&one(&text)));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("expansion_{name}"), shown);
        });
    }
}

/// The counts of Keras for the same layers.
#[test]
fn resnet20_has_the_published_counts() {
    let model = one(&fs::read_to_string(folder().join("good/resnet20.cnn")).unwrap());
    assert_eq!(model.params(), 274_042);
    assert_eq!(model.trainable_params(), 272_474);
}

#[test]
fn used_files_bring_in_their_blocks_and_constants() {
    let text = fs::read_to_string(folder().join("uses/main.cnn")).unwrap();
    let checked = cnn_dsl::check("main.cnn", &text, &folder().join("uses"));
    assert_eq!(checked.render(false), "");
    let paths: Vec<&Path> =
        checked.sources.files().iter().map(|file| Path::new(&file.path)).collect();
    let used = ["residual.cnn", "conv.cnn", "sizes.cnn"]
        .map(|name| folder().join("uses/parts").join(name));
    // A file that several use is read once.
    assert_eq!(paths[0], Path::new("main.cnn"));
    assert_eq!(paths.len(), 4);
    for (path, used) in paths[1..].iter().zip(&used) {
        assert_eq!(path.canonicalize().unwrap(), used.canonicalize().unwrap());
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("expansion_of_files", listing(&checked.models[0]));
    });
}

/// What is written short means what is written out.
#[test]
fn short_forms_mean_the_long_ones() {
    let table = [
        // A merge takes names before or behind.
        ("a: Dense(3); b: Dense(3); Add(a, b);", "a: Dense(3); b: Dense(3); Add()(a, b);"),
        ("a: Dense(3); b: Dense(3)(a); Add(a, b);", "a: Dense(3); b: Dense(3); Add(a, b);"),
        ("repeat 3 { Dense(3); }", "Dense(3); Dense(3); Dense(3);"),
        ("Dense(3); repeat 0 { Dense(4); } Dense(5);", "Dense(3); Dense(5);"),
        ("Dense(2 + 3 * 4 - 10 / 5 % 2);", "Dense(14);"),
        ("const A = 3; const B = (A); Dense(-(A - 2 * B));", "Dense(3);"),
        (
            "a: Dense(4); residual { Dense(3); Dense(4); }",
            "a: Dense(4); Dense(3); b: Dense(4); add: Add(b, a);",
        ),
        (
            "residual { Dense(3); } shortcut { Dense(3); }",
            "a: Dense(3); b: Dense(3)(input); Add(a, b);",
        ),
        ("branches concatenate { { Dense(3); } { } }", "a: Dense(3); Concatenate(a, input);"),
        (
            "branches Multiply { { Dense(3); } { Dense(3); } }",
            "a: Dense(3); b: Dense(3)(input); Multiply(a, b);",
        ),
        ("branches add { {} {} } Add(branches, input);", "a: Add(input, input); Add(a, input);"),
    ];
    for (short, long) in table {
        let model = |body: &str| {
            let mut model = one(&format!("model Net {{ input(8); {body} }}"));
            for layer in &mut model.layers {
                layer.name.clear();
            }
            model
        };
        assert_eq!(model(short), model(long), "{short}");
    }
}

/// Labels of instances and rounds, or their numbers, go in front of the labels inside.
#[test]
fn names_in_instances_are_readable_and_unique() {
    let model = one("block Unit { a: Dense(3); Dense(3); Part; }
         block Part { repeat 2 { b: Dense(3); } }
         model Net {
            input(3);
            Unit;
            x: Unit;
            Unit;
            x_a_2: Dense(3);
            stage: repeat 2 { c: Dense(3); d: Part; }
            unit_3_a: Dense(3);
            Unit;
         }");
    let names: Vec<&str> = model
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .filter(|name| !name.starts_with("dense"))
        .collect();
    assert_eq!(
        names,
        [
            "unit_1_a",
            "unit_1_part_1_repeat_1_1_b",
            "unit_1_part_1_repeat_1_2_b",
            "x_a",
            "x_part_1_repeat_1_1_b",
            "x_part_1_repeat_1_2_b",
            "unit_2_a",
            "unit_2_part_1_repeat_1_1_b",
            "unit_2_part_1_repeat_1_2_b",
            "x_a_2",
            "stage_1_c",
            "stage_1_d_repeat_1_1_b",
            "stage_1_d_repeat_1_2_b",
            "stage_2_c",
            "stage_2_d_repeat_1_1_b",
            "stage_2_d_repeat_1_2_b",
            "unit_3_a",
            "unit_3_a_2",
            "unit_3_part_1_repeat_1_1_b",
            "unit_3_part_1_repeat_1_2_b",
        ]
    );
    let mut all: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

fn nested(head: &str, open: &str, core: &str, depth: usize) -> String {
    format!("{head}{}{core}{}}}", open.repeat(depth), "}".repeat(depth))
}

/// Texts whose expansion would not end are refused at once.
#[test]
fn bombs_are_errors() {
    let chain = |depth: usize| {
        let mut text = "block B0 { Dense(3); }\n".to_owned();
        for i in 1..depth {
            let _ = writeln!(text, "block B{i} {{ B{}; B{}; }}", i - 1, i - 1);
        }
        format!("{text} model Net {{ input(3); B{}; }}", depth - 1)
    };
    let table = [
        (chain(40), "more than 10,000 layers"),
        (chain(2_000), "nest deeper than 64 levels"),
        (
            "model Net { input(3); repeat 18_446_744_073_709_551_615 { Dense(3); } }".to_owned(),
            "more than 10,000 layers",
        ),
        (format!("model Net {{ input(3); Dense({}1); }}", "1 + ".repeat(50_000)), ""),
        (format!("model Net {{ input(3); Dense({}1); }}", "-".repeat(200_000)), "expected"),
        // The deepest nesting of braces and values that there can be.
        (nested("model Net { input(3); ", "residual { ", "Dense((((((3))))));", 57), ""),
        (
            (1..62).fold("block B0 { Dense(3); }".to_owned(), |text, i| {
                format!("{text} block B{i} {{ residual {{ B{}; }} }}", i - 1)
            }) + "model Net { input(3); B61; }",
            "nest deeper than 64 levels",
        ),
        // As many numbers as a text can hold.
        (format!("model Net {{ input(3); Dense([{}]); }}", "1,".repeat(100_000)), "`units`"),
        (
            format!(
                "const A0 = (1, 1); {} model Net {{ input(3); Dense(A199); }}",
                (1..200).fold(String::new(), |mut text, i| {
                    let _ = write!(text, "const A{i} = (A{}, A{}); ", i - 1, i - 1);
                    text
                })
            ),
            "values",
        ),
        (
            format!(
                "const A0 = (1,); {} model Net {{ input(3); Dense(A199); }}",
                (1..200).fold(String::new(), |mut text, i| {
                    let _ = write!(text, "const A{i} = (A{},); ", i - 1);
                    text
                })
            ),
            "the values nest too deep",
        ),
        // Many layers that each take many others.
        (
            format!(
                "model Net {{ input(1); a: ReLU; repeat 10_000 {{ Maximum({}a); }} }}",
                "a, ".repeat(5_000)
            ),
            "inputs of layers",
        ),
        (
            format!(
                "model Net {{ input(1); repeat 10_000 {{ branches add {{ {} }} }} }}",
                "{}".repeat(5_000)
            ),
            "inputs of layers",
        ),
        // Many small models.
        (
            (0..1_000).fold(String::new(), |mut text, i| {
                let _ = write!(text, "model M{i} {{ input(1); repeat 10_000 {{ ReLU; }} }} ");
                text
            }),
            "inputs of layers",
        ),
        // The same mistake over and over, each time with many names to compare it with.
        (
            format!(
                "block Zero {{ repeat 0 {{ ReLU; }} }} \
                 model Net {{ input(3); {} repeat 50_000 {{ Add(zz, zq); }} }}",
                (0..20_000).fold(String::new(), |mut text, i| {
                    let _ = write!(text, "l{i}: Zero; ");
                    text
                })
            ),
            "no layer named `zz`",
        ),
    ];
    for (text, expected) in table {
        let start = std::time::Instant::now();
        let result = std::thread::spawn(move || cnn_dsl::compile(&text)).join().unwrap();
        match result {
            Ok(_) => assert_eq!(expected, ""),
            Err(mistakes) => {
                let all: Vec<&String> = mistakes.iter().map(|mistake| &mistake.message).collect();
                let most = if expected.contains("named") { 2 } else { 1 };
                assert!(mistakes.len() <= most, "{expected}: {all:?}");
                let message = &mistakes[0].message;
                assert!(
                    !expected.is_empty() && message.contains(expected),
                    "{expected}: {message}"
                );
            }
        }
        assert!(start.elapsed().as_secs() < 20, "{expected}: {:?}", start.elapsed());
    }
}

/// What is said of many mistakes is bounded as well: each could list and compare all names.
#[test]
fn many_names_and_mistakes_are_no_bomb() {
    let many =
        |count: usize, each: &dyn Fn(usize) -> String| -> String { (0..count).map(each).collect() };
    let texts = [
        many(8_000, &|i| format!("block A{i} {{ ReLU; }} "))
            + "model Net { input(3); "
            + &many(8_000, &|i| format!("B{i}; "))
            + "}",
        many(8_000, &|i| format!("block A{i} {{ B{i}; }} ")) + "model Net { input(3); ReLU; }",
        many(20_000, &|i| format!("model A{i}{{}} ")),
        format!(
            "block Wide({}) {{ repeat 0 {{ ReLU; }} }} \
             model Net {{ input(3); repeat 1_000_000 {{ Wide; }} ReLU; }}",
            many(5_000, &|i| format!("p{i} = 1, "))
        ),
    ];
    for text in texts {
        let start = std::time::Instant::now();
        let mistakes = cnn_dsl::compile(&text).unwrap_err();
        let said: usize = mistakes.iter().map(|mistake| mistake.plain().len()).sum();
        assert!(said < 100_000, "{said} bytes");
        assert!(start.elapsed().as_secs() < 20, "{}", mistakes[0].message);
    }
}
