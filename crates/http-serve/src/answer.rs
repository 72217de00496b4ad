//! What is answered: a head, and the bytes of a file piece by piece.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;
use rustix::fs::Stat;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::conditions::{Part, Validators};
use crate::refusal::Refusal;
use crate::request::Request;

/// The most bytes of an answer that are in memory at once.
const PIECE: usize = 64 * 1024;

/// Room for a head.
const HEAD: usize = 512;

/// Room for a tag: four numbers, what is between them, and quotes.
const TAG: usize = 4 * 16 + 3 + 2;

/// Whether a file is only read as far as the kernel has it in its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cached {
    Only,
    OrNot,
}

/// An answer, of which one piece is in memory: the first is the head and the first bytes of
/// the file, so that a small answer is one write.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    keeps_connection: bool,
    piece: Vec<u8>,
    /// The file, until its last byte was read: where to read on, and how many bytes.
    rest: Option<(File, u64, u64)>,
}

impl Answer {
    /// A refusal: of a request, or of what could not be read as one, after which the connection
    /// has to be closed. The latter has no body, as it may have been a HEAD.
    pub fn refusal(refusal: Refusal, request: Option<&Request>) -> Self {
        let keeps_connection = request.is_some_and(|request| request.keeps_connection);
        let (status, reason) = refusal.parts();
        let now = SystemTime::now();
        let mut head = Head::new(status, reason, now, HEAD);
        match refusal {
            Refusal::MethodNotAllowed => head.put(b"Allow: GET, HEAD\r\n"),
            Refusal::RangeNotSatisfiable(bytes) => {
                head.put(b"Content-Range: bytes */");
                head.number(bytes);
                head.put(b"\r\n");
            }
            _ => {}
        }
        let text = match request {
            // The status and a line feed.
            Some(_) => 3 + 1 + reason.len() + 1,
            None => 0,
        };
        if text > 0 {
            head.put(b"Content-Type: text/plain\r\n");
        }
        head.put(b"Content-Length: ");
        head.number(text as u64);
        head.put(b"\r\n");
        head.end(keeps_connection, request.map_or(1, |request| request.minor));
        if request.is_some_and(|request| !request.head_only) {
            head.number(status.into());
            head.put(b" ");
            head.put(reason.as_bytes());
            head.put(b"\n");
        }
        Self {
            status,
            keeps_connection,
            piece: head.0,
            rest: None,
        }
    }

    /// The answer with a file; none if it is not cached and only what is cached counts.
    pub(crate) fn of(request: &Request, file: File, stat: &Stat, cached: Cached) -> Option<Self> {
        let now = SystemTime::now();
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        let modified = u64::try_from(stat.st_mtime).unwrap_or(0);
        // One in the future would be later than the answer itself (RFC 9110, 8.8.2.1).
        let modified = UNIX_EPOCH + Duration::from_secs(modified.min(seconds(now)));
        let mut tag = Tag::new();
        let tag = tag.of(stat);
        let validators = Validators {
            tag,
            modified,
            bytes,
        };
        let part = request.conditions.part(&validators, now, request.head_only);
        let (status, reason, first, count) = match part {
            Ok(Part::Whole) => (200, "OK", 0, bytes),
            Ok(Part::Range(first, last)) => (206, "Partial Content", first, last - first + 1),
            Ok(Part::NotModified) => (304, "Not Modified", 0, 0),
            Err(refusal) => return Some(Self::refusal(refusal, Some(request))),
        };
        let left = match request.head_only {
            true => 0,
            false => count,
        };
        let room = HEAD.saturating_add(usize::try_from(left).unwrap_or(PIECE));
        let mut head = Head::new(status, reason, now, room.min(PIECE));
        head.put(b"ETag: ");
        head.put(tag.as_bytes());
        head.put(b"\r\nLast-Modified: ");
        head.date(modified);
        head.put(b"\r\n");
        // A 304 has no body, and need not tell the length of one (RFC 9110, 15.4.5).
        if status != 304 {
            head.put(b"Accept-Ranges: bytes\r\nContent-Length: ");
            head.number(count);
            head.put(b"\r\nContent-Type: ");
            head.put(content_type(request).as_bytes());
            head.put(b"\r\n");
        }
        if status == 206 {
            head.put(b"Content-Range: bytes ");
            head.number(first);
            head.put(b"-");
            head.number(first + count - 1);
            head.put(b"/");
            head.number(bytes);
            head.put(b"\r\n");
        }
        head.end(request.keeps_connection, request.minor);
        let mut answer = Self {
            status,
            keeps_connection: request.keeps_connection,
            piece: head.0,
            rest: (left > 0).then_some((file, first, left)),
        };
        // Of a file that has become shorter the head is right all the same; the next piece
        // will tell.
        match answer.read_after(answer.piece.len(), cached)? {
            Ok(()) => Some(answer),
            Err(_) => Some(Self::refusal(Refusal::Internal, Some(request))),
        }
    }

    /// What is to be written now.
    pub fn bytes(&self) -> &[u8] {
        &self.piece
    }

    /// Reads the next piece in place of this one, and tells whether there is one; none, if it
    /// is not in the kernel's cache, and [`next_piece`](Self::next_piece) has to be called where
    /// waiting is allowed.
    pub fn next_piece_cached(&mut self) -> Option<io::Result<bool>> {
        self.next(Cached::Only)
    }

