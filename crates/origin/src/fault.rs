//! The faults: what can be wrong with an answer, and what each one answers.

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    answer::{Answer, Framing, PIECE, Pace, Then, chunk},
    request::Request,
    response::{LAST_MODIFIED, Validators, Wanted, range, start_of_head, wanted},
};

/// The bytes of a file whose URL does not say how many.
const BODY: usize = 100_000;
/// The largest file, in bytes.
pub const MAX_BODY: usize = 64 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an answer without an end is made of.
const INFORMATION: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
const HEADER_LINE: &[u8] = b"X-More: of the same, and then some more of the very same\r\n";
const POISON: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned\n";
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: something\r\n\r\n";
const GARBAGE: &[u8] = b"HTP/9.9 huh\r\n\r\n";
const BOUNDARY: &str = "a-part-of-it";

/// One way to misbehave, to be had at `/fault/NAME/TOKEN/ANYTHING[?bytes=N]`.
///
/// The right body there is [`fault_body`]`(1, N)`, with N 100,000 unless given and
/// at most 67,108,864. What comes "first" goes to the first request (`HEAD` ones
/// count) for this name with this token, which is any string the client chose;
/// what follows the token is the client's too. Unless said otherwise an answer is
/// right: with a Content-Length, a strong ETag, a Last-Modified, and ranges and
/// conditions honoured. "Half" is half of what the answer announces. Everything
/// that is held or has no end ends when the client leaves.
#[derive(serde::Serialize, Debug, Clone, Copy)]
pub struct Fault {
    /// How it is called in a URL.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    #[serde(skip)]
    pub(crate) answer: fn(&Asked) -> Answer,
}

const fn fault(name: &'static str, about: &'static str, answer: fn(&Asked) -> Answer) -> Fault {
    Fault {
        name,
        about,
        answer,
    }
}

