//! What the proxy answers itself.

use std::io::Write;
use std::time::SystemTime;

use http_head::Wrong;
use httpdate::HttpDate;

use crate::Request;

/// Why a request is not passed on, or why there is no response to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP/1.1 for a proxy, or could be read in two ways.
    BadRequest,
    /// It may not go there.
    Forbidden,
    /// `TRACE` that goes no further.
    MethodNotAllowed,
    /// Not all of it came in time.
    Timeout,
    /// Its line is longer than a proxy has to read.
    UriTooLong,
    /// Its fields are more than a proxy has to read.
    HeadTooLarge,
    /// Another scheme than `http`, or a transfer coding before `chunked`.
    NotImplemented,
    /// The upstream cannot be reached, or its response is none.
    BadGateway,
    /// The upstream cannot be reached in time, or does not respond in time.
    GatewayTimeout,
    /// Another major version than 1.
    VersionNotSupported,
}

impl Refusal {
    /// The answer: to a request, or to what could not be read as one, after which the connection
    /// has to be closed. It is closed too, unless the request's
    /// [`keeps_connection`](Request::keeps_connection) is true.
    pub fn answer(self, request: Option<&Request>) -> Vec<u8> {
        let (status, reason) = self.parts();
        let text = format!("{status} {reason}\n");
        // What could not be read may have been a HEAD.
        let has_body = request.is_some();
        let length = if has_body { text.len() } else { 0 };
        let mut answer = own(&format!("{status} {reason}"), length, request);
        if self == Refusal::MethodNotAllowed {
            let end = answer.len() - 2;
            answer.splice(
                end..end,
                *b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, CONNECT\r\n",
            );
        }
        if request.is_some_and(|request| !request.is_head()) {
            answer.extend_from_slice(text.as_bytes());
        }
        answer
    }

    /// Status code and reason phrase (RFC 9110, 15; RFC 6585, 5, for 431).
    fn parts(self) -> (u16, &'static str) {
        match self {
            Refusal::BadRequest => (400, "Bad Request"),
            Refusal::Forbidden => (403, "Forbidden"),
            Refusal::MethodNotAllowed => (405, "Method Not Allowed"),
            Refusal::Timeout => (408, "Request Timeout"),
            Refusal::UriTooLong => (414, "URI Too Long"),
            Refusal::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Refusal::NotImplemented => (501, "Not Implemented"),
            Refusal::BadGateway => (502, "Bad Gateway"),
            Refusal::GatewayTimeout => (504, "Gateway Timeout"),
            Refusal::VersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Malformed => Refusal::BadRequest,
            Wrong::LineTooLong => Refusal::UriTooLong,
            Wrong::TooLarge => Refusal::HeadTooLarge,
            Wrong::UnknownCoding => Refusal::NotImplemented,
            Wrong::OtherVersion => Refusal::VersionNotSupported,
            Wrong::Late => Refusal::Timeout,
        }
    }
}

/// The head of an answer of the proxy's own.
pub(crate) fn own(status: &str, length: usize, request: Option<&Request>) -> Vec<u8> {
    let mut answer = Vec::with_capacity(256);
    let now = HttpDate::from(SystemTime::now());
    // Writing to a vector cannot fail.
    let _ = write!(
        answer,
        "HTTP/1.1 {status}\r\nDate: {now}\r\nContent-Length: {length}\r\n"
    );
    if length > 0 {
        answer.extend_from_slice(b"Content-Type: text/plain\r\n");
    }
    let keeps = request.is_some_and(Request::keeps_connection);
    end(&mut answer, keeps);
    answer
}

/// Ends a head for the client. HTTP/1.1 means without a word that the connection is kept, and
/// that of HTTP/1.0 never is.
pub(crate) fn end(head: &mut Vec<u8>, keeps_connection: bool) {
    head.extend_from_slice(match keeps_connection {
        true => b"\r\n",
        false => b"Connection: close\r\n\r\n",
    });
}
