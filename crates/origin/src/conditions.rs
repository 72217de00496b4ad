//! What a request's conditions and range leave of a file (RFC 9110, 13 and 14).

use std::{
    io::Write,
    ops::Range,
    time::{Duration, SystemTime},
};

use crate::request::{Method, Request};

/// The date of every image: 1 January 2024. Fixed, because the images are.
pub(crate) const LAST_MODIFIED: Duration = Duration::from_secs(1_704_067_200);

/// What tells one version of a file from another.
#[derive(Default)]
pub(crate) struct Validators {
    /// With its quotes, and `W/` if it is weak.
    pub etag: Option<String>,
    /// In whole seconds.
    pub modified: Option<SystemTime>,
}

impl Validators {
    /// Adds their headers.
    pub(crate) fn write(&self, headers: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        if let Some(etag) = &self.etag {
            let _ = write!(headers, "ETag: {etag}\r\n");
        }
        if let Some(modified) = self.modified {
            let date = httpdate::HttpDate::from(modified);
            let _ = write!(headers, "Last-Modified: {date}\r\n");
        }
    }

    /// Whether the client has this version already (RFC 9110, 13.2.2).
    fn unmodified(&self, request: &Request) -> bool {
        fn opaque(etag: &str) -> &str {
            etag.strip_prefix("W/").unwrap_or(etag)
        }
        let etag = self.etag.as_deref().map(opaque);
        match (&request.if_none_match, &request.if_modified_since) {
            (Some(known), _) => known
                .split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || etag == Some(opaque(tag))),
            (None, Some(date)) => self.modified.is_some_and(|modified| {
                httpdate::parse_http_date(date).is_ok_and(|date| modified <= date)
            }),
            (None, None) => false,
        }
    }

    /// Whether `If-Range` names this version, which a weak validator never does.
    fn strong_match(&self, known: &str) -> bool {
        let etag = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        etag == Some(known)
            || self.modified.is_some_and(|modified| {
                httpdate::parse_http_date(known).is_ok_and(|date| date == modified)
            })
    }
}

/// What a request wants of a file.
#[derive(Debug, PartialEq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<usize>),
    /// A range that the file does not have.
    Nothing,
    /// The client has it already.
    Unmodified,
}

/// What the request's conditions and range leave of a file of `length` bytes.
pub(crate) fn wanted(request: &Request, validators: &Validators, length: usize) -> Wanted {
    // A part of another version would be no use, so If-Range then asks for all.
    let known = request.if_range.as_deref();
    if validators.unmodified(request) {
        Wanted::Unmodified
    } else if known.is_none_or(|known| validators.strong_match(known)) {
        range(request, length)
    } else {
        Wanted::Whole
    }
}

/// What the request's range leaves of a file, whatever its conditions say.
pub(crate) fn range(request: &Request, length: usize) -> Wanted {
    match &request.range {
        Some(range) if request.method == Method::Get => part(range, length),
        _ => Wanted::Whole,
    }
}

/// What a `Range` header selects. One that is not understood, or asks for several
/// parts, is as if it were not there, as RFC 9110 allows.
fn part(range: &str, length: usize) -> Wanted {
    let Some((unit, (first, last))) = range
        .split_once('=')
        .and_then(|(unit, range)| Some((unit, range.trim().split_once('-')?)))
    else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let (start, end) = match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(length)),
        (Some(first), None) if last.is_empty() => (first, length),
        (None, Some(suffix)) if first.is_empty() => (length - suffix.min(length), length),
        _ => return Wanted::Whole,
    };
    if start < end {
        Wanted::Part(start..end)
    } else {
        Wanted::Nothing
    }
}

/// A number of a range. One too large to hold is past the end of every image.
fn position(digits: &str) -> Option<usize> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=99-99", Wanted::Part(99..100)),
            ("Bytes = 50-1000", Wanted::Part(50..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=100-200", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("lines=0-9", Wanted::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(part(range, 100), expected, "{range}");
        }
    }
}