/// Every fault there is.
#[rustfmt::skip] // A row each.
pub const FAULTS: &[Fault] = &[
    fault("right", "always right", |asked| asked.right()),

    // Bodies that end too soon or too late.
    fault("close-midway", "first announces all, sends half and closes; then right",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| asked.right())),
    fault("reset-midway", "first announces all, sends half and resets; then right",
        |asked| asked.first(|asked| asked.right().half().then(Then::Reset))
            .unwrap_or_else(|| asked.right())),
    fault("always-truncated", "sends half of what remains and closes",
        |asked| asked.cut()),
    fault("truncated-without-range", "ignores Range, sends half and closes",
        |asked| asked.version(1).whole().half().then(Then::Close)),
    fault("longer-than-announced", "sends another whole answer right after the body",
        |asked| asked.right().excess(POISON)),
    fault("longer-than-chunked", "the same after a chunked body",
        |asked| asked.right().framing(Framing::Chunked).excess(POISON)),
    fault("late-excess", "the same 100 ms after the body",
        |asked| asked.right().then(Then::Late(POISON))),
    fault("conflicting-lengths", "two lengths: half, and the body's own",
        |asked| asked.version(1).whole().framing(Framing::Own)
            .header("Content-Length", asked.bytes / 2)
            .header("Content-Length", asked.bytes)),
    fault("negative-length", "a length of -5, the body, and closes",
        |asked| asked.version(1).whole().framing(Framing::Own)
            .header("Content-Length", -5).then(Then::Close)),
    fault("chunked-without-end", "all chunks but the last, and closes; no validators",
        |asked| asked.version(1).unvalidated().whole()
            .framing(Framing::ChunkedWithoutEnd).then(Then::Close)),
    fault("bad-chunk-size", "the second of two chunks has a size of \"zz\"", bad_chunk_size),
    fault("empty", "a body of no bytes",
        |_| Version::new(1, 0).whole()),
    fault("empty-chunked", "a chunked body of no bytes",
        |_| Version::new(1, 0).whole().framing(Framing::Chunked)),
    fault("chunked", "chunked, right", |asked| asked.right().framing(Framing::Chunked)),
    fault("chunked-with-length", "chunked, right, and with a length of half, which then means nothing",
        |asked| asked.right().framing(Framing::Chunked).header("Content-Length", asked.bytes / 2)),
    fault("until-close", "no length: the body ends with the connection",
        |asked| asked.right().framing(Framing::Close).then(Then::Close)),
    fault("until-close-1-0", "the same by HTTP/1.0",
        |asked| asked.right().protocol("HTTP/1.0").framing(Framing::Close).then(Then::Close)),
    fault("until-close-torn", "no length, and half of it; under TLS the end is not TLS's own",
        |asked| asked.right().half().framing(Framing::Close).then(Then::Leave)),

    // Ranges that are not what was asked for. All of them cut the first answer.
    fault("range-ignored", "first cut midway; then all, whatever the range",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| asked.version(1).whole())),
    fault("wrong-range", "first cut midway; then a part that begins 10 bytes too soon",
        |asked| asked.then_part(|file, part| file.part(part.start.saturating_sub(10)..part.end))),
    fault("range-without-content-range", "first cut midway; then a part that does not say which",
        |asked| asked.then_part(|file, part| file.bare_part(part))),
    fault("multipart-range", "first cut midway; then the part as multipart/byteranges",
        |asked| asked.then_part(multipart)),

    // Files that change after the first answer, which is cut.
    fault("changed-etag", "first cut midway; then version 2, right",
        |asked| asked.first(Asked::cut)
            .unwrap_or_else(|| asked.version(2).answer(asked.request))),
    fault("changed-ignoring-if-range", "first cut midway; then version 2, whatever If-Range says",
        |asked| asked.first(Asked::cut)
            .unwrap_or_else(|| asked.version(2).regardless(asked.request))),
    fault("changed-last-modified", "the same with no ETag, only Last-Modified",
        |asked| {
            let dated = |version| asked.version(version).etag(None);
            asked.first(|asked| cut(dated(1).answer(asked.request)))
                .unwrap_or_else(|| dated(2).regardless(asked.request))
        }),
    fault("changed-size", "first cut midway; then version 2, 1,000 bytes longer, parts without validators",
        |asked| asked.first(Asked::cut).unwrap_or_else(|| {
            let file = Version::new(2, asked.bytes + 1000);
            match range(asked.request, file.content.len()) {
                Wanted::Part(part) => file.unvalidated().part(part),
                _ => file.answer(asked.request),
            }
        })),
    fault("weak-etag", "first cut midway, with a weak ETag; then version 2, parts without validators",
        |asked| {
            let weak = |version: u32| {
                let etag = format!("W/\"version-{version}\"");
                asked.version(version).unvalidated().etag(Some(etag))
            };
            asked.first(|asked| cut(weak(1).answer(asked.request))).unwrap_or_else(|| {
                match range(asked.request, asked.bytes) {
                    Wanted::Part(part) => asked.version(2).unvalidated().part(part),
                    _ => weak(2).answer(asked.request),
                }
            })
        }),

    // The first answer has all bytes, but not the chunk that says so.
    fault("416-complete", "first all chunks but the last; then right: 416 for what is beyond",
        |asked| asked.first(Asked::unended).unwrap_or_else(|| asked.right())),
    fault("416-other-validator", "the same, but then it is version 2",
        |asked| asked.first(Asked::unended)
            .unwrap_or_else(|| asked.version(2).regardless(asked.request))),
    fault("416-no-validator", "the same, and 416 has no validator",
        |asked| asked.first(Asked::unended).unwrap_or_else(|| {
            let file = asked.version(2);
            match range(asked.request, asked.bytes) {
                Wanted::Nothing => file.unvalidated().nothing(),
                _ => file.regardless(asked.request),
            }
        })),
    fault("416-other-size", "the same, but then it is version 2 with half the bytes",
        |asked| asked.first(Asked::unended)
            .unwrap_or_else(|| Version::new(2, asked.bytes / 2).regardless(asked.request))),

    // Statuses.
    fault("retry-after-seconds", "first 429 with \"Retry-After: 1\"; then right",
        |asked| asked.first_later(429, "1")),
    fault("retry-after-date", "first 503 with Retry-After: the date in 2 s; then right",
        |asked| {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
            asked.first_later(503, &date)
        }),
    fault("retry-after-far", "first 429 with \"Retry-After: 86400\"; then right",
        |asked| asked.first_later(429, "86400")),
    fault("retry-after-garbage", "first 503 with \"Retry-After: soon\"; then right",
        |asked| asked.first_later(503, "soon")),
    fault("flapping", "500, 502, 503, then right",
        |asked| match asked.times_before {
            0 => Answer::text(500, "not yet\n"),
            1 => Answer::text(502, "not yet\n"),
            2 => Answer::text(503, "not yet\n"),
            _ => asked.right(),
        }),
    fault("always-500", "500", |_| Answer::text(500, "never\n")),
    fault("not-found", "404", |_| Answer::text(404, "there is nothing here\n")),
    fault("no-content", "204", |_| Answer::new(204, Vec::new())),
    fault("unasked-206", "the first half as a part, where no range is asked for",
        |asked| match asked.request.range {
            None => asked.version(1).part(0..asked.bytes / 2),
            Some(_) => asked.right(),
        }),

    // Redirects.
    fault("redirect", "302 to the right one, on this server",
        |asked| redirect(asked.at("right"))),
    fault("redirect-loop", "302 to itself",
        |asked| redirect(asked.at("redirect-loop"))),
    fault("redirect-to-file", "302 to file:///etc/passwd", |_| redirect("file:///etc/passwd")),
    fault("redirect-to-ftp", "302 to an ftp URL",
        |asked| redirect(format!("ftp://{}{}", asked.authority(), asked.at("right")))),
    fault("redirect-to-https", "302 to the same URL with https",
        |asked| redirect(format!("https://{}{}", asked.authority(), asked.at("redirect-to-https")))),
    fault("redirect-to-http", "302 to the right one, with http",
        |asked| redirect(format!("http://{}{}", asked.authority(), asked.at("right")))),
    fault("redirect-to-other-host", "302 to the right one, on this server by the name localhost",
        |asked| redirect(format!("{}{}", asked.origin.replace("127.0.0.1", "localhost"), asked.at("right")))),
    fault("redirect-without-location", "302 without a Location",
        |_| Answer::text(302, "somewhere else\n")),
    fault("redirect-hostile-name", "302 to the right one by the name ..%2f..%2fevil",
        |asked| {
            let query = asked.request.query.as_ref();
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            redirect(format!("/fault/right/{}/..%2f..%2fevil{query}", asked.token))
        }),

    // Slow, and slower.
    fault("stall-midway", "first announces all, sends half, and no more; then right",
        |asked| asked.first(|asked| asked.right().half().then(Then::Hold))
            .unwrap_or_else(|| asked.right())),
    fault("stall-headers", "never answers", |_| Answer::raw(Vec::new(), Then::Hold)),
    fault("stall-body", "sends what lies in the file's first half, and no more",
        |asked| asked.right().within_first(asked.bytes / 2).then(Then::Hold)),
    fault("drip", "right, a byte each 100 ms", |asked| asked.right().pace(Pace::Body(1))),
    fault("drip-headers", "right, the head a byte each 100 ms",
        |asked| asked.right().pace(Pace::DripHead)),
    fault("slow", "right, 5,000 bytes each 100 ms", |asked| asked.slow()),
    fault("slow-once", "first 5,000 bytes each 100 ms; then at full speed",
        |asked| asked.first(Asked::slow).unwrap_or_else(|| asked.right())),

    // Answers without an end.
    fault("endless-headers", "header lines without end",
        |_| Answer::raw(start_of_head("HTTP/1.1", 200), Then::EndlessHead(HEADER_LINE))),
    fault("many-informational", "103 without end",
        |_| Answer::raw(Vec::new(), Then::EndlessHead(INFORMATION))),
    fault("endless-body", "chunks without end, up to 1 GiB",
        |_| {
            let mut piece = Vec::new();
            chunk(&mut piece, &fault_body(1, PIECE));
            Answer::new(200, Vec::new())
                .framing(Framing::ChunkedWithoutEnd).then(Then::EndlessBody(piece))
        }),
    fault("huge-announced", "announces 1 TiB, and sends up to 1 GiB",
        |_| Answer::new(200, Vec::new()).framing(Framing::Own)
            .header("Content-Length", 1_u64 << 40).then(Then::EndlessBody(fault_body(1, PIECE)))),

    // Heads.
    fault("gzip-unasked", "compressed, whether or not the client takes that",
        |asked| {
            let file = asked.version(1);
            Version { content: gzip(&file.content), ..file }
                .answer(asked.request).header("Content-Encoding", "gzip")
        }),
    fault("informational", "100 and 103 before the right one",
        |asked| asked.right().before([b"HTTP/1.1 100 Continue\r\n\r\n", INFORMATION].concat())),
    fault("content-disposition", "right, with a file name of ../../evil",
        |asked| asked.right()
            .header("Content-Disposition", "attachment; filename=\"../../evil\"")),
    fault("switching-protocols", "101, and no more",
        |_| Answer::raw(SWITCHING.to_vec(), Then::Hold)),
    fault("garbage-status", "no status line but \"HTP/9.9 huh\", and closes", |_| garbage()),
    fault("garbage-once", "first that; then right",
        |asked| asked.first(|_| garbage()).unwrap_or_else(|| asked.right())),
    fault("no-status", "closes without a byte", |_| silence()),
    fault("no-status-once", "first that; then right",
        |asked| asked.first(|_| silence()).unwrap_or_else(|| asked.right())),
    fault("stale-connection", "right, and closes without having said so",
        |asked| asked.right().then(Then::Close)),
];

