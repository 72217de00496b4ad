//! What ureq's errors come to.

use std::io::{self, ErrorKind};

use transfer::Trouble;
use ureq::Error;

/// An error of the wire, as ureq carries it. No other kind will do: some kinds
/// of I/O error ureq takes for the end of a body that ends with its connection.
pub(crate) fn carried(trouble: Trouble) -> Error {
    Error::Other(Box::new(trouble))
}

/// Before the head of an answer has come.
pub(crate) fn before_head(error: Error) -> Trouble {
    match error {
        Error::Other(other) => match other.downcast() {
            Ok(trouble) => *trouble,
            Err(other) => Trouble::of(&*other, Trouble::Broken),
        },
        // Of an agent that was shut down as it was to begin.
        Error::Io(error) if error.kind() == ErrorKind::NotConnected => Trouble::NoAnswer,
        Error::Io(error) => Trouble::of(&error, Trouble::Broken),
        Error::Protocol(error) => Trouble::Protocol(error.to_string()),
        Error::LargeResponseHeader(..) => Trouble::Protocol(error.to_string()),
        error => Trouble::of(&error, Trouble::Connect),
    }
}

/// In the middle of a body.
pub(crate) fn in_body(error: io::Error) -> Trouble {
    match Error::from(error) {
        // ureq's words for the end of a connection.
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Trouble::Broken("it was closed in the middle of the body".to_owned())
        }
        Error::BodyStalled => Trouble::Broken("it was closed in the middle of a chunk".to_owned()),
        error => before_head(error),
    }
}
