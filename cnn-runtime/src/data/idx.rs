//! Reader of IDX files, the format of MNIST and its relatives: a big-endian header (magic number,
//! then one count for each axis) and a payload of bytes. Raw and gzip files are told apart by
//! their first bytes, whatever their names.

use std::io::Read;
use std::path::Path;

use ndarray::{Array1, Array4};

use super::error::{DataError, FileProblem};
use super::file::{self, GZIP_MAGIC, PAYLOAD_LIMIT, read_payload, stream_problem};

const IMAGES_MAGIC: u32 = 2051;
const LABELS_MAGIC: u32 = 2049;

/// Reads a file of images, of shape (images, rows, columns, 1), bytes as stored.
///
/// # Errors
/// If the file cannot be read, is not an IDX file of images, or its length disagrees with its header.
pub fn read_images(path: impl AsRef<Path>) -> Result<Array4<u8>, DataError> {
    let path = path.as_ref();
    images(path).map_err(|problem| problem.at(path))
}

/// Reads a file of labels, one byte each.
///
/// # Errors
/// If the file cannot be read, is not an IDX file of labels, or its length disagrees with its header.
pub fn read_labels(path: impl AsRef<Path>) -> Result<Array1<u8>, DataError> {
    let path = path.as_ref();
    let ([_], payload) = read(path, "IDX labels", LABELS_MAGIC).map_err(|p| p.at(path))?;
    Ok(payload.into())
}

fn images(path: &Path) -> Result<Array4<u8>, FileProblem> {
    let ([count, rows, columns], payload) = read(path, "IDX images", IMAGES_MAGIC)?;
    if rows == 0 || columns == 0 {
        return Err(FileProblem::NoPixels { rows, columns });
    }
    let shape = (count as usize, rows as usize, columns as usize, 1);
    let declared = payload.len() as u128;
    Array4::from_shape_vec(shape, payload)
        .map_err(|_| FileProblem::TooLarge { declared, limit: PAYLOAD_LIMIT })
}

/// The sizes of the `AXES` axes and the payload, which has exactly the bytes they declare.
fn read<const AXES: usize>(
    path: &Path,
    kind: &'static str,
    magic: u32,
) -> Result<([u32; AXES], Vec<u8>), FileProblem> {
    let (mut stream, len) = file::open(path)?;
    let sizes = read_header(&mut stream, kind, magic)?;
    let present = len.map(|len| len.saturating_sub(header_len::<AXES>() as u64));
    Ok((sizes, read_payload(stream, payload_len(&sizes), present)?))
}

const fn header_len<const AXES: usize>() -> usize {
    4 + 4 * AXES
}

/// Three axes of 32 bits multiply to at most 96.
fn payload_len(sizes: &[u32]) -> u128 {
    sizes.iter().map(|&size| u128::from(size)).product()
}

fn read_header<const AXES: usize>(
    reader: &mut impl Read,
    kind: &'static str,
    magic: u32,
) -> Result<[u32; AXES], FileProblem> {
    let needed = header_len::<AXES>();
    let mut header = Vec::with_capacity(needed);
    let read = reader.take(needed as u64).read_to_end(&mut header);
    if let Some(&first) = header.first_chunk() {
        check_magic(u32::from_be_bytes(first), magic)?;
    }
    if header.len() < needed {
        read.map_err(stream_problem)?;
        return Err(FileProblem::Header { kind, needed, found: header.len() });
    }
    let mut numbers = header.chunks_exact(4).skip(1);
    Ok(std::array::from_fn(|_| {
        numbers
            .next()
            .map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }))
}

