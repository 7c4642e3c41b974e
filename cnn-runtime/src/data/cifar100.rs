//! CIFAR-100: 32 x 32 colour images of 100 fine classes in 20 coarse ones, in the "binary version"
//! of its files.
//!
//! A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
//! <https://www.cs.toronto.edu/~kriz/cifar.html>. The set carries no licence and does not ship with
//! this crate.

use std::path::Path;

use ndarray::{Array1, Array4};

use super::cifar::Format;
use super::error::FileProblem;
use super::file::{find, read_whole};
use super::{DataError, Dataset};

/// The folder inside the archive that the set comes in.
pub const FOLDER: &str = "cifar-100-binary";

const FORMAT: Format<2> = Format {
    name: "CIFAR-100",
    labels: [("CIFAR-100 coarse label", 19), ("CIFAR-100 fine label", 99)],
    other: "; by its length it may be a file of CIFAR-10",
    other_record: 3073,
};

/// Which of its two labels is an image's class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// One of 100, such as `maple_tree`.
    #[default]
    Fine,
    /// One of 20, such as `trees`.
    Coarse,
}

/// Images with both labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Of shape (samples, 32, 32, 3).
    pub images: Array4<u8>,
    /// 0 to 19 for each image.
    pub coarse: Array1<u32>,
    /// 0 to 99 for each image.
    pub fine: Array1<u32>,
}

/// The training and the test set, with class names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cifar100 {
    /// 50,000 samples in the full set.
    pub train: Dataset,
    /// 10,000 samples in the full set.
    pub test: Dataset,
}

/// Loads `train.bin`, `test.bin` and the names of the classes (`fine_label_names.txt` or
/// `coarse_label_names.txt`) from `dir` or its subfolder `cifar-100-binary`.
///
/// # Errors
/// If a file is missing, is not a whole number of records, or has a label out of range; if there are
/// not 100 names of fine or 20 of coarse classes.
pub fn load(dir: impl AsRef<Path>, labels: Labels) -> Result<Cifar100, DataError> {
    let dir = dir.as_ref();
    let (names, count) = match labels {
        Labels::Fine => ("fine_label_names.txt", 100),
        Labels::Coarse => ("coarse_label_names.txt", 20),
    };
    let names = read_names(&find(dir, FOLDER, names)?, count)?;
    let (train, test) = (find(dir, FOLDER, "train.bin")?, find(dir, FOLDER, "test.bin")?);
    let set = |path| -> Result<Dataset, DataError> {
        Ok(read_batch(path)?.into_dataset(labels).with_class_names(names.clone()))
    };
    Ok(Cifar100 { train: set(train)?, test: set(test)? })
}

/// Reads a file of records, each with a coarse label, a fine label and an image.
///
/// # Errors
/// If the file cannot be read, is not a whole number of records, or has a label out of range.
pub fn read_batch(path: impl AsRef<Path>) -> Result<Batch, DataError> {
    let (images, [coarse, fine]) = FORMAT.read(&[path])?.into_arrays();
    Ok(Batch { images, coarse, fine })
}

impl Batch {
    /// The images with one of their labels as class.
    #[must_use]
    pub fn into_dataset(self, labels: Labels) -> Dataset {
        let classes = match labels {
            Labels::Fine => self.fine,
            Labels::Coarse => self.coarse,
        };
        Dataset::new(self.images, classes).expect("a record has one label of each kind")
    }
}

/// One name a line; blank lines do not count.
fn read_names(path: &Path, expected: usize) -> Result<Vec<String>, DataError> {
    let bytes = read_whole(path).map_err(|problem| problem.at(path))?;
    let text = String::from_utf8_lossy(&bytes);
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.len() != expected {
        return Err(FileProblem::Names { expected, found: names.len() }.at(path));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::cifar::tests::record;
    use super::*;

    #[test]
    fn names_and_labels_of_both_kinds() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        let names = |what: &str, n: usize| -> String {
            (0..n).map(|i| format!("{what}{i}\n")).chain(["\n".to_owned()]).collect()
        };
        write("train.bin", &[record(&[4, 72], 10), record(&[19, 99], 20)].concat());
        write("test.bin", &record(&[0, 1], 30));
        write("fine_label_names.txt", names("f", 99).as_bytes());
        write("coarse_label_names.txt", names("c", 20).as_bytes());
        let error = load(dir.path(), Labels::Fine).unwrap_err().to_string();
        assert!(error.ends_with(": 100 class names expected, one a line, 99 found"), "{error}");
        write("fine_label_names.txt", names("f", 100).as_bytes());

        let fine = load(dir.path(), Labels::Fine).unwrap();
        assert_eq!(fine.train.labels().to_vec(), [72, 99]);
        assert_eq!(fine.train.class_name(72), Some("f72"));
        assert_eq!(fine.test.images()[[0, 1, 2, 0]], 200);
        let coarse = load(dir.path(), Labels::Coarse).unwrap();
        assert_eq!(coarse.train.labels().to_vec(), [4, 19]);
        assert_eq!(coarse.test.class_names().len(), 20);
        assert_eq!(coarse.train.images(), fine.train.images());
    }
}