/// The right body of a fault: bytes that do not compress. Two versions differ in
/// every byte (if their numbers do by less than 256), and a shorter body is the
/// beginning of a longer one.
pub fn fault_body(version: u32, bytes: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.next_multiple_of(8));
    for number in 0..bytes.div_ceil(8) as u64 {
        body.extend_from_slice(&mixed(number).to_le_bytes());
    }
    body.truncate(bytes);
    for byte in &mut body {
        *byte = byte.wrapping_add(version as u8);
    }
    body
}

/// The number of this place in the sequence of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut x = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// How many bytes a query asks for; none if that is not a number, or too many.
pub fn query_bytes(query: Option<&str>) -> Option<usize> {
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
}

impl Asked<'_> {
    fn version(&self, version: u32) -> Version {
        Version::new(version, self.bytes)
    }

    fn right(&self) -> Answer {
        self.version(1).answer(self.request)
    }

    /// Half of the right answer, and then the connection's end.
    fn cut(&self) -> Answer {
        cut(self.right())
    }

    /// All the right bytes in chunks, and then the connection's end.
    fn unended(&self) -> Answer {
        let whole = self.version(1).whole();
        whole.framing(Framing::ChunkedWithoutEnd).then(Then::Close)
    }

    fn slow(&self) -> Answer {
        self.right().pace(Pace::Body(5000))
    }

    /// This, if nothing was asked before.
    fn first(&self, answer: impl FnOnce(&Self) -> Answer) -> Option<Answer> {
        (self.times_before == 0).then(|| answer(self))
    }

    /// First half of the right answer; then the right one, but parts like this.
    fn then_part(&self, part: fn(&Version, Range<usize>) -> Answer) -> Answer {
        self.first(Asked::cut).unwrap_or_else(|| {
            let file = self.version(1);
            match file.wanted(self.request) {
                Wanted::Part(range) => part(&file, range),
                _ => file.answer(self.request),
            }
        })
    }

    /// First a refusal that says when to come back; then right.
    fn first_later(&self, status: u16, when: &str) -> Answer {
        self.first(|_| Answer::text(status, "later\n").header("Retry-After", when))
            .unwrap_or_else(|| self.right())
    }

    /// The path and query of another fault, otherwise the same.
    fn at(&self, fault: &str) -> String {
        format!("/fault/{fault}/{}{}", self.token, self.rest)
    }

    /// The server's `HOST:PORT`.
    fn authority(&self) -> &str {
        let scheme = self.origin.find("://").map_or(0, |at| at + 3);
        &self.origin[scheme..]
    }
}

