//! Any bytes are an array of NumPy's or an error that names the file.

#![no_main]

mod file;

use cnn_runtime::data::npy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    file::with(bytes, |path| {
        let _ = npy::read_bytes(path);
        let _ = npy::read_floats(path);
        let _ = npy::read_dataset(path, path);
        if let Err(error) = npy::read_labels(path) {
            assert!(error.to_string().starts_with(&path.display().to_string()));
        }
    });
});