fn check_magic(found: u32, expected: u32) -> Result<(), FileProblem> {
    if found == expected {
        return Ok(());
    }
    let hint = match (found, expected) {
        (LABELS_MAGIC, IMAGES_MAGIC) => {
            ": this is a file of labels, not of images; the two may be swapped"
        }
        (IMAGES_MAGIC, LABELS_MAGIC) => {
            ": this is a file of images, not of labels; the two may be swapped"
        }
        _ if found.swap_bytes() == expected => ": the bytes of the header are in reverse order",
        _ if found.to_be_bytes().starts_with(&GZIP_MAGIC) => {
            ": the data are compressed by gzip twice; decompress the file once"
        }
        _ => "",
    };
    Err(FileProblem::Magic { found, expected, hint })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::{Compression, GzBuilder};
    use ndarray::{arr1, arr3};
    use tempfile::TempDir;

    use super::*;

    const HEADER_2X3: [u8; 16] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];

    fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train-images-idx3-ubyte");
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    /// With a file name in the gzip header, as `gzip` writes it: the bytes start 1F 8B 08 08.
    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzBuilder::new().filename("a").write(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images_error(bytes: &[u8]) -> String {
        let (_dir, path) = file(bytes);
        let message = read_images(&path).unwrap_err().to_string();
        let prefix = format!("{}: ", path.display());
        message.strip_prefix(&prefix).expect("the path comes first").to_owned()
    }

    fn bomb() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 28, 0, 0, 0, 28];
        bytes.resize(16 + 4096, 0);
        bytes
    }

    /// A height that differs from the width shows rows and columns mixed up
    /// (tensorflow/datasets#812, pytorch/vision#8783).
    #[test]
    fn images_are_read_row_by_row() {
        let (_dir, path) = file(&[&HEADER_2X3[..], &[1, 2, 3, 4, 5, 6]].concat());
        let images = read_images(path).unwrap();
        let expected = arr3(&[[[1], [2], [3]], [[4], [5], [6]]]);
        assert_eq!(images, expected.into_shape_with_order((1, 2, 3, 1)).unwrap());
    }

    /// CEA-LIST/N2D2#118, tolstikhin/adagan#1: 0x1F8B0808 read as a magic number.
    #[test]
    fn gzip_is_recognised_by_content() {
        let labels = [&[0, 0, 8, 1, 0, 0, 0, 3][..], &[7, 2, 1]].concat();
        let compressed = gzip(&labels);
        assert_eq!(compressed[..4], 529_205_256_u32.to_be_bytes());
        for bytes in [labels, compressed] {
            let (_dir, path) = file(&bytes);
            assert_eq!(read_labels(path).unwrap(), arr1(&[7, 2, 1]));
        }
    }

    #[test]
    fn damaged_gzip_is_said_to_be_gzip() {
        let mut stub = vec![0x1F, 0x8B, 8, 8];
        assert!(images_error(&stub).starts_with("damaged gzip data: "), "{}", images_error(&stub));
        stub.resize(100, 0xAA);
        assert!(images_error(&stub).starts_with("damaged gzip data: "), "{}", images_error(&stub));
        let good = [&HEADER_2X3[..], &[1, 2, 3, 4, 5, 6]].concat();
        let mut checksum = gzip(&good);
        let at = checksum.len() - 8;
        checksum[at] ^= 1;
        assert!(images_error(&checksum).starts_with("damaged gzip data: "));
        assert_eq!(
            images_error(&gzip(&gzip(&good))),
            "magic number 529205256 found, 2051 expected: the data are compressed by gzip twice; \
             decompress the file once"
        );
    }

    #[test]
    fn every_cut_of_a_file_is_an_error() {
        let raw = [&HEADER_2X3[..], &[1, 2, 3, 4, 5, 6]].concat();
        for whole in [raw.clone(), gzip(&raw)] {
            for length in 0..whole.len() {
                let (_dir, path) = file(&whole[..length]);
                assert!(read_images(path).is_err(), "{length} of {} bytes", whole.len());
            }
        }
    }

    /// tracel-ai/burn#5651: a count in the header must not become an allocation of 3 TB.
    #[test]
    fn a_declared_size_is_not_trusted() {
        let expected =
            "the file ends too early: 3367254359280 payload bytes declared, 4096 present";
        assert_eq!(images_error(&bomb()), expected);
        assert_eq!(images_error(&gzip(&bomb())), expected);
        // The largest header there is: 96 bits.
        let mut largest = bomb();
        largest[4..16].fill(0xFF);
        let expected = "the file ends too early: 79228162458924105385300197375 payload bytes \
                        declared, 4096 present";
        assert_eq!(images_error(&largest), expected);
        assert_eq!(images_error(&gzip(&largest)), expected);
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let bytes = [&HEADER_2X3[..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
        let said = |n| format!("bytes left over at the end: 6 payload bytes declared, {n} present");
        assert_eq!(images_error(&bytes), said(8));
        assert_eq!(images_error(&gzip(&bytes)), said(7));
        let two_members = [gzip(&bytes[..22]), gzip(b"more")].concat();
        assert_eq!(images_error(&two_members), said(7));
    }

    #[test]
    fn a_gzip_file_may_have_several_members() {
        let bytes = [&HEADER_2X3[..], &[1, 2, 3, 4, 5, 6]].concat();
        let (_dir, path) = file(&[gzip(&bytes[..10]), gzip(&bytes[10..])].concat());
        assert_eq!(read_images(path).unwrap().sum(), 21);
    }

    /// datapythonista/mnist#19, davidMcneil/mnist#13, huggingface/candle#509.
    #[test]
    fn files_that_are_none_say_what_they_are() {
        for (length, found) in [(0, "got 0"), (3, "got 3")] {
            let (_dir, path) = file(&[0; 3][..length]);
            let path = path.display();
            let images = read_images(path.to_string()).unwrap_err().to_string();
            assert_eq!(images, format!("{path}: the header of IDX images needs 16 bytes, {found}"));
            let labels = read_labels(path.to_string()).unwrap_err().to_string();
            assert_eq!(labels, format!("{path}: the header of IDX labels needs 8 bytes, {found}"));
        }
        let (dir, _) = file(&[]);
        let error = read_images(dir.path()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: is a directory, not a file", dir.path().display()));
        let missing = read_images("no/such/file").unwrap_err().to_string();
        let full = std::env::current_dir().unwrap().join("no/such/file");
        assert_eq!(missing, format!("{}: not found", full.display()));
    }

    /// zxzhijia/Brian2STDPMNIST#19.
    #[test]
    fn swapped_files_are_said_to_be_swapped() {
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 5, 6];
        assert_eq!(
            images_error(&labels),
            "magic number 2049 found, 2051 expected: this is a file of labels, not of images; the \
             two may be swapped"
        );
        let (_dir, path) = file(&[&HEADER_2X3[..], &[1, 2, 3, 4, 5, 6]].concat());
        let error = read_labels(path).unwrap_err().to_string();
        assert!(error.contains("2051 found, 2049 expected"), "{error}");
        let mut reversed = HEADER_2X3;
        reversed[..4].reverse();
        assert_eq!(
            images_error(&reversed),
            "magic number 50855936 found, 2051 expected: the bytes of the header are in reverse \
             order"
        );
    }

    #[test]
    fn images_without_pixels_are_refused() {
        let mut header = [0xFF; 16];
        header[..4].copy_from_slice(&HEADER_2X3[..4]);
        header[8..12].fill(0);
        assert_eq!(
            images_error(&header),
            "images of 0 x 4294967295 pixels: expected at least one pixel"
        );
    }
}
