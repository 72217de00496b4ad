//! What the tests share: a real origin, and clients that are not its own.

// Every test file has its own copy of this module and uses some of it.
#![allow(dead_code)]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use origin::{Origin, Run, Shape};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_origin");

pub fn origin() -> Origin {
    Origin::spawn(Path::new(PROGRAM), &[]).expect("an origin")
}

pub fn open(origin: &Origin, shape: Shape) -> Run {
    Run::open(origin.url(), &shape).expect("a run")
}

/// A client that gives back what it gets, whatever the status.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

/// The `127.0.0.1:PORT` of a URL.
pub fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
        .split('/')
        .next()
        .expect("a host")
}

pub fn path(url: &str) -> &str {
    let rest = url.trim_start_matches("http://");
    &rest[rest.find('/').expect("a path")..]
}

pub fn connect(url: &str) -> TcpStream {
    TcpStream::connect(authority(url)).expect("a connection")
}

/// Sends these bytes, and nothing more, and gives back all that is answered.
pub fn raw(url: &str, bytes: &[u8]) -> String {
    let mut stream = connect(url);
    // The origin may have closed before all is sent; what it said still counts.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a `Content-Length` and gives back its body's length.
pub fn read_answer(stream: &mut TcpStream) -> usize {
    let mut answer = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        let read = stream.read(&mut chunk).expect("more of the answer");
        assert_ne!(read, 0, "closed in the middle of an answer");
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&answer[..end]);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .and_then(|length| length.parse().ok())
            .expect("a length");
        let mut left = (end + 4 + length)
            .checked_sub(answer.len())
            .expect("one answer only");
        while left > 0 {
            let room = left.min(chunk.len());
            let read = stream.read(&mut chunk[..room]).expect("more of the body");
            assert_ne!(read, 0, "closed in the middle of a body");
            left -= read;
        }
        return length;
    }
}

/// Soon nothing listens there. Until its thread has ended, the kernel takes connections, and
/// resets those that nothing will accept.
#[track_caller]
pub fn assert_refuses(address: SocketAddr) {
    let until = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        match TcpStream::connect(address) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => break error,
            _ => assert!(Instant::now() < until, "it has not ended"),
        }
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