    /// Reads the next piece in place of this one, and tells whether there is one. It waits for
    /// the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has become shorter than the answer's head says. The
    /// connection then has to be cut: only that tells the client.
    pub fn next_piece(&mut self) -> io::Result<bool> {
        self.next(Cached::OrNot).unwrap_or(Err(Errno::AGAIN.into()))
    }

    /// Whether no piece comes after this one.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Whether the connection is to be kept. If not, it is closed after the last piece: see
    /// [`LINGER`](http_head::LINGER).
    pub fn keeps_connection(&self) -> bool {
        self.keeps_connection
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    fn next(&mut self, cached: Cached) -> Option<io::Result<bool>> {
        if self.rest.is_none() {
            self.piece.clear();
            return Some(Ok(false));
        }
        let read = self.read_after(0, cached)?;
        Some(match read {
            Ok(()) if self.piece.is_empty() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file has become shorter while it was sent",
            )),
            read => read.map(|()| true),
        })
    }

    /// Fills the piece from there on with bytes of the file, as many as there is room for. What
    /// is not there is left out. On none, nothing has changed.
    fn read_after(&mut self, start: usize, cached: Cached) -> Option<io::Result<()>> {
        let Some((file, at, left)) = &mut self.rest else {
            self.piece.truncate(start);
            return Some(Ok(()));
        };
        let room = PIECE.saturating_sub(start);
        let count = usize::try_from(*left).map_or(room, |left| left.min(room));
        self.piece.resize(start + count, 0);
        let buffer = &mut self.piece[start..];
        let read = loop {
            let read = match cached {
                Cached::OrNot => file.read_at(buffer, *at),
                Cached::Only => {
                    let mut buffers = [IoSliceMut::new(buffer)];
                    match preadv2(&*file, &mut buffers, *at, ReadWriteFlags::NOWAIT) {
                        // The last three: this file system or kernel cannot tell.
                        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                            return None;
                        }
                        read => read.map_err(io::Error::from),
                    }
                }
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        self.piece.truncate(start + read);
        (*at, *left) = (*at + read as u64, *left - read as u64);
        if *left == 0 {
            self.rest = None;
        }
        Some(Ok(()))
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// By the name's extension.
fn content_type(request: &Request) -> &'static str {
    let path = request.path.as_deref().unwrap_or_default();
    let path = Path::new(OsStr::from_bytes(path));
    let known = mime_guess::from_path(path).first_raw();
    known.unwrap_or("application/octet-stream")
}

/// A head that is written.
struct Head(Vec<u8>);

impl Head {
    fn new(status: u16, reason: &str, now: SystemTime, room: usize) -> Self {
        let mut head = Self(Vec::with_capacity(room));
        head.put(b"HTTP/1.1 ");
        head.number(status.into());
        head.put(b" ");
        head.put(reason.as_bytes());
        head.put(b"\r\nDate: ");
        head.today(now);
        head.put(b"\r\n");
        head
    }

    /// `Connection` where it is not what the version means without it: an HTTP/1.0 client has
    /// to be told that it is kept.
    fn end(&mut self, keeps_connection: bool, minor: u8) {
        match (keeps_connection, minor) {
            (true, 0) => self.put(b"Connection: keep-alive\r\n"),
            (true, _) => {}
            (false, _) => self.put(b"Connection: close\r\n"),
        }
        self.put(b"\r\n");
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        // Writing to a vector cannot fail.
        let _ = write!(self.0, "{number}");
    }

    fn date(&mut self, time: SystemTime) {
        let _ = write!(self.0, "{}", HttpDate::from(time));
    }

    /// Written once a second in each thread.
    fn today(&mut self, now: SystemTime) {
        thread_local! {
            static TODAY: RefCell<(u64, Head)> = const { RefCell::new((0, Head(Vec::new()))) };
        }
        let now_second = seconds(now);
        TODAY.with_borrow_mut(|(second, text)| {
            if *second != now_second || text.0.is_empty() {
                text.0.clear();
                text.date(now);
                *second = now_second;
            }
            self.put(&text.0);
        });
    }
}

/// The text of a strong tag.
struct Tag {
    text: [u8; TAG],
    bytes: usize,
}

impl Tag {
    fn new() -> Self {
        Self {
            text: [0; TAG],
            bytes: 0,
        }
    }

    /// Another file, another length or another time of change is another tag.
    fn of(&mut self, stat: &Stat) -> &str {
        self.put(b'"');
        for number in [
            stat.st_ino,
            u64::try_from(stat.st_size).unwrap_or(0),
            stat.st_mtime.cast_unsigned(),
            stat.st_mtime_nsec,
        ] {
            if self.bytes > 1 {
                self.put(b'-');
            }
            let digits = (number.checked_ilog2().unwrap_or(0) / 4) + 1;
            for digit in (0..digits).rev() {
                let digit = (number >> (4 * digit)) as usize & 0xf;
                self.put(b"0123456789abcdef"[digit]);
            }
        }
        self.put(b'"');
        str::from_utf8(&self.text[..self.bytes]).unwrap_or_default()
    }

    fn put(&mut self, byte: u8) {
        self.text[self.bytes] = byte;
        self.bytes += 1;
    }
}
