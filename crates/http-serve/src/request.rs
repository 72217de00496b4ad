//! What is asked, of a head that was read.

use std::time::SystemTime;

use crate::head::{Head, is_token};
use crate::path::relative;
use crate::refusal::Refusal;

/// Methods that are registered, and that this does not serve: 405, and 501 for any other.
const OTHER_METHODS: [&str; 7] = [
    "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// A request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Only its head is to be answered.
    pub head_only: bool,
    /// Which file, below the directory that is served: no part of it leads out.
    pub path: String,
    /// Whether the connection is to be kept after the answer.
    pub keeps_connection: bool,
    pub(crate) minor: u8,
    /// The value of `Range`, if it is one of bytes.
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<SystemTime>,
}

impl Request {
    /// Reads what a head asks for.
    pub(crate) fn of(head: &Head) -> Result<Self, Refusal> {
        let values = |name: &str| {
            let fields = head.fields.iter();
            let named = fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name));
            named.map(|(_, value)| *value)
        };
        let has_body = framing(head)?;
        let authority = host(head)?;
        let head_only = match head.method {
            "GET" => false,
            "HEAD" => true,
            method if OTHER_METHODS.contains(&method) => return Err(Refusal::MethodNotAllowed),
            _ => return Err(Refusal::NotImplemented),
        };
        let path = relative(origin_form(head.target, authority)?)?;
        // Where a list is allowed, several fields are one list (RFC 9110, 5.3).
        let list = |name: &str| -> Option<String> {
            let texts: Vec<_> = values(name).map(String::from_utf8_lossy).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        };
        // Of one that may stand once, a second makes it mean nothing here.
        let one = |name: &str| -> Option<String> {
            let mut all = values(name);
            let first = all.next()?;
            all.next()
                .is_none()
                .then(|| String::from_utf8_lossy(first).into_owned())
        };
        let options = list("connection").unwrap_or_default();
        let says = |option: &str| {
            let mut options = options.split(',');
            options.any(|said| said.trim().eq_ignore_ascii_case(option))
        };
        let keeps_connection = match head.minor {
            0 => says("keep-alive") && !says("close"),
            _ => !says("close"),
        };
        let date = |name: &str| httpdate::parse_http_date(&one(name)?).ok();
        Ok(Self {
            head_only,
            path,
            // A body that nobody reads would be taken for the next request.
            keeps_connection: keeps_connection && !has_body,
            minor: head.minor,
            range: one("range"),
            if_range: one("if-range"),
            if_none_match: list("if-none-match"),
            if_modified_since: date("if-modified-since"),
        })
    }
}

/// Whether a body follows (RFC 9112, 6). What could be read in two ways is refused.
fn framing(head: &Head) -> Result<bool, Refusal> {
    let (mut length, mut coding) = (None, None);
    for (name, value) in &head.fields {
        if name.eq_ignore_ascii_case("content-length") {
            // Digits alone, once: not even the same number twice (6.3 allows to refuse it).
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = str::from_utf8(value).ok().filter(|_| is_number);
            let number: Option<u64> = number.and_then(|number| number.parse().ok());
            if length.replace(number.ok_or(Refusal::BadRequest)?).is_some() {
                return Err(Refusal::BadRequest);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") && coding.replace(*value).is_some()
        {
            return Err(Refusal::BadRequest);
        }
    }
    match (length, coding) {
        (Some(_), Some(_)) => Err(Refusal::BadRequest),
        // HTTP/1.0 has no transfer codings (6.1).
        (None, Some(_)) if head.minor == 0 => Err(Refusal::BadRequest),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        (None, Some(_)) => Err(Refusal::NotImplemented),
        (length, None) => Ok(length.is_some_and(|length| length > 0)),
    }
}

/// The value of `Host`: exactly one in HTTP/1.1 (RFC 9112, 3.2).
fn host<'a>(head: &Head<'a>) -> Result<Option<&'a str>, Refusal> {
    let is_host = |(name, _): &&(&str, &[u8])| name.eq_ignore_ascii_case("host");
    let mut all = head.fields.iter().filter(is_host);
    let host = match (all.next(), all.next()) {
        (Some((_, host)), None) => Some(*host),
        (None, None) if head.minor == 0 => None,
        _ => return Err(Refusal::BadRequest),
    };
    let is_of_host =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(byte);
    match host {
        Some(host) if !host.iter().all(is_of_host) => Err(Refusal::BadRequest),
        Some(host) => str::from_utf8(host)
            .map(Some)
            .map_err(|_| Refusal::BadRequest),
        None => Ok(None),
    }
}

/// The path of a target: of the origin form, or of the absolute form, which every server has
/// to take (RFC 9112, 3.2.2). Whose authority is asked for is not looked at: this serves one
/// directory.
fn origin_form<'a>(target: &'a str, _authority: Option<&str>) -> Result<&'a str, Refusal> {
    if target.starts_with('/') {
        return Ok(target);
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::BadRequest)?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_http || authority.is_empty() || authority.contains('@') {
        return Err(Refusal::BadRequest);
    }
    Ok(match path {
        "" => "/",
        path => path,
    })
}

/// Whether a list of entity tags has this one (RFC 9110, 8.8.3.2, the weak comparison).
pub(crate) fn has_tag(list: &str, tag: &str) -> bool {
    let mut tags = list.split(',').map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// The first and last byte of a range of a file with this many bytes: none if the field is
/// none of one range of bytes, which is then passed over (RFC 9110, 14.2).
///
/// # Errors
///
/// When no byte of it is there.
pub(crate) fn range(field: &str, bytes: u64) -> Result<Option<(u64, u64)>, Refusal> {
    let none = Refusal::RangeNotSatisfiable(bytes);
    let Some((unit, spec)) = field.split_once('=') else {
        return Ok(None);
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Ok(None);
    };
    let number = |text: &str| -> Option<u64> {
        let is_number = is_token(text.as_bytes()) && text.bytes().all(|byte| byte.is_ascii_digit());
        // What does not fit is more than any file has.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ok(None);
    }
    match (first, last) {
        ("", last) => match number(last) {
            None => Ok(None),
            Some(0) => Err(none),
            Some(_) if bytes == 0 => Err(none),
            Some(count) => Ok(Some((bytes.saturating_sub(count), bytes - 1))),
        },
        (first, last) => {
            let Some(first) = number(first) else {
                return Ok(None);
            };
            let last = match last {
                "" => u64::MAX,
                last => match number(last) {
                    Some(last) if last >= first => last,
                    _ => return Ok(None),
                },
            };
            match first < bytes {
                true => Ok(Some((first, last.min(bytes - 1)))),
                false => Err(none),
            }
        }
    }
}
