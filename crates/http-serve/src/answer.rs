//! What is answered: a head, and which bytes of the file follow it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::refusal::Refusal;
use crate::request::{Request, has_tag, range};

/// An answer: to be sent as it is, the head first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, its empty line included; of a refusal, the body too.
    pub head: Vec<u8>,
    /// The bytes of the file that follow: from, and how many.
    pub body: Option<(u64, u64)>,
    /// Whether the connection is to be kept after it.
    pub keeps_connection: bool,
}

impl Answer {
    /// The answer to a request, of the file that it asks for; none if there is none. A file
    /// that is no regular one is none.
    pub fn to(request: &Request, file: Option<&Metadata>, now: SystemTime) -> Self {
        let keeps = request.keeps_connection;
        match file.filter(|file| file.is_file()) {
            None => Self::refusal(Refusal::NotFound, Some(request), now),
            Some(file) => {
                let tag = entity_tag(file);
                if request.is_unmodified(&tag, modified(file)) {
                    return Self::with(304, "Not Modified", &tag, file, None, keeps, now);
                }
                let wanted = request.wanted_range(&tag, modified(file), file.len());
                match wanted {
                    Err(refusal) => Self::refusal(refusal, Some(request), now),
                    Ok(part) => {
                        let (status, reason) = match part {
                            Some(_) => (206, "Partial Content"),
                            None => (200, "OK"),
                        };
                        let mut answer = Self::with(status, reason, &tag, file, part, keeps, now);
                        if !request.head_only {
                            let (first, last) = part.unwrap_or((0, file.len().wrapping_sub(1)));
                            let count = last.wrapping_sub(first).wrapping_add(1);
                            answer.body = (count > 0).then_some((first, count));
                        }
                        answer
                    }
                }
            }
        }
    }

    fn with(
        status: u16,
        reason: &str,
        tag: &str,
        file: &Metadata,
        part: Option<(u64, u64)>,
        keeps_connection: bool,
        now: SystemTime,
    ) -> Self {
        let mut head = begin(status, reason, now);
        head += &format!("ETag: {tag}\r\nLast-Modified: {}\r\n", date(modified(file)));
        // A 304 has no body, and no length of one (RFC 9110, 8.6, leaves it out or has it right).
        if status != 304 {
            let length = part.map_or(file.len(), |(first, last)| last - first + 1);
            head += &format!("Accept-Ranges: bytes\r\nContent-Length: {length}\r\n");
            head += "Content-Type: application/octet-stream\r\n";
        }
        if let Some((first, last)) = part {
            head += &format!("Content-Range: bytes {first}-{last}/{}\r\n", file.len());
        }
        Self {
            status,
            head: end(head, keeps_connection),
            body: None,
            keeps_connection,
        }
    }

    /// A refusal, of a request that was read or of what is none.
    pub fn refusal(refusal: Refusal, request: Option<&Request>, now: SystemTime) -> Self {
        let keeps = request.is_some_and(|request| request.keeps_connection);
        let keeps_connection = keeps && refusal.keeps_connection();
        let (status, reason) = refusal.parts();
        let text = format!("{status} {reason}\n");
        let mut head = begin(status, reason, now);
        match refusal {
            Refusal::MethodNotAllowed => head += "Allow: GET, HEAD\r\n",
            Refusal::RangeNotSatisfiable(bytes) => {
                head += &format!("Content-Range: bytes */{bytes}\r\n");
            }
            _ => {}
        }
        head += &format!(
            "Content-Type: text/plain\r\nContent-Length: {}\r\n",
            text.len()
        );
        let mut head = end(head, keeps_connection);
        if !request.is_some_and(|request| request.head_only) {
            head.extend_from_slice(text.as_bytes());
        }
        Self {
            status,
            head,
            body: None,
            keeps_connection,
        }
    }
}

fn begin(status: u16, reason: &str, now: SystemTime) -> String {
    format!("HTTP/1.1 {status} {reason}\r\nDate: {}\r\n", date(now))
}

fn end(mut head: String, keeps_connection: bool) -> Vec<u8> {
    // HTTP/1.0 has to be told that it is kept, too.
    head += match keeps_connection {
        true => "Connection: keep-alive\r\n\r\n",
        false => "Connection: close\r\n\r\n",
    };
    head.into_bytes()
}

fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

/// A strong tag: another file, another length or another time of change is another tag.
fn entity_tag(file: &Metadata) -> String {
    let (seconds, nanoseconds) = (file.mtime(), file.mtime_nsec());
    format!(
        "\"{:x}-{:x}-{seconds:x}.{nanoseconds:x}\"",
        file.ino(),
        file.len()
    )
}

/// When a file was changed, in whole seconds, as dates are in HTTP.
fn modified(file: &Metadata) -> SystemTime {
    let seconds = u64::try_from(file.mtime()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

impl Request {
    /// Whether the client has the file as it is (RFC 9110, 13.2.2): a tag counts before a
    /// date.
    fn is_unmodified(&self, tag: &str, modified: SystemTime) -> bool {
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => has_tag(tags, tag),
            (None, Some(since)) => modified <= since,
            (None, None) => false,
        }
    }

    /// The part that is asked for, if it is one of the file as it is (13.1.5).
    fn wanted_range(
        &self,
        tag: &str,
        modified: SystemTime,
        bytes: u64,
    ) -> Result<Option<(u64, u64)>, Refusal> {
        let Some(field) = self.range.as_deref().filter(|_| !self.head_only) else {
            return Ok(None);
        };
        let same = self.if_range.as_deref().is_none_or(|condition| {
            condition == tag || httpdate::parse_http_date(condition).is_ok_and(|at| at == modified)
        });
        match same {
            true => range(field, bytes),
            false => Ok(None),
        }
    }
}
