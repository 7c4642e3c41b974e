//! The same bad files for every loader.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use cnn_runtime::data::images::{Color, Images};
use cnn_runtime::data::npy::{self, Npz};
use cnn_runtime::data::{DataError, cifar10, cifar100, idx, mnist};
use zip::write::SimpleFileOptions;

use crate::{gzip, shipped, write};

struct Loader {
    name: &'static str,
    /// A file that it takes, with as little as can be left out.
    good: Vec<u8>,
    load: fn(&Path) -> Result<Vec<u8>, DataError>,
    /// Whether a gzip file is decompressed rather than refused.
    decompresses: bool,
}

fn png(rows: u32, columns: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = image::GrayImage::from_raw(columns, rows, pixels.to_vec()).unwrap();
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn cifar(labels: &[u8], value: u8) -> Vec<u8> {
    [labels, &[value; 3072]].concat()
}

fn flat<D: ndarray::Dimension>(array: ndarray::Array<u8, D>) -> Vec<u8> {
    array.into_raw_vec_and_offset().0
}

fn small(labels: &ndarray::Array1<u32>) -> Vec<u8> {
    labels.iter().map(|&label| label as u8).collect()
}

fn loaders() -> Vec<Loader> {
    let images = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];
    let labels = [0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1];
    let npz = |path: &Path| Npz::open(path)?.read_bytes("x_train").map(flat);
    let grey = |path: &Path| Images::new(2, 3).color(Color::Grey).read(path).map(flat);
    let color = |path: &Path| Images::new(24, 16).read(path).map(flat);
    let loader = |name, good: &[u8], load, decompresses| {
        let good = good.to_vec();
        Loader { name, good, load, decompresses }
    };
    let file = |name| fs::read(shipped(name)).unwrap();
    vec![
        loader("IDX images", &images, |path| idx::read_images(path).map(flat), true),
        loader("IDX labels", &labels, |path| idx::read_labels(path).map(flat), true),
        loader(
            "CIFAR-10",
            &cifar(&[9], 10),
            |path| Ok(flat(cifar10::read_batches(&[path])?.into_parts().0)),
            true,
        ),
        loader(
            "CIFAR-100",
            &cifar(&[19, 99], 10),
            |path| Ok(flat(cifar100::read_batch(path)?.images)),
            true,
        ),
        loader("npy images", &file("images_u1.npy"), |path| npy::read_bytes(path).map(flat), true),
        loader(
            "npy labels",
            &file("labels_i8.npy"),
            |path| npy::read_labels(path).map(|labels| small(&labels)),
            true,
        ),
        loader("npz stored", &file("stored.npz"), npz, false),
        loader("npz deflated", &file("deflated.npz"), npz, false),
        loader("PNG", &png(2, 3, &[1, 2, 3, 4, 5, 6]), grey, false),
        loader("JPEG", &file("smooth.jpg"), color, false),
    ]
}

impl Loader {
    /// What it says of these bytes, after the path, which must come first.
    fn error(&self, dir: &Path, bytes: &[u8]) -> String {
        let path = dir.join("file");
        write(&path, bytes);
        match (self.load)(&path) {
            Ok(_) => panic!("{}: {} bytes were read", self.name, bytes.len()),
            Err(error) => after_path(&path, &error),
        }
    }
}

fn after_path(path: &Path, error: &DataError) -> String {
    let message = error.to_string();
    let rest = message.strip_prefix(&format!("{}: ", path.display()));
    rest.unwrap_or_else(|| panic!("the path comes first: {message}")).to_owned()
}

/// datapythonista/mnist#19, davidMcneil/mnist#13, huggingface/candle#509.
#[test]
fn empty_short_missing_and_a_folder_are_four_errors() {
    let dir = tempfile::tempdir().unwrap();
    for loader in loaders() {
        let empty = loader.error(dir.path(), &[]);
        let short = loader.error(dir.path(), &loader.good[..3]);
        let folder = after_path(dir.path(), &(loader.load)(dir.path()).unwrap_err());
        assert_eq!(folder, "is a directory, not a file", "{}", loader.name);
        let missing = Path::new("no/such/file");
        let full = std::env::current_dir().unwrap().join(missing);
        let missing = after_path(&full, &(loader.load)(missing).unwrap_err());
        assert_eq!(missing, "not found", "{}", loader.name);
        assert_ne!(empty, folder, "{}", loader.name);
        let expected = match loader.name {
            "IDX images" => [
                "the header of IDX images needs 16 bytes, got 0",
                "the header of IDX images needs 16 bytes, got 3",
            ],
            "IDX labels" => [
                "the header of IDX labels needs 8 bytes, got 0",
                "the header of IDX labels needs 8 bytes, got 3",
            ],
            "CIFAR-10" => [
                "whole records of CIFAR-10, 3073 bytes each, expected, 0 bytes found: 0 x 3073 + 0",
                "whole records of CIFAR-10, 3073 bytes each, expected, 3 bytes found: 0 x 3073 + 3",
            ],
            "CIFAR-100" => [
                "whole records of CIFAR-100, 3074 bytes each, expected, 0 bytes found: 0 x 3074 + 0",
                "whole records of CIFAR-100, 3074 bytes each, expected, 3 bytes found: 0 x 3074 + 3",
            ],
            "npy images" | "npy labels" => [
                "the header of a NumPy array needs 12 bytes, got 0",
                "the header of a NumPy array needs 12 bytes, got 3",
            ],
            "npz stored" | "npz deflated" => ["damaged or unknown zip data: "; 2],
            _ => ["cannot be decoded as PNG or JPEG: "; 2],
        };
        assert!(empty.starts_with(expected[0]), "{}: {empty}", loader.name);
        assert!(short.starts_with(expected[1]), "{}: {short}", loader.name);
    }
}

