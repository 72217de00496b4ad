//! Requests that are refused.

use http_head::Wrong;

/// Why a request gets no file.
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
    /// The file is not as the request has it.
    PreconditionFailed,
    /// Its line is longer than a server has to read.
    UriTooLong,
    /// No part of the file that was asked for is there; it has this many bytes.
    RangeNotSatisfiable(u64),
    /// Its fields are more than a server has to read.
    HeadTooLarge,
    /// The file is there and cannot be read.
    Internal,
    /// A method that is in no registry, or a transfer coding before `chunked`.
    NotImplemented,
    /// Another major version than 1.
    VersionNotSupported,
}

impl Refusal {
    /// Status code and reason phrase (RFC 9110, 15; RFC 6585, 5, for 431).
    pub(crate) fn parts(self) -> (u16, &'static str) {
        match self {
            Refusal::BadRequest => (400, "Bad Request"),
            Refusal::NotFound => (404, "Not Found"),
            Refusal::MethodNotAllowed => (405, "Method Not Allowed"),
            Refusal::Timeout => (408, "Request Timeout"),
            Refusal::PreconditionFailed => (412, "Precondition Failed"),
            Refusal::UriTooLong => (414, "URI Too Long"),
            Refusal::RangeNotSatisfiable(_) => (416, "Range Not Satisfiable"),
            Refusal::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Refusal::Internal => (500, "Internal Server Error"),
            Refusal::NotImplemented => (501, "Not Implemented"),
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
