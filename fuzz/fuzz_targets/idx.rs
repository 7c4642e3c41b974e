//! Any bytes are IDX images or labels, or an error that names the file.

#![no_main]

mod file;

use cnn_runtime::data::idx;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    file::with(bytes, |path| {
        if let Ok(images) = idx::read_images(path) {
            assert_eq!(images.shape()[3], 1);
        }
        if let Err(error) = idx::read_labels(path) {
            assert!(error.to_string().starts_with(&path.display().to_string()));
        }
    });
});
