//! The upstream in an origin's process, as its clients see it.

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use common::{agent, assert_refuses, origin};
use load::{Expected, FILES, MOST_BYTES, Plan, Shape, UpstreamCounts, content};
use origin::{Load, Origin, Upstream};

const BYTES: u64 = 1_000;

fn upstream(origin: &Origin) -> Upstream {
    open(origin, &Shape::default())
}

/// One of this shape, with bodies of [`BYTES`] for at most 64 connections.
fn open(origin: &Origin, shape: &Shape) -> Upstream {
    let shape = Shape {
        bytes: BYTES,
        connections: 64,
        ..*shape
    };
    Upstream::open(origin.url(), &shape).expect("an upstream")
}

fn connect(upstream: &Upstream) -> TcpStream {
    TcpStream::connect(upstream.address()).expect("a connection")
}

/// A right request, with these fields more.
fn request(upstream: &Upstream, file: u64, fields: &str) -> String {
    let host = upstream.address();
    format!("GET /{file} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

fn send(mut stream: &TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).expect("sent");
}

/// The head of an answer, and its body.
fn answer(mut stream: &TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a text");
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![
        0;
        length
            .and_then(|length| length.parse().ok())
            .expect("a length")
    ];
    stream.read_exact(&mut body).expect("a body");
    (head, body)
}

/// Sends a right request, and checks the answer.
fn ask(upstream: &Upstream, stream: &TcpStream, file: u64, fields: &str) {
    send(stream, &request(upstream, file, fields));
    assert_right(stream, file);
}

fn assert_right(stream: &TcpStream, file: u64) {
    let (head, body) = answer(stream);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, content(file, BYTES), "{file}");
}

fn assert_closed(mut stream: &TcpStream) {
    let read = stream.read(&mut [0; 64]);
    assert!(matches!(read, Ok(0)), "{read:?}");
}

/// Without the processor time.
fn counts(upstream: &Upstream) -> UpstreamCounts {
    UpstreamCounts {
        cpu_ns: 0,
        ..upstream.counts().expect("counts")
    }
}

#[test]
fn bodies_follow_from_their_numbers() {
    let origin = origin();
    let upstream = upstream(&origin);
    let stream = connect(&upstream);
    for file in 0..FILES {
        ask(&upstream, &stream, file, "");
    }
    let other = connect(&upstream);
    ask(&upstream, &other, 3, "Via: 1.1 a, 1.1 b\r\n");
    ask(&upstream, &other, 4, "Via: 1.1 a\r\nConnection: close\r\n");
    assert_closed(&other);
    let seen = upstream.counts().expect("counts");
    assert_ne!(seen.cpu_ns, 0);
    let right = UpstreamCounts {
        connections: 2,
        peak_connections: 2,
        requests: FILES + 2,
        most_at_once: 1,
        direct: FILES,
        via: 2,
        cpu_ns: seen.cpu_ns,
        ..UpstreamCounts::default()
    };
    assert_eq!(seen, right);
}

/// More than the kernel holds, over several connections at once: each has its own place in
/// the same bytes.
#[test]
fn long_bodies_arrive_whole() {
    const LONG: u64 = 8 * 1024 * 1024 + 1;
    let origin = origin();
    let shape = Shape {
        bytes: LONG,
        connections: 16,
        ..Shape::default()
    };
    let upstream = Upstream::open(origin.url(), &shape).expect("an upstream");
    let path = |file| (format!("/{file}"), Some(Expected::of(&content(file, LONG))));
    let plan = Plan {
        address: upstream.address(),
        paths: (0..4).map(path).collect(),
        connections: 6,
        idle: 2,
        requests: 24,
        rate_per_s: None,
        seed: 1,
        timeout: Duration::from_secs(60),
        via: None,
    };
    let (report, open) = Load::run(origin.url(), &plan).expect("a load");
    assert_eq!((report.right, report.idle_alive), (24, 2), "{report}");
    assert!(report.healthy, "{report}");
    let counts = upstream.counts().expect("counts");
    assert_eq!((counts.connections, counts.idle), (7, 2), "{counts:?}");
    assert_eq!(counts.direct, 25, "{counts:?}");
    assert!((1..=6).contains(&counts.most_at_once), "{counts:?}");
    // All have been closed.
    open.wait_for_end().expect("an end");
}

