use std::fs;
use std::io::{self, Write};
use std::path::Path;

use safetensors::SafeTensors;
use tempfile::TempDir;

use super::{Layout, load_weights, replace, save_weights, write};
use crate::network::{Initializer, Regularizer, TensorInfo};

const fn tensor(name: &'static str, shape: &'static [usize], offset: usize) -> TensorInfo {
    TensorInfo {
        name,
        shape,
        offset,
        trainable: true,
        initializer: Initializer::Constant(0.0),
        regularizer: Regularizer::NONE,
    }
}

/// One tensor of three numbers.
const W: Layout<'static> =
    Layout { model: "Line", architecture: 0xABC, tensors: &[tensor("w", &[3], 0)] };

/// Two tensors with a gap of two floats between them.
const DENSE: Layout<'static> = Layout {
    model: "Plane",
    architecture: 0xDEF,
    tensors: &[tensor("dense/kernel", &[2, 3], 0), tensor("dense/bias", &[3], 8)],
};

const ONE: Layout<'static> =
    Layout { model: "Point", architecture: 1, tensors: &[tensor("w", &[1], 0)] };

fn load<const LEN: usize>(layout: &Layout<'_>, path: &Path) -> Result<[f32; LEN], String> {
    let mut weights = [f32::NAN; LEN];
    load_weights(layout, &mut weights, path).map_err(|error| {
        assert!(weights.iter().all(|weight| weight.is_nan()), "a failed load changes nothing");
        let message = error.to_string();
        message.strip_prefix(&format!("{}: ", path.display())).expect("the path").to_owned()
    })?;
    Ok(weights)
}

fn load_bytes<const LEN: usize>(layout: &Layout<'_>, bytes: &[u8]) -> Result<[f32; LEN], String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    fs::write(&path, bytes).unwrap();
    load(layout, &path)
}

/// A file as another program writes it: with padding to choose and no metadata.
fn foreign(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

struct FailAfter<W>(W, usize);

impl<W: Write> Write for FailAfter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        let written = self.0.write(&bytes[..bytes.len().min(self.1)])?;
        self.1 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Lightning-AI/pytorch-lightning#688: a failure while saving must not cost the last good file.
#[test]
fn a_failed_save_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    save_weights(&W, &[1.0, 2.0, 3.0], &path).unwrap();
    let before = fs::read(&path).unwrap();

    let failed =
        replace::replace(&path, |file| write::write(FailAfter(file, 10), &W, &[4.0, 5.0, 6.0]));
    let message = failed.unwrap_err().at(&path).to_string();
    assert_eq!(message, format!("{}: cannot be saved: no space left on device", path.display()));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(load(&W, &path), Ok([1.0, 2.0, 3.0]));
    assert_eq!(names(&dir), ["best.safetensors"], "the temporary file is removed");

    save_weights(&W, &[4.0, 5.0, 6.0], &path).unwrap();
    assert_eq!(load(&W, &path), Ok([4.0, 5.0, 6.0]));
}

#[test]
fn leftovers_of_killed_runs_neither_block_nor_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    let hours_old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    for name in [".best.safetensors.aaaaaa.tmp", ".other.safetensors.aaaaaa.tmp"] {
        let leftover = fs::File::create(dir.path().join(name)).unwrap();
        leftover.set_modified(hours_old).unwrap();
    }
    fs::write(dir.path().join(".best.safetensors.bbbbbb.tmp"), "of a running save").unwrap();
    save_weights(&W, &[1.0, 2.0, 3.0], &path).unwrap();
    assert_eq!(load(&W, &path), Ok([1.0, 2.0, 3.0]));
    let mut left = names(&dir);
    left.sort();
    assert_eq!(
        left,
        [".best.safetensors.bbbbbb.tmp", ".other.safetensors.aaaaaa.tmp", "best.safetensors"]
    );
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    let mut whole = Vec::new();
    write::write(&mut whole, &DENSE, &[1.0; 11]).unwrap();
    for length in 0..whole.len() {
        assert!(load_bytes::<11>(&DENSE, &whole[..length]).is_err(), "{length} bytes");
    }
    assert!(load_bytes::<11>(&DENSE, &[&whole[..], &[0]].concat()).is_err(), "a byte too many");
}

/// The safetensors crate, and so every other program, reads what is written here.
#[test]
fn files_are_plain_safetensors() {
    let weights = [0.0, -1.0, 2.5, f32::MIN_POSITIVE, 4.0, 5.0, -9.0, -9.0, 6.0, 7.0, f32::NAN];
    let mut file = Vec::new();
    write::write(&mut file, &DENSE, &weights).unwrap();
    let parsed = SafeTensors::deserialize(&file).unwrap();
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["format"], "cnn");
    assert_eq!(metadata["model"], "Plane");
    assert_eq!(metadata["architecture"], "0000000000000def");
    let kernel = parsed.tensor("dense/kernel").unwrap();
    assert_eq!(kernel.shape(), [2, 3]);
    assert_eq!(kernel.data()[8..12], 2.5_f32.to_le_bytes());
    assert_eq!(parsed.tensor("dense/bias").unwrap().data()[4..8], 7.0_f32.to_le_bytes());

    let loaded = load_bytes::<11>(&DENSE, &file).unwrap();
    for at in (0..6).chain(8..11) {
        assert_eq!(loaded[at].to_bits(), weights[at].to_bits(), "weight {at}");
    }
    assert!(loaded[6].is_nan() && loaded[7].is_nan(), "the gap is left alone");
}

