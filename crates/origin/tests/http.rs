//! What goes over the wire.

mod common;

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use common::{agent, connect, open, origin, path, raw, read_answer};
use origin::{DELAY_BODY_BYTES, Origin, Run, Shape};
use ureq::http::Response;

const DATE: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
const LENGTH: usize = 20_000;

/// One image of 20,000 bytes and where it is.
fn image(origin: &Origin) -> (Run, String, Vec<u8>) {
    let run = open(
        origin,
        Shape {
            images: 1,
            image_bytes: LENGTH as u64,
            ..Shape::default()
        },
    );
    let url = run.files().expect("a manifest")[0].url.clone();
    let bytes = agent()
        .get(&url)
        .call()
        .expect("it")
        .body_mut()
        .read_to_vec()
        .expect("it");
    (run, url, bytes)
}

fn get(url: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
    let request = headers.iter().fold(agent().get(url), |all, (name, value)| {
        all.header(*name, *value)
    });
    request.call().expect("an answer")
}

fn header<'a>(answer: &'a Response<ureq::Body>, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().expect("text"))
}

#[test]
fn an_image_says_what_it_is() {
    let origin = origin();
    let (run, url, bytes) = image(&origin);
    let answer = get(&url, &[]);
    let sha256 = &run.files().expect("a manifest")[0].sha256;
    assert_eq!(header(&answer, "etag"), format!("\"{sha256}\""));
    assert_eq!(header(&answer, "last-modified"), DATE);
    assert_eq!(header(&answer, "accept-ranges"), "bytes");
    assert_eq!(header(&answer, "content-type"), "image/jpeg");
    assert_eq!(header(&answer, "content-length"), LENGTH.to_string());
    assert_eq!(bytes.len(), LENGTH);
    httpdate::parse_http_date(header(&answer, "date")).expect("a date");
}

#[test]
fn head_gives_the_same_without_a_body() {
    let origin = origin();
    let (_run, url, _) = image(&origin);
    let path = path(&url);
    let head = raw(
        &url,
        format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    );
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {LENGTH}\r\n")),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn ranges() {
    let origin = origin();
    let (_run, url, bytes) = image(&origin);
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=100-199", 100..200),
        ("bytes=19000-", 19_000..LENGTH),
        ("bytes=19000-99999", 19_000..LENGTH),
        ("bytes=-500", 19_500..LENGTH),
    ] {
        let mut answer = get(&url, &[("Range", range)]);
        assert_eq!(answer.status(), 206, "{range}");
        let content_range = format!("bytes {}-{}/{LENGTH}", expected.start, expected.end - 1);
        assert_eq!(header(&answer, "content-range"), content_range);
        assert_eq!(
            answer.body_mut().read_to_vec().expect("a body"),
            bytes[expected],
            "{range}"
        );
    }
    let answer = get(&url, &[("Range", "bytes=20000-")]);
    assert_eq!(answer.status(), 416);
    assert_eq!(
        header(&answer, "content-range"),
        format!("bytes */{LENGTH}")
    );
    // Several parts, or nonsense: all of it.
    assert_eq!(get(&url, &[("Range", "bytes=0-1,5-6")]).status(), 200);
    assert_eq!(get(&url, &[("Range", "bytes=5-1")]).status(), 200);
}

