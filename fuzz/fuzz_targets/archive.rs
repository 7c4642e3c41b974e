//! Any bytes are an archive, of which nothing is written outside its folder, or an error.

#![no_main]

mod file;

use std::fs;
use std::io::Write;
use std::path::Path;

use cnn_runtime::data::download::unpack;
use flate2::{Compression, write::GzEncoder};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    file::with(bytes, check);
    // What the fuzzer says inside, rather than around, the compression.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes).expect("memory");
    file::with(&encoder.finish().expect("memory"), check);
});

fn check(path: &Path) {
    let parent = path.with_extension("place");
    let folder = parent.join("set");
    fs::create_dir_all(&parent).expect("a temporary folder can be made");
    match unpack(path, &folder) {
        Ok(()) => fs::remove_dir_all(&folder).expect("the folder is there"),
        Err(_) => assert!(!folder.exists()),
    }
    // Nothing is left beside it.
    fs::remove_dir(&parent).expect("the place is empty");
}
