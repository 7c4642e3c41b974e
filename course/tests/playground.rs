//! The playground answers what it should, refuses what it cannot read, and stays up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use cnn_course::SAMPLE;
use cnn_course::playground::network::{Digits, PIXELS};
use cnn_course::playground::server::{MAX_DRAWING, MAX_UPLOAD, Playground};
use cnn_runtime::Model;
use cnn_runtime::data::{Dataset, mnist};
use cnn_runtime::trainer::{Fit, Verbose};
use serde_json::Value;

const PHOTOGRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/photograph/astronaut.jpg");

static TEST: LazyLock<Dataset> = LazyLock::new(|| mnist::load(SAMPLE).unwrap().test);

/// Trained on few digits: enough to know most of them.
static MODEL: LazyLock<Model<Digits>> = LazyLock::new(|| {
    let digits = mnist::load(SAMPLE).unwrap();
    let (some, _) = digits.train.examples().split_at(2000);
    let mut model = Digits::new(1);
    let fit = Fit::new().epochs(4).batch_size(32).seed(1).verbose(Verbose::Silent);
    model.fit(&some, fit).unwrap();
    model
});

fn start() -> Playground {
    Playground::start(&MODEL, "A test.", 0).unwrap()
}

/// Status, and the bytes after the headers.
type Answer = (u16, Vec<u8>);

/// Sends bytes as they are and reads until the server closes.
fn send(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of headers");
    let head = str::from_utf8(&answer[..end]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn ask(to: SocketAddr, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut bytes = head(method, path, body.len()).into_bytes();
    bytes.extend_from_slice(body);
    send(to, &bytes)
}

fn text((status, body): Answer) -> (u16, String) {
    (status, String::from_utf8(body).unwrap())
}

fn digit(index: usize) -> Vec<u8> {
    TEST.images().as_slice().unwrap()[index * PIXELS..][..PIXELS].to_vec()
}

fn class(answer: Answer) -> usize {
    let (status, body) = text(answer);
    assert_eq!(status, 200, "{body}");
    let seen: Value = serde_json::from_str(&body).unwrap();
    let probabilities = seen["probabilities"].as_array().unwrap();
    let chance = |n: &usize| probabilities[*n].as_f64().unwrap();
    assert!(((0..10).map(|n| chance(&n)).sum::<f64>() - 1.0).abs() < 1e-5);
    (0..10).max_by(|a, b| chance(a).total_cmp(&chance(b))).unwrap()
}

#[test]
fn digits_are_recognised() {
    let playground = start();
    let labels = TEST.labels();
    let right = (0..100)
        .filter(|&i| {
            class(ask(playground.address(), "POST", "/digit", &digit(i))) == labels[i] as usize
        })
        .count();
    assert!(right >= 85, "{right} of 100");
}

#[test]
fn feature_maps_of_all_layers_come_along() {
    let playground = start();
    let (_, body) = text(ask(playground.address(), "POST", "/digit", &digit(0)));
    let seen: Value = serde_json::from_str(&body).unwrap();
    let sizes: Vec<(&str, u64)> = seen["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            let size = ["rows", "columns", "features"].map(|size| layer[size].as_u64().unwrap());
            let values = size.iter().product::<u64>();
            let base64 = layer["maps"].as_str().unwrap().len() as u64;
            assert_eq!(base64, values.div_ceil(3) * 4);
            (layer["name"].as_str().unwrap(), values)
        })
        .collect();
    let expected = [
        ("conv2d", 28 * 28 * 16),
        ("max_pooling2d", 14 * 14 * 16),
        ("conv2d_1", 14 * 14 * 32),
        ("max_pooling2d_1", 7 * 7 * 32),
        ("flatten", 1568),
        ("dense", 64),
        ("dropout", 64),
        ("dense_1", 10),
    ];
    assert_eq!(sizes, expected);
}

#[test]
fn the_page_fetches_nothing_from_elsewhere() {
    let playground = start();
    let (status, page) = text(ask(playground.address(), "GET", "/", b""));
    assert_eq!(status, 200);
    assert!(page.contains("<title>Draw a digit</title>"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("//cdn"));
    let (status, about) = text(ask(playground.address(), "GET", "/about", b""));
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&about).unwrap()["about"], "A test.");
}

