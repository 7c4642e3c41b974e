//! The entry for build scripts.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cnn_dsl::build::Builder;

/// An empty folder for one test.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn specs_become_modules_named_after_their_file() {
    let folder = folder("my models");
    let spec = folder.join("net v1.cnn");
    fs::write(&spec, "model Net { input(784); Dense(10); }").unwrap();
    let builder = Builder::new().spec(&spec).out_dir(&folder).runtime("::renamed");
    let written = builder.try_compile().unwrap();
    assert_eq!(written, [folder.join("net_v1.rs")]);
    let code = fs::read_to_string(&written[0]).unwrap();
    assert!(code.contains("pub struct Net"), "{code}");
    assert!(code.contains("::renamed") && !code.contains("cnn_runtime"), "{code}");
}

#[test]
fn unchanged_output_keeps_its_time() {
    let folder = folder("unchanged");
    let spec = folder.join("net.cnn");
    fs::write(&spec, "model Net { input(784); Dense(10); }").unwrap();
    let builder = Builder::new().spec(&spec).out_dir(&folder);
    let written = builder.try_compile().unwrap().remove(0);
    let past = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&written).unwrap().set_modified(past).unwrap();
    let before = fs::metadata(&written).unwrap().modified().unwrap();

    builder.try_compile().unwrap();
    assert_eq!(fs::metadata(&written).unwrap().modified().unwrap(), before);

    fs::write(&spec, "model Net { input(784); Dense(12); }").unwrap();
    builder.try_compile().unwrap();
    assert_ne!(fs::metadata(&written).unwrap().modified().unwrap(), before);
}

#[test]
fn relative_paths_start_at_the_package() {
    let folder = folder("relative");
    let written = Builder::new().spec("../specs/mnist_cnn.cnn").out_dir(&folder).try_compile();
    assert_eq!(written.unwrap(), [folder.join("mnist_cnn.rs")]);
}

#[test]
fn all_files_are_reported() {
    let folder = folder("mistakes");
    let text = "model Net {\n    input(784);\n    Dense(-10);\n}\n";
    fs::write(folder.join("a.cnn"), text).unwrap();
    fs::write(folder.join("b.cnn"), [b'm', b'\n', 0xff]).unwrap();
    let error = Builder::new()
        .spec(folder.join("a.cnn"))
        .spec(folder.join("b.cnn"))
        .spec(folder.join("none.cnn"))
        .spec(&folder)
        .out_dir(&folder)
        .try_compile()
        .unwrap_err()
        .to_string();
    assert!(error.contains("a.cnn:3:11"), "{error}");
    assert!(error.contains("b.cnn` is not UTF-8: line 2"), "{error}");
    let missing = folder.join("none.cnn");
    assert!(error.contains(&format!("no file `{}`", missing.display())), "{error}");
    assert!(error.contains("is a directory"), "{error}");
}

#[test]
fn two_files_cannot_share_an_output() {
    let folder = folder("clash");
    for name in ["a b.cnn", "a_b.cnn"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let error = Builder::new()
        .spec(folder.join("a b.cnn"))
        .spec(folder.join("a_b.cnn"))
        .out_dir(&folder)
        .try_compile()
        .unwrap_err();
    assert!(error.to_string().contains("would both be written to `a_b.rs`"), "{error}");
}

#[test]
fn a_runtime_that_is_no_path_is_an_error() {
    let folder = folder("runtime");
    let builder = Builder::new().spec("../specs/mnist_cnn.cnn").out_dir(&folder).runtime("a b");
    assert!(builder.try_compile().unwrap_err().to_string().contains("`a b` is not a path"));
}
