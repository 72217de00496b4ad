//! What a case is.

use std::io;
use std::path::Path;

use crate::check::Wrong;
use crate::serve::server::Server;

/// A kind of request or of client, and what is right.
#[derive(Debug)]
pub struct Case {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// Where that is said.
    pub section: &'static str,
    /// What is sent or done.
    pub what: &'static str,
    /// What is right.
    pub right: &'static str,
    /// Arguments of the program.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) test: Test,
}

/// How it is tested.
#[derive(Debug)]
pub(crate) enum Test {
    /// One turn after the other, on one connection as long as that is kept.
    Turns(Vec<Turn>),
    /// In a way of its own.
    Clients(fn(&mut Server) -> Result<(), Wrong>),
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

/// An answer that is right.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    pub(crate) status: u16,
    /// Whether it answers HEAD, and has no body whatever it says.
    pub(crate) head_only: bool,
    /// Fields, with a value that they have, or none if they must not be there.
    pub(crate) fields: Vec<(&'static str, Option<String>)>,
    pub(crate) body: Option<String>,
    /// Whether the connection is closed after it, of every model. One that does one thing
    /// after the other may do so after any answer.
    pub(crate) closes: bool,
}

/// An answer with this status.
pub(crate) fn answer(status: u16) -> Expect {
    Expect {
        status,
        head_only: false,
        fields: Vec::new(),
        body: None,
        closes: false,
    }
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

impl Expect {
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self.field("content-length", body.len())
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, Some(value.to_string())));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.fields.push((name, None));
        self
    }

    pub(crate) fn for_head(mut self) -> Self {
        self.head_only = true;
        self
    }

    pub(crate) fn closes(mut self) -> Self {
        self.closes = true;
        self
    }
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
