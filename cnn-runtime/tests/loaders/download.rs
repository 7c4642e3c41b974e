//! Fetching from servers on loopback that truncate, corrupt, stall and answer with pages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cnn_runtime::data::cifar10;
use cnn_runtime::data::download::{Download, DownloadError, unpack};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;

use crate::server::{Answer, Server};
use crate::{gzip, write};

fn file() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sum(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").expect("a string takes all");
    }
    hex
}

struct Place {
    _dir: TempDir,
    path: PathBuf,
    part: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sets/set.tar.gz");
    let part = dir.path().join("sets/set.tar.gz.part");
    Place { _dir: dir, path, part }
}

fn download(servers: &[&Server]) -> Download {
    let quick = Duration::from_millis(300);
    Download::new(&sum(&file()))
        .mirrors(servers.iter().map(|server| server.url()))
        .timeouts(quick, quick)
}

impl Place {
    fn holds_the_file(&self) {
        assert!(fs::read(&self.path).unwrap() == file());
        assert!(!self.part.exists());
        assert_eq!(fs::read_dir(self.path.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_file_arrives_and_is_not_fetched_twice() {
    let (place, server) = (place(), Server::start(&file(), &[Answer::Right]));
    download(&[&server]).to_file(&place.path).unwrap();
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
    assert_eq!(server.ranges(), [None]);
    // Without a network there is nothing to do either.
    Download::new(&sum(&file()).to_uppercase()).to_file(&place.path).unwrap();
}

#[test]
fn a_truncated_answer_is_resumed() {
    let answers = [Answer::Cut(1000), Answer::Cut(0), Answer::Right];
    let (place, server) = (place(), Server::start(&file(), &answers));
    // Nothing at all the second time: this mirror is given up, what arrived stays.
    let said = download(&[&server]).to_file(&place.path).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{} could not be fetched: http://", place.path.display())));
    assert!(!place.path.exists());
    assert_eq!(fs::metadata(&place.part).unwrap().len(), 1000);
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
    assert_eq!(server.ranges(), [None, Some(1000), Some(1000)]);
}

#[test]
fn many_truncated_answers_make_a_whole_one() {
    let (place, server) = (place(), Server::start(&file(), &[Answer::Cut(40_000)]));
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
    assert_eq!(server.ranges().len(), 8);
    let (place, server) = (self::place(), Server::start(&file(), &[Answer::Cut(1)]));
    let said = download(&[&server]).to_file(&place.path).unwrap_err().to_string();
    assert!(said.ends_with("the file was not complete after 32 connections"), "{said}");
}

#[test]
fn a_server_without_ranges_keeps_what_was_there() {
    let answers = [Answer::Cut(100_000), Answer::IgnoreRangeAndCut(150_000), Answer::IgnoreRange];
    let (place, server) = (place(), Server::start(&file(), &answers));
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
    assert_eq!(server.ranges(), [None, Some(100_000), Some(150_000)]);
    // It breaks off before anything new.
    let answers = [Answer::Cut(100_000), Answer::IgnoreRangeAndCut(50_000)];
    let (place, server) = (self::place(), Server::start(&file(), &answers));
    download(&[&server]).to_file(&place.path).unwrap_err();
    assert_eq!(fs::metadata(&place.part).unwrap().len(), 100_000);
}

#[test]
fn a_corrupt_file_is_not_put_in_place() {
    let (place, bad) = (place(), Server::start(&file(), &[Answer::Corrupt]));
    write(&place.path, "what was there");
    let said = download(&[&bad]).to_file(&place.path).unwrap_err().to_string();
    assert!(said.contains("the file has the SHA-256 sum "), "{said}");
    assert!(said.ends_with(&format!("{} expected", sum(&file()))), "{said}");
    assert_eq!(fs::read(&place.path).unwrap(), b"what was there");
    // Another mirror has the right one.
    let good = Server::start(&file(), &[Answer::Right]);
    download(&[&bad, &good]).to_file(&place.path).unwrap();
    place.holds_the_file();
}

#[test]
fn bytes_of_another_file_are_fetched_anew() {
    let (place, server) = (place(), Server::start(&file(), &[Answer::Right]));
    write(&place.part, [7; 5000]);
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
    assert_eq!(server.ranges(), [Some(5000), None]);
    // Longer than the file is; and all of it, only never moved.
    for (before, ranges) in
        [(vec![7; 400_000], vec![Some(400_000), None]), (file(), vec![Some(300_000)])]
    {
        let (place, server) = (self::place(), Server::start(&file(), &[Answer::Right]));
        write(&place.part, before);
        download(&[&server]).to_file(&place.path).unwrap();
        place.holds_the_file();
        assert_eq!(server.ranges(), ranges);
    }
}

#[test]
fn two_at_once_do_not_mix() {
    let (place, server) = (place(), Server::start(&file(), &[Answer::Right]));
    write(&place.part, b"");
    let other = fs::File::open(&place.part).unwrap();
    other.lock().unwrap();
    let said = download(&[&server]).to_file(&place.path).unwrap_err().to_string();
    assert!(said.ends_with("another program is fetching it to the same place"), "{said}");
    drop(other);
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
}

#[test]
fn silence_is_given_up() {
    let started = Instant::now();
    for answer in [Answer::Stall(1000), Answer::Silent, Answer::Noise] {
        let answers = [answer, Answer::Silent];
        let (place, stalls) = (place(), Server::start(&file(), &answers));
        let good = Server::start(&file(), &[Answer::Right]);
        download(&[&stalls]).to_file(&place.path).unwrap_err();
        assert!(!place.path.exists());
        download(&[&stalls, &good]).to_file(&place.path).unwrap();
        place.holds_the_file();
        let kept = if matches!(answer, Answer::Stall(_)) { Some(1000) } else { None };
        assert_eq!(good.ranges(), [kept], "{answer:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_page_is_no_file() {
    for answer in [Answer::Html, Answer::HiddenHtml] {
        let (place, server) = (place(), Server::start(&file(), &[Answer::Cut(1000), answer]));
        let said = download(&[&server]).to_file(&place.path).unwrap_err().to_string();
        assert!(said.ends_with("answered with an HTML page in place of the file"), "{said}");
        assert_eq!(fs::metadata(&place.part).unwrap().len(), 1000, "what is right stays");
    }
}

#[test]
fn other_answers_are_told() {
    let (place, path) = (place(), |place: &Place| place.path.clone());
    let said = |answers: &[Answer], limit: u64| {
        let server = Server::start(&file(), answers);
        let error = download(&[&server]).size_limit(limit).to_file(path(&place)).unwrap_err();
        let _ = fs::remove_file(&place.part);
        assert!(!place.path.exists());
        error.to_string().split_once("set.tar.gz: ").unwrap().1.to_owned()
    };
    assert_eq!(said(&[Answer::Status(404)], 1 << 20), "the server answered with status 404");
    assert_eq!(said(&[Answer::Status(503)], 1 << 20), "the server answered with status 503");
    let large = "the file is larger than the limit of 100000 bytes";
    assert_eq!(said(&[Answer::Right], 100_000), large);
    assert_eq!(said(&[Answer::Endless], 100_000), large);
    let range = said(&[Answer::Cut(1000), Answer::WrongRange], 1 << 20);
    assert_eq!(
        range,
        "bytes from 1000 on were asked for, the server sent `bytes 1001-299999/300000`"
    );
    said(&[Answer::Redirect("/again")], 1 << 20);
    let server = Server::start(&file(), &[Answer::Redirect("/there"), Answer::Right]);
    download(&[&server]).to_file(&place.path).unwrap();
    place.holds_the_file();
}

#[test]
fn without_mirrors_or_a_server_that_is_told() {
    let place = place();
    let said = Download::new("00").to_file(&place.path).unwrap_err().to_string();
    assert!(said.ends_with("set.tar.gz could not be fetched: no mirrors are given"), "{said}");
    let url = Server::start(&[], &[Answer::Right]).url();
    let mirrors = [url.as_str(), "no address", "ftp://127.0.0.1/x"];
    let error = Download::new("00").mirrors(mirrors).to_file(&place.path).unwrap_err();
    let DownloadError::Mirrors { failures, .. } = error else { panic!("{error}") };
    assert_eq!(failures.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>(), mirrors);
    let said = Download::new("00").to_file(std::env::temp_dir()).unwrap_err().to_string();
    assert!(said.contains("cannot be written"), "{said}");
}

/// A `.tar.gz` of entries of any kind, whatever their paths.
fn archive(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, bytes) in entries {
        let mut header = Header::new_gnu();
        // Not with `set_path`, which refuses what is to be refused here.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn cifar10_archive() -> Vec<u8> {
    let record = |label| [&[label][..], &[label; 3072]].concat();
    let names: Vec<String> =
        (1..=5).map(|batch| format!("{}/data_batch_{batch}.bin", cifar10::FOLDER)).collect();
    let test = format!("{}/test_batch.bin", cifar10::FOLDER);
    let records: Vec<Vec<u8>> = (0..6).map(record).collect();
    let mut entries = vec![(EntryType::Directory, cifar10::FOLDER, &[][..])];
    for (name, record) in names.iter().chain([&test]).zip(&records) {
        entries.push((EntryType::Regular, name.as_str(), record));
    }
    archive(&entries)
}

#[test]
fn cifar_10_is_fetched_unpacked_and_loaded() {
    let bytes = cifar10_archive();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&bytes, &[Answer::Cut(50), Answer::Right]);
    let download =
        Download::new(&sum(&bytes)).mirrors(["http://127.0.0.1:1/x"]).mirror_first(server.url());
    let folder = download.cifar10_into(dir.path()).unwrap();
    assert_eq!(folder, dir.path().join(cifar10::FOLDER));
    assert_eq!(download.cifar10_into(dir.path()).unwrap(), folder);
    assert_eq!(server.ranges().len(), 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    for place in [dir.path(), &folder] {
        let set = cifar10::load(place).unwrap();
        assert_eq!(set.train.labels().to_vec(), [0, 1, 2, 3, 4]);
        assert_eq!(set.test.labels().to_vec(), [5]);
    }
}

#[test]
fn archives_that_reach_out_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (packed, folder) = (dir.path().join("in/a.tar.gz"), dir.path().join("in/set"));
    let good = (EntryType::Regular, "set/a.bin", &b"abc"[..]);
    let error = |entries: &[(EntryType, &str, &[u8])]| {
        write(&packed, archive(entries));
        let said = unpack(&packed, &folder).unwrap_err().to_string();
        assert!(!folder.exists());
        // Nothing but the archive, and nothing above it.
        assert_eq!(fs::read_dir(dir.path().join("in")).unwrap().count(), 1, "{said}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{said}");
        let rest = said.strip_prefix(&format!("{}: ", packed.display()));
        rest.unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    for path in ["../out", "set/../../out", "/tmp/out", "set/x/../../../../out"] {
        let said = error(&[good, (EntryType::Regular, path, b"x")]);
        assert_eq!(said, format!("the path {path} leads out of it; nothing was unpacked"));
    }
    let kinds = [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo];
    for kind in kinds.into_iter().chain([EntryType::GNULongName, EntryType::GNUSparse]) {
        let said = error(&[good, (kind, "set/b", b"")]);
        assert_eq!(said, "set/b is neither a file nor a folder; nothing was unpacked");
    }
    assert_eq!(
        error(&[(EntryType::Regular, "other/a", b"")]),
        "there is no folder set in it; nothing was unpacked"
    );
    let many: Vec<_> = (0..1001).map(|_| (EntryType::Directory, "set", &b""[..])).collect();
    assert_eq!(error(&many), "more than 1000 files in it; nothing was unpacked");
    // Twice the same file.
    assert!(unpack_error(&packed, &folder, &archive(&[good, good])).contains("cannot be written"));

    let whole = archive(&[good]);
    for length in (0..whole.len() - 8).step_by(3) {
        unpack_error(&packed, &folder, &whole[..length]);
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        write(&packed, bytes);
        if unpack(&packed, &folder).is_ok() {
            fs::remove_dir_all(&folder).unwrap();
        }
    }
    write(&packed, &whole);
    unpack(&packed, &folder).unwrap();
    assert_eq!(fs::read(folder.join("a.bin")).unwrap(), b"abc");
    let said = unpack(&packed, &folder).unwrap_err().to_string();
    assert_eq!(said, format!("{}: is there already: move it away first", folder.display()));
}

fn unpack_error(packed: &Path, folder: &Path, bytes: &[u8]) -> String {
    write(packed, bytes);
    let said = unpack(packed, folder).unwrap_err().to_string();
    assert!(!folder.exists());
    said
}

/// A file that says it has a gigabyte.
#[test]
fn a_bomb_is_not_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let (packed, folder) = (dir.path().join("a.tar.gz"), dir.path().join("set"));
    for size in [1 << 30, 1 << 40] {
        let mut header = Header::new_gnu();
        header.set_path("set/zeros").unwrap();
        header.set_size(size);
        header.set_cksum();
        let small = archive(&[(EntryType::Regular, "set/a", b"abc")]);
        let members = [gzip(&[0; 0]), gzip(header.as_bytes()), small];
        let said = unpack_error(&packed, &folder, &members.concat());
        assert!(said.ends_with(": more than 512 MiB in it; nothing was unpacked"), "{said}");
    }
}
