//! Folders of images, and single ones against what Pillow makes of them.

use std::fs;
use std::path::Path;

use cnn_runtime::data::images::{Color, Images, Sizing};
use cnn_runtime::data::npy::Npz;
use image::{GrayImage, RgbImage};
use ndarray::Array3;

use crate::{shipped, write};

fn pillow(name: &str) -> Array3<u8> {
    let array = Npz::open(shipped("pillow.npz")).unwrap().read_bytes(name).unwrap();
    let array = if array.ndim() == 2 { array.insert_axis(ndarray::Axis(2)) } else { array };
    array.into_dimensionality().unwrap()
}

/// The largest difference of two bytes.
fn distance(a: &Array3<u8>, b: &Array3<u8>) -> u8 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

fn save(path: &Path, rows: u32, columns: u32, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(columns, rows, |x, y| image::Rgb([value, x as u8, y as u8]))
        .save(path)
        .unwrap();
}

#[test]
fn images_are_what_pillow_reads() {
    let read = Images::new(5, 7).read(shipped("small.png")).unwrap();
    assert_eq!(read, pillow("small"));
    // Decoders of JPEG may round their transform differently.
    let read = Images::new(24, 16).read(shipped("smooth.jpg")).unwrap();
    assert!(distance(&read, &pillow("smooth")) <= 3, "{}", distance(&read, &pillow("smooth")));
    let read = Images::new(16, 24).read(shipped("turned.jpg")).unwrap();
    assert!(distance(&read, &pillow("turned")) <= 3, "{}", distance(&read, &pillow("turned")));
    let read = Images::new(5, 7).color(Color::Grey).read(shipped("small.png")).unwrap();
    // Pillow cuts the fraction off in places.
    assert!(distance(&read, &pillow("small_grey")) <= 1);
}

#[test]
fn images_are_resized_as_pillow_does() {
    for (name, rows, columns) in [("small_down", 3, 4), ("small_up", 9, 11)] {
        let images = Images::new(rows, columns).sizing(Sizing::Resize);
        let read = images.read(shipped("small.png")).unwrap();
        assert!(distance(&read, &pillow(name)) <= 1, "{name}: {}", distance(&read, &pillow(name)));
    }
}

#[test]
fn other_sizes_are_refused_cut_or_resized() {
    let path = shipped("small.png");
    let whole = pillow("small");
    let error = |images: Images| {
        let message = images.read(&path).unwrap_err().to_string();
        message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    let images = Images::new(3, 4);
    assert_eq!(error(images), "an image of 5 x 7 pixels (height x width), 3 x 4 expected");
    let cut = images.sizing(Sizing::Crop).read(&path).unwrap();
    assert_eq!(cut, whole.slice(ndarray::s![1..4, 1..5, ..]));
    assert_eq!(
        error(Images::new(6, 4).sizing(Sizing::Crop)),
        "an image of 5 x 7 pixels (height x width), 6 x 4 to be cut out of it"
    );
    // 5 x 5 of 5 x 7.
    let square = Images::new(5, 5).sizing(Sizing::CropAndResize).read(&path).unwrap();
    assert_eq!(square, whole.slice(ndarray::s![.., 1..6, ..]));
    let square = Images::new(10, 10).sizing(Sizing::CropAndResize).read(&path).unwrap();
    assert_eq!(square.dim(), (10, 10, 3));
    let line = Images::new(1, 200).sizing(Sizing::CropAndResize).read(&path).unwrap();
    assert_eq!(line.dim(), (1, 200, 3));
    assert_eq!(error(Images::new(0, 4)), "images of 0 x 4 pixels: expected at least one pixel");
    assert!(error(Images::new(4_000_000_000, 4_000_000_000)).contains("at most 16384 x 16384"));
}

#[test]
fn classes_are_sorted_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    save(&root.join("zebra/2.png"), 4, 6, 30);
    save(&root.join("zebra/10.PNG"), 4, 6, 20);
    save(&root.join("ant/only.jpeg"), 4, 6, 100);
    GrayImage::from_pixel(6, 4, image::Luma([9])).save(root.join("ant/grey.png")).unwrap();
    write(root.join("ant/notes.txt"), "not a picture");
    write(root.join("ant/.hidden.png"), "not one either");
    write(root.join(".cache/x.png"), "");
    write(root.join("README"), "");
    // A PNG by its content, whatever its name.
    fs::copy(root.join("zebra/2.png"), root.join("zebra/3.jpg")).unwrap();

    let set = Images::new(4, 6).load(root).unwrap();
    assert_eq!(set.class_names(), ["ant", "zebra"]);
    assert_eq!(set.labels().to_vec(), [0, 0, 1, 1, 1]);
    assert_eq!(set.images().dim(), (5, 4, 6, 3));
    let reds: Vec<u8> = set.images().outer_iter().map(|image| image[[3, 5, 0]]).collect();
    assert_eq!((reds[0], reds[2], reds[3], reds[4]), (9, 20, 30, 30));
    assert!(reds[1].abs_diff(100) < 12, "{}", reds[1]);
    assert_eq!(set.images()[[2, 3, 5, 1]], 5);
    let grey = Images::new(4, 6).color(Color::Grey).load(root).unwrap();
    assert_eq!(grey.images().dim(), (5, 4, 6, 1));
    // 0.299 * 20 + 0.587 * 5 + 0.114 * 3 = 9.257.
    assert_eq!(grey.images()[[2, 3, 5, 0]], 9);
}

