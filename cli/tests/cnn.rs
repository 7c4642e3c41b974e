//! The program as its users call it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn cnn(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cnn")).current_dir(specs()).args(args).output().unwrap()
}

fn specs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A folder with a file of two mistakes, one behind a character of two bytes.
fn folder_with_mistakes() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net v1.cnn");
    let text = "model Net {\n    input(784);\n    /* é */ Dence(10);\n    a: Dense(1);\n    a: Dense(2);\n}\n";
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn check_reports_every_file() {
    let good = cnn(&["check", "mnist_cnn.cnn", "mnist_mlp.cnn"]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(
        stdout(&good),
        "mnist_cnn.cnn: ok, mnist_cnn (220,234 parameters)\n\
         mnist_mlp.cnn: ok, mnist_mlp (669,706 parameters)\n"
    );

    let (_folder, path) = folder_with_mistakes();
    let bad = cnn(&["check", path.to_str().unwrap(), "mnist_cnn.cnn"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stdout(&bad).starts_with("mnist_cnn.cnn: ok"));
    let errors = stderr(&bad).replace(path.to_str().unwrap(), "net v1.cnn");
    assert!(!errors.contains('\x1b'), "colours only on a terminal");
    insta::assert_snapshot!("check_human", errors);
}

#[test]
fn check_searches_folders() {
    let folder = tempfile::tempdir().unwrap();
    let good = "model Net { input(2); Dense(2); }";
    for name in ["b.cnn", "a/z.cnn", "a/text.txt", ".hidden/bad.cnn", "target/bad.cnn"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, if path.ends_with("bad.cnn") { "bad" } else { good }).unwrap();
    }
    let checked = cnn(&["check", folder.path().to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    let lines: Vec<&str> = stdout(&checked).lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("z.cnn: ok") && lines[1].contains("b.cnn: ok"), "{lines:?}");
    let empty = tempfile::tempdir().unwrap();
    let nothing = cnn(&["check", empty.path().to_str().unwrap()]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("no .cnn file in the folder"), "{}", stderr(&nothing));
}

#[test]
fn check_speaks_to_editors() {
    let (_folder, path) = folder_with_mistakes();
    let bad = cnn(&["check", "--format", "json", path.to_str().unwrap(), "mnist_cnn.cnn"]);
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(stderr(&bad), "");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut shown = String::new();
    for line in stdout(&bad).lines() {
        let mut object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["file"], path.to_str().unwrap());
        object["file"] = "net v1.cnn".into();
        let label = &object["labels"][0];
        let offset = |end: &str| usize::try_from(label[end]["offset"].as_u64().unwrap()).unwrap();
        assert!(["Dence", "a"].contains(&&text[offset("start")..offset("end")]));
        let _ = writeln!(shown, "{object:#}");
    }
    insta::assert_snapshot!("check_json", shown);

    let unreadable = cnn(&["check", "--format", "json", "nowhere.cnn"]);
    assert_eq!(unreadable.status.code(), Some(2));
    let object: serde_json::Value = serde_json::from_str(stdout(&unreadable)).unwrap();
    assert_eq!(object["message"], "no file `nowhere.cnn`");
    assert_eq!(cnn(&["check", "--format", "json", "mnist_cnn.cnn"]).stdout, b"");
}

/// Warnings are told and change no exit code; a mistake in a file that another uses is of that file.
#[test]
fn check_tells_warnings_and_used_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let odd = write("odd.cnn", "model Odd { input(7, 7, 1); MaxPooling2D(2); }");
    let human = cnn(&["check", &odd]);
    assert_eq!(human.status.code(), Some(0));
    assert!(stderr(&human).starts_with("warning: "), "{}", stderr(&human));
    assert!(stdout(&human).contains("odd.cnn: ok"), "{}", stdout(&human));
    let json = cnn(&["check", "--format", "json", &odd]);
    let object: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    assert_eq!((json.status.code(), &object["severity"]), (Some(0), &"warning".into()));

    let parts = write("parts.cnn", "block Part() { Dence(3); }");
    let net = write("net.cnn", "use \"parts.cnn\"; model Net { input(4); Part; }");
    let json = cnn(&["check", "--format", "json", &net]);
    assert_eq!(json.status.code(), Some(1));
    let object: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    assert_eq!(object["file"], parts);
    assert_eq!(object["labels"][1]["file"], net, "where it is used: {object:#}");
}

