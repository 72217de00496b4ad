//! What hyper's errors come to.

use std::error::Error;
use std::io::{self, ErrorKind};

use transfer::AttemptError;

/// Before the head of an answer has come.
pub(crate) fn before_head(error: hyper::Error) -> AttemptError {
    if let Some(ours) = io_error(&error).and_then(|io| io.get_ref()?.downcast_ref::<AttemptError>())
    {
        return ours.clone();
    }
    let closed = error.is_canceled()
        || error.is_incomplete_message()
        || matches!(
            io_kind(&error),
            Some(
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::NotConnected
                    | ErrorKind::UnexpectedEof
            )
        );
    // hyper says this of everything that does not begin with `HTTP/1.`, and has no other
    // sign of it.
    if error.is_parse() && error.to_string().contains("invalid HTTP version") {
        return AttemptError::NotHttp1;
    }
    match error.is_parse() {
        _ if closed => AttemptError::from_error(&error, |_| AttemptError::NoAnswer),
        true => AttemptError::from_error(&error, AttemptError::Protocol),
        false => AttemptError::from_error(&error, AttemptError::Broken),
    }
}

/// In the middle of a body.
pub(crate) fn in_body(error: hyper::Error) -> AttemptError {
    let closed = |_| AttemptError::Broken("it was closed in the middle of the body".to_owned());
    match io_kind(&error) {
        _ if error.is_incomplete_message() => AttemptError::from_error(&error, closed),
        Some(ErrorKind::UnexpectedEof) => AttemptError::from_error(&error, closed),
        // hyper's words for chunks that are none.
        Some(ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            AttemptError::from_error(&error, AttemptError::Protocol)
        }
        _ => AttemptError::from_error(&error, AttemptError::Broken),
    }
}

/// The kind of the I/O error that lies beneath, if one does.
fn io_kind(error: &hyper::Error) -> Option<ErrorKind> {
    io_error(error).map(io::Error::kind)
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let mut io = causes.filter_map(|cause| cause.downcast_ref());
    io.next()
}
