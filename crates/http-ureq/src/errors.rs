//! What ureq's errors come to.

use std::io::{self, ErrorKind};

use transfer::AttemptError;
use ureq::Error;

/// An error of the wire, as ureq carries it. No other kind will do: some kinds
/// of I/O error ureq takes for the end of a body that ends with its connection.
pub(crate) fn carried(error: AttemptError) -> Error {
    Error::Other(Box::new(error))
}

/// Before the head of an answer has come.
pub(crate) fn before_head(error: Error) -> AttemptError {
    match error {
        Error::Other(other) => match other.downcast() {
            Ok(ours) => *ours,
            Err(other) => AttemptError::from_error(&*other, AttemptError::Broken),
        },
        // Of an agent that was shut down as it was to begin.
        Error::Io(error) if error.kind() == ErrorKind::NotConnected => AttemptError::NoAnswer,
        Error::Io(error) => AttemptError::from_error(&error, AttemptError::Broken),
        Error::Protocol(error) => AttemptError::Protocol(error.to_string()),
        Error::LargeResponseHeader(..) => AttemptError::Protocol(error.to_string()),
        error => AttemptError::from_error(&error, AttemptError::Connect),
    }
}

/// In the middle of a body.
pub(crate) fn in_body(error: io::Error) -> AttemptError {
    match Error::from(error) {
        // ureq's words for the end of a connection.
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            AttemptError::Broken("it was closed in the middle of the body".to_owned())
        }
        Error::BodyStalled => {
            AttemptError::Broken("it was closed in the middle of a chunk".to_owned())
        }
        error => before_head(error),
    }
}
