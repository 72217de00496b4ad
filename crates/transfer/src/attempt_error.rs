//! What can go wrong with an attempt, in terms that every HTTP library's errors
//! can be told in.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why an attempt brought no file, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AttemptError {
    /// The connection closed before a byte of an answer: a server may close one
    /// that it has kept at any time, so the first such time costs no retry.
    #[error("the connection was closed without an answer")]
    NoAnswer,
    /// No connection came about.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server's certificate is not to be trusted. Never tried again.
    #[error("the server's certificate is refused: {0}")]
    Certificate(String),
    /// Nothing came for so long.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// Less came than the least that was asked for.
    #[error("{bytes} bytes came in {seconds} s: less than the least rate")]
    TooSlow {
        /// Bytes of the body.
        bytes: u64,
        /// Over this time.
        seconds: u64,
    },
    /// More came than any file may have. Never tried again.
    #[error("larger than the {0} bytes that are allowed")]
    TooLarge(u64),
    /// The answer does not begin as one of HTTP/1.0 or HTTP/1.1 does.
    #[error("the answer is not HTTP/1.1 (HTTP/2 and later are not supported)")]
    NotHttp1,
    /// The answer is no HTTP, or contradicts itself.
    #[error("the answer is no good HTTP: {0}")]
    Protocol(String),
    /// The connection broke in the middle of a body.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The body ended before the length that was announced.
    #[error("the connection closed after {got} of {announced} bytes")]
    Short {
        /// Bytes of the file that are there.
        got: u64,
        /// Bytes that the file has.
        announced: u64,
    },
    /// This process may not open more files or connections. The file is taken
    /// up again when fewer others run.
    #[error("too many files are open")]
    TooManyOpenFiles,
    /// The status says: not now.
    #[error("the server answered {0}")]
    Status(u16),
    /// An answer that contradicts what was asked; the file is begun again.
    #[error("{0}")]
    WrongRange(String),
}

impl AttemptError {
    /// Tells what lies at the bottom of an error: where it says nothing better,
    /// `otherwise` is what it is.
    pub fn from_error(error: &(dyn Error + 'static), otherwise: fn(String) -> Self) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                if let Some(ours) = Self::from_io(error) {
                    return ours;
                }
                // An `io::Error` made of another error hides it from `source`.
                if let Some(inner) = error.get_ref() {
                    next = Some(inner);
                    continue;
                }
            }
            if let Some(rustls::Error::InvalidCertificate(why)) = cause.downcast_ref() {
                return Self::Certificate(format!("{why}"));
            }
            next = cause.source();
        }
        otherwise(chain(error))
    }

    fn from_io(error: &io::Error) -> Option<Self> {
        let errno = Errno::from_io_error(error)?;
        matches!(errno, Errno::MFILE | Errno::NFILE).then_some(Self::TooManyOpenFiles)
    }
}

/// An error with its causes, on one line, no cause twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
