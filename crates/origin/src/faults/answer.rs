//! Answers that misbehave, and how they are written to a connection.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    link::Link,
    response::{Addressee, start_of_head, write_both},
    wire::Wire,
};

/// How much of a body goes to the kernel at a time, in bytes; the last piece is
/// up to twice this.
pub(super) const PIECE: usize = 64 * 1024;
/// How long a slow answer waits between two pieces.
const TICK: Duration = Duration::from_millis(100);
/// The most that is sent of a head without an end, in bytes.
const MAX_ENDLESS_HEAD: u64 = 100_000_000;
/// The most that is sent of a body without an end, in bytes.
const MAX_ENDLESS_BODY: u64 = 1 << 30;
/// How long a hesitant answer hesitates, and what it sends before, in bytes.
const HESITATION: Duration = Duration::from_millis(2500);
const A_LITTLE: usize = 100;
/// What crosses a shared line at once, in bytes.
const LINE_PIECE: usize = 5000;
/// The bytes of a chunk.
const CHUNK: usize = 16 * 1024;

/// An answer that says one thing and may do another.
pub(crate) struct Answer {
    /// What goes before the head.
    before: Vec<u8>,
    /// None: there is no head, and `before` is all.
    status: Option<u16>,
    protocol: &'static str,
    /// Header lines, but those that every answer has and those of the framing.
    headers: Vec<u8>,
    framing: Framing,
    /// Where in the file the body begins.
    start: usize,
    /// What the head announces.
    body: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// What is sent beyond it.
    excess: &'static [u8],
    pace: Pace,
    then: Then,
    /// Bytes sent after the head, or of one without an end, as the log shows them.
    tally: Arc<AtomicU64>,
}

