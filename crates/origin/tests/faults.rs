//! What each fault does on the wire, seen by bare sockets.

mod common;

use std::{
    collections::HashSet,
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant, SystemTime},
};

use common::{authority, connect, origin, raw, read_answer};
use origin::{FAULTS, Origin, fault_body, fault_log};

/// Not a round number: its half is rounded.
const BYTES: usize = 50_001;
const HALF: usize = BYTES / 2;
const ETAG: &str = "ETag: \"version-1\"\r\n";
const ETAG_2: &str = "ETag: \"version-2\"\r\n";
const DATE: &str = "Mon, 01 Jan 2024 00:00:00 GMT";

/// All that came until the connection ended.
struct Got {
    /// With its last line's end.
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn status(&self) -> u16 {
        let status = self.head.get(9..12).and_then(|code| code.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {:?}", self.head))
    }

    #[track_caller]
    fn is(&self, status: u16, body: &[u8]) {
        assert_eq!(self.status(), status, "{}", self.head);
        assert_eq!(self.body.len(), body.len(), "{}", self.head);
        assert!(self.body == body, "other bytes: {}", self.head);
    }

    #[track_caller]
    fn has(&self, line: &str) {
        assert!(self.head.contains(line), "no {line:?} in {}", self.head);
    }

    #[track_caller]
    fn has_no(&self, text: &str) {
        assert!(!self.head.contains(text), "{text:?} in {}", self.head);
    }
}

fn body() -> Vec<u8> {
    fault_body(1, BYTES)
}

fn changed() -> Vec<u8> {
    fault_body(2, BYTES)
}

/// A request line and headers, for a file of `BYTES`.
fn request(method: &str, fault: &str, headers: &[&str]) -> Vec<u8> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} /fault/{fault}/file?bytes={BYTES} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
        .into_bytes()
}

/// Asks `fault` ("name/token"), and reads to the end.
fn ask(origin: &Origin, method: &str, fault: &str, headers: &[&str]) -> Got {
    let mut stream = connect(origin.url());
    stream
        .write_all(&request(method, fault, headers))
        .expect("sent");
    stream.shutdown(Shutdown::Write).expect("an end");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.map_or(bytes.len(), |end| end + 4);
    Got {
        head: String::from_utf8(bytes[..end].to_vec()).expect("text"),
        body: bytes[end..].to_vec(),
    }
}

fn get(origin: &Origin, fault: &str, headers: &[&str]) -> Got {
    ask(origin, "GET", fault, headers)
}

/// Asks the first time, which gives the first half; all is announced.
#[track_caller]
fn get_half(origin: &Origin, fault: &str) -> Got {
    let got = get(origin, fault, &[]);
    got.has(&format!("Content-Length: {BYTES}\r\n"));
    got.is(200, &body()[..HALF]);
    got
}

fn content_range(start: usize, bytes: usize) -> String {
    format!("Content-Range: bytes {start}-{}/{bytes}\r\n", bytes - 1)
}

#[test]
fn bodies_differ_and_are_reproducible() {
    let (one, two) = (fault_body(1, 100_000), fault_body(2, 100_000));
    assert!(one.iter().zip(&two).all(|(one, two)| one != two));
    assert_eq!(fault_body(1, 1001), one[..1001]);
    assert_eq!(one.iter().collect::<HashSet<_>>().len(), 256);
}

