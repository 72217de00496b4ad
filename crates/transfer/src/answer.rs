//! What the head of an answer says.

use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap,
    HeaderName, LAST_MODIFIED, RETRY_AFTER, TRANSFER_ENCODING,
};
use serde::{Deserialize, Serialize};

/// The head of an answer, from whatever library.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
}

/// The content codings that are registered with IANA, but for `identity`. What is
/// none of them (`utf-8`, `none`, `aws-chunked`) is a server's mistake, and has
/// changed no byte.
const CODINGS: [&str; 12] = [
    "aes128gcm",
    "br",
    "compress",
    "dcb",
    "dcz",
    "deflate",
    "exi",
    "gzip",
    "pack200-gzip",
    "x-compress",
    "x-gzip",
    "zstd",
];

/// How a body's content is encoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// These are the file's own bytes.
    None,
    /// They are gzipped, once.
    Gzip,
    /// Encoded in a way that is not decoded here.
    Other(String),
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// The entity tag, as sent.
    pub etag: Option<String>,
    /// The date of the last change, as sent.
    pub last_modified: Option<String>,
    /// Whether that date is old enough against the answer's own to be strong.
    pub dated: bool,
}

impl Validator {
    /// What `If-Range` can be sent with: only a strong validator says that bytes
    /// of two answers belong together (RFC 9110, 8.8.1 and 13.1.5).
    pub fn strong(&self) -> Option<&str> {
        match &self.etag {
            // Weak ones begin with `W/`; what is in no quotes is no tag.
            Some(etag) => {
                let strong = etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"');
                strong.then_some(etag.as_str())
            }
            None => self.last_modified.as_deref().filter(|_| self.dated),
        }
    }

    /// Whether an answer is about the same state. What either leaves out cannot
    /// contradict; `known` says whether anything agreed.
    pub(crate) fn agrees(&self, other: &Self) -> Agreement {
        let mut agreement = Agreement::Unknown;
        for (ours, theirs) in [
            (&self.etag, &other.etag),
            (&self.last_modified, &other.last_modified),
        ] {
            match (ours, theirs) {
                (Some(ours), Some(theirs)) if ours != theirs => return Agreement::Contradicted,
                (Some(_), Some(_)) => agreement = Agreement::Same,
                _ => {}
            }
        }
        agreement
    }

    /// Whether a part sent under this condition belongs to this state. It has
    /// the tag if the whole has one (RFC 9110, 15.3.7); a date may be left out.
    pub(crate) fn continues(&self, part: &Self) -> bool {
        self.agrees(part) != Agreement::Contradicted && (self.etag.is_none() || part.etag.is_some())
    }
}

/// What comparing two validators comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// They name the same state.
    Same,
    /// They have nothing in common to compare.
    Unknown,
    /// They name different states.
    Contradicted,
}

/// `Content-Range`: which bytes of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// `bytes FIRST-LAST/TOTAL`, or `*` for a total that is not known.
    Bytes {
        /// The first byte.
        first: u64,
        /// The last one, itself part of it.
        last: u64,
        /// Bytes of the whole file.
        total: Option<u64>,
    },
    /// `bytes */TOTAL`: the range asked for lies outside.
    Outside(u64),
}

impl Head {
    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header's value; none if there are two that differ.
    fn only(&self, name: HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(&name).iter();
        let first = values.next()?;
        values
            .all(|value| value == first)
            .then(|| first.to_str().ok())?
    }

    /// The announced length of the body: none if the body says itself where it
    /// ends, or the connection's end does. An error if the lengths given are no
    /// numbers, or differ, or if the transfer is encoded in another way than by
    /// chunks: then what comes is not the file's bytes (RFC 9112, 6.1).
    pub(crate) fn length(&self) -> Result<Option<u64>, String> {
        match &self.transfer_codings()[..] {
            [] => {}
            [coding] if coding == "chunked" => return Ok(None),
            other => return Err(format!("Transfer-Encoding: {}", other.join(", "))),
        }
        let mut length = None;
        for value in self.headers.get_all(CONTENT_LENGTH) {
            let text = value.to_str().unwrap_or("unreadable");
            // One header can carry several: they have to be alike, too.
            for text in text.split(',').map(str::trim) {
                let this = number(text).ok_or_else(|| format!("Content-Length: {text}"))?;
                match length {
                    Some(other) if other != this => {
                        return Err(format!("two lengths, {other} and {this}"));
                    }
                    _ => length = Some(this),
                }
            }
        }
        Ok(length)
    }

    /// Whether only this crate sees where the body ends: HTTP/1.1 once had an
    /// `identity` that means nothing, and libraries then read until the connection
    /// ends, whatever the length.
    pub(crate) fn ends_unseen(&self) -> bool {
        self.headers.contains_key(TRANSFER_ENCODING) && self.transfer_codings().is_empty()
    }

    /// How the transfer is encoded. `identity` alone is no coding; next to others
    /// it stays, as libraries read such lists in different ways.
    fn transfer_codings(&self) -> Vec<String> {
        let codings = self.listed(TRANSFER_ENCODING);
        match codings.iter().all(|coding| coding == "identity") {
            true => Vec::new(),
            false => codings,
        }
    }

