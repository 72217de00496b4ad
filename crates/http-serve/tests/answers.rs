//! Requests for files that are there, change, and are not there.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use http_serve::{Answer, Refusal, Requests, Site};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

fn ask(site: &Site, head: &str) -> Answer {
    let mut requests = Requests::default();
    let text = format!("{head}\r\n\r\n");
    requests.room()[..text.len()].copy_from_slice(text.as_bytes());
    requests.filled(text.len());
    match requests.next().expect("it is whole") {
        Ok(request) => site.answer(&request),
        Err(refusal) => Answer::refusal(refusal, None),
    }
}

/// The answer to a GET of a path with fields: head and body.
fn get(site: &Site, path: &str, fields: &str) -> (String, Vec<u8>) {
    let mut answer = ask(site, &format!("GET {path} HTTP/1.1\r\nHost: a{fields}"));
    let mut bytes = answer.bytes().to_vec();
    while answer.next_piece().expect("it is read") {
        bytes.extend_from_slice(answer.bytes());
    }
    assert!(answer.is_whole());
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let body = bytes.split_off(end.expect("a head") + 4);
    (String::from_utf8(bytes).expect("a head of text"), body)
}

fn site() -> (TempDir, Site) {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::open(directory.path()).expect("it is opened");
    (directory, site)
}

fn sparse(path: &Path, bytes: u64) -> File {
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path);
    let file = file.expect("a file");
    file.set_len(bytes).expect("a length");
    file
}

