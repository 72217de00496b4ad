//! Heads of HTTP/1.1, without sockets: the lines in what has come over a connection, what
//! they say, and how long the body after them is. A server of files and a proxy read with it.
//!
//! - [`Received`] is what has come over a connection and was not used yet.
//! - [`Heads`] reads the heads in it, as what a [`Head`] makes of their lines.
//! - [`RequestLine`], [`StatusLine`], [`field`] and [`Framing`] are what the lines say.
//!
//! Where RFC 9112 lets a recipient be lenient (a bare line feed, a folded line, spaces round a
//! field's name), this is not: what two parsers could read differently is refused, as requests
//! are smuggled through such differences.

use std::time::Duration;

mod framing;
mod grammar;
mod heads;
mod received;

pub use framing::{Framing, Length};
pub use grammar::{RequestLine, StatusLine, field, is_authority, is_token, options};
pub use heads::{Head, Heads};
pub use received::Received;

/// Why what has come is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is no HTTP/1.1, or could be read in two ways.
    Malformed,
    /// The first line is longer than a recipient has to read.
    LineTooLong,
    /// The fields are more than a recipient has to read.
    TooLarge,
    /// A transfer coding before `chunked`.
    UnknownCoding,
    /// Another major version than 1.
    OtherVersion,
    /// Not all of it came in time.
    Late,
}

/// How long a connection that is closed after an answer is read from at most, and what comes is
/// dropped. If it was closed while bytes have come that were not read, the kernel would reset
/// it, and the client could lose the answer (RFC 9112, 9.6). So: shut down for writing, read to
/// the end or for this long, close.
pub const LINGER: Duration = Duration::from_secs(1);
