//! What a fault is asked for, and the answers that several faults have.

use std::ops::Range;
use std::sync::Arc;

use super::answer::{Answer, Framing, Pace, Then, chunk};
use super::file::Version;
use crate::conditions::Wanted;
use crate::link::Link;
use crate::request::Request;

/// The bytes of a file whose URL does not say how many.
const BODY: usize = 100_000;
/// The largest file, in bytes.
pub(super) const MAX_BODY: usize = 64 << 20;
const GARBAGE: &[u8] = b"HTP/9.9 huh\r\n\r\n";
const BOUNDARY: &str = "a-part-of-it";

/// How many bytes a query asks for; none if that is not a number, or too many.
pub(super) fn query_bytes(query: Option<&str>) -> Option<usize> {
    let mut pairs = query.unwrap_or_default().split('&');
    match pairs.find_map(|pair| pair.strip_prefix("bytes=")) {
        Some(bytes) => bytes.parse().ok().filter(|bytes| *bytes <= MAX_BODY),
        None => Some(BODY),
    }
}

/// What a fault has to answer.
pub(crate) struct Asked<'a> {
    pub request: &'a Request,
    /// Where this server is, without a slash at the end.
    pub origin: &'a str,
    pub token: &'a str,
    /// What follows the token in the path, with the query.
    pub rest: String,
    pub bytes: usize,
    /// How many requests the fault got before, with this token.
    pub times_before: u64,
    /// How many requests its connection had before, with this token.
    pub on_this_connection: usize,
    /// A slow line that all of its token's answers can share.
    pub line: Arc<Link>,
}

impl Asked<'_> {
    pub(crate) fn version(&self, version: u32) -> Version {
        Version::new(version, self.bytes)
    }

    pub(crate) fn right(&self) -> Answer {
        self.version(1).answer(self.request)
    }

    /// Half of the right answer, and then the connection's end.
    pub(crate) fn cut(&self) -> Answer {
        cut(self.right())
    }

    /// All the right bytes in chunks, and then the connection's end.
    pub(crate) fn unended(&self) -> Answer {
        let whole = self.version(1).whole();
        whole.framing(Framing::ChunkedWithoutEnd).then(Then::Close)
    }

    pub(crate) fn slow(&self) -> Answer {
        self.right().pace(Pace::Body(5000))
    }

    /// This, if nothing was asked before.
    pub(crate) fn first(&self, answer: impl FnOnce(&Self) -> Answer) -> Option<Answer> {
        (self.times_before == 0).then(|| answer(self))
    }

    /// First half of the right answer; then the right one, but parts like this.
    pub(crate) fn then_part(&self, part: fn(&Version, Range<usize>) -> Answer) -> Answer {
        self.first(Asked::cut).unwrap_or_else(|| {
            let file = self.version(1);
            match file.wanted(self.request) {
                Wanted::Part(range) => part(&file, range),
                _ => file.answer(self.request),
            }
        })
    }

    /// First a refusal that says when to come back; then right.
    pub(crate) fn first_later(&self, status: u16, when: &str) -> Answer {
        self.first(|_| Answer::text(status, "later\n").header("Retry-After", when))
            .unwrap_or_else(|| self.right())
    }

    /// The path and query of another fault, otherwise the same.
    pub(crate) fn at(&self, fault: &str) -> String {
        format!("/fault/{fault}/{}{}", self.token, self.rest)
    }

    /// The same by another name of this server.
    pub(crate) fn at_localhost(&self, fault: &str) -> String {
        let origin = self.origin.replace("127.0.0.1", "localhost");
        format!("{origin}{}", self.at(fault))
    }

    /// First half of the right answer; then the right one, but this to a range.
    pub(crate) fn no_range(&self, status: u16) -> Answer {
        self.first(Asked::cut)
            .unwrap_or_else(|| match self.request.range {
                Some(_) => Answer::text(status, "no ranges\n"),
                None => self.right(),
            })
    }

    /// The server's `HOST:PORT`.
    pub(crate) fn authority(&self) -> &str {
        let scheme = self.origin.find("://").map_or(0, |at| at + 3);
        &self.origin[scheme..]
    }
}

pub(crate) fn cut(answer: Answer) -> Answer {
    answer.half().then(Then::Close)
}

/// The right file as gzip, changed in this way.
pub(crate) fn gzipped(asked: &Asked, change: fn(&mut Vec<u8>)) -> Answer {
    let file = asked.version(1);
    let mut content = gzip(&file.content);
    change(&mut content);
    let file = Version { content, ..file };
    file.answer(asked.request)
        .header("Content-Encoding", "gzip")
}