#[test]
fn unreadable_files_are_2_whatever_else_is_wrong() {
    let (folder, path) = folder_with_mistakes();
    let bad = path.to_str().unwrap();
    for files in [["nowhere.cnn", bad], [bad, "nowhere.cnn"]] {
        let output = cnn(&[&["check"], &files[..]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("error: no file `nowhere.cnn`"));
        assert!(stderr(&output).contains("did you mean `Dense`?"));
    }
    for command in ["summary", "emit"] {
        assert_eq!(cnn(&[command, "nowhere.cnn"]).status.code(), Some(2));
        assert_eq!(cnn(&[command, bad]).status.code(), Some(1));
        assert_eq!(cnn(&[command, folder.path().to_str().unwrap()]).status.code(), Some(2));
    }
}

#[test]
fn summary_prints_the_table() {
    let summary = cnn(&["summary", "mnist_cnn.cnn"]);
    assert_eq!(summary.status.code(), Some(0));
    assert!(stdout(&summary).starts_with("Model: \"mnist_cnn\"\n┏━"));
    assert!(stdout(&summary).contains("\n Total params: 220,234 (860.29 KB)\n"));
}

#[test]
fn summary_prints_json() {
    let summary = cnn(&["summary", "mnist_cnn.cnn", "--format", "json"]);
    assert_eq!(summary.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_str(stdout(&summary)).unwrap();
    assert_eq!(json["model"], "mnist_cnn");
    assert_eq!(json["total_params"], 220_234);
    assert_eq!(json["trainable_params"], 220_234);
    assert_eq!(json["non_trainable_params"], 0);
    assert_eq!(json["layers"].as_array().unwrap().len(), 7);
    assert_eq!(
        json["layers"][2],
        serde_json::json!({
            "name": "conv2d_1", "type": "Conv2D", "output_shape": [14, 14, 64],
            "params": 18_496, "macs": 14 * 14 * 9 * 32 * 64,
            "receptive_field": { "size": [8, 8], "jump": [2, 2], "start": [-3, -3] },
        })
    );
    let macs =
        json["layers"].as_array().unwrap().iter().map(|layer| layer["macs"].as_u64().unwrap());
    assert_eq!(json["macs"], macs.sum::<u64>());
    // f32 weights, perhaps with padding between arrays.
    assert!(json["weights_bytes"].as_u64().unwrap() >= 220_234 * 4);
    assert!(json["inference_bytes"].as_u64().unwrap() > 0);
    assert!(json["training_bytes"].as_u64() > json["inference_bytes"].as_u64());
}

/// Two models in one file, and names to choose by.
#[test]
fn summary_chooses_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.cnn");
    let text = "model LeNet { input(4); Dense(2); } model Other { input(3); Dense(1); }";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(stdout(&cnn(&["summary", path])).matches("Model: ").count(), 2);
    for name in ["Other", "other"] {
        let one = cnn(&["summary", path, "--model", name]);
        assert!(stdout(&one).starts_with("Model: \"other\""), "{}", stderr(&one));
        assert_eq!(stdout(&one).matches("Model: ").count(), 1);
    }
    let none = cnn(&["summary", path, "--model", "LeNe"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("did you mean `LeNet`?"), "{}", stderr(&none));
}

#[test]
fn explain_puts_the_numbers_in() {
    let explained = cnn(&["explain", "mnist_cnn.cnn"]);
    assert_eq!(explained.status.code(), Some(0));
    for part in [
        "floor((28 + 2·1 - 3) / 1) + 1 = 28; padding = same",
        "(3·3·32 + 1)·64 = 18,496",
        "8x8, neighbours 2 apart, the first from row -3, column -3",
        "Dense: (14·14·32 + 1)·14·14·64 = 78,688,512",
        "LocallyConnected2D: 14·14·(3·3·32 + 1)·64 = 3,625,216",
    ] {
        assert!(stdout(&explained).contains(part), "{part}\n{}", stdout(&explained));
    }
    assert_eq!(cnn(&["explain", "mnist_cnn.cnn", "--model", "other"]).status.code(), Some(2));
    assert_eq!(cnn(&["explain", "nowhere.cnn"]).status.code(), Some(2));
}

#[test]
fn summary_draws() {
    for format in ["dot", "mermaid"] {
        let drawn = cnn(&["summary", "mnist_cnn.cnn", "--format", format]);
        assert_eq!(drawn.status.code(), Some(0));
        insta::assert_snapshot!(format!("summary_{format}"), stdout(&drawn));
    }
}

#[test]
fn emit_prints_rust() {
    let emitted = cnn(&["emit", "mnist_cnn.cnn"]);
    assert_eq!(emitted.status.code(), Some(0));
    assert!(stdout(&emitted).contains("pub struct MnistCnn"));
}

#[test]
fn emit_writes_and_finds_drift() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.rs");
    let out = path.to_str().unwrap();
    let check = || cnn(&["emit", "mnist_cnn.cnn", "--check", out]);
    assert_eq!(check().status.code(), Some(2), "there is nothing to compare with");

    let written = cnn(&["emit", "mnist_cnn.cnn", "-o", out]);
    assert_eq!((written.status.code(), stdout(&written)), (Some(0), ""));
    let code = std::fs::read_to_string(&path).unwrap();
    assert_eq!(code, stdout(&cnn(&["emit", "mnist_cnn.cnn"])));
    assert_eq!(check().status.code(), Some(0), "{}", stderr(&check()));

    std::fs::write(&path, code.replacen("PARAMS: usize = ", "PARAMS: usize = 1 + ", 1)).unwrap();
    let drift = check();
    assert_eq!(drift.status.code(), Some(1));
    let line = code.lines().position(|line| line.contains("PARAMS: usize = ")).unwrap() + 1;
    let shown = stderr(&drift).replace(&format!("{out}:{line}\n"), "net.rs:LINE\n");
    insta::assert_snapshot!("emit_drift", shown.replace(out, "net.rs"));
    std::fs::write(&path, code.trim_end()).unwrap();
    assert_eq!(check().status.code(), Some(1), "{}", stderr(&check()));
    assert_eq!(cnn(&["emit", "mnist_cnn.cnn", "-o", out, "--check", out]).status.code(), Some(2));
}

/// Standard input in, and what comes of it.
fn cnn_of(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cnn"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn fmt_formats_in_place() {
    const ROUGH: &str = "model Net{input(4); // four\nDense(2,activation=relu);}";
    const NEAT: &str = "model Net {\n    input(4); // four\n    Dense(2, activation = relu);\n}\n";
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let (rough, neat) = (write("rough.cnn", ROUGH), write("neat.cnn", NEAT));
    let broken = write("wrong.cnn", "model Net { input(4) }");
    let all = folder.path().to_str().unwrap();

    let checked = cnn(&["fmt", "--check", all]);
    assert_eq!(checked.status.code(), Some(1));
    insta::assert_snapshot!("fmt_check", stderr(&checked).replace(all, "folder"));
    assert_eq!((read(&rough), stdout(&checked)), (ROUGH.to_owned(), ""));

    // What is wrong is left alone, and keeps nobody from formatting the rest.
    let formatted = cnn(&["fmt", all]);
    assert_eq!(formatted.status.code(), Some(1));
    assert!(stderr(&formatted).contains("wrong.cnn:1:"), "{}", stderr(&formatted));
    assert_eq!((read(&rough), read(&neat)), (NEAT.to_owned(), NEAT.to_owned()));
    assert_eq!(read(&broken), "model Net { input(4) }");
    let again = cnn(&["fmt", "--check", rough.to_str().unwrap(), neat.to_str().unwrap()]);
    assert_eq!((again.status.code(), stderr(&again)), (Some(0), ""));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");

    let piped = cnn_of(&["fmt", "-"], ROUGH);
    assert_eq!((piped.status.code(), stdout(&piped)), (Some(0), NEAT));
    assert_eq!(cnn_of(&["fmt", "-", "--check"], ROUGH).status.code(), Some(1));
    assert_eq!(cnn_of(&["fmt", "-", "--check"], NEAT).status.code(), Some(0));
    assert!(stderr(&cnn_of(&["fmt", "-"], "model")).contains("<stdin>:1:6"));
    assert_eq!(cnn(&["fmt", "nowhere.cnn"]).status.code(), Some(2));
}

/// Formatting changes what a file says, not who may read it, nor where it lies.
#[cfg(unix)]
#[test]
fn fmt_keeps_links_and_permissions() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("net.cnn"), folder.path().join("link.cnn"));
    std::fs::write(&path, "model   Net {}").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("net.cnn", &link).unwrap();
    assert_eq!(cnn(&["fmt", link.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "model Net {}\n");
    assert!(link.is_symlink());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn compare_goes_layer_by_layer() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let before = write(
        "before.cnn",
        "model Net { input(28, 28, 1); Conv2D(8, 3, activation = relu); Dropout(0.2);
         MaxPooling2D; wide: Conv2D(16, 3); Flatten; Dense(64); out: Dense(10, softmax); }",
    );
    let after = write(
        "after.cnn",
        "model Net { input(28, 28, 1); Conv2D(8, 3, activation = gelu); MaxPooling2D;
         Flatten; Dense(32); Dropout(0.5); head: Dense(10, softmax); }",
    );
    let table = cnn(&["compare", &before, &after]);
    assert_eq!(table.status.code(), Some(0), "{}", stderr(&table));
    let all = folder.path().to_str().unwrap();
    // Memory changes with what is planned; below it is compared with the summaries.
    let shown: Vec<&str> =
        stdout(&table).lines().filter(|line| !line.contains(" bytes ")).collect();
    insta::assert_snapshot!("compare_table", shown.join("\n").replace(&format!("{all}/"), ""));

    let json = cnn(&["compare", &before, &after, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    let model = &json["models"][0];
    let summary = |path: &str| -> serde_json::Value {
        serde_json::from_str(stdout(&cnn(&["summary", path, "--format", "json"]))).unwrap()
    };
    for (side, path) in [("before", &before), ("after", &after)] {
        let summary = summary(path);
        let totals = &model["totals"];
        assert_eq!(totals["params"][side], summary["total_params"]);
        for key in ["macs", "weights_bytes", "inference_bytes", "training_bytes"] {
            assert_eq!(totals[key][side], summary[key], "{key}");
        }
        // Every layer is in exactly one row.
        let rows = model["layers"].as_array().unwrap();
        let mut names: Vec<&serde_json::Value> =
            rows.iter().filter_map(|row| row[side].get("name")).collect();
        let mut expected: Vec<&serde_json::Value> =
            summary["layers"].as_array().unwrap().iter().map(|layer| &layer["name"]).collect();
        names.sort_by_key(ToString::to_string);
        expected.sort_by_key(ToString::to_string);
        assert_eq!(names, expected);
    }

    let same = cnn(&["compare", &before, &before]);
    assert!(!stdout(&same).contains(['~', '+', '→']), "{}", stdout(&same));
    assert_eq!(cnn(&["compare", &before, "nowhere.cnn"]).status.code(), Some(2));
    let two = write("two.cnn", "model A { input(2); Dense(1); } model Net { input(2); Dense(1); }");
    let pair = cnn(&["compare", &two, &before]);
    assert!(stdout(&pair).contains("two.cnn: a\n"), "{}", stdout(&pair));
    let other = write("b.cnn", "model A { input(2); Dense(1); } model B { input(2); Dense(1); }");
    assert_eq!(cnn(&["compare", &other, &before]).status.code(), Some(2));
}

/// Each command has its section in the documents.
#[test]
fn commands_are_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let page = std::fs::read_to_string(page).unwrap();
    let help = cnn(&["help"]);
    let commands = stdout(&help).split("Commands:").nth(1).unwrap();
    let commands = commands.split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("\n## cnn {name}\n")), "{name}");
        let help = cnn(&[name, "--help"]);
        let words = stdout(&help).split(|c: char| !(c.is_alphanumeric() || c == '-'));
        for flag in words.filter(|word| word.starts_with("--") && *word != "--help") {
            assert!(page.contains(flag), "`cnn {name} {flag}`");
        }
    }
}

#[test]
fn wrong_usage_is_2() {
    assert_eq!(cnn(&["summarise"]).status.code(), Some(2));
    assert_eq!(cnn(&["check"]).status.code(), Some(2));
    let error = cnn(&["summary", "--formt", "json", "specs"]);
    assert!(stderr(&error).contains("'--format'"), "{}", stderr(&error));
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cnn"))
        .current_dir(specs())
        .args(["emit", "mnist_cnn.cnn"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}