/// ollama/ollama#16176, safetensors/safetensors#668: the first 8 bytes as an allocation size.
#[test]
fn a_declared_header_length_is_not_trusted() {
    let said = |declared: &str, file_len| {
        Err(format!(
            "not a safetensors file, or cut off: a header of {declared} bytes is declared, the file \
             has {file_len} in all (and a header at most 100000000)"
        ))
    };
    let all_ones = load_bytes::<3>(&W, &[0xFF; 8]);
    assert_eq!(all_ones, said("18446744073709551615", 8));
    let largest_signed = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
    assert_eq!(load_bytes::<3>(&W, &largest_signed), said("9223372036854775807", 8));
    let short = "not a safetensors file: the length of its header takes 8 bytes, the file has 7";
    assert_eq!(load_bytes::<3>(&W, &[0xFF; 7]), Err(short.to_owned()));
    let mut above_the_cap = vec![0x40, 0x9D, 0xDF, 7, 0, 0, 0, 0];
    above_the_cap.resize(108, b' ');
    assert_eq!(load_bytes::<3>(&W, &above_the_cap), said("132095296", 108));
    let empty = load_bytes::<3>(&W, &foreign("{}", &[]));
    assert_eq!(empty, Err("does not fit the model `Line`: missing tensor w".to_owned()));
}

#[test]
fn damaged_headers_are_errors() {
    let entry = |shape: &str, offsets: &str| {
        foreign(
            &format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#),
            &[0; 12],
        )
    };
    assert!(load_bytes::<3>(&W, &entry("[3]", "[0,12]")).is_ok());
    for (shape, offsets) in [
        ("[3]", "[4,16]"),
        ("[3]", "[12,0]"),
        ("[3]", "[0,8]"),
        ("[18446744073709551615,2]", "[0,12]"),
        ("[-3]", "[0,12]"),
    ] {
        assert!(load_bytes::<3>(&W, &entry(shape, offsets)).is_err(), "{shape} {offsets}");
    }
    assert!(load_bytes::<3>(&W, &foreign(&"[".repeat(100_000), &[])).is_err());
    assert!(load_bytes::<3>(&W, &foreign("\u{0}", &[])).is_err());
}

/// ArthurBrussee/brush#502: integers must not be read as the bits of floats.
#[test]
fn number_kinds_are_converted_or_refused() {
    let one = |dtype: &str, data: &[u8]| {
        let header = format!(
            r#"{{"w":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{}]}}}}"#,
            data.len()
        );
        load_bytes::<1>(&ONE, &foreign(&header, data))
    };
    assert_eq!(
        one("I32", &[0, 0, 0x80, 0x3F]),
        Err("does not fit the model `Point`: tensor w has unsupported dtype I32, expected F32"
            .to_owned())
    );
    assert_eq!(one("F32", &[0, 0, 0x80, 0x3F]), Ok([1.0]));
    assert_eq!(one("F16", &[0, 0x3C]), Ok([1.0]));
    assert_eq!(one("BF16", &[0x80, 0x3F]), Ok([1.0]));
}

#[test]
fn a_foreign_file_names_everything_that_does_not_fit() {
    let header = r#"{
        "dense/kernel": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
        "dense_1/bias": {"dtype": "F32", "shape": [1], "data_offsets": [24, 28]},
        "__metadata__": {"format": "pt"}
    }"#;
    assert_eq!(
        load_bytes::<11>(&DENSE, &foreign(header, &[0; 28])),
        Err("does not fit the model `Plane`: tensor dense/kernel has shape [3, 2], expected [2, 3]; \
             missing tensor dense/bias; unknown tensor dense_1/bias of shape [1]"
            .to_owned())
    );
}

#[test]
fn another_architecture_is_refused_with_both_names() {
    let mut file = Vec::new();
    write::write(&mut file, &W, &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(
        load_bytes::<1>(&ONE, &file),
        Err("saved from the model `Line` of architecture 0000000000000abc, cannot be loaded into \
             `Point` of architecture 0000000000000001: tensor w has shape [3], expected [1]"
            .to_owned())
    );
    let leaky = Layout { model: "Leaky", architecture: 0xABD, ..W };
    assert_eq!(
        load_bytes::<3>(&leaky, &file),
        Err("saved from the model `Line` of architecture 0000000000000abc, cannot be loaded into \
             `Leaky` of architecture 0000000000000abd: the tensors agree, so the models differ \
             elsewhere, such as in an activation or a stride"
            .to_owned())
    );
}

#[test]
fn places_where_nothing_can_be_saved_or_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().display();
    let save = |path: &Path| save_weights(&W, &[0.0; 3], path).unwrap_err().to_string();
    assert_eq!(save(dir.path()), format!("{root}: is not a file"));
    assert_eq!(
        save(&dir.path().join("runs/best.safetensors")),
        format!(
            "{root}/runs/best.safetensors: cannot be saved: the folder {root}/runs does not exist"
        )
    );
    assert_eq!(load::<3>(&W, dir.path()), Err("is not a file".to_owned()));
    assert_eq!(load::<3>(&W, &dir.path().join("none")), Err("not found".to_owned()));
}