/// A file as it is at one time.
struct Version {
    content: Vec<u8>,
    validators: Validators,
}

impl Version {
    fn new(version: u32, bytes: usize) -> Version {
        Version {
            content: fault_body(version, bytes),
            validators: Validators {
                etag: Some(format!("\"version-{version}\"")),
                // A version a day.
                modified: Some(UNIX_EPOCH + LAST_MODIFIED + DAY * (version - 1)),
            },
        }
    }

    fn unvalidated(self) -> Version {
        Version {
            validators: Validators::default(),
            ..self
        }
    }

    fn etag(mut self, etag: Option<String>) -> Version {
        self.validators.etag = etag;
        self
    }

    fn wanted(&self, request: &Request) -> Wanted {
        wanted(request, &self.validators, self.content.len())
    }

    /// The right answer.
    fn answer(&self, request: &Request) -> Answer {
        self.give(self.wanted(request))
    }

    /// The answer to the range that a request asks for, whatever its conditions.
    fn regardless(&self, request: &Request) -> Answer {
        self.give(range(request, self.content.len()))
    }

    fn give(&self, wanted: Wanted) -> Answer {
        match wanted {
            Wanted::Whole => self.whole(),
            Wanted::Part(range) => self.part(range),
            Wanted::Nothing => self.nothing(),
            Wanted::Unmodified => self.describe(Answer::new(304, Vec::new())),
        }
    }

