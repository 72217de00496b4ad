//! Answers, and how they are written to a connection.

use std::{
    fmt::Display,
    io::{self, IoSlice, Write},
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    SERVER,
    images::Image,
    refusal::Refusal,
    request::{Method, Request},
    runs::Visit,
};

/// The date of every image: 1 January 2024. Fixed, because the images are.
pub const LAST_MODIFIED: Duration = Duration::from_secs(1_704_067_200);

/// The last piece of an unshaped body, in bytes: so much is still to go to the
/// kernel when a request stops being in flight.
const LAST_PIECE: usize = 16 * 1024;

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        let mut response = Response::text(refusal.status, refusal.reason + "\n");
        if let Some(allow) = refusal.allow {
            response.header("Allow", allow);
        }
        response
    }
}

/// An answer.
pub struct Response {
    status: u16,
    /// Header lines; those that every answer has are added when it is sent.
    headers: Vec<u8>,
    /// An `Arc<Vec>`, not an `Arc<[u8]>`: turning one into the other copies, and a
    /// manifest can be large.
    body: Arc<Vec<u8>>,
    /// What of `body` is sent.
    range: Range<usize>,
    delay: Duration,
    visit: Option<Visit>,
}

impl Response {
    pub fn new(status: u16, body: Arc<Vec<u8>>) -> Response {
        let range = 0..body.len();
        Response {
            status,
            headers: Vec::new(),
            body,
            range,
            delay: Duration::ZERO,
            visit: None,
        }
    }

    pub fn text(status: u16, text: String) -> Response {
        let mut response = Response::new(status, Arc::new(text.into_bytes()));
        response.header("Content-Type", "text/plain; charset=utf-8");
        response
    }

    pub fn json(status: u16, value: &impl serde::Serialize) -> Result<Response, Refusal> {
        let json = serde_json::to_vec(value)
            .map_err(|error| Refusal::new(500, format!("cannot write JSON: {error}")))?;
        let mut response = Response::new(status, Arc::new(json));
        response.header("Content-Type", "application/json");
        Ok(response)
    }

    /// An image, or what the request's conditions and range leave of it.
    pub fn image(image: &Image, request: &Request) -> Response {
        let length = image.bytes.len();
        let validators = Validators {
            etag: Some(format!("\"{}\"", image.sha256)),
            modified: Some(UNIX_EPOCH + LAST_MODIFIED),
        };
        let (status, range) = match wanted(request, &validators, length) {
            Wanted::Unmodified => (304, 0..0),
            Wanted::Whole => (200, 0..length),
            Wanted::Part(range) => (206, range),
            Wanted::Nothing => (416, 0..0),
        };
        let mut response = Response::new(status, Arc::clone(&image.bytes));
        match status {
            206 => {
                let (first, last) = (range.start, range.end - 1);
                response.header(
                    "Content-Range",
                    format_args!("bytes {first}-{last}/{length}"),
                );
            }
            416 => response.header("Content-Range", format_args!("bytes */{length}")),
            _ => {}
        }
        if status != 304 {
            response.header("Content-Type", "image/jpeg");
        }
        validators.write(&mut response.headers);
        response.header("Accept-Ranges", "bytes");
        response.range = range;
        response
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: impl Display) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.headers, "{name}: {value}\r\n");
    }

    /// Makes this the answer to a run's request, given after `delay`.
    pub fn of_run(mut self, visit: Visit, delay: Duration) -> Response {
        self.visit = Some(visit);
        self.delay = delay;
        self
    }

    /// Waits the delay and writes the answer, the body as the run's link lets it pass.
    pub fn send(mut self, stream: &mut impl Write, to: Addressee) -> io::Result<()> {
        thread::sleep(self.delay);
        let head = self.head(to);
        let body = if to.head_only {
            &[]
        } else {
            &self.body[self.range.clone()]
        };
        let (mut head, mut rest) = (&head[..], body);
        loop {
            // The head goes with the first piece: one packet for a small answer.
            let link = self
                .visit
                .as_ref()
                .and_then(Visit::link)
                .filter(|_| !rest.is_empty());
            let (piece, after) = rest.split_at(match link {
                Some(link) => link.chunk().min(rest.len()),
                None if rest.len() > LAST_PIECE => rest.len() - LAST_PIECE,
                None => rest.len(),
            });
            if let Some(link) = link {
                link.carry(piece.len(), rest.len() == body.len());
            }
            if let Some(visit) = &mut self.visit {
                visit.send(piece.len(), after.is_empty());
            }
            write_both(stream, head, piece)?;
            if after.is_empty() {
                return Ok(());
            }
            (head, rest) = (&[], after);
        }
    }

    fn head(&self, to: Addressee) -> Vec<u8> {
        let mut head = start_of_head("HTTP/1.1", self.status);
        head.extend_from_slice(&self.headers);
        // Neither has a body: 304 may not name a length but the image's.
        if self.status != 304 && self.status != 204 {
            // Writing to a Vec cannot fail.
            let _ = write!(head, "Content-Length: {}\r\n", self.range.len());
        }
        to.end_head(&mut head);
        head
    }
}

/// The status line, and the headers that every answer has.
pub fn start_of_head(protocol: &str, status: u16) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    // Writing to a Vec cannot fail.
    let _ = write!(
        head,
        "{protocol} {status} {}\r\nServer: {SERVER}\r\nDate: {}\r\n",
        reason_phrase(status),
        httpdate::HttpDate::from(SystemTime::now()),
    );
    head
}

/// What an answer has to know of the request, beyond what is asked for.
#[derive(Clone, Copy)]
pub struct Addressee {
    pub head_only: bool,
    pub http_1_0: bool,
    pub close: bool,
}

impl Addressee {
    /// Who sent something that is no request, and will send nothing more.
    pub const UNKNOWN: Addressee = Addressee {
        head_only: false,
        http_1_0: false,
        close: true,
    };

    pub fn of(request: &Request) -> Addressee {
        let head_only = request.method == Method::Head;
        Addressee {
            head_only,
            http_1_0: request.http_1_0,
            close: request.close,
        }
    }

    /// Adds the header that says what becomes of the connection, and the head's end.
    pub fn end_head(self, head: &mut Vec<u8>) {
        head.extend_from_slice(match self {
            Addressee { close: true, .. } => b"Connection: close\r\n\r\n",
            Addressee { http_1_0: true, .. } => b"Connection: keep-alive\r\n\r\n",
            _ => b"\r\n",
        });
    }
}

/// Writes both, in one system call where the kernel takes them so.
pub fn write_both(stream: &mut impl Write, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() {
        match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_head = written.min(head.len());
                head = &head[of_head..];
                body = &body[written - of_head..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.write_all(body)
}

/// What tells one version of a file from another.
#[derive(Default)]
pub struct Validators {
    /// With its quotes, and `W/` if it is weak.
    pub etag: Option<String>,
    /// In whole seconds.
    pub modified: Option<SystemTime>,
}

impl Validators {
    /// Adds their headers.
    pub fn write(&self, headers: &mut Vec<u8>) {
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
pub enum Wanted {
    Whole,
    Part(Range<usize>),
    /// A range that the file does not have.
    Nothing,
    /// The client has it already.
    Unmodified,
}

/// What the request's conditions and range leave of a file of `length` bytes.
pub fn wanted(request: &Request, validators: &Validators, length: usize) -> Wanted {
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
pub fn range(request: &Request, length: usize) -> Wanted {
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

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
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
