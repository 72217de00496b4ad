//! What the cases of servers are made of.

use std::io;
use std::path::Path;

use crate::check::Wrong;
use crate::conformance::expect::{Expect, answer};
use crate::serve::site::Site;

/// How a case is tested.
#[derive(Debug)]
pub(crate) enum Test {
    /// One turn after the other, on one connection as long as that is kept.
    Turns(Vec<Turn>),
    /// In a way of its own.
    Clients(fn(&mut Site) -> Result<(), Wrong>),
}

/// What is sent, and what has to come.
#[derive(Debug)]
pub(crate) struct Turn {
    /// What happens in the directory before.
    pub(crate) before: Option<fn(&Path) -> io::Result<()>>,
    /// `{TAG}` and `{DATE}` stand for `ETag` and `Last-Modified` of the last answer with them.
    pub(crate) send: String,
    pub(crate) pace: Pace,
    pub(crate) answers: Vec<Expect>,
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    AtOnce,
    /// Byte by byte, each in a segment of its own.
    Bytes,
    /// At once, and the client then closes its side.
    HalfClosed,
}

/// The file that most requests are for.
pub(crate) fn file() -> Expect {
    answer(200).body("0123456789")
}

/// A part of it.
pub(crate) fn part(range: &str, body: &str) -> Expect {
    let range = format!("bytes {range}/10");
    answer(206).body(body).field("content-range", range)
}

/// A turn with one answer.
pub(crate) fn turn(send: impl Into<String>, answer: Expect) -> Turn {
    Turn {
        before: None,
        send: send.into(),
        pace: Pace::AtOnce,
        answers: vec![answer],
    }
}

/// A request for a path that has these fields, too.
pub(crate) fn get(path: &str, fields: &[&str]) -> String {
    request(&format!("GET {path} HTTP/1.1"), fields)
}

/// A request with this line.
pub(crate) fn request(line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{line}\r\nHost: example\r\n{fields}\r\n")
}

/// What is refused, after which nothing can be told apart any more.
pub(crate) fn refused(status: u16, send: impl Into<String>) -> Turn {
    turn(send, answer(status).closes())
}