#[test]
fn right_is_right() {
    let origin = origin();
    let got = get(&origin, "right/t", &[]);
    got.is(200, &body());
    got.has(ETAG);
    got.has(&format!("Last-Modified: {DATE}\r\n"));
    got.has(&format!("Content-Length: {BYTES}\r\n"));
    got.has("Accept-Ranges: bytes\r\n");

    let range = "Range: bytes=20000-";
    for condition in [
        "X: none".to_owned(),
        "If-Range: \"version-1\"".to_owned(),
        format!("If-Range: {DATE}"),
    ] {
        let got = get(&origin, "right/t", &[range, &condition]);
        got.is(206, &body()[20_000..]);
        got.has(&content_range(20_000, BYTES));
    }
    for condition in [
        "If-Range: \"version-2\"",
        "If-Range: W/\"version-1\"",
        "If-Range: Tue, 02 Jan 2024 00:00:00 GMT",
    ] {
        get(&origin, "right/t", &[range, condition]).is(200, &body());
    }
    let beyond = get(&origin, "right/t", &["Range: bytes=50001-"]);
    assert_eq!(beyond.status(), 416);
    beyond.has(&format!("Content-Range: bytes */{BYTES}\r\n"));
    let head = ask(&origin, "HEAD", "right/t", &[]);
    head.is(200, &[]);
    head.has(&format!("Content-Length: {BYTES}\r\n"));
    get(&origin, "right/t", &["If-None-Match: \"version-1\""]).is(304, &[]);

    let mut stream = connect(origin.url());
    for _ in 0..3 {
        stream
            .write_all(&request("GET", "right/t", &[]))
            .expect("sent");
        assert_eq!(read_answer(&mut stream), BYTES);
    }
}

#[test]
fn paths_are_the_clients_own() {
    let origin = origin();
    let status = |method: &str, target: &str| {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(origin.url(), request.as_bytes());
        answer[9..12].to_owned()
    };
    let long = format!("/fault/right/t/{}", "x".repeat(300));
    for target in [
        "/fault/right/t",
        "/fault/right/t/",
        "/fault/right//",
        "/fault/right/t/%2e%2e/../a?b=c",
        "/fault/right/t?bytes=0",
        "/fault/right/t?x&bytes=67108864",
        &long,
    ] {
        assert_eq!(status("HEAD", target), "200", "{target}");
    }
    for target in ["/fault/wrong/t/x", "/fault/right", "/fault/", "/fault"] {
        assert_eq!(status("GET", target), "404", "{target}");
    }
    for bytes in ["67108865", "x", "-1", ""] {
        let target = format!("/fault/right/t/x?bytes={bytes}");
        assert_eq!(status("GET", &target), "400", "{target}");
    }
    assert_eq!(status("DELETE", "/fault/right/t/x"), "405");
    assert_eq!(status("POST", "/faults"), "405");
}

#[test]
fn the_first_answer_is_cut_and_the_next_are_right() {
    let origin = origin();
    for fault in [
        "close-midway",
        "stall-midway",
        "range-ignored",
        "changed-etag",
    ] {
        get_half(&origin, &format!("{fault}/a")).has(ETAG);
        // What another token was told makes no difference.
        get_half(&origin, &format!("{fault}/b"));
    }
    for fault in ["close-midway", "stall-midway"] {
        let part = get(&origin, &format!("{fault}/a"), &["Range: bytes=25000-"]);
        part.is(206, &body()[25_000..]);
        get(&origin, &format!("{fault}/a"), &[]).is(200, &body());
    }
}

