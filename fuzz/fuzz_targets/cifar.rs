//! Any bytes, and any first bytes of records, are batches of CIFAR or an error that names the
//! file.

#![no_main]

mod file;

use cnn_runtime::data::cifar100::Labels;
use cnn_runtime::data::{cifar10, cifar100};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let check = |bytes: &[u8]| {
        file::with(bytes, |path| {
            match cifar10::read_batches(&[path]) {
                Ok(set) => assert!(set.labels().iter().all(|&label| label < 10)),
                Err(error) => assert!(error.to_string().starts_with(&path.display().to_string())),
            }
            if let Ok(batch) = cifar100::read_batch(path) {
                assert!(batch.coarse.iter().all(|&label| label < 20));
                assert!(batch.into_dataset(Labels::Fine).labels().iter().all(|&label| label < 100));
            }
        });
    };
    check(bytes);
    // Records are long: the fuzzer chooses how each one starts, and how many bytes are left over.
    let records = bytes.chunks_exact(3).flat_map(|start| {
        let length = if start[0] & 1 == 0 { 3073 } else { 3074 };
        let mut record = start[1..].to_vec();
        record.resize(length, start[0]);
        record
    });
    let mut records: Vec<u8> = records.take(100_000).collect();
    records.extend(bytes.chunks_exact(3).remainder());
    check(&records);
});