/// The right bytes, and a Content-Encoding that says something else.
pub(crate) fn encoded(asked: &Asked, coding: &str) -> Answer {
    asked.right().header("Content-Encoding", coding)
}

/// The right answer with `headers` more headers, whose values have `bytes` bytes each.
pub(crate) fn headers(asked: &Asked, headers: usize, bytes: usize) -> Answer {
    (0..headers).fold(asked.right(), |answer, number| {
        answer.header(&format!("X-More-{number}"), "x".repeat(bytes))
    })
}

/// Right, in chunks of which each has this after its size.
pub(crate) fn extended(asked: &Asked, extension: &str) -> Answer {
    let file = asked.version(1);
    let mut body = Vec::new();
    for part in file.content.chunks(1000).chain([&[][..]]) {
        body.extend(format!("{:x};{extension}\r\n", part.len()).into_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    file.describe(Answer::new(200, body))
        .framing(Framing::Own)
        .header("Transfer-Encoding", "chunked")
}

/// A part, in an answer that is said to have all of it.
pub(crate) fn part_as_200(file: &Version, range: Range<usize>) -> Answer {
    let content_range = file.content_range(&range);
    let answer = Answer::new(200, file.content[range].to_vec());
    file.describe(answer.header("Content-Range", content_range))
}

/// At most so much of a part as a server likes to send.
pub(crate) fn short_part(file: &Version, range: Range<usize>) -> Answer {
    file.part(range.start..range.end.min(range.start + 10_000))
}

/// How an answer tells its length.
pub(crate) enum Length {
    Announced,
    Chunked,
    UntilClose,
}

/// First half of the right answer; then half as if it were all of it.
pub(crate) fn other_length(asked: &Asked, length: Length) -> Answer {
    asked.first(Asked::cut).unwrap_or_else(|| {
        let file = asked.version(1);
        let half = file.content[..asked.bytes / 2].to_vec();
        let answer = file.describe(Answer::new(200, half));
        match length {
            Length::Announced => answer,
            Length::Chunked => answer.framing(Framing::Chunked),
            Length::UntilClose => answer.framing(Framing::Close).then(Then::Close),
        }
    })
}

/// The right Content-Length, the first `sent` of the right bytes, and a Transfer-Encoding.
pub(crate) fn coded(asked: &Asked, coding: &str, sent: usize) -> Answer {
    let whole = asked.version(1).whole().framing(Framing::Own);
    let coded = whole.header("Transfer-Encoding", coding);
    coded
        .header("Content-Length", asked.bytes)
        .within_first(sent)
}

pub(crate) fn bad_chunk_size(asked: &Asked) -> Answer {
    let file = asked.version(1);
    let (one, other) = file.content.split_at(asked.bytes / 2);
    let mut body = Vec::new();
    chunk(&mut body, one);
    body.extend_from_slice(b"zz\r\n");
    body.extend_from_slice(other);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    file.describe(Answer::new(200, body))
        .framing(Framing::Own)
        .header("Transfer-Encoding", "chunked")
}

pub(crate) fn multipart(file: &Version, range: Range<usize>) -> Answer {
    let content_range = file.content_range(&range);
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\n\
         Content-Range: {content_range}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&file.content[range]);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    file.describe(Answer::new(206, body)).header(
        "Content-Type",
        format_args!("multipart/byteranges; boundary={BOUNDARY}"),
    )
}

pub(crate) fn redirect(location: impl std::fmt::Display) -> Answer {
    Answer::text(302, "over there\n").header("Location", location)
}

pub(crate) fn garbage() -> Answer {
    Answer::raw(GARBAGE.to_vec(), Then::Close)
}

pub(crate) fn silence() -> Answer {
    Answer::raw(Vec::new(), Then::Close)
}

/// A gzip file (RFC 1952) of stored blocks: these bytes would not get smaller.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    const LARGEST: usize = u16::MAX as usize;
    let mut file = vec![31, 139, 8, 0, 0, 0, 0, 0, 0, 255];
    for block in content.chunks(LARGEST) {
        let length = block.len() as u16;
        file.push(0);
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&(!length).to_le_bytes());
        file.extend_from_slice(block);
    }
    // The last block is empty.
    file.extend_from_slice(&[1, 0, 0, 255, 255]);
    file.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    file.extend_from_slice(&(content.len() as u32).to_le_bytes());
    file
}