    fn whole(&self) -> Answer {
        let answer = Answer::new(200, self.content.clone());
        self.describe(answer.header("Content-Type", "application/octet-stream"))
    }

    fn part(&self, range: Range<usize>) -> Answer {
        let content_range = self.content_range(&range);
        self.bare_part(range).header("Content-Range", content_range)
    }

    /// A part that does not say which it is.
    fn bare_part(&self, range: Range<usize>) -> Answer {
        let answer = Answer::new(206, self.content[range.clone()].to_vec()).start(range.start);
        self.describe(answer.header("Content-Type", "application/octet-stream"))
    }

    /// There is no such part.
    fn nothing(&self) -> Answer {
        let answer = Answer::text(416, "there is no such part\n");
        let bytes = self.content.len();
        self.describe(answer.header("Content-Range", format_args!("bytes */{bytes}")))
    }

    fn describe(&self, answer: Answer) -> Answer {
        let mut headers = Vec::new();
        self.validators.write(&mut headers);
        answer.headers(&headers).header("Accept-Ranges", "bytes")
    }

    fn content_range(&self, range: &Range<usize>) -> String {
        // An empty part has no last byte, so it cannot be told right.
        let last = range.end.saturating_sub(1);
        format!("bytes {}-{last}/{}", range.start, self.content.len())
    }
}

fn cut(answer: Answer) -> Answer {
    answer.half().then(Then::Close)
}

fn bad_chunk_size(asked: &Asked) -> Answer {
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

fn multipart(file: &Version, range: Range<usize>) -> Answer {
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

fn redirect(location: impl std::fmt::Display) -> Answer {
    Answer::text(302, "over there\n").header("Location", location)
}

fn garbage() -> Answer {
    Answer::raw(GARBAGE.to_vec(), Then::Close)
}

fn silence() -> Answer {
    Answer::raw(Vec::new(), Then::Close)
}

/// A gzip file (RFC 1952) of stored blocks: these bytes would not get smaller.
fn gzip(content: &[u8]) -> Vec<u8> {
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
