//! `echo`: a TCP server sends back what its clients send, over loopback.
//!
//! Shows runtimes and sockets alone, with no HTTP library in the picture.
//! Server and clients are both the model's, in two processes.
//!
//! What goes over a connection is the same for every model:
//!
//! - Both ends have `TCP_NODELAY` set, or a part of a message could wait for
//!   the other end's delayed acknowledgement.
//! - All connections are open before the first message is sent.
//! - A client writes a piece of a message ([`PIECE_BYTES`] at most) and reads it
//!   back before it writes the next one. A client that wrote all of a large
//!   message first would wait without end: the server, which it does not read from,
//!   stops reading too when the buffers are full.
//! - The server counts, and closes a connection first, when all of it has gone
//!   back; the client reads on until it sees that. The end that closes first
//!   keeps the connection's port busy for a minute: a client would soon have no
//!   ports left.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pipeline::Level;
use crate::{Invalid, Preset, WrongAnswer, splitmix64};

/// The most bytes that a client is ahead of its echo. Any socket's buffers hold
/// that many, so client and server never wait for each other.
pub const PIECE_BYTES: usize = 16 * 1024;

/// How many connections the system holds for a server that has still to accept
/// them. One more is turned away, and tries again only a second later.
pub const BACKLOG: usize = 4096;

/// How many clients say how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Connections, all open at once.
    pub connections: usize,
    /// Messages over each, one after the other.
    pub messages: u64,
    /// Bytes of each message.
    pub bytes: usize,
    /// Where the server listens. Filled in when the job is prepared.
    #[serde(skip)]
    pub address: Option<SocketAddr>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The most connections that were open at once.
    pub connections: u64,
    /// Messages that came back.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that are not those that were sent, or more than were sent.
    pub wrong: u64,
}

/// Counts the connections that are open at once, at the client's side.
#[derive(Debug, Default)]
#[repr(transparent)] // the process model keeps one in shared memory
pub struct Open(Level);

impl Open {
    /// A connection has been made.
    pub fn opened(&self) {
        self.0.put(1);
    }

    /// A connection is about to be closed.
    pub fn closed(&self) {
        self.0.take(1);
    }

    /// The outcome of all talks together.
    pub fn outcome(&self, talks: impl IntoIterator<Item = Outcome>) -> Outcome {
        let none = Outcome {
            connections: self.0.high_water(),
            ..Outcome::default()
        };
        talks.into_iter().fold(none, |all, talk| Outcome {
            connections: all.connections,
            messages: all.messages + talk.messages,
            bytes: all.bytes + talk.bytes,
            wrong: all.wrong + talk.wrong,
        })
    }

    /// Forgets everything, for the next job.
    pub fn reset(&self) {
        self.0.reset();
    }
}

/// The client's side of one connection: what to write, and what to make of what
/// comes back.
///
/// ```
/// # use std::io::{Read, Write};
/// # use suite::{Job, Preset, Workload, echo::Talk};
/// # fn example(job: &suite::echo::Job, mut stream: impl Read + Write) -> std::io::Result<()> {
/// let mut talk = Talk::new(job, 0);
/// while let Some(piece) = talk.say() {
///     stream.write_all(piece)?;
///     stream.read_exact(talk.room())?;
///     talk.hear();
/// }
/// talk.hear_end(stream.read(&mut [0])?);
/// assert_eq!(talk.outcome().wrong, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Talk {
    /// Differs from connection to connection.
    seed: u64,
    messages: u64,
    bytes: usize,
    /// The message under way, and how much of it has come back.
    message: u64,
    at: usize,
    /// The piece that is said, and then the one that is heard: there is never a
    /// use for both.
    piece: Vec<u8>,
    heard: Outcome,
}

impl Talk {
    /// The talk over this connection, counted from 0.
    pub fn new(job: &Job, connection: usize) -> Self {
        Self {
            seed: splitmix64(connection as u64),
            messages: job.messages,
            bytes: job.bytes,
            message: 0,
            at: 0,
            piece: Vec::with_capacity(job.bytes.min(PIECE_BYTES)),
            heard: Outcome::default(),
        }
    }