#[test]
fn a_file_comes_whole_and_in_ranges() {
    let (directory, site) = site();
    for bytes in [0_usize, 1, 1024, 65_000, 65_536, 200_000] {
        let content: Vec<_> = (0..bytes).map(|at| (at % 251) as u8).collect();
        fs::write(directory.path().join("a.html"), &content).expect("a file");
        let (head, body) = get(&site, "/a.html", "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
        assert!(
            head.contains(&format!("\r\nContent-Length: {bytes}\r\n")),
            "{head}"
        );
        assert!(head.contains("\r\nContent-Type: text/html\r\n"), "{head}");
        assert!(!head.contains("Connection"), "{head}");
        assert!(body == content, "{bytes}");
        let (head, body) = get(&site, "/a.html", "\r\nRange: bytes=-70000");
        match bytes {
            0 => assert!(head.starts_with("HTTP/1.1 200"), "{head}"),
            _ => assert!(head.starts_with("HTTP/1.1 206"), "{head}"),
        }
        assert!(body == content[bytes.saturating_sub(70_000)..], "{bytes}");
        let answer = ask(&site, "HEAD /a.html HTTP/1.1\r\nHost: a");
        assert!(answer.is_whole() && answer.bytes().ends_with(b"\r\n\r\n"));
    }
}

#[test]
fn a_range_lies_beyond_four_gibibytes() {
    let (directory, site) = site();
    let file = sparse(&directory.path().join("a"), 5_000_000_000);
    file.write_all_at(b"here", 4_999_999_000).expect("written");
    let (head, body) = get(&site, "/a", "\r\nRange: bytes=4999999000-4999999003");
    let range = "\r\nContent-Range: bytes 4999999000-4999999003/5000000000\r\n";
    assert!(head.contains(range), "{head}");
    assert_eq!(body, b"here");
    let answer = ask(&site, "GET /a HTTP/1.1\r\nHost: a");
    assert_eq!(answer.bytes().len(), 64 * 1024);
    assert!(!answer.is_whole());
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let (directory, site) = site();
    let file = sparse(&directory.path().join("a"), 300_000);
    let mut answer = ask(&site, "GET /a HTTP/1.1\r\nHost: a");
    file.set_len(100_000).expect("a length");
    assert!(answer.next_piece().expect("there is more"));
    let error = answer.next_piece().expect_err("it is shorter");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn nothing_but_files_below_is_found() {
    let (directory, site) = site();
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("sub")).expect("a directory");
    fs::write(at("sub/index.html"), "index").expect("a file");
    fs::write(at("%"), "percent").expect("a file");
    symlink("sub/index.html", at("inside")).expect("a link");
    symlink(outside.path(), at("outside")).expect("a link");
    symlink("loop", at("loop")).expect("a link");
    mkfifoat(CWD, at("pipe"), Mode::RUSR).expect("a pipe");
    for (path, right) in [
        ("/sub/", "index"),
        ("/sub/index.html", "index"),
        ("/inside", "index"),
        ("/%25", "percent"),
    ] {
        let (head, body) = get(&site, path, "");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert_eq!(body, right.as_bytes(), "{path}");
    }
    let long = format!("/{}", "x".repeat(300));
    for path in [
        "/",
        "/sub",
        "/none",
        "/outside",
        "/loop",
        "/pipe",
        "/inside/",
        "/../x",
        "//etc/passwd",
        &long,
    ] {
        let (head, body) = get(&site, path, "");
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        assert!(!head.contains("Connection"), "{head}");
        assert_eq!(body, b"404 Not Found\n", "{path}");
    }
}

#[test]
fn a_changed_file_has_another_tag() {
    let (directory, site) = site();
    let path = directory.path().join("a");
    let tag = |head: &str| {
        let tag = head.lines().find_map(|line| line.strip_prefix("ETag: "));
        tag.expect("a tag").to_owned()
    };
    fs::write(&path, "one").expect("a file");
    let (head, _) = get(&site, "/a", "");
    let first = tag(&head);
    let (head, body) = get(&site, "/a", &format!("\r\nIf-None-Match: W/{first}"));
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    assert!(
        !head.contains("Content-Length") && body.is_empty(),
        "{head}"
    );
    fs::write(&path, "other").expect("a file");
    let (head, body) = get(&site, "/a", &format!("\r\nIf-None-Match: {first}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_ne!(tag(&head), first);
    assert_eq!(body, b"other");
}

#[test]
fn what_is_cached_is_not_waited_for() {
    let (directory, site) = site();
    fs::write(directory.path().join("a"), vec![7; 150_000]).expect("a file");
    let mut requests = Requests::default();
    let text = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    requests.room()[..text.len()].copy_from_slice(text);
    requests.filled(text.len());
    let request = requests.next().expect("whole").expect("a request");
    // The first looks the name up.
    assert_eq!(site.answer(&request).status(), 200);
    let Some(mut answer) = site.answer_cached(&request) else {
        println!("SKIPPED: the temporary directory's file system does not tell what is cached");
        return;
    };
    let mut pieces = 1;
    while let Some(more) = answer.next_piece_cached() {
        match more.expect("it is read") {
            true => pieces += 1,
            false => break,
        }
    }
    assert!(answer.is_whole());
    assert_eq!(pieces, 3);
}

#[test]
fn a_connection_is_closed_where_that_is_asked_for() {
    let (directory, site) = site();
    fs::write(directory.path().join("a"), "a").expect("a file");
    for (head, keeps, says) in [
        ("GET /a HTTP/1.1\r\nHost: a", true, None),
        (
            "GET /a HTTP/1.1\r\nHost: a\r\nConnection: x, Close",
            false,
            Some("close"),
        ),
        ("GET /a HTTP/1.0", false, Some("close")),
        (
            "GET /a HTTP/1.0\r\nConnection: keep-alive",
            true,
            Some("keep-alive"),
        ),
        (
            "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2",
            false,
            Some("close"),
        ),
        (
            "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0",
            true,
            None,
        ),
        ("DELETE /a HTTP/1.1\r\nHost: a", true, None),
        ("GET /a HTTP/1.1", false, Some("close")),
    ] {
        let answer = ask(&site, head);
        assert_eq!(answer.keeps_connection(), keeps, "{head}");
        let text = String::from_utf8_lossy(answer.bytes());
        let said = text
            .lines()
            .find_map(|line| line.strip_prefix("Connection: "));
        assert_eq!(said, says, "{head}");
    }
    let timeout = Answer::refusal(Refusal::Timeout, None);
    assert_eq!((timeout.status(), timeout.keeps_connection()), (408, false));
}
