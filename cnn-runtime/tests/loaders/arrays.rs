//! Arrays that NumPy wrote (`tests/files/make.py`).

use cnn_runtime::data::npy::{self, Npz};
use ndarray::arr2;

use crate::{shipped, write};

#[test]
fn every_type_that_is_read() {
    let bytes = npy::read_bytes(shipped("images_u1.npy")).unwrap();
    assert_eq!(bytes.shape(), [2, 2, 3]);
    assert!(bytes.iter().copied().eq(0..12));
    for name in ["labels_i8", "labels_i4_big", "labels_u2"] {
        assert_eq!(npy::read_labels(shipped(&format!("{name}.npy"))).unwrap().to_vec(), [7, 3]);
    }
    let expected = arr2(&[[0.1, -2.5, 1e-3], [f32::INFINITY, 4e30, 0.0]]).into_dyn();
    for name in ["floats_f4", "floats_f4_big", "floats_f8"] {
        assert_eq!(npy::read_floats(shipped(&format!("{name}.npy"))).unwrap(), expected);
    }
    assert_eq!(npy::read_floats(shipped("scalar.npy")).unwrap().into_raw_vec_and_offset().0, [1.5]);
    assert_eq!(npy::read_bytes(shipped("empty.npy")).unwrap().shape(), [0, 2, 3]);
}

#[test]
fn what_is_not_read_is_named() {
    let error = |result: Result<_, cnn_runtime::data::DataError>, name: &str| {
        let message = result.map(drop).unwrap_err().to_string();
        message.strip_prefix(&format!("{}: ", shipped(name).display())).unwrap().to_owned()
    };
    let bytes = |name| error(npy::read_bytes(shipped(name)).map(drop), name);
    let floats = |name| error(npy::read_floats(shipped(name)).map(drop), name);
    let labels = |name| error(npy::read_labels(shipped(name)).map(drop), name);
    assert_eq!(bytes("floats_f4.npy"), "elements of the type '<f4', '|u1' (uint8) expected");
    assert_eq!(
        floats("images_u1.npy"),
        "elements of the type '|u1', '<f4' (float32) or '<f8' (float64) expected"
    );
    assert!(floats("floats_f2.npy").starts_with("elements of the type '<f2', "));
    assert_eq!(
        labels("images_u1.npy"),
        "an array of shape [2, 2, 3], (samples) or (samples, 1) expected"
    );
    assert_eq!(labels("labels_negative.npy"), "label 1 is -1, 0 to 4294967295 expected");
    assert_eq!(labels("labels_i1_negative.npy"), "label 1 is -1, 0 to 4294967295 expected");
    assert_eq!(
        bytes("fortran.npy"),
        "the array is in Fortran order, C order expected: save it again after \
         `numpy.ascontiguousarray`"
    );
    assert!(bytes("fields.npy").starts_with("elements of the type [('a', '<f4'), "));
    assert_eq!(bytes("objects.npy"), "elements of the type '|O', numbers of 1 to 8 bytes expected");
    assert!(bytes("stored.npz").ends_with("(of a zip archive, as `.npz` files are)"));
}

#[test]
fn archives_are_read_by_name() {
    for name in ["stored.npz", "deflated.npz"] {
        let mut npz = Npz::open(shipped(name)).unwrap();
        let set = npz.read_dataset("x_train", "y_train").unwrap();
        assert_eq!(set.images().dim(), (2, 2, 3, 1));
        assert_eq!(set.labels().to_vec(), [7, 3]);
        let error = npz.read_bytes("x_tset").unwrap_err().to_string();
        assert!(error.contains(": no array `x_tset` in it; there are: x_t"), "{error}");
    }
    let mut npz = Npz::open(shipped("deflated.npz")).unwrap();
    assert_eq!(npz.names(), ["x_test", "x_train", "y_test", "y_train"]);
    assert_eq!(npz.read_floats("x_test").unwrap().shape(), [2, 3]);
}

/// A parser that recurses, given brackets, numbers or text without end.
#[test]
fn headers_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.npy");
    let quoted = "(')',".repeat(1000);
    let axes = "(1,".to_owned() + &"1,".repeat(100) + ")";
    let digits = format!("({},)", "9".repeat(5000));
    let nested = "(".repeat(5000);
    for value in [nested.as_str(), &quoted, &axes, &digits, "'''", "((((1,),),),)", "(-1,)", "1e9"]
    {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {value}}}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        write(&path, bytes);
        assert!(npy::read_bytes(&path).is_err(), "{value}");
    }
}