    /// How the content is encoded.
    pub(crate) fn coding(&self) -> Coding {
        let mut codings = self.listed(CONTENT_ENCODING);
        codings.retain(|coding| CODINGS.contains(&coding.as_str()));
        match &codings[..] {
            [] => Coding::None,
            [one] if one == "gzip" || one == "x-gzip" => Coding::Gzip,
            _ => Coding::Other(codings.join(", ")),
        }
    }

    /// The items of a header that is a list, in lowercase, of all its lines.
    fn listed(&self, name: HeaderName) -> Vec<String> {
        let values = self.headers.get_all(name).into_iter();
        let items = values.flat_map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            let items = text.split(',').map(|item| item.trim().to_owned());
            items.collect::<Vec<_>>()
        });
        items.filter(|item| !item.is_empty()).collect()
    }

    /// What this state of the file can be known by.
    pub(crate) fn validator(&self) -> Validator {
        let last_modified = self.only(LAST_MODIFIED);
        let time = |text: Option<&str>| text.and_then(|text| httpdate::parse_http_date(text).ok());
        // RFC 9110, 8.8.2.2: strong if the answer is at least a second younger.
        let dated = match (time(last_modified), time(self.text(DATE))) {
            (Some(changed), Some(now)) => changed + Duration::from_secs(1) <= now,
            _ => false,
        };
        Validator {
            etag: self.only(ETAG).map(str::to_owned),
            last_modified: last_modified.map(str::to_owned),
            dated,
        }
    }

    /// Which part of the file this is, if it says so in a way that makes sense.
    pub(crate) fn content_range(&self) -> Option<ContentRange> {
        let several = self
            .text(CONTENT_TYPE)
            .and_then(|kind| kind.trim().get(..20));
        if several.is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/byteranges"))
            || self.headers.get_all(CONTENT_RANGE).iter().count() != 1
        {
            return None;
        }
        let value = self.text(CONTENT_RANGE)?.trim();
        let (unit, range) = value.split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = range.trim().split_once('/')?;
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        if range.trim() == "*" {
            return total.map(ContentRange::Outside);
        }
        let (first, last) = range.trim().split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        // The last number there is would be the last byte of nothing.
        let sane = first <= last && last < total.unwrap_or(u64::MAX);
        sane.then_some(ContentRange::Bytes { first, last, total })
    }

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let value = self.text(RETRY_AFTER)?.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // What is too long for a number is long.
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }
}

/// A number in digits alone: `parse` would take a sign, too.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn head(headers: &[(HeaderName, &'static str)]) -> Head {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Head {
            status: 200,
            headers: map,
        }
    }

    #[test]
    fn lengths_have_to_agree() {
        let length = |values: &[&'static str]| {
            let headers: Vec<_> = values.iter().map(|&v| (CONTENT_LENGTH, v)).collect();
            head(&headers).length()
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["5"]), Ok(Some(5)));
        assert_eq!(length(&["5", "5"]), Ok(Some(5)));
        assert_eq!(length(&["5, 5"]), Ok(Some(5)));
        for bad in [&["5", "6"][..], &["-5"], &["+5"], &["5,6"], &[""], &["x"]] {
            assert!(length(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ranges_are_read_or_refused() {
        let range = |text| head(&[(CONTENT_RANGE, text)]).content_range();
        let bytes = |first, last, total| Some(ContentRange::Bytes { first, last, total });
        assert_eq!(range("bytes 5-9/10"), bytes(5, 9, Some(10)));
        assert_eq!(range("bytes 5-9/*"), bytes(5, 9, None));
        assert_eq!(range("bytes */10"), Some(ContentRange::Outside(10)));
        for bad in ["", "bytes", "5-9/10", "lines 5-9/10", "bytes 9-5/10"] {
            assert_eq!(range(bad), None, "{bad}");
        }
        assert_eq!(range("bytes 5-10/10"), None);
        assert_eq!(range("bytes */*"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let after = |text| head(&[(RETRY_AFTER, text)]).retry_after(now);
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(after(date), Some(Duration::from_secs(10)));
        let past = "Sun, 06 Nov 1994 08:49:27 GMT";
        assert_eq!(after(past), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
        assert_eq!(after("-1"), None);
    }

    #[test]
    fn only_strong_validators_join_bytes() {
        let strong = |headers: &[_]| head(headers).validator().strong().map(str::to_owned);
        assert_eq!(strong(&[(ETAG, "\"a\"")]).as_deref(), Some("\"a\""));
        assert_eq!(strong(&[(ETAG, "W/\"a\"")]), None);
        let (old, new) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:50:37 GMT",
        );
        let dated = [(LAST_MODIFIED, old), (DATE, new)];
        assert_eq!(strong(&dated).as_deref(), Some(old));
        assert_eq!(strong(&[(LAST_MODIFIED, old), (DATE, old)]), None);
        assert_eq!(strong(&[(LAST_MODIFIED, old)]), None);
        let weak_tag = [(ETAG, "W/\"a\""), (LAST_MODIFIED, old), (DATE, new)];
        assert_eq!(strong(&weak_tag), None);
    }
}