#[test]
fn a_folder_that_does_not_do_says_which_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let images = Images::new(4, 6);
    let error = |path: &Path| {
        let message = images.load(root).unwrap_err().to_string();
        let rest = message.strip_prefix(&format!("{}: ", path.display()));
        rest.unwrap_or_else(|| panic!("{message}")).to_owned()
    };
    assert_eq!(error(root), "no folders in it: one folder of images for each class expected");
    fs::create_dir(root.join("a")).unwrap();
    assert_eq!(error(&root.join("a")), "no PNG or JPEG images in it");
    save(&root.join("a/1.png"), 4, 6, 1);
    save(&root.join("a/2.png"), 4, 5, 1);
    write(root.join("a/3.png"), "no image");
    // Of two bad files the first is told, always.
    for _ in 0..20 {
        let said = error(&root.join("a/2.png"));
        assert_eq!(said, "an image of 4 x 5 pixels (height x width), 4 x 6 expected");
    }
    fs::remove_file(root.join("a/2.png")).unwrap();
    assert!(error(&root.join("a/3.png")).starts_with("cannot be decoded as PNG or JPEG: "));
    fs::remove_file(root.join("a/3.png")).unwrap();
    write(root.join("a/4.WebP"), "");
    let other = "a picture that is neither PNG nor JPEG: convert it, or move it away";
    assert_eq!(error(&root.join("a/4.WebP")), other);
    fs::remove_file(root.join("a/4.WebP")).unwrap();
    save(&root.join("5.png"), 4, 6, 1);
    let beside = "lies beside the folders of the classes: which class is it?";
    assert_eq!(error(&root.join("5.png")), beside);
    fs::remove_file(root.join("5.png")).unwrap();
    fs::create_dir(root.join("a/deeper")).unwrap();
    assert_eq!(error(&root.join("a/deeper")), "is a directory, not a file");

    let missing = images.load("no/such/folder").unwrap_err().to_string();
    let full = std::env::current_dir().unwrap().join("no/such/folder");
    assert_eq!(missing, format!("{}: not found", full.display()));
    let file = shipped("small.png");
    let said = images.load(&file).unwrap_err().to_string();
    assert_eq!(said, format!("{}: is a file, not a directory", file.display()));
}

/// Wherever it is cut: no grey rest is learned in silence.
#[test]
fn images_that_are_cut_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut");
    let images = Images::new(5, 7).sizing(Sizing::Resize);
    for name in ["small.png", "smooth.jpg", "turned.jpg"] {
        let bytes = fs::read(shipped(name)).unwrap();
        for end in 0..bytes.len() {
            write(&path, &bytes[..end]);
            let message = images.read(&path).expect_err(name).to_string();
            assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
        }
        // What some programs append does no harm.
        write(&path, [&bytes[..], b"more"].concat());
        assert!(images.read(&path).is_ok(), "{name}");
    }
    let bytes = fs::read(shipped("smooth.jpg")).unwrap();
    write(&path, &bytes[..bytes.len() - 9]);
    let said = images.read(&path).unwrap_err().to_string();
    assert_eq!(said, format!("{}: an image that is cut: its end is missing", path.display()));
}
