//! What is asked, line by line.

use http_head::{Framing, Head, Length, RequestLine, field, is_authority, options};

use crate::conditions::Conditions;
use crate::path::relative;
use crate::refusal::Refusal;

/// Methods that are registered, and that this does not serve: 405, and 501 for any other.
const OTHER_METHODS: [&[u8]; 7] = [
    b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
];

/// A request for a file, to be answered with [`Site::answer`](crate::Site::answer).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Only the answer's head is wanted.
    pub(crate) head_only: bool,
    /// Which file, below the directory that is served; or what is answered without one.
    pub(crate) path: Result<Vec<u8>, Refusal>,
    pub(crate) conditions: Conditions,
    /// HTTP/1.0 is 0; a higher minor version than 1 is read as 1 (RFC 9110, 2.5).
    pub(crate) minor: u8,
    /// Whether the connection is to be kept after the answer.
    pub(crate) keeps_connection: bool,
}

impl Request {
    /// Lets the answer say that the connection is closed after it, whatever was asked for.
    pub fn close_connection(&mut self) {
        self.keeps_connection = false;
    }
}

/// A request of which some lines were read.
#[derive(Debug)]
pub struct Partial {
    request: Request,
    has_host: bool,
    framing: Framing,
    says_close: bool,
    says_keep_alive: bool,
}

impl Head for Partial {
    type Whole = Request;
    type Refusal = Refusal;

    fn begin(line: &[u8]) -> Result<Self, Refusal> {
        let RequestLine {
            method,
            target,
            minor,
        } = RequestLine::read(line)?;
        let path = match method {
            b"GET" | b"HEAD" => relative(target)?.ok_or(Refusal::NotFound),
            method if OTHER_METHODS.contains(&method) => Err(Refusal::MethodNotAllowed),
            _ => Err(Refusal::NotImplemented),
        };
        Ok(Self {
            request: Request {
                head_only: method == b"HEAD",
                path,
                conditions: Conditions::default(),
                minor,
                keeps_connection: false,
            },
            has_host: false,
            framing: Framing::default(),
            says_close: false,
            says_keep_alive: false,
        })
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (name, value) = field(line)?;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let conditions = &mut self.request.conditions;
        if is("host") {
            // Exactly one (RFC 9112, 3.2).
            if self.has_host || !is_authority(value) {
                return Err(Refusal::BadRequest);
            }
            self.has_host = true;
        } else if is("connection") {
            for option in options(value) {
                self.says_close |= option.eq_ignore_ascii_case(b"close");
                self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if self.framing.field(name, value)? {
        } else if is("if-match") {
            append(&mut conditions.if_match, value);
        } else if is("if-none-match") {
            append(&mut conditions.if_none_match, value);
        } else if is("if-modified-since") {
            append(&mut conditions.if_modified_since, value);
        } else if is("if-unmodified-since") {
            append(&mut conditions.if_unmodified_since, value);
        } else if is("range") {
            append(&mut conditions.range, value);
        } else if is("if-range") {
            append(&mut conditions.if_range, value);
        }
        Ok(())
    }

    fn whole(self) -> Result<Request, Refusal> {
        let mut request = self.request;
        if !self.has_host && request.minor > 0 {
            return Err(Refusal::BadRequest);
        }
        // A body is not read, and would be taken for the next request.
        let has_body = self.framing.of_request(request.minor)? != Length::Bytes(0);
        request.keeps_connection =
            !has_body && !self.says_close && (request.minor > 0 || self.says_keep_alive);
        Ok(request)
    }

    fn is_last(request: &Request) -> bool {
        !request.keeps_connection
    }
}

fn append(list: &mut Option<String>, value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    *list = Some(match list.take() {
        Some(before) => before + ", " + &value,
        None => value.into_owned(),
    });
}