#[test]
fn what_is_wrong_is_counted_by_kind() {
    let origin = origin();
    let upstream = upstream(&origin);
    let host = upstream.address();
    let right = format!("Host: {host}\r\n");
    let target = "a target that is not in origin-form";
    let other_host = "a Host that is not the upstream's address";
    let vias = "more than one Via";
    let hop_by_hop = "a hop-by-hop field";
    let no_request = "no GET of a file over HTTP/1.1 without a body";
    let get = |fields: &str| format!("GET /1 HTTP/1.1\r\n{right}{fields}\r\n");
    for (request, kinds) in [
        (
            format!("GET http://{host}/1 HTTP/1.1\r\n{right}\r\n"),
            vec![target],
        ),
        ("GET /1 HTTP/1.1\r\n\r\n".to_owned(), vec![other_host]),
        (
            "GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            vec![other_host],
        ),
        (get(&right), vec![other_host]),
        (get("Via: 1.1 a\r\nVia: 1.1 b\r\n"), vec![vias]),
        (get("Connection: keep-alive\r\n"), vec![hop_by_hop]),
        (get("Connection: close, x\r\n"), vec![hop_by_hop]),
        (get("Keep-Alive: timeout=5\r\n"), vec![hop_by_hop]),
        (get("Proxy-Connection: close\r\n"), vec![hop_by_hop]),
        (get("Proxy-Authorization: Basic eA==\r\n"), vec![hop_by_hop]),
        (get("TE: trailers\r\n"), vec![hop_by_hop]),
        (get("Trailer: x\r\n"), vec![hop_by_hop]),
        (get("Upgrade: h2c\r\n"), vec![hop_by_hop]),
        (
            get("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
            vec![hop_by_hop],
        ),
        (get("Content-Length: 1\r\n") + "x", vec![no_request]),
        (format!("GET /16 HTTP/1.1\r\n{right}\r\n"), vec![no_request]),
        (format!("HEAD /1 HTTP/1.1\r\n{right}\r\n"), vec![no_request]),
        (format!("GET /1 HTTP/1.0\r\n{right}\r\n"), vec![no_request]),
        ("\x16\x03\x01\x02".to_owned(), vec![no_request]),
        (
            format!("CONNECT {host} HTTP/1.1\r\nVia: 1.1 a\r\nVia: 1.1 a\r\nTE: x\r\n\r\n"),
            vec![target, other_host, vias, hop_by_hop, no_request],
        ),
    ] {
        let stream = connect(&upstream);
        send(&stream, &request);
        let (head, body) = answer(&stream);
        assert!(
            head.starts_with("HTTP/1.1 400 ") && body.is_empty(),
            "{request}: {head}"
        );
        assert_closed(&stream);
        let wrong = kinds.into_iter().map(|kind| (kind.to_owned(), 1));
        let seen = UpstreamCounts {
            connections: 1,
            peak_connections: 1,
            requests: 1,
            most_at_once: 1,
            wrong: wrong.collect(),
            ..UpstreamCounts::default()
        };
        assert_eq!(counts(&upstream), seen, "{request}");
    }
    // A head without its end.
    let stream = connect(&upstream);
    send(&stream, "GET /1 HT");
    stream.shutdown(Shutdown::Write).expect("an end");
    assert_closed(&stream);
    let counts = counts(&upstream);
    assert_eq!(counts.wrong, BTreeMap::from([(no_request.to_owned(), 1)]));
    assert_eq!((counts.connections, counts.requests), (1, 0));
}

#[test]
fn requests_that_come_ahead_are_answered_in_order() {
    let origin = origin();
    for delay_ms in [0, 1] {
        let shape = Shape {
            delay_ms,
            ..Shape::default()
        };
        let upstream = open(&origin, &shape);
        let stream = connect(&upstream);
        // More than it takes at once, and the client says that no more comes.
        let all: Vec<_> = (0..500)
            .map(|at| request(&upstream, at % FILES, ""))
            .collect();
        send(&stream, &all.concat());
        stream.shutdown(Shutdown::Write).expect("an end");
        for at in 0..500 {
            assert_right(&stream, at % FILES);
        }
        assert_closed(&stream);
        let counts = counts(&upstream);
        let seen = (counts.connections, counts.direct, counts.most_at_once);
        assert_eq!(seen, (1, 500, 1));
    }
}

/// The second takes ten times as long as the two others: they are answered while it waits.
#[test]
fn every_so_many_answers_take_longer() {
    let origin = origin();
    let shape = Shape {
        delay_ms: 2_000,
        slow: 2,
        ..Shape::default()
    };
    let upstream = open(&origin, &shape);
    let streams: Vec<_> = (0..3).map(|_| connect(&upstream)).collect();
    for stream in &streams {
        send(stream, &request(&upstream, 1, ""));
    }
    for at in [0, 2] {
        assert_right(&streams[at], 1);
    }
    let seen = counts(&upstream);
    assert_eq!((seen.direct, seen.most_at_once), (3, 3));
    assert_closed(&streams[1]);
    // Nothing of it is left.
    assert_eq!(counts(&upstream), UpstreamCounts::default());
    let stream = connect(&upstream);
    ask(&upstream, &stream, 2, "");
    assert_eq!(counts(&upstream).most_at_once, 1);
}

#[test]
fn counts_close_the_connections_and_begin_anew() {
    let origin = origin();
    let upstream = upstream(&origin);
    for _ in 0..2 {
        let asked = connect(&upstream);
        ask(&upstream, &asked, 1, "");
        ask(&upstream, &asked, 2, "");
        // It asks nothing and goes: it is no longer there when its end is answered.
        let gone = connect(&upstream);
        gone.shutdown(Shutdown::Write).expect("an end");
        assert_closed(&gone);
        let idle = [connect(&upstream), connect(&upstream)];
        let right = UpstreamCounts {
            connections: 1,
            peak_connections: 3,
            requests: 2,
            most_at_once: 1,
            idle: 2,
            direct: 2,
            ..UpstreamCounts::default()
        };
        assert_eq!(counts(&upstream), right);
        for stream in [&asked, &idle[0], &idle[1]] {
            assert_closed(stream);
        }
        assert_eq!(counts(&upstream), UpstreamCounts::default());
    }
}

/// However quick it is: an instrument must not accuse a proxy wrongly. Only the one before may
/// still be there: that it has been closed can be seen a moment later.
#[test]
fn the_peak_is_hardly_above_what_the_client_does() {
    let origin = origin();
    let upstream = upstream(&origin);
    for at in 0..1_000 {
        let fields = ["", "Connection: close\r\n"][at as usize % 2];
        let stream = connect(&upstream);
        ask(&upstream, &stream, at % FILES, fields);
    }
    let seen = counts(&upstream);
    assert_eq!(seen.connections, 1_000);
    assert!(seen.peak_connections <= 2, "{}", seen.peak_connections);
}

#[test]
fn a_dropped_upstream_is_gone() {
    let origin = origin();
    let upstream = upstream(&origin);
    let (stream, address) = (connect(&upstream), upstream.address());
    ask(&upstream, &stream, 1, "");
    drop(upstream);
    assert_closed(&stream);
    assert_refuses(address);
}

#[test]
fn what_is_no_upstream_is_refused() {
    let origin = origin();
    let upstreams = format!("{}/upstreams", origin.url());
    let post = |url: &str, body: &str| {
        let mut answer = agent().post(url).send(body).expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a text");
        (answer.status().as_u16(), text)
    };
    for body in ["", "{}", "[]", r#"{"bytes":-1}"#] {
        let (status, text) = post(&upstreams, body);
        assert_eq!(status, 400, "{body}: {text}");
    }
    let shape = Shape {
        bytes: MOST_BYTES + 1,
        ..Shape::default()
    };
    let error = Upstream::open(origin.url(), &shape).expect_err("too long");
    let text = format!(
        "HTTP 502: bytes is {}: at most {MOST_BYTES}",
        MOST_BYTES + 1
    );
    assert!(format!("{error:#}").ends_with(&text), "{error:#}");
    for id in ["1", "0", "none", "-1"] {
        let (status, text) = post(&format!("{upstreams}/{id}"), "");
        assert_eq!(
            (status, text.as_str()),
            (404, "there is no such upstream\n")
        );
    }
    let status = agent().get(&upstreams).call().expect("an answer").status();
    assert_eq!(status.as_u16(), 405);
}
