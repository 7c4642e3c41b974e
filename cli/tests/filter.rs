//! `cnn filter` as its users call it. That the numbers are OpenCV's is tested in `cnn-pictures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cnn_pictures::filter::{Kernel, filter2d};
use cnn_pictures::image::RgbImage;
use cnn_pictures::{Format, Palette, Picture, decode, encode, grey};

fn photograph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/photograph").join(name)
}

/// Runs the command in `folder`, on the photograph.
fn filter(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cnn"));
    command.current_dir(folder).arg("filter").arg(photograph("astronaut.png"));
    command.args(args).output().unwrap()
}

fn read(folder: &Path, name: &str) -> RgbImage {
    decode(&fs::read(folder.join(name)).unwrap()).unwrap()
}

fn expected(image: &RgbImage, kernel: &str) -> RgbImage {
    filter2d(Picture::of(image).unwrap(), &kernel.parse::<Kernel>().unwrap())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_kernel_makes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let image = decode(&fs::read(photograph("astronaut.png")).unwrap()).unwrap();
    let done = filter(folder, &["--kernel", "sobel_x", "--out", "x.png"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!((text(&done.stdout), text(&done.stderr)), ("x.png\n", ""));
    assert_eq!(read(folder, "x.png"), expected(&image, "sobel_x"));

    let rows = "[[0.5, 0.25], [0.25, 0.5]]";
    let done = filter(folder, &["--grey", "-k", rows, "-k", "edge", "-o", "two.PNG"]);
    assert_eq!(text(&done.stdout), "two_kernel_1.PNG\ntwo_edge.PNG\n", "{}", text(&done.stderr));
    let brightness = grey(Picture::of(&image).unwrap(), Palette::Grey);
    assert_eq!(read(folder, "two_kernel_1.PNG"), expected(&brightness, rows));
    assert_eq!(read(folder, "two_edge.PNG"), expected(&brightness, "edge"));

    let done = filter(folder, &["-k", "blur", "-k", "sobel_y", "--together", "-o", "all.jpg"]);
    assert_eq!(text(&done.stdout), "all.jpg\n", "{}", text(&done.stderr));
    let (width, height) = read(folder, "all.jpg").dimensions();
    assert!(width > 3 * 256 && height > 256 && height < 320, "{width}x{height}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 4, "nothing else is left");
}

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("out_edge.png"), "mine").unwrap();
    let two = ["-k", "blur", "-k", "edge", "-o", "out.png"];
    let refused = filter(folder, &two);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        text(&refused.stderr),
        "error: `out_edge.png` is there already\n  = help: --force replaces it\n"
    );
    assert_eq!(fs::read(folder.join("out_edge.png")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "neither is the other file written");
    let forced = filter(folder, &[&two[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
    assert_eq!(read(folder, "out_edge.png").dimensions(), (256, 256));
}

#[test]
fn mistakes_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (args, said) in [
        (
            &["-k", "sobelx", "-o", "a.png"][..],
            "no kernel is called `sobelx`\n  = help: did you mean",
        ),
        (
            &["-k", "gauss", "-o", "a.png"],
            "there are sobel_x, sobel_y, blur, sharpen, edge, emboss",
        ),
        (&["-k", "[[1, 2], [3]]", "-o", "a.png"], "row 1 has 2, row 2 has 1"),
        (&["-k", "[[1,", "-o", "a.png"], "a kernel is written as [[1, 2], [3, 4]]"),
        (&["-k", "blur", "-o", "a.gif"], "end it with .png or .jpg"),
        (&["-k", "blur", "-o", "a"], "end it with .png or .jpg"),
        (&["-k", "blur", "-k", "blur", "-o", "a.png"], "kernel `blur` is given twice"),
        (&["-k", "blur", "-o", "none/a.png"], "cannot write `none/a.png`"),
        (&["-o", "a.png"], "--kernel"),
    ] {
        let refused = filter(folder, args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(text(&refused.stderr).contains(said), "{args:?}: {}", text(&refused.stderr));
        assert_eq!(text(&refused.stdout), "");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn files_that_are_no_pictures_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let png = encode(&RgbImage::new(3, 2), Format::Png).unwrap();
    fs::write(folder.join("cut.png"), &png[..png.len() / 2]).unwrap();
    let jpeg = fs::read(photograph("astronaut.jpg")).unwrap();
    fs::write(folder.join("cut.jpg"), &jpeg[..1000]).unwrap();
    fs::write(folder.join("page.png"), "<html>").unwrap();
    fs::write(folder.join("empty.png"), "").unwrap();
    // A header that claims 50,000 x 50,000 pixels.
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    fs::write(folder.join("huge.png"), &huge).unwrap();
    let names = ["cut.png", "cut.jpg", "page.png", "empty.png", "huge.png", "absent.png", "."];
    for name in names {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cnn"));
        command.current_dir(folder).args(["filter", name, "-k", "blur", "-o", "out.png"]);
        let refused = command.output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert!(text(&refused.stderr).starts_with("error: "), "{name}");
        assert!(!folder.join("out.png").exists(), "{name}");
    }
}
