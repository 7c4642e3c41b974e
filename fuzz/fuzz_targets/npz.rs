//! Any bytes are an archive of arrays or an error that names the file.

#![no_main]

mod file;

use cnn_runtime::data::npy::Npz;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    file::with(bytes, |path| match Npz::open(path) {
        Ok(mut npz) => {
            for name in npz.names().into_iter().take(10) {
                let _ = npz.read_bytes(&name);
                let _ = npz.read_floats(&name);
                let _ = npz.read_dataset(&name, &name);
            }
        }
        Err(error) => assert!(error.to_string().starts_with(&path.display().to_string())),
    });
});
