//! What is asked, line by line as RFC 9112 has it.
//!
//! Where RFC 9112 lets a recipient be lenient (a bare line feed, a folded line, spaces round
//! a field's name), this is not: what two parsers could read differently is refused, as
//! requests are smuggled through such differences.

use crate::conditions::Conditions;
use crate::path::{is_authority, relative};
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
pub(crate) struct Partial {
    request: Request,
    fields: usize,
    has_host: bool,
    /// The value of `Content-Length`.
    length: Option<u64>,
    /// The value of `Transfer-Encoding`.
    coding: Option<Vec<u8>>,
    says_close: bool,
    says_keep_alive: bool,
}

impl Partial {
    /// Begins with a request line: one space between its three parts (RFC 9112, 3).
    pub(crate) fn of(line: &[u8]) -> Result<Self, Refusal> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::BadRequest);
        };
        if !is_token(method) || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::BadRequest);
        }
        let minor = match version {
            b"HTTP/1.0" => 0,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major != b'1' {
                    return Err(Refusal::VersionNotSupported);
                }
                1
            }
            _ => return Err(Refusal::BadRequest),
        };
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
            fields: 0,
            has_host: false,
            length: None,
            coding: None,
            says_close: false,
            says_keep_alive: false,
        })
    }

    /// How many fields were read.
    pub(crate) fn fields(&self) -> usize {
        self.fields
    }

    /// Goes on with a field: a token, a colon with nothing before it, and a value (RFC 9112,
    /// 5). A line that begins with a space would continue the one before it, and has no token
    /// there (5.2).
    pub(crate) fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = line.split_at(colon.ok_or(Refusal::BadRequest)?);
        let value = value[1..].trim_ascii();
        let is_of_value = |&byte: &u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
        if !is_token(name) || !value.iter().all(is_of_value) {
            return Err(Refusal::BadRequest);
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let conditions = &mut self.request.conditions;
        if is("host") {
            // Exactly one (RFC 9112, 3.2).
            if self.has_host || !is_authority(value) {
                return Err(Refusal::BadRequest);
            }
            self.has_host = true;
        } else if is("connection") {
            for option in value.split(|&byte| byte == b',') {
                let option = option.trim_ascii();
                self.says_close |= option.eq_ignore_ascii_case(b"close");
                self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("content-length") {
            // Digits alone, once: not even the same number twice (6.3 allows to refuse it).
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = str::from_utf8(value).ok().filter(|_| is_number);
            let number = number.and_then(|number| number.parse().ok());
            if self.length.is_some() || number.is_none() {
                return Err(Refusal::BadRequest);
            }
            self.length = number;
        } else if is("transfer-encoding") {
            if self.coding.replace(value.to_vec()).is_some() {
                return Err(Refusal::BadRequest);
            }
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

    /// The request, when its last line has come.
    pub(crate) fn whole(self) -> Result<Request, Refusal> {
        let mut request = self.request;
        if !self.has_host && request.minor > 0 {
            return Err(Refusal::BadRequest);
        }
        let has_body = match (self.length, self.coding) {
            // HTTP/1.0 has no transfer codings (RFC 9112, 6.1).
            (Some(_), Some(_)) => return Err(Refusal::BadRequest),
            (None, Some(_)) if request.minor == 0 => return Err(Refusal::BadRequest),
            (None, Some(coding)) => check_coding(&coding)?,
            (length, None) => length.is_some_and(|length| length > 0),
        };
        // A body is not read, and would be taken for the next request.
        request.keeps_connection =
            !has_body && !self.says_close && (request.minor > 0 || self.says_keep_alive);
        Ok(request)
    }
}

/// Whether a body follows: a length that cannot be told is a bad request (RFC 9112, 6.3), and
/// what comes before `chunked` is a coding that is not known (6.1).
fn check_coding(coding: &[u8]) -> Result<bool, Refusal> {
    let mut codings = coding.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    match codings.next() {
        Some(last) if !last.eq_ignore_ascii_case(b"chunked") => Err(Refusal::BadRequest),
        _ if codings.next().is_some() => Err(Refusal::NotImplemented),
        _ => Ok(true),
    }
}

fn append(list: &mut Option<String>, value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    *list = Some(match list.take() {
        Some(before) => before + ", " + &value,
        None => value.into_owned(),
    });
}

/// RFC 9110, 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_of_token)
}
