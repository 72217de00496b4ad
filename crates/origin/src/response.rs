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
    conditions::{LAST_MODIFIED, Validators, Wanted, wanted},
    images::Image,
    refusal::Refusal,
    request::{Method, Request},
    runs::RequestGuard,
};

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
pub(crate) struct Response {
    status: u16,
    /// Header lines; those that every answer has are added when it is sent.
    headers: Vec<u8>,
    /// An `Arc<Vec>`, not an `Arc<[u8]>`: turning one into the other copies, and a
    /// manifest can be large.
    body: Arc<Vec<u8>>,
    /// What of `body` is sent.
    range: Range<usize>,
    delay: Duration,
    guard: Option<RequestGuard>,
}

impl Response {
    pub(crate) fn new(status: u16, body: Arc<Vec<u8>>) -> Response {
        let range = 0..body.len();
        Response {
            status,
            headers: Vec::new(),
            body,
            range,
            delay: Duration::ZERO,
            guard: None,
        }
    }

    pub(crate) fn text(status: u16, text: String) -> Response {
        let mut response = Response::new(status, Arc::new(text.into_bytes()));
        response.header("Content-Type", "text/plain; charset=utf-8");
        response
    }

    pub(crate) fn json(status: u16, value: &impl serde::Serialize) -> Result<Response, Refusal> {
        let json = serde_json::to_vec(value)
            .map_err(|error| Refusal::new(500, format!("cannot write JSON: {error}")))?;
        let mut response = Response::new(status, Arc::new(json));
        response.header("Content-Type", "application/json");
        Ok(response)
    }

    /// An image, or what the request's conditions and range leave of it.
    pub(crate) fn image(image: &Image, request: &Request) -> Response {
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
    pub(crate) fn header(&mut self, name: &str, value: impl Display) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.headers, "{name}: {value}\r\n");
    }

    /// Makes this the answer to a run's request, given after `delay`.
    pub(crate) fn for_run(mut self, guard: RequestGuard, delay: Duration) -> Response {
        self.guard = Some(guard);
        self.delay = delay;
        self
    }

    /// Waits the delay and writes the answer, the body as the run's link lets it pass.
    pub(crate) fn send(mut self, stream: &mut impl Write, to: Addressee) -> io::Result<()> {
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
                .guard
                .as_ref()
                .and_then(RequestGuard::link)
                .filter(|_| !rest.is_empty());
            let (piece, after) = rest.split_at(match link {
                Some(link) => link.chunk().min(rest.len()),
                None if rest.len() > LAST_PIECE => rest.len() - LAST_PIECE,
                None => rest.len(),
            });
            if let Some(link) = link {
                link.carry(piece.len(), rest.len() == body.len());
            }
            if let Some(guard) = &mut self.guard {
                guard.send(piece.len(), after.is_empty());
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
pub(crate) fn start_of_head(protocol: &str, status: u16) -> Vec<u8> {
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
pub(crate) struct Addressee {
    pub head_only: bool,
    pub http_1_0: bool,
    pub close: bool,
}

impl Addressee {
    /// Who sent something that is no request, and will send nothing more.
    pub(crate) const UNKNOWN: Addressee = Addressee {
        head_only: false,
        http_1_0: false,
        close: true,
    };

    pub(crate) fn from_request(request: &Request) -> Addressee {
        let head_only = request.method == Method::Head;
        Addressee {
            head_only,
            http_1_0: request.http_1_0,
            close: request.close,
        }
    }

    /// Adds the header that says what becomes of the connection, and the head's end.
    pub(crate) fn end_head(self, head: &mut Vec<u8>) {
        head.extend_from_slice(match self {
            Addressee { close: true, .. } => b"Connection: close\r\n\r\n",
            Addressee { http_1_0: true, .. } => b"Connection: keep-alive\r\n\r\n",
            _ => b"\r\n",
        });
    }
}

/// Writes both, in one system call where the kernel takes them so.
pub(crate) fn write_both(
    stream: &mut impl Write,
    mut head: &[u8],
    mut body: &[u8],
) -> io::Result<()> {
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