/// How the end of a body is told.
pub(crate) enum Framing {
    /// By a Content-Length.
    Length,
    Chunked,
    /// The same, under this Transfer-Encoding.
    ChunkedAs(&'static str),
    /// The same, without the chunk that says that it was the last.
    ChunkedWithoutEnd,
    /// By the end of the connection, which the head announces.
    Close,
    /// As the answer's own headers say.
    Own,
}

/// How fast an answer is sent.
pub(crate) enum Pace {
    Full,
    /// The head one byte at a time, ten in a second.
    DripHead,
    /// The head one byte at a time, a thousand in a second.
    HeadInPieces,
    /// The body in pieces of this many bytes, ten in a second.
    Body(usize),
    /// A little of the body, and the rest after some seconds.
    Hesitant,
    /// Over a line that others use as well.
    Line(Arc<Link>),
}

/// What comes after what an answer sends.
pub(crate) enum Then {
    /// The next request.
    Next,
    Close,
    /// The connection's end, of which TLS is not told: in the clear, the same.
    Leave,
    /// This, when the answer is over, and then the next request.
    Late(&'static [u8]),
    Reset,
    /// Nothing, until the client leaves.
    Hold,
    /// More of the head, again and again.
    EndlessHead(&'static [u8]),
    /// More of the body, again and again.
    EndlessBody(Vec<u8>),
}

/// What becomes of the connection after an answer.
pub(crate) enum After {
    Open,
    Close,
    Reset,
    /// One of both has left.
    Gone,
}

impl Answer {
    pub(crate) fn new(status: u16, body: Vec<u8>) -> Answer {
        Answer {
            before: Vec::new(),
            status: Some(status),
            protocol: "HTTP/1.1",
            headers: Vec::new(),
            framing: Framing::Length,
            start: 0,
            sent: body.len(),
            body,
            excess: &[],
            pace: Pace::Full,
            then: Then::Next,
            tally: Arc::default(),
        }
    }

    /// An answer for people, without a file.
    pub(crate) fn text(status: u16, text: &str) -> Answer {
        Answer::new(status, text.as_bytes().to_vec())
            .header("Content-Type", "text/plain; charset=utf-8")
    }

    /// These bytes in the place of an answer, and then this.
    pub(crate) fn raw(bytes: Vec<u8>, then: Then) -> Answer {
        let mut answer = Answer::new(0, Vec::new()).before(bytes).then(then);
        answer.status = None;
        answer
    }

    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Answer {
        // Writing to a Vec cannot fail.
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// Header lines, each with its end.
    pub(crate) fn headers(mut self, lines: &[u8]) -> Answer {
        self.headers.extend_from_slice(lines);
        self
    }

    pub(crate) fn before(mut self, bytes: Vec<u8>) -> Answer {
        self.before = bytes;
        self
    }

    pub(crate) fn protocol(mut self, protocol: &'static str) -> Answer {
        self.protocol = protocol;
        self
    }

    pub(crate) fn framing(mut self, framing: Framing) -> Answer {
        self.framing = framing;
        self
    }

    /// Says where in the file the body begins.
    pub(crate) fn start(mut self, start: usize) -> Answer {
        self.start = start;
        self
    }

    /// Sends only half of what is announced.
    pub(crate) fn half(mut self) -> Answer {
        self.sent = self.body.len() / 2;
        self
    }

    /// Sends only what lies within the file's first `bytes`.
    pub(crate) fn within_first(mut self, bytes: usize) -> Answer {
        self.sent = bytes.saturating_sub(self.start).min(self.body.len());
        self
    }

    /// Sends more than is announced.
    pub(crate) fn excess(mut self, bytes: &'static [u8]) -> Answer {
        self.excess = bytes;
        self
    }

    pub(crate) fn pace(mut self, pace: Pace) -> Answer {
        self.pace = pace;
        self
    }

    pub(crate) fn then(mut self, then: Then) -> Answer {
        self.then = then;
        self
    }

    /// Counts what is sent after the head there.
    pub(crate) fn tally(mut self, tally: Arc<AtomicU64>) -> Answer {
        self.tally = tally;
        self
    }

    /// Writes the answer, as far as it goes, and says how the connection ends.
    pub(crate) fn send(self, wire: &mut impl Wire, to: Addressee) -> io::Result<After> {
        let head = self.head(to);
        // Without a head of its own there is no body either.
        let body = match self.status {
            Some(_) if !to.head_only => self.body(),
            _ => Vec::new(),
        };
        self.write(wire, &head, &body)?;
        match self.then {
            Then::Next if to.close => Ok(After::Close),
            Then::Next => Ok(After::Open),
            Then::Close => Ok(After::Close),
            Then::Leave => Ok(After::Gone),
            Then::Late(piece) => {
                thread::sleep(TICK);
                wire.write_all(piece)?;
                Ok(After::Open)
            }
            Then::Reset => Ok(After::Reset),
            Then::Hold => {
                wire.drain();
                Ok(After::Gone)
            }
            Then::EndlessHead(piece) => {
                repeat(wire, piece, MAX_ENDLESS_HEAD, &self.tally)?;
                Ok(After::Close)
            }
            Then::EndlessBody(_) if to.head_only => Ok(After::Close),
            Then::EndlessBody(piece) => {
                repeat(wire, &piece, MAX_ENDLESS_BODY, &self.tally)?;
                Ok(After::Close)
            }
        }
    }

    fn head(&self, mut to: Addressee) -> Vec<u8> {
        let mut head = self.before.clone();
        let Some(status) = self.status else {
            return head;
        };
        head.extend(start_of_head(self.protocol, status));
        head.extend_from_slice(&self.headers);
        match self.framing {
            Framing::Length if status != 304 && status != 204 => {
                // Writing to a Vec cannot fail.
                let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
            }
            Framing::Length | Framing::Own => {}
            Framing::Chunked | Framing::ChunkedWithoutEnd => {
                head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            Framing::ChunkedAs(coding) => {
                head.extend_from_slice(format!("Transfer-Encoding: {coding}\r\n").as_bytes());
            }
            Framing::Close => to.close = true,
        }
        to.end_head(&mut head);
        head
    }

    /// What is sent after the head.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.sent + self.excess.len());
        let content = &self.body[..self.sent];
        match self.framing {
            Framing::Chunked | Framing::ChunkedAs(_) | Framing::ChunkedWithoutEnd => {
                content
                    .chunks(CHUNK)
                    .for_each(|part| chunk(&mut body, part));
            }
            _ => body.extend_from_slice(content),
        }
        if let Framing::Chunked | Framing::ChunkedAs(_) = self.framing {
            chunk(&mut body, &[]);
        }
        body.extend_from_slice(self.excess);
        body
    }

    fn write(&self, wire: &mut impl Wire, mut head: &[u8], mut rest: &[u8]) -> io::Result<()> {
        if let Pace::DripHead | Pace::HeadInPieces = self.pace {
            let pause = match self.pace {
                Pace::DripHead => TICK,
                _ => Duration::from_millis(1),
            };
            for byte in head {
                wire.write_all(&[*byte])?;
                thread::sleep(pause);
            }
            head = &[];
        }
        loop {
            let (piece, after) = rest.split_at(match self.pace {
                Pace::Body(bytes) => bytes.min(rest.len()),
                Pace::Line(_) => LINE_PIECE.min(rest.len()),
                Pace::Hesitant if !head.is_empty() => A_LITTLE.min(rest.len()),
                _ if rest.len() > 2 * PIECE => PIECE,
                _ => rest.len(),
            });
            if let Pace::Line(link) = &self.pace {
                link.carry(piece.len(), !head.is_empty());
            }
            // Before they go, so that a client that has them finds them counted.
            self.tally.fetch_add(piece.len() as u64, Ordering::Relaxed);
            // The head goes with the first piece, unlike anything that comes later.
            write_both(wire, head, piece)?;
            if after.is_empty() {
                return Ok(());
            }
            match self.pace {
                Pace::Body(_) => thread::sleep(TICK),
                Pace::Hesitant if !head.is_empty() => thread::sleep(HESITATION),
                _ => {}
            }
            (head, rest) = (&[], after);
        }
    }
}

/// Adds a chunk; an empty one is the last.
pub(super) fn chunk(to: &mut Vec<u8>, content: &[u8]) {
    // Writing to a Vec cannot fail.
    let _ = write!(to, "{:x}\r\n", content.len());
    to.extend_from_slice(content);
    to.extend_from_slice(b"\r\n");
}

/// Writes `piece` again and again until the client leaves or has `limit` bytes.
fn repeat(wire: &mut impl Wire, piece: &[u8], limit: u64, tally: &AtomicU64) -> io::Result<()> {
    let mut sent = 0;
    while sent < limit {
        tally.fetch_add(piece.len() as u64, Ordering::Relaxed);
        wire.write_all(piece)?;
        sent += piece.len() as u64;
    }
    Ok(())
}
