//! The program as its users call it.

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

#[test]
fn check_reports_every_file() {
    let good = cnn(&["check", "mnist_cnn.cnn", "mnist_mlp.cnn"]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(
        stdout(&good),
        "mnist_cnn.cnn: ok, mnist_cnn (220,234 parameters)\n\
         mnist_mlp.cnn: ok, mnist_mlp (669,706 parameters)\n"
    );

    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("net v1.cnn");
    std::fs::write(&bad, "model Net {\n    input(784);\n    Dence(10);\n    Dense(-1);\n}\n")
        .unwrap();
    let bad = cnn(&["check", bad.to_str().unwrap(), "mnist_cnn.cnn", "nowhere.cnn"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stdout(&bad).starts_with("mnist_cnn.cnn: ok"));
    let errors = stderr(&bad);
    assert!(errors.contains("net v1.cnn:3:5"), "{errors}");
    assert!(errors.contains("did you mean `Dense`?"), "{errors}");
    assert!(errors.contains("net v1.cnn:4:11"), "{errors}");
    assert!(errors.contains("no file `nowhere.cnn`"), "{errors}");
    assert!(!errors.contains('\x1b'), "colours only on a terminal");
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

#[test]
fn emit_prints_rust() {
    let emitted = cnn(&["emit", "mnist_cnn.cnn"]);
    assert_eq!(emitted.status.code(), Some(0));
    assert!(stdout(&emitted).contains("pub struct MnistCnn"));
}

#[test]
fn wrong_usage_is_2() {
    assert_eq!(cnn(&["summarise"]).status.code(), Some(2));
    assert_eq!(cnn(&["check"]).status.code(), Some(2));
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