/// CEA-LIST/N2D2#118, tolstikhin/adagan#1: a file that is still compressed, by its first bytes.
#[test]
fn gzip_is_undone_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for loader in loaders() {
        write(&path, &loader.good);
        let plain = (loader.load)(&path).unwrap();
        let compressed = gzip(&loader.good);
        if loader.decompresses {
            write(&path, &compressed);
            assert_eq!((loader.load)(&path).unwrap(), plain, "{}", loader.name);
            for length in 2..compressed.len() {
                loader.error(dir.path(), &compressed[..length]);
            }
            let mut wrong_sum = compressed;
            let at = wrong_sum.len() - 8;
            wrong_sum[at] ^= 1;
            let said = loader.error(dir.path(), &wrong_sum);
            assert!(said.starts_with("damaged gzip data: "), "{}: {said}", loader.name);
        } else {
            let said = loader.error(dir.path(), &compressed);
            assert_eq!(said, "compressed by gzip: decompress it first", "{}", loader.name);
        }
    }
}

#[test]
fn a_cut_file_is_an_error_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    for loader in loaders() {
        for length in 0..loader.good.len() {
            loader.error(dir.path(), &loader.good[..length]);
        }
    }
}

/// Any byte may be any other: the answer is an image or an error, never a panic.
#[test]
fn a_changed_byte_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for loader in loaders() {
        for at in (0..loader.good.len()).take(700) {
            for value in [0, 0x7F, 0xFF, loader.good[at] ^ 1] {
                let mut bytes = loader.good.clone();
                bytes[at] = value;
                write(&path, bytes);
                let _ = (loader.load)(&path);
            }
        }
    }
}

/// tracel-ai/burn#5651: a size that is only declared.
#[test]
fn declared_sizes_are_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let by_name = |name: &str| loaders().into_iter().find(|loader| loader.name == name).unwrap();
    let shape = "(4294967295, 28, 28)";
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bomb = b"\x93NUMPY\x01\x00".to_vec();
    bomb.extend(118_u16.to_le_bytes());
    bomb.extend(format!("{header:117}\n").bytes());
    bomb.resize(128 + 4096, 0);
    let expected = "the file ends too early: 3367254359280 payload bytes declared, 4096 present";
    assert_eq!(by_name("npy images").error(dir.path(), &bomb), expected);
    assert_eq!(by_name("npy images").error(dir.path(), &gzip(&bomb)), expected);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("x_train.npy", SimpleFileOptions::default()).unwrap();
    archive.write_all(&bomb).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let said = by_name("npz stored").error(dir.path(), &archive);
    assert_eq!(said, format!("x_train: {expected}"));

    // A header that says it is longer than any file.
    let mut header = b"\x93NUMPY\x02\x00".to_vec();
    header.extend([0xFF; 4]);
    assert_eq!(
        by_name("npy images").error(dir.path(), &header),
        "no NumPy array: a header of 4294967295 bytes, at most 10000 expected"
    );

    // PNG: 2^31 - 1 pixels each way, with the right checksum. JPEG: 65,535 each way.
    let mut bytes = png(2, 3, &[0; 6]);
    bytes[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let said = by_name("PNG").error(dir.path(), &bytes);
    assert!(said.contains("exceed"), "{said}");
    // Within the limits, but not of so few bytes.
    bytes[16..24].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x20, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let said = by_name("PNG").error(dir.path(), &bytes);
    assert!(said.contains("8192 x 8192 pixels declared in a file of "), "{said}");
    let mut bytes = by_name("JPEG").good;
    let frame = bytes.windows(2).position(|mark| mark == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xFF);
    let said = by_name("JPEG").error(dir.path(), &bytes);
    assert!(said.contains("exceed") || said.contains("16384"), "{said}");
}

