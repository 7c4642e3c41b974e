//! CIFAR-10: 32 x 32 colour images of ten classes, in the "binary version" of its files.
//!
//! A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
//! <https://www.cs.toronto.edu/~kriz/cifar.html>. The set carries no licence and does not ship with
//! this crate.

use std::path::Path;

use super::cifar::Format;
use super::file::find;
use super::{DataError, Dataset};

/// What the classes 0 to 9 show, as `batches.meta.txt` has it.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The folder inside the archive that the set comes in.
pub const FOLDER: &str = "cifar-10-batches-bin";

const FORMAT: Format<1> = Format {
    name: "CIFAR-10",
    labels: [("CIFAR-10 label", 9)],
    other: "; by its length it may be a file of CIFAR-100",
    other_record: 3074,
};

/// The training and the test set, with class names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cifar10 {
    /// 50,000 samples in the full set.
    pub train: Dataset,
    /// 10,000 samples in the full set.
    pub test: Dataset,
}

/// Loads `data_batch_1.bin` to `data_batch_5.bin`, in this order, and `test_batch.bin` from `dir` or
/// its subfolder `cifar-10-batches-bin`. Images have the shape (samples, 32, 32, 3).
///
/// # Errors
/// If a file is missing, is not a whole number of records, or has a label above 9.
pub fn load(dir: impl AsRef<Path>) -> Result<Cifar10, DataError> {
    let dir = dir.as_ref();
    let batches = (1..=5).map(|batch| find(dir, FOLDER, &format!("data_batch_{batch}.bin")));
    let (train, test) =
        (batches.collect::<Result<Vec<_>, _>>()?, find(dir, FOLDER, "test_batch.bin")?);
    Ok(Cifar10 { train: read_batches(&train)?, test: read_batches(&[test])? })
}

/// Reads files of batches, one after the other.
///
/// # Errors
/// If a file cannot be read, is not a whole number of records, or has a label above 9.
pub fn read_batches<P: AsRef<Path>>(paths: &[P]) -> Result<Dataset, DataError> {
    let (images, [labels]) = FORMAT.read(paths)?.into_arrays();
    let set = Dataset::new(images, labels).expect("a record has one label");
    Ok(set.with_class_names(CLASS_NAMES))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::cifar::tests::record;
    use super::*;

    #[test]
    fn planes_become_channels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data_batch_1.bin");
        fs::write(&path, [record(&[6], 10), record(&[9], 20)].concat()).unwrap();
        let set = read_batches(&[&path, &path]).unwrap();
        assert_eq!(set.images().dim(), (4, 32, 32, 3));
        assert_eq!(set.labels().to_vec(), [6, 9, 6, 9]);
        assert_eq!(set.class_name(6), Some("frog"));
        for (n, image) in set.images().outer_iter().enumerate() {
            let first = if n % 2 == 0 { 10 } else { 20 };
            for ((row, column, channel), &value) in image.indexed_iter() {
                let odd = (row, column, channel) == (1, 2, 0);
                assert_eq!(value, if odd { 200 } else { first + channel as u8 });
            }
        }
    }

    #[test]
    fn the_folder_or_its_parent_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        for batch in 1..=5 {
            let path = folder.join(format!("data_batch_{batch}.bin"));
            fs::write(path, record(&[batch], batch)).unwrap();
        }
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with("no test_batch.bin found: tried "), "{error}");
        fs::write(folder.join("test_batch.bin"), record(&[7], 7)).unwrap();
        let set = load(dir.path()).unwrap();
        assert_eq!(set, load(&folder).unwrap());
        assert_eq!(set.train.labels().to_vec(), [1, 2, 3, 4, 5]);
        assert_eq!(set.test.labels().to_vec(), [7]);

        let file = folder.join("test_batch.bin");
        let error = load(&file).unwrap_err().to_string();
        assert_eq!(error, format!("{}: is a file, not a directory", file.display()));
    }
}