#[test]
fn a_reset_loses_nothing_that_was_sent() {
    let origin = origin();
    // More than the kernel takes at once.
    const LARGE: usize = 20_000_000;
    for bytes in [BYTES, LARGE] {
        let mut stream = connect(origin.url());
        let request =
            format!("GET /fault/reset-midway/{bytes}/x?bytes={bytes} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut got = Vec::new();
        let error = stream.read_to_end(&mut got).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(got.ends_with(&fault_body(1, bytes / 2)[bytes / 2 - 1000..]));
    }
    get(&origin, &format!("reset-midway/{BYTES}"), &[]).is(200, &body());
}

#[test]
fn bodies_that_are_too_short_or_too_long() {
    let origin = origin();
    for _ in 0..2 {
        get_half(&origin, "always-truncated/t");
        get_half(&origin, "truncated-without-range/t");
    }
    let range = ["Range: bytes=30001-"];
    let got = get(&origin, "always-truncated/t", &range);
    got.has("Content-Length: 20000\r\n");
    got.is(206, &body()[30_001..40_001]);
    let got = get(&origin, "truncated-without-range/t", &range);
    got.is(200, &body()[..HALF]);

    let poisoned = [
        &body()[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned\n",
    ]
    .concat();
    let got = get(&origin, "longer-than-announced/t", &[]);
    got.has(&format!("Content-Length: {BYTES}\r\n"));
    got.is(200, &poisoned);
    // Later, and only because the client is still there.
    let mut stream = connect(origin.url());
    let asks = request("GET", "late-excess/t", &[]);
    stream.write_all(&asks).expect("sent");
    let poison = b"\r\n\r\npoisoned\n";
    let mut all = Vec::new();
    while !all.ends_with(poison) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more");
        all.push(byte[0]);
    }
    assert_eq!(
        all.windows(15)
            .filter(|it| it == b"HTTP/1.1 200 OK")
            .count(),
        2
    );
    let got = get(&origin, "longer-than-chunked/t", &[]);
    assert!(got.body.ends_with(poison));
    assert!(got.body.windows(5).any(|it| it == b"0\r\n\r\n"));
    let got = get(&origin, "chunked-with-length/t", &[]);
    got.has("Transfer-Encoding: chunked\r\n");
    got.has(&format!("Content-Length: {HALF}\r\n"));
    let got = get(&origin, "switching-protocols/t", &[]);
    assert_eq!((got.status(), got.body.len()), (101, 0));

    let got = get(&origin, "conflicting-lengths/t", &[]);
    got.has(&format!(
        "Content-Length: {HALF}\r\nContent-Length: {BYTES}\r\n"
    ));
    got.is(200, &body());
    let got = get(&origin, "negative-length/t", &[]);
    got.has("Content-Length: -5\r\n");
    got.is(200, &body());

    get(&origin, "empty/t", &[]).is(200, &[]);
    get(&origin, "no-content/t", &[]).is(204, &[]);
    for (fault, protocol) in [
        ("until-close/t", "HTTP/1.1"),
        ("until-close-1-0/t", "HTTP/1.0"),
    ] {
        let got = get(&origin, fault, &[]);
        assert!(got.head.starts_with(protocol), "{}", got.head);
        got.has("Connection: close\r\n");
        got.has_no("Content-Length");
        got.has_no("Transfer-Encoding");
        got.is(200, &body());
    }
}

/// The content of a chunked body, and whether it has its last chunk.
fn unchunked(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = str::from_utf8(&body[..end]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let chunk = &body[end + 2..][..size + 2];
        assert!(chunk.ends_with(b"\r\n"));
        content.extend_from_slice(&chunk[..size]);
        body = &body[end + 2 + size + 2..];
        if size == 0 {
            assert!(body.is_empty(), "more after the last chunk");
            return (content, true);
        }
    }
    (content, false)
}

#[test]
fn chunks() {
    let origin = origin();
    let got = get(&origin, "chunked/t", &[]);
    got.has("Transfer-Encoding: chunked\r\n");
    got.has_no("Content-Length");
    assert!(unchunked(&got.body) == (body(), true));
    let got = get(&origin, "chunked/t", &["Range: bytes=49000-"]);
    assert!(unchunked(&got.body) == (body()[49_000..].to_vec(), true));
    assert_eq!(got.status(), 206);

    assert_eq!(get(&origin, "empty-chunked/t", &[]).body, b"0\r\n\r\n");
    let got = get(&origin, "chunked-without-end/t", &["Range: bytes=5-"]);
    assert!(unchunked(&got.body) == (body(), false));
    got.has_no("ETag");
    got.has_no("Last-Modified");
    let got = get(&origin, "bad-chunk-size/t", &[]);
    got.has("Transfer-Encoding: chunked\r\n");
    let second = format!("{HALF:x}\r\n").len() + HALF;
    assert_eq!(got.body[second..][..6], *b"\r\nzz\r\n");
}

#[test]
fn parts_that_were_not_asked_for() {
    let origin = origin();
    let range = ["Range: bytes=20000-"];
    get_half(&origin, "range-ignored/t");
    get(&origin, "range-ignored/t", &range).is(200, &body());

    get_half(&origin, "wrong-range/t");
    let got = get(&origin, "wrong-range/t", &range);
    got.is(206, &body()[19_990..]);
    got.has(&content_range(19_990, BYTES));
    get(&origin, "wrong-range/t", &[]).is(200, &body());

    get_half(&origin, "range-without-content-range/t");
    let got = get(&origin, "range-without-content-range/t", &range);
    got.is(206, &body()[20_000..]);
    got.has_no("Content-Range");

    get_half(&origin, "multipart-range/t");
    let got = get(&origin, "multipart-range/t", &range);
    assert_eq!(got.status(), 206);
    got.has("Content-Type: multipart/byteranges; boundary=a-part-of-it\r\n");
    got.has_no("Content-Range");
    let start = format!(
        "--a-part-of-it\r\nContent-Type: application/octet-stream\r\n{}\r\n",
        content_range(20_000, BYTES)
    );
    let whole = [
        start.as_bytes(),
        &body()[20_000..],
        b"\r\n--a-part-of-it--\r\n",
    ]
    .concat();
    assert!(got.body == whole);

    let got = get(&origin, "unasked-206/t", &[]);
    got.is(206, &body()[..HALF]);
    got.has(&format!("Content-Range: bytes 0-{}/{BYTES}\r\n", HALF - 1));
}

#[test]
fn files_that_change() {
    let origin = origin();
    let known = ["Range: bytes=25000-", "If-Range: \"version-1\""];
    let rest = &changed()[25_000..];

    get_half(&origin, "changed-etag/t").has(ETAG);
    let got = get(&origin, "changed-etag/t", &known);
    got.is(200, &changed());
    got.has(ETAG_2);

    get_half(&origin, "changed-ignoring-if-range/t").has(ETAG);
    let got = get(&origin, "changed-ignoring-if-range/t", &known);
    got.is(206, rest);
    got.has(ETAG_2);

    let got = get_half(&origin, "changed-last-modified/t");
    got.has_no("ETag");
    got.has(&format!("Last-Modified: {DATE}\r\n"));
    let dated = ["Range: bytes=25000-", &format!("If-Range: {DATE}")];
    let got = get(&origin, "changed-last-modified/t", &dated);
    got.is(206, rest);
    got.has_no("ETag");
    got.has("Last-Modified: Tue, 02 Jan 2024 00:00:00 GMT\r\n");

    get_half(&origin, "changed-size/t").has(ETAG);
    let longer = fault_body(2, BYTES + 1000);
    let got = get(&origin, "changed-size/t", &known);
    got.is(206, &longer[25_000..]);
    got.has(&content_range(25_000, BYTES + 1000));
    got.has_no("ETag");
    get(&origin, "changed-size/t", &[]).is(200, &longer);

    let got = get_half(&origin, "weak-etag/t");
    got.has("ETag: W/\"version-1\"\r\n");
    got.has_no("Last-Modified");
    let got = get(&origin, "weak-etag/t", &known[..1]);
    got.is(206, rest);
    got.has(&content_range(25_000, BYTES));
    got.has_no("ETag");
    got.has_no("Last-Modified");
    get(&origin, "weak-etag/t", &[]).is(200, &changed());
}

#[test]
fn files_that_were_complete_already() {
    let origin = origin();
    let beyond = format!("Range: bytes={BYTES}-");
    let beyond = [&*beyond, "If-Range: \"version-1\""];
    for (fault, size, validator, next) in [
        ("416-complete/t", BYTES, ETAG, body()),
        ("416-other-validator/t", BYTES, ETAG_2, changed()),
        ("416-no-validator/t", BYTES, "", changed()),
        ("416-other-size/t", HALF, ETAG_2, fault_body(2, HALF)),
    ] {
        let got = get(&origin, fault, &[]);
        got.has(ETAG);
        assert!(unchunked(&got.body) == (body(), false), "{fault}");
        let got = get(&origin, fault, &beyond);
        assert_eq!(got.status(), 416, "{fault}");
        got.has(&format!("Content-Range: bytes */{size}\r\n"));
        got.has(validator);
        assert_eq!(got.head.contains("ETag"), !validator.is_empty(), "{fault}");
        assert_eq!(
            got.head.contains("Last-Modified"),
            !validator.is_empty(),
            "{fault}"
        );
        get(&origin, fault, &[]).is(200, &next);
    }
}

#[test]
fn statuses() {
    let origin = origin();
    let statuses = |fault: &str, count: usize| -> Vec<u16> {
        (0..count)
            .map(|_| get(&origin, fault, &[]).status())
            .collect()
    };
    assert_eq!(statuses("flapping/t", 5), [500, 502, 503, 200, 200]);
    assert_eq!(statuses("always-500/t", 3), [500; 3]);
    assert_eq!(statuses("not-found/t", 2), [404; 2]);
    for (fault, status, after) in [
        ("retry-after-seconds/t", 429, "1"),
        ("retry-after-far/t", 429, "86400"),
        ("retry-after-garbage/t", 503, "soon"),
    ] {
        let got = get(&origin, fault, &[]);
        assert_eq!(got.status(), status, "{fault}");
        got.has(&format!("Retry-After: {after}\r\n"));
        get(&origin, fault, &[]).is(200, &body());
    }
    let before = SystemTime::now();
    let got = get(&origin, "retry-after-date/t", &[]);
    assert_eq!(got.status(), 503);
    let date = got
        .head
        .lines()
        .find_map(|line| line.strip_prefix("Retry-After: "));
    let date = httpdate::parse_http_date(date.expect("a date")).expect("a date");
    // A date has no fractions of a second.
    assert!(date >= before + Duration::from_secs(1));
    assert!(date <= SystemTime::now() + Duration::from_secs(2));
    get(&origin, "retry-after-date/t", &[]).is(200, &body());
}

#[test]
fn redirects() {
    let origin = origin();
    let authority = authority(origin.url());
    let port = authority.rsplit(':').next().expect("a port");
    let query = format!("file?bytes={BYTES}");
    for (fault, location) in [
        ("redirect", format!("/fault/right/t/{query}")),
        ("redirect-loop", format!("/fault/redirect-loop/t/{query}")),
        ("redirect-to-file", "file:///etc/passwd".to_owned()),
        (
            "redirect-to-ftp",
            format!("ftp://{authority}/fault/right/t/{query}"),
        ),
        (
            "redirect-to-https",
            format!("https://{authority}/fault/redirect-to-https/t/{query}"),
        ),
        (
            "redirect-to-http",
            format!("http://{authority}/fault/right/t/{query}"),
        ),
        (
            "redirect-to-other-host",
            format!("http://localhost:{port}/fault/right/t/{query}"),
        ),
        (
            "redirect-hostile-name",
            format!("/fault/right/t/..%2f..%2fevil?bytes={BYTES}"),
        ),
    ] {
        let got = get(&origin, &format!("{fault}/t"), &[]);
        assert_eq!(got.status(), 302, "{fault}");
        got.has(&format!("Location: {location}\r\n"));
    }
    let got = get(&origin, "redirect-without-location/t", &[]);
    assert_eq!(got.status(), 302);
    got.has_no("Location");
}

#[test]
fn heads() {
    let origin = origin();
    let got = get(&origin, "content-disposition/t", &[]);
    got.has("Content-Disposition: attachment; filename=\"../../evil\"\r\n");
    got.is(200, &body());

    let got = get(&origin, "informational/t", &[]);
    assert_eq!(got.head, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(got.body.starts_with(b"HTTP/1.1 103 Early Hints\r\n"));
    assert!(got.body.ends_with(&body()));

    for _ in 0..2 {
        assert_eq!(
            get(&origin, "garbage-status/t", &[]).head,
            "HTP/9.9 huh\r\n\r\n"
        );
        assert_eq!(get(&origin, "no-status/t", &[]).head, "");
    }
    assert_eq!(
        get(&origin, "garbage-once/t", &[]).head,
        "HTP/9.9 huh\r\n\r\n"
    );
    assert_eq!(get(&origin, "no-status-once/t", &[]).head, "");
    get(&origin, "garbage-once/t", &[]).is(200, &body());
    get(&origin, "no-status-once/t", &[]).is(200, &body());

    // Closed although this side says nothing about an end.
    let mut stream = connect(origin.url());
    stream
        .write_all(&request("GET", "stale-connection/t", &[]))
        .expect("sent");
    assert_eq!(read_answer(&mut stream), BYTES);
    assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn gzip_is_gzip() {
    let origin = origin();
    let got = get(&origin, "gzip-unasked/t", &[]);
    got.has("Content-Encoding: gzip\r\n");
    got.has(ETAG);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file.gz");
    fs::write(&file, &got.body).expect("written");
    let Ok(plain) = std::process::Command::new("gzip")
        .arg("-dc")
        .arg(&file)
        .output()
    else {
        eprintln!("skipped: there is no gzip here");
        return;
    };
    assert!(plain.status.success() && plain.stdout == body());
}

#[test]
fn slow_answers() {
    let origin = origin();
    for (fault, bytes, at_least) in [
        ("drip/t", 5, 400),
        ("slow/t", 15_000, 200),
        ("slow-once/t", 15_000, 200),
    ] {
        let start = Instant::now();
        let mut stream = connect(origin.url());
        stream.write_all(&request("GET", fault, &[])).expect("sent");
        let mut got = head(&mut stream);
        assert!(
            got.contains(&format!("Content-Length: {BYTES}\r\n")),
            "{got}"
        );
        got.clear();
        let mut part = vec![0; bytes];
        stream.read_exact(&mut part).expect("some of it");
        assert!(part == body()[..bytes]);
        assert!(
            start.elapsed() >= Duration::from_millis(at_least),
            "{fault}"
        );
    }
    get(&origin, "slow-once/t", &[]).is(200, &body());

    let start = Instant::now();
    let mut stream = connect(origin.url());
    stream
        .write_all(&request("GET", "drip-headers/t", &[]))
        .expect("sent");
    let mut part = [0; 5];
    stream.read_exact(&mut part).expect("some of it");
    assert_eq!(&part, b"HTTP/");
    assert!(start.elapsed() >= Duration::from_millis(400));
}

/// Reads a head and nothing beyond it.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more of a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

#[test]
fn stalled_bodies() {
    let origin = origin();
    get_half(&origin, "stall-body/t");
    let got = get(&origin, "stall-body/t", &["Range: bytes=20000-"]);
    got.has("Content-Length: 30001\r\n");
    got.is(206, &body()[20_000..HALF]);
    let got = get(&origin, "stall-body/t", &["Range: bytes=25000-"]);
    got.has("Content-Length: 25001\r\n");
    got.is(206, &[]);
    assert_eq!(get(&origin, "stall-headers/t", &[]).head, "");
}

#[test]
fn endless_answers() {
    let origin = origin();
    for (fault, line) in [
        ("endless-headers/t", "\r\nX-More: "),
        ("many-informational/t", "HTTP/1.1 103 Early Hints\r\n"),
    ] {
        let mut stream = connect(origin.url());
        stream.write_all(&request("GET", fault, &[])).expect("sent");
        let mut got = vec![0; 1_000_000];
        stream.read_exact(&mut got).expect("a lot");
        let text = String::from_utf8(got).expect("text");
        assert!(text.matches(line).count() > 10_000, "{fault}");
    }
    for (fault, framing) in [
        ("endless-body/t", "Transfer-Encoding: chunked\r\n"),
        ("huge-announced/t", "Content-Length: 1099511627776\r\n"),
    ] {
        let mut stream = connect(origin.url());
        stream.write_all(&request("GET", fault, &[])).expect("sent");
        let head = head(&mut stream);
        assert!(head.contains(framing), "{head}");
        stream.read_exact(&mut vec![0; 10_000_000]).expect("a lot");
    }
}

/// Threads of connections that the origin has now.
fn connections(origin: &Origin) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", origin.pid())).expect("its threads");
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    // A thread may end while it is looked at.
    tasks
        .flatten()
        .filter_map(|task| name(task).ok())
        .filter(|name| name.starts_with("connection"))
        .count()
}

#[test]
fn a_client_that_leaves_frees_the_thread() {
    let origin = origin();
    let streams: Vec<TcpStream> = FAULTS
        .iter()
        .map(|fault| {
            let mut stream = connect(origin.url());
            stream
                .write_all(&request("GET", &format!("{}/t", fault.name), &[]))
                .expect("sent");
            stream
        })
        .collect();
    // Asked on the last connection, so all requests before it have been accepted.
    let asked = || fault_log(origin.url(), "t").expect("a log").len();
    until("all are asked", || asked() == FAULTS.len());
    assert!(
        connections(&origin) >= 10,
        "some are held, and some have no end"
    );
    drop(streams);
    until("all threads are gone", || connections(&origin) == 0);
}

/// Looks again and again: nothing tells this process when another one's thread ends.
fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "not in time: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_log_tells_what_was_asked() {
    let origin = origin();
    assert_eq!(fault_log(origin.url(), "t").expect("a log"), []);
    get_half(&origin, "close-midway/t");
    get(
        &origin,
        "right/t",
        &[
            "Range: bytes=5-",
            "IF-RANGE: \"version-1\"",
            "Authorization: Basic eDp5",
            "Accept-Encoding: identity",
            "User-Agent: test",
            "X-Other: a",
            "X-Other: b",
        ],
    );
    ask(&origin, "HEAD", "right/other", &[]);
    let log = fault_log(&format!("{}/", origin.url()), "t").expect("a log");
    let [first, second] = &log[..] else {
        panic!("not two: {log:?}");
    };
    assert_eq!(first.fault, "close-midway");
    assert_eq!(first.method, "GET");
    assert_eq!(
        first.path,
        format!("/fault/close-midway/t/file?bytes={BYTES}")
    );
    assert_eq!(first.range, None);
    assert_eq!(first.body_bytes_sent, HALF as u64);
    assert_eq!(first.headers["host"], "x");
    assert_eq!(second.fault, "right");
    assert_eq!(second.range.as_deref(), Some("bytes=5-"));
    assert_eq!(second.if_range.as_deref(), Some("\"version-1\""));
    assert_eq!(second.authorization.as_deref(), Some("Basic eDp5"));
    assert_eq!(second.accept_encoding.as_deref(), Some("identity"));
    assert_eq!(second.user_agent.as_deref(), Some("test"));
    assert_eq!(second.headers.len(), 2);
    assert_eq!(second.headers["x-other"], "a, b");
    assert_eq!(second.body_bytes_sent, (BYTES - 5) as u64);
    assert!(second.at_ms >= first.at_ms);
    assert!(second.connection > first.connection);
    let other = fault_log(origin.url(), "other").expect("a log");
    assert_eq!((other.len(), &*other[0].method), (1, "HEAD"));
    assert_eq!(other[0].body_bytes_sent, 0);
}

#[test]
fn the_log_keeps_the_last_ten_thousand() {
    let origin = origin();
    let mut stream = connect(origin.url());
    let request = b"HEAD /fault/not-found/many HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..101 {
        stream.write_all(&request.repeat(100)).expect("sent");
        for _ in 0..100 {
            head(&mut stream);
        }
    }
    let log = fault_log(origin.url(), "many").expect("a log");
    assert_eq!(log.len(), 10_000);
}

#[test]
fn the_faults_are_listed() {
    let origin = origin();
    let mut answer = common::agent()
        .get(format!("{}/faults", origin.url()))
        .call()
        .expect("an answer");
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&answer.body_mut().read_to_string().expect("text")).expect("JSON");
    assert_eq!(list.len(), FAULTS.len());
    for (listed, fault) in list.iter().zip(FAULTS) {
        assert_eq!(listed["name"], fault.name);
        assert_eq!(listed["about"], fault.about);
    }
    let names: HashSet<_> = FAULTS.iter().map(|fault| fault.name).collect();
    assert_eq!(names.len(), FAULTS.len(), "two of one name");
}

#[test]
fn tiny_objects() {
    let origin = origin();
    let mut stream = connect(origin.url());
    for path in ["/tiny/", "/tiny/1", "/tiny/a/b?c"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let head = head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("ETag: \"tiny\"\r\n"), "{head}");
        let mut body = [0; 16];
        stream.read_exact(&mut body).expect("a body");
        assert_eq!(&body, b"sixteen bytes...");
    }
}