/// zxzhijia/Brian2STDPMNIST#19, anujdutt9/Handwritten-Digit-Recognition-using-Deep-Learning#15.
#[test]
fn images_and_labels_of_different_sets() {
    let dir = tempfile::tempdir().unwrap();
    let (images, labels) = (shipped("images_u1.npy"), shipped("labels_i1_negative.npy"));
    let three = dir.path().join("labels.npy");
    let mut bytes = fs::read(shipped("labels_u2.npy")).unwrap();
    let at = bytes.windows(4).position(|text| text == b"(2,)").unwrap();
    bytes[at + 1] = b'3';
    bytes.extend([1, 0]);
    write(&three, bytes);
    let differ = |images: &Path, labels: &Path, counts: [usize; 2]| {
        format!(
            "{} holds {} images and {} holds {} labels: expected one label for each image; are the \
             files from different sets?",
            images.display(),
            counts[0],
            labels.display(),
            counts[1]
        )
    };
    let said = npy::read_dataset(&images, &three).unwrap_err().to_string();
    assert_eq!(said, differ(&images, &three, [2, 3]));
    let said = npy::read_dataset(&three, &images).unwrap_err();
    assert_eq!(after_path(&three, &said), "elements of the type '<u2', '|u1' (uint8) expected");
    let said = npy::read_dataset(&images, &labels).unwrap_err();
    assert_eq!(after_path(&labels, &said), "label 1 is -1, 0 to 4294967295 expected");

    let path = shipped("deflated.npz");
    let mut npz = Npz::open(&path).unwrap();
    let said = npz.read_dataset("x_train", "y_test").unwrap_err().to_string();
    assert_eq!(said, differ(&path.join("x_train"), &path.join("y_test"), [2, 1]));
    let said = npz.read_dataset("y_train", "x_train").unwrap_err();
    assert_eq!(
        after_path(&path, &said),
        "y_train: elements of the type '<i8', '|u1' (uint8) expected"
    );

    let (images, labels) = (dir.path().join("images"), dir.path().join("labels"));
    write(&images, [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3]);
    write(&labels, [0, 0, 8, 1, 0, 0, 0, 2, 5, 0]);
    let said = mnist::load_pair(&images, &labels).unwrap_err().to_string();
    assert_eq!(said, differ(&images, &labels, [3, 2]));
}

/// tensorflow/models#2024, modern-fortran/neural-fortran#244: pixels read one byte early, or the two
/// labels swapped.
#[test]
fn cifar_100_has_its_coarse_label_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.bin");
    let bytes = [cifar(&[0x04, 0x48], 0x0A), cifar(&[0x13, 0x63], 0x14)].concat();
    assert_eq!(bytes.len(), 6148);
    write(&path, &bytes);
    let batch = cifar100::read_batch(&path).unwrap();
    assert_eq!((batch.coarse.to_vec(), batch.fine.to_vec()), (vec![4, 19], vec![72, 99]));
    assert_eq!(batch.images.dim(), (2, 32, 32, 3));
    for (image, value) in batch.images.outer_iter().zip([10, 20]) {
        assert!(image.iter().all(|&pixel| pixel == value));
    }
    let said = cifar10::read_batches(&[&path]).unwrap_err();
    assert_eq!(
        after_path(&path, &said),
        "whole records of CIFAR-10, 3073 bytes each, expected, 6148 bytes found: 2 x 3073 + 2; by \
         its length it may be a file of CIFAR-100"
    );

    // Where the lengths agree only the labels tell.
    let bytes = cifar(&[0x04, 0x48], 0x0A).repeat(3073);
    assert_eq!(bytes.len(), 3074 * 3073);
    write(&path, &bytes);
    assert_eq!(cifar100::read_batch(&path).unwrap().fine.len(), 3073);
    let said = cifar10::read_batches(&[&path]).unwrap_err();
    assert_eq!(
        after_path(&path, &said),
        "record 1 has the CIFAR-10 label 10, 0 to 9 expected; by its length it may be a file of \
         CIFAR-100"
    );
    write(&path, cifar(&[0x48, 0x04], 0x0A));
    let said = cifar100::read_batch(&path).unwrap_err();
    let expected = "record 0 has the CIFAR-100 coarse label 72, 0 to 19 expected";
    assert_eq!(after_path(&path, &said), expected);
}

/// tensorflow/datasets#812, pytorch/vision#8783: square images hide rows and columns mixed up.
#[test]
fn rows_come_before_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    write(&path, [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]);
    let images = idx::read_images(&path).unwrap();
    assert_eq!((images.dim(), images[[0, 1, 0, 0]]), ((1, 2, 3, 1), 4));

    let set = npy::read_dataset(shipped("images_u1.npy"), shipped("labels_i8.npy")).unwrap();
    assert_eq!((set.images().dim(), set.images()[[1, 1, 0, 0]]), ((2, 2, 3, 1), 9));

    write(&path, png(2, 3, &[1, 2, 3, 4, 5, 6]));
    let image = Images::new(2, 3).color(Color::Grey).read(&path).unwrap();
    assert_eq!((image.dim(), image[[1, 0, 0]]), ((2, 3, 1), 4));

    let mut record = cifar(&[3], 0);
    record[1 + 1024 + 32 + 2] = 77;
    write(&path, record);
    let set = cifar10::read_batches(&[&path]).unwrap();
    assert_eq!(set.images()[[0, 1, 2, 1]], 77);
}
