//! MNIST and the sets that share its files: 28 x 28 grey images in four IDX files.

use std::path::Path;

use super::error::{DataError, full_path};
use super::file::find;
use super::{Dataset, idx};

/// The training and the test set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mnist {
    /// 60,000 samples in the full set.
    pub train: Dataset,
    /// 10,000 samples in the full set.
    pub test: Dataset,
}

/// Loads the four files of MNIST, Fashion-MNIST or another set of the same layout from `dir` or its
/// subfolder `mnist`. Each may be compressed by gzip, with or without `.gz` in its name.
///
/// # Errors
/// If a file is missing or damaged, or the numbers of images and labels differ.
pub fn load(dir: impl AsRef<Path>) -> Result<Mnist, DataError> {
    let dir = dir.as_ref();
    Ok(Mnist {
        train: load_pair(
            &find(dir, "mnist", "train-images-idx3-ubyte")?,
            &find(dir, "mnist", "train-labels-idx1-ubyte")?,
        )?,
        test: load_pair(
            &find(dir, "mnist", "t10k-images-idx3-ubyte")?,
            &find(dir, "mnist", "t10k-labels-idx1-ubyte")?,
        )?,
    })
}

/// Loads one file of images and the file of their labels.
///
/// # Errors
/// If a file is missing or damaged, or the numbers of images and labels differ.
pub fn load_pair(images_path: &Path, labels_path: &Path) -> Result<Dataset, DataError> {
    let images = idx::read_images(images_path)?;
    let labels = idx::read_labels(labels_path)?;
    let counts = (images.shape()[0], labels.len());
    Dataset::new(images, labels.mapv(u32::from)).map_err(|_| DataError::CountMismatch {
        images_path: full_path(images_path),
        images: counts.0,
        labels_path: full_path(labels_path),
        labels: counts.1,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const IMAGES: [u8; 28] =
        [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    const LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4];

    /// zxzhijia/Brian2STDPMNIST#19, anujdutt9/Handwritten-Digit-Recognition-using-Deep-Learning#15.
    #[test]
    fn images_and_labels_of_different_sets_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (images, labels) = (dir.path().join("images"), dir.path().join("labels"));
        fs::write(&images, IMAGES).unwrap();
        fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 2, 5, 0]).unwrap();
        assert_eq!(
            load_pair(&images, &labels).unwrap_err().to_string(),
            format!(
                "{} holds 3 images and {} holds 2 labels: expected one label for each image; are \
                 the files from different sets?",
                images.display(),
                labels.display()
            )
        );
        let swapped = load_pair(&labels, &images).unwrap_err().to_string();
        assert!(swapped.contains("magic number 2049 found, 2051 expected"), "{swapped}");
        assert!(swapped.ends_with("the two may be swapped"), "{swapped}");
    }

    #[test]
    fn files_are_found_with_and_without_gz_and_in_the_subfolder() {
        let dir = tempfile::tempdir().unwrap();
        let missing = load(dir.path()).unwrap_err().to_string();
        let root = dir.path().display();
        let name = "train-images-idx3-ubyte";
        assert_eq!(
            missing,
            format!(
                "no {name} found: tried {root}/{name}, {root}/{name}.gz, {root}/mnist/{name}, \
                 {root}/mnist/{name}.gz"
            )
        );
        fs::create_dir(dir.path().join("mnist")).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("train-images-idx3-ubyte", &IMAGES);
        write("train-labels-idx1-ubyte.gz", &LABELS);
        write("mnist/t10k-images-idx3-ubyte", &IMAGES);
        write("mnist/t10k-labels-idx1-ubyte.gz", &LABELS);
        let mnist = load(dir.path()).unwrap();
        assert_eq!(mnist.train, mnist.test);
        assert_eq!(mnist.train.images().dim(), (3, 2, 2, 1));
        assert_eq!(mnist.train.labels().to_vec(), [5, 0, 4]);
    }

    #[test]
    fn a_missing_folder_is_named_in_full() {
        let error = load("no/such/folder").unwrap_err().to_string();
        let full = std::env::current_dir().unwrap().join("no/such/folder");
        assert_eq!(error, format!("{}: not found", full.display()));
    }

    /// The repository's own digits against what is published of MNIST: its mean of 0.1307 and
    /// deviation of 0.3081 of the rescaled pixels, and the shares of its classes.
    #[test]
    fn the_sample_in_the_repository_is_like_the_full_set() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist-sample");
        let Mnist { train, test } = load(dir).unwrap();
        assert_eq!(train.images().dim(), (10_000, 28, 28, 1));
        assert_eq!(test.images().dim(), (2_000, 28, 28, 1));
        let pixels = train.images().mapv(|byte| f64::from(byte) / 255.0);
        let (mean, deviation) = (pixels.mean().unwrap(), pixels.std(0.0));
        assert!((mean - 0.1307).abs() < 1e-3, "mean {mean}");
        assert!((deviation - 0.3081).abs() < 1e-3, "deviation {deviation}");
        let train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];
        let test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009];
        for (set, counts, ratio) in [(train, train_counts, 6.0), (test, test_counts, 5.0)] {
            for (class, count) in (0..).zip(counts) {
                let found = set.labels().iter().filter(|&&label| label == class).count();
                let expected = f64::from(count) / ratio;
                assert!((found as f64 - expected).abs() < 1.0, "{found} of class {class}");
            }
        }
    }
}
