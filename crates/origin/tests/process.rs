//! The origin as a process: how it begins, where it listens, how it ends.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use common::{PROGRAM, authority, open, origin};
use origin::{Origin, Run, Shape};

#[test]
fn prints_its_address_and_ends_with_its_standard_input() {
    let mut child = Command::new(PROGRAM)
        .arg("--until-stdin-closes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an origin");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let url = lines.next().expect("a line").expect("text");
    let port = url
        .strip_prefix("http://127.0.0.1:")
        .expect("a loopback address");
    assert_ne!(port.parse::<u16>().expect("a port"), 0);
    // The line is readiness: the first attempt is accepted.
    let idle = TcpStream::connect(authority(&url)).expect("a connection");

    drop(child.stdin.take());
    assert!(
        child.wait().expect("its end").success(),
        "an idle connection held it up"
    );
    assert!(lines.next().is_none(), "more than one line");
    drop(idle);
    assert!(TcpStream::connect(authority(&url)).is_err());
}

/// All of 127.0.0.0/8 is this machine, so a listener on every interface would
/// have accepted this.
#[cfg(target_os = "linux")]
#[test]
fn listens_on_loopback_only() {
    let origin = origin();
    let (_, port) = authority(origin.url()).split_once(':').expect("a port");
    assert!(TcpStream::connect(format!("127.0.0.2:{port}")).is_err());
}

/// `Origin` only starts those on the loopback interface's first address.
#[cfg(target_os = "linux")]
#[test]
fn listens_where_it_is_told() {
    let mut child = Command::new(PROGRAM)
        .args(["--address", "127.0.0.2", "--until-stdin-closes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an origin");
    let stdout = child.stdout.take().expect("a pipe");
    let mut url = String::new();
    BufReader::new(stdout).read_line(&mut url).expect("a line");
    let shape = Shape {
        images: 1,
        image_bytes: 2048,
        ..Shape::default()
    };
    let run = Run::open(url.trim_end(), &shape).expect("it answers there");
    let files = run.files().expect("one file");
    assert!(files[0].url.starts_with("http://127.0.0.2:"), "{files:?}");
    drop((run, child.stdin.take()));
    assert!(child.wait().expect("its end").success());
}

#[test]
fn takes_the_port_it_is_told() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its number");
    let port = free.port().to_string();
    let first = Origin::spawn(Path::new(PROGRAM), &["--port", &port]).expect("an origin");
    assert_eq!(first.url(), format!("http://127.0.0.1:{port}"));
    let second = Origin::spawn(Path::new(PROGRAM), &["--port", &port]).expect_err("a second");
    assert!(format!("{second:#}").contains("it ended before it printed its address"));
}

#[test]
fn dropping_an_origin_ends_it() {
    let origin = origin();
    let url = origin.url().to_owned();
    assert_ne!(origin.pid(), std::process::id());
    drop(origin);
    let error = Run::open(&url, &Shape::default()).expect_err("nobody there");
    let error = format!("{error:#}").to_lowercase();
    assert!(
        error.starts_with(&format!("origin {url}/runs: connection refused")),
        "{error}"
    );
}

#[test]
fn a_program_that_is_no_origin_is_named() {
    for (program, reason) in [
        ("/no/such/program", "cannot start it"),
        ("true", "it ended before it printed its address"),
        ("echo", "instead of its address"),
    ] {
        let error = Origin::spawn(Path::new(program), &["x"]).expect_err(program);
        let error = format!("{error:#}");
        assert!(error.contains(program) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_server_that_is_no_origin_is_named() {
    for (answer, reason) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "not from a Paces origin",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "not from a Paces origin"),
        ("220 smtp.example.org\r\n", "not an HTTP answer"),
        ("", "connection closed before an answer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = BufReader::new(stream.try_clone().expect("the same"));
            let mut line = String::new();
            while request.read_line(&mut line).expect("a line") > 2 {
                line.clear();
            }
            let shape = serde_json::to_vec(&Shape::default()).expect("JSON").len();
            request.read_exact(&mut vec![0; shape]).expect("the body");
            stream.write_all(answer.as_bytes()).expect("an answer");
        });
        let error = format!(
            "{:#}",
            Run::open(&url, &Shape::default()).expect_err(answer)
        );
        server.join().expect("the server");
        assert!(error.contains(&url) && error.contains(reason), "{error}");
    }
    let error = Run::open("https://127.0.0.1:1", &Shape::default()).expect_err("no TLS");
    assert!(format!("{error:#}").contains("begins with http://"));
}

#[test]
fn shapes_out_of_range_are_refused_with_the_reason() {
    let origin = origin();
    for (shape, reason) in [
        (
            Shape {
                images: 1_000_001,
                ..Shape::default()
            },
            "at most 1000000",
        ),
        (
            Shape {
                image_bytes: 1023,
                ..Shape::default()
            },
            "1024 to 67108864",
        ),
        (
            Shape {
                image_bytes: 67_108_865,
                ..Shape::default()
            },
            "1024 to 67108864",
        ),
        (
            Shape {
                delay_ms: 3_600_001,
                ..Shape::default()
            },
            "at most 3600000",
        ),
        (
            Shape {
                mbit_per_s: 100_001,
                ..Shape::default()
            },
            "at most 100000",
        ),
    ] {
        let error = Run::open(origin.url(), &shape).expect_err("out of range");
        let error = format!("{error:#}");
        assert!(
            error.contains("HTTP 400") && error.contains(reason),
            "{error}"
        );
    }
}

#[test]
fn a_dropped_run_is_forgotten() {
    let origin = origin();
    let run = open(&origin, Shape::default());
    let url = run.delay_url(0);
    let status = || {
        common::agent()
            .get(&url)
            .call()
            .expect("an answer")
            .status()
    };
    assert_eq!(status(), 200);
    drop(run);
    assert_eq!(status(), 404);
}
