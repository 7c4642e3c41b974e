//! Compiles every text of a folder that the test fills.

use std::fs;

fn main() {
    let mut paths: Vec<_> =
        fs::read_dir("specs").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let specs = paths.into_iter().fold(cnn_dsl::build::Builder::new(), |all, path| all.spec(path));
    specs.compile();
}