#[test]
fn conditions() {
    let origin = origin();
    let (_run, url, _) = image(&origin);
    let answer = get(&url, &[]);
    let etag = header(&answer, "etag");
    let weak = format!("W/{etag}");
    let listed = format!("\"other\", {etag}");
    let (before, after) = (
        "Sun, 31 Dec 2023 23:59:59 GMT",
        "Tue, 02 Jan 2024 00:00:00 GMT",
    );
    let part = ("Range", "bytes=0-99");
    for (headers, expected) in [
        (&[part, ("If-Range", etag)][..], 206),
        (&[part, ("If-Range", DATE)], 206),
        (&[part, ("If-Range", "\"other\"")], 200),
        (&[part, ("If-Range", &weak)], 200),
        (&[part, ("If-Range", before)], 200),
        (&[part, ("If-Range", after)], 200),
        (&[("Range", "bytes=20000-"), ("If-Range", "\"other\"")], 200),
        (&[("If-None-Match", etag)], 304),
        (&[("If-None-Match", &weak)], 304),
        (&[("If-None-Match", &listed)], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"other\"")], 200),
        (&[part, ("If-None-Match", etag)], 304),
        (&[("If-Modified-Since", DATE)], 304),
        (&[("If-Modified-Since", after)], 304),
        (&[("If-Modified-Since", before)], 200),
        (&[("If-Modified-Since", "yesterday")], 200),
        // The tag decides where both are there.
        (
            &[("If-None-Match", "\"other\""), ("If-Modified-Since", after)],
            200,
        ),
    ] {
        let answer = get(&url, headers);
        assert_eq!(answer.status(), expected, "{headers:?}");
        assert_eq!(header(&answer, "etag"), etag, "{headers:?}");
    }
}

#[test]
fn a_delay_url_waits_and_answers() {
    let origin = origin();
    let run = open(&origin, Shape::default());
    let start = std::time::Instant::now();
    let mut answer = get(&run.delay_url(50), &[]);
    let body = answer.body_mut().read_to_vec().expect("a body");
    assert!(start.elapsed().as_millis() >= 50);
    assert_eq!(body.len() as u64, DELAY_BODY_BYTES);
    assert_eq!(get(&run.delay_url(3_600_001), &[]).status(), 400);
    assert_eq!(get(&format!("{}x", run.delay_url(1)), &[]).status(), 400);
}

#[test]
fn paths_and_methods() {
    let origin = origin();
    let (run, image, _) = image(&origin);
    let delay = run.delay_url(0);
    let base = delay.trim_end_matches("/delay/0");
    let url = origin.url();
    for (method, url, status, allow) in [
        ("GET", format!("{url}/"), 200, ""),
        ("GET", format!("{url}/nowhere"), 404, ""),
        ("GET", format!("{url}/runs/999/files"), 404, ""),
        ("GET", format!("{url}/runs/x/stats"), 404, ""),
        ("GET", format!("{base}/nowhere"), 404, ""),
        ("GET", format!("{image}?query"), 200, ""),
        ("DELETE", format!("{url}/"), 405, "GET, HEAD"),
        ("GET", format!("{url}/runs"), 405, "POST"),
        ("GET", base.to_owned(), 405, "DELETE"),
        ("POST", format!("{base}/files"), 405, "GET, HEAD"),
        ("POST", format!("{base}/stats"), 405, "GET, HEAD"),
        ("GET", format!("{base}/reset"), 405, "POST"),
        ("OPTIONS", image, 405, "GET, HEAD"),
        ("DELETE", delay.clone(), 405, "GET, HEAD"),
    ] {
        let target = if url.ends_with('/') { "/" } else { path(&url) };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(&url, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {url}: {answer}"
        );
        let allowed = format!("Allow: {allow}\r\n");
        assert_eq!(
            answer.contains(&allowed),
            !allow.is_empty(),
            "{method} {url}: {answer}"
        );
    }
}

#[test]
fn connections_live_as_long_as_the_client_wants() {
    let origin = origin();
    let url = origin.url();
    let answers = |request: &str| {
        let answer = raw(url, request.as_bytes());
        (answer.matches("HTTP/1.1 200 OK").count(), answer)
    };
    let one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(answers(&one.repeat(3)).0, 3);
    // After an answer that closes, nothing more is answered.
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (count, text) = answers(&format!("{one}{last}{one}"));
    assert_eq!(count, 2);
    assert!(text.contains("Connection: close\r\n"));
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(answers(&old.repeat(2)).0, 1);
    let old_kept = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    let (count, text) = answers(&old_kept.repeat(2));
    assert_eq!(count, 2);
    assert!(text.contains("Connection: keep-alive\r\n"));
    // A whole URL as the target, as through a proxy.
    assert_eq!(answers(&one.replace("/ ", "http://x/ ")).0, 1);
    assert_eq!(answers(&one.replace("/ ", "http://x ")).0, 1);
}