    /// What to write next; nothing when all has been said.
    pub fn say(&mut self) -> Option<&[u8]> {
        if self.message == self.messages {
            return None;
        }
        self.piece
            .resize((self.bytes - self.at).min(PIECE_BYTES), 0);
        let start = self.start();
        for (word, right) in self.piece.chunks_mut(8).zip(random_words(start)) {
            word.copy_from_slice(&right[..word.len()]);
        }
        Some(&self.piece)
    }

    /// Where the echo of that piece is to be read to: all of it.
    pub fn room(&mut self) -> &mut [u8] {
        // What was said is still in there, and would pass for an echo.
        self.piece.fill(0);
        &mut self.piece
    }

    /// The room has been filled.
    pub fn hear(&mut self) {
        for (word, right) in self.piece.chunks(8).zip(random_words(self.start())) {
            if word != &right[..word.len()] {
                let wrong = word
                    .iter()
                    .zip(right)
                    .filter(|(byte, right)| *byte != right);
                self.heard.wrong += wrong.count() as u64;
            }
        }
        self.at += self.piece.len();
        self.heard.bytes += self.piece.len() as u64;
        if self.at == self.bytes {
            self.at = 0;
            self.message += 1;
            self.heard.messages += 1;
        }
    }

    /// When all has been said, the server closes: `bytes` were read instead, and
    /// none are right.
    pub fn hear_end(&mut self, bytes: usize) {
        self.heard.wrong += bytes as u64;
    }

    /// What came back over this connection.
    pub fn outcome(self) -> Outcome {
        self.heard
    }

    /// Where the numbers of this piece start.
    fn start(&self) -> u64 {
        splitmix64(self.seed ^ self.message).wrapping_add((self.at / 8) as u64)
    }
}

/// Bytes that look random, eight at a time.
fn random_words(start: u64) -> impl Iterator<Item = [u8; 8]> {
    (0..).map(move |word| splitmix64(start.wrapping_add(word)).to_le_bytes())
}

/// Tells a server that there will be no more connections.
///
/// The server looks at it after every `accept`. The end begins with
/// one last connection, for the `accept` that waits.
#[derive(Debug, Clone, Default)]
pub struct Closing(Arc<AtomicBool>);

impl Closing {
    /// Whether the end has begun: the connection just accepted is then no
    /// client's, and there will be no other.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Says that the end has begun, to a server that is woken otherwise.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Begins the end of the server at this address.
    pub fn begin(&self, server: SocketAddr) {
        self.set();
        // A server that cannot be reached does not wait for a connection.
        drop(TcpStream::connect(server));
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (connections, messages, bytes) = match preset {
            Preset::Article => (10, 100, 64),
            Preset::Heavy => (1_000, 20, 1_024),
        };
        Self {
            connections,
            messages,
            bytes,
            address: None,
        }
    }

    /// Where the server listens.
    ///
    /// # Panics
    ///
    /// If the address is not filled in: preparing a job does that.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a prepared echo has a server")
    }

    /// One connection, for an error that it is the context of.
    pub fn named(&self, connection: usize) -> String {
        let (number, all, server) = (connection + 1, self.connections, self.address());
        format!("connection {number} of {all} to {server}")
    }

    /// Bytes that the server sends back over one connection before it closes it.
    pub fn bytes_each(&self) -> u64 {
        self.messages * self.bytes as u64
    }

    pub(crate) fn units(&self) -> usize {
        self.connections
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("connections", self.connections as u64, 1, 10_000)?;
        Invalid::unless_within("messages", self.messages, 1, 1_000_000)?;
        Invalid::unless_within("bytes", self.bytes as u64, 1, 64 * 1024 * 1024)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let mut job = self.clone();
        if self.connections > 16 {
            let divisor = usize::try_from(divisor).unwrap_or(usize::MAX);
            job.connections = (self.connections / divisor).max(1);
        } else {
            job.messages = (self.messages / divisor).max(1);
        }
        job
    }

    /// All connections open at once, and every byte back as it was sent.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let connections = self.connections as u64;
        for (what, got, right) in [
            ("connections", outcome.connections, connections),
            ("messages", outcome.messages, connections * self.messages),
            ("bytes", outcome.bytes, connections * self.bytes_each()),
            ("wrong", outcome.wrong, 0),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        Ok(())
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        format!(
            "{} connections open at once; {} messages came back, {} bytes; {:.3?} a message",
            outcome.connections,
            outcome.messages,
            outcome.bytes,
            elapsed.div_f64(outcome.messages.max(1) as f64)
        )
    }
}