/// What is wrong gets a line of plain text, and the next request is answered as if nothing had been.
#[test]
fn what_cannot_be_read_is_refused() {
    let playground = start();
    let to = playground.address();
    let photograph = std::fs::read(PHOTOGRAPH).unwrap();
    let cases: [(u16, &str, Answer); 13] = [
        (400, "784 bytes", ask(to, "POST", "/digit", b"")),
        (400, "784 bytes", ask(to, "POST", "/digit", &[0; PIXELS - 1])),
        (400, "784 bytes", ask(to, "POST", "/digit", &[0; PIXELS + 1])),
        (413, "4096 bytes", ask(to, "POST", "/digit", &[0; MAX_DRAWING + 1])),
        // Lengths are judged before anything comes.
        (413, "4096 bytes", send(to, head("POST", "/digit", 1 << 40).as_bytes())),
        (
            413,
            "8388608 bytes",
            send(to, head("POST", "/filter?kernel=blur", MAX_UPLOAD + 1).as_bytes()),
        ),
        (413, "limit", send(to, &chunked("/digit", MAX_DRAWING + 1))),
        (400, "which filter", ask(to, "POST", "/filter", &photograph)),
        (400, "swirl", ask(to, "POST", "/filter?kernel=swirl", &photograph)),
        (400, "kernel", ask(to, "POST", "/filter?kernel=[[1,2],[3]]", &photograph)),
        (400, "", ask(to, "POST", "/filter?kernel=blur", b"no picture")),
        (404, "nothing", ask(to, "GET", "/../../etc/passwd", b"")),
        (405, "method", ask(to, "GET", "/digit", b"")),
    ];
    for (expected, part, answer) in cases {
        let (status, said) = text(answer);
        assert_eq!(status, expected, "{said:?} for {part:?}");
        assert!(said.contains(part) && said.lines().count() == 1, "{said:?} lacks {part:?}");
    }
    assert_eq!(send(to, b"\x16\x03\x01 nonsense\r\n\r\n").0, 400);
    let elsewhere = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(send(to, elsewhere.as_bytes()).0, 403);
    class(ask(to, "POST", "/digit", &digit(0)));
}

/// A body whose length is not said beforehand.
fn chunked(path: &str, length: usize) -> Vec<u8> {
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
    )
    .into_bytes();
    bytes.resize(bytes.len() + length, 0);
    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    bytes
}

/// The first bytes of a PNG promise a picture of 3.6 gigapixels.
#[test]
fn a_picture_too_large_is_not_unpacked() {
    let playground = start();
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0]);
    png.extend_from_slice(&[0x91, 0x31, 0x3c, 0xd5]);
    let (status, said) = text(ask(playground.address(), "POST", "/filter?kernel=blur", &png));
    assert!(status == 413 || status == 400, "{status} {said}");
    assert!(said.lines().count() == 1, "{said:?}");
}

/// A decoder would fill the rest with grey.
#[test]
fn a_picture_that_is_cut_is_refused() {
    let playground = start();
    let jpeg = std::fs::read(PHOTOGRAPH).unwrap();
    let image = cnn_pictures::decode(&jpeg).unwrap();
    let png = cnn_pictures::encode(&image, cnn_pictures::Format::Png).unwrap();
    for bytes in [&jpeg, &png] {
        for end in [20, 1000, bytes.len() / 2, bytes.len() - 1] {
            let to = playground.address();
            let (status, said) = text(ask(to, "POST", "/filter?kernel=blur", &bytes[..end]));
            assert_eq!(status, 400, "{said:?} for {end} of {} bytes", bytes.len());
            assert!(!said.is_empty() && said.lines().count() == 1, "{said:?}");
        }
    }
    let (_, said) = text(ask(playground.address(), "POST", "/filter?kernel=blur", &jpeg[..1000]));
    assert_eq!(said, "cannot read the picture: its file is cut, the end is missing\n");
}

#[test]
fn filters_are_those_of_the_library() {
    let playground = start();
    let photograph = std::fs::read(PHOTOGRAPH).unwrap();
    let (status, png) = ask(playground.address(), "POST", "/filter?kernel=sobel_y", &photograph);
    assert_eq!(status, 200);
    let image = cnn_pictures::decode(&photograph).unwrap();
    let kernel = cnn_pictures::filter::Kernel::named("sobel_y").unwrap();
    let picture = cnn_pictures::Picture::of(&image).unwrap();
    let expected = cnn_pictures::filter::filter2d(picture, &kernel);
    assert_eq!(cnn_pictures::decode(&png).unwrap(), expected);
}

/// Eight at once, as fast as they can, while somebody else keeps bodies back: all are answered, each with
/// what a single one is told.
#[test]
fn two_hundred_requests() {
    let playground = start();
    let to = playground.address();
    let mut stalled: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(to).unwrap()).collect();
    for stream in &mut stalled {
        stream.write_all(head("POST", "/digit", PIXELS).as_bytes()).unwrap();
    }
    let alone: Vec<(usize, Answer)> =
        (0..200).map(|i| (i, ask(to, "POST", "/digit", &digit(i)))).collect();
    std::thread::scope(|scope| {
        for some in alone.chunks(25) {
            scope.spawn(move || {
                for (i, expected) in some {
                    let answer = ask(to, "POST", "/digit", &digit(*i));
                    assert_eq!(answer.0, 200, "request {i}");
                    assert!(answer == *expected, "request {i} has the answer to another");
                }
            });
        }
    });
}

/// The page in a browser recognises a seven drawn in three strokes. Without Chromium it says so.
#[test]
fn a_stroke_in_a_browser() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    let Some(browser) = names.iter().find(found) else {
        eprintln!("no Chromium here: the page was not tried in a browser");
        return;
    };
    let playground = start();
    let strokes = "0.28,0.25,0.72,0.25,0.68,0.36,0.56,0.58,0.46,0.82";
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chromium");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("http://{}/?strokes={strokes}", playground.address()))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(page.contains(r#"<body data-guess="7">"#), "{page}");
}