#[test]
fn requests_can_arrive_in_pieces_and_ahead() {
    let origin = origin();
    let run = open(&origin, Shape::default());
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        path(&run.delay_url(0))
    );
    let mut stream = connect(origin.url());
    stream.set_nodelay(true).expect("an option");
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).expect("a byte");
    }
    assert_eq!(read_answer(&mut stream) as u64, DELAY_BODY_BYTES);
    // A body in two pieces, the second only when asked for.
    let open = "POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\
                Expect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(open.as_bytes()).expect("a head");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("an interim answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").expect("a body");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[test]
fn malformed_requests_get_400_and_stop_nothing() {
    let origin = origin();
    let url = origin.url();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(65 * 1024)
    );
    let endless = "x".repeat(200 * 1024);
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    let post = |headers: &str, body: &str| {
        format!("POST /runs HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}")
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", b"garbage\r\n\r\n".to_vec()),
        ("binary", (0..=255).collect()),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec()),
        (
            "no path",
            b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        (
            "two hosts",
            b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_vec(),
        ),
        (
            "bad header",
            b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n".to_vec(),
        ),
        (
            "space before colon",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_vec(),
        ),
        ("half a head", b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec()),
        ("long head", long.into_bytes()),
        ("endless path", format!("GET /{endless}").into_bytes()),
        ("many headers", many.into_bytes()),
        (
            "negative length",
            post("Content-Length: -1\r\n", "{}").into_bytes(),
        ),
        (
            "signed length",
            post("Content-Length: +2\r\n", "{}").into_bytes(),
        ),
        (
            "hexadecimal length",
            post("Content-Length: 0x2\r\n", "{}").into_bytes(),
        ),
        (
            "empty length",
            post("Content-Length:\r\n", "{}").into_bytes(),
        ),
        (
            "vast length",
            post("Content-Length: 99999999999999999999\r\n", "{}").into_bytes(),
        ),
        (
            "two lengths",
            post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}").into_bytes(),
        ),
        (
            "half a body",
            post("Content-Length: 9\r\n", "{}").into_bytes(),
        ),
        ("no JSON", post("Content-Length: 2\r\n", "no").into_bytes()),
        ("no body", post("", "").into_bytes()),
        (
            "unknown key",
            post("Content-Length: 10\r\n", "{\"imgs\":1}").into_bytes(),
        ),
        (
            "not a number",
            post("Content-Length: 14\r\n", "{\"images\":\"a\"}").into_bytes(),
        ),
        (
            "less than none",
            post("Content-Length: 13\r\n", "{\"images\":-1}").into_bytes(),
        ),
    ];
    for (name, request) in cases {
        let answer = raw(url, &request);
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{name}: {answer:?}"
        );
    }
    // Well-formed, but more than is taken here.
    let large = raw(url, post("Content-Length: 65537\r\n", "").as_bytes());
    assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
    let chunked = raw(
        url,
        post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n").as_bytes(),
    );
    assert!(chunked.starts_with("HTTP/1.1 411 "), "{chunked}");
    assert_eq!(get(&format!("{url}/"), &[]).status(), 200);
}

#[test]
fn curl_gets_the_same_bytes() {
    let origin = origin();
    let (_run, url, bytes) = image(&origin);
    let curl = |arguments: &[&str]| {
        Command::new("curl")
            .arg("-sS")
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
    };
    let Ok(whole) = curl(&[&url]) else {
        eprintln!("skipped: there is no curl here");
        return;
    };
    assert!(whole.status.success());
    assert!(whole.stdout == bytes);
    let part = curl(&["-r", "1000-1999", &url]).expect("curl");
    assert!(part.stdout == bytes[1000..2000]);
    let head = curl(&["-I", &url]).expect("curl");
    assert!(String::from_utf8_lossy(&head.stdout).contains("Accept-Ranges: bytes"));
    // The way that the origin itself describes.
    let opened = curl(&["-d", "{\"images\": 1}", &format!("{}/runs", origin.url())]).expect("curl");
    assert!(String::from_utf8_lossy(&opened.stdout).starts_with("{\"id\":"));
}
