//! Requests that are refused.

/// Why a request gets no file. Each is an answer; after most of them the connection is
/// closed, as what follows cannot be told from what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP/1.1, or could be read in two ways.
    BadRequest,
    /// There is no such file.
    NotFound,
    /// Another method than GET and HEAD.
    MethodNotAllowed,
    /// Not all of it came in time.
    Timeout,
    /// Its line is longer than a server has to read.
    UriTooLong,
    /// No part of the file that was asked for is there; it has this many bytes.
    RangeNotSatisfiable(u64),
    /// Its fields are more than a server has to read.
    HeadTooLarge,
    /// A method that is in no registry, or a transfer coding other than `chunked`.
    NotImplemented,
    /// HTTP/2 and later, and HTTP/0.9.
    VersionNotSupported,
}

impl Refusal {
    /// The status code (RFC 9110, 15; RFC 6585 for 431).
    pub fn status(self) -> u16 {
        self.parts().0
    }

    /// Status code and reason phrase.
    pub(crate) fn parts(self) -> (u16, &'static str) {
        match self {
            Refusal::BadRequest => (400, "Bad Request"),
            Refusal::NotFound => (404, "Not Found"),
            Refusal::MethodNotAllowed => (405, "Method Not Allowed"),
            Refusal::Timeout => (408, "Request Timeout"),
            Refusal::UriTooLong => (414, "URI Too Long"),
            Refusal::RangeNotSatisfiable(_) => (416, "Range Not Satisfiable"),
            Refusal::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Refusal::NotImplemented => (501, "Not Implemented"),
            Refusal::VersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }

    /// Whether the connection can be kept: the request was read whole, and is only not
    /// answered with a file.
    pub(crate) fn keeps_connection(self) -> bool {
        matches!(self, Refusal::NotFound | Refusal::RangeNotSatisfiable(_))
    }
}
