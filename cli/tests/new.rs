//! `cnn new` makes a crate that builds, and passes its test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Shared with the other tests that build users' crates: their dependencies are built once.
const SHARED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/user-crates");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn new(folder: &Path, args: &[&str]) -> Output {
    let cnn = env!("CARGO_BIN_EXE_cnn");
    Command::new(cnn).current_dir(folder).arg("new").args(args).output().unwrap()
}

fn cargo(folder: &Path, args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", Path::new(SHARED).join("target"))
        .env("CARGO_TERM_COLOR", "never")
        .env("INSTA_UPDATE", "no")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "cargo {args:?}:\n{said}");
    text(&output.stdout)
}

#[test]
fn a_new_crate_builds_and_passes_its_test() {
    let parent = Path::new(SHARED).join("new");
    if parent.exists() {
        fs::remove_dir_all(&parent).unwrap();
    }
    fs::create_dir_all(&parent).unwrap();
    let repository = repository();
    let made = new(&parent, &["digits-net", "--path", repository.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let folder = parent.join("digits-net");
    // The versions that the workspace was built with, so that nothing is downloaded.
    fs::copy(repository.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let tested = cargo(&folder, &["test", "--offline"]);
    assert!(tested.contains("tests::summary ... ok"), "{tested}");
    // What is there is not touched.
    let before = fs::read_to_string(folder.join("src/main.rs")).unwrap();
    let again = new(&parent, &["digits-net"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("`digits-net` is already there"));
    assert_eq!(fs::read_to_string(folder.join("src/main.rs")).unwrap(), before);
}

#[test]
fn wrong_names_and_places_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["my net"][..], "`my net` cannot name a crate: ` ` is no letter"),
        (&["fn"], "`fn` cannot name a crate: `fn` is a Rust keyword"),
        (&["net", "--path", "nowhere"], "cannot use `nowhere`"),
        (&["net", "--path", "."], "no `cnn-runtime` in `.`"),
    ] {
        let output = new(folder.path(), args);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    // Without a path, by version.
    assert!(new(folder.path(), &["net"]).status.success());
    let manifest = fs::read_to_string(folder.path().join("net/Cargo.toml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(manifest.contains(&format!("cnn-runtime = \"{version}\"")), "{manifest}");
    assert!(manifest.contains(&format!("cnn-dsl = \"{version}\"")), "{manifest}");
}
