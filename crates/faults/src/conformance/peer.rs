//! A connection to a program, and what comes over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::check::{Wrong, wrong};
use crate::conformance::message::{Framing, Head};

/// How long to wait for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// More than any head has.
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// The end of a connection that a test holds.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// What was read and belongs to nothing yet.
    ahead: Vec<u8>,
    /// When it was about to be opened: the program cannot have had it sooner.
    pub(crate) since: Instant,
}

/// What is left of a body when the connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing is.
    Whole,
    /// It was cut after this number of bytes.
    Cut(u64),
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Wrong> {
        let since = Instant::now();
        let stream = TcpStream::connect_timeout(&address, PATIENCE);
        stream
            .and_then(|stream| Self::over(stream, since))
            .map_err(|error| wrong("a connection", error))
    }

    /// Over a connection that was opened then.
    pub(crate) fn over(stream: TcpStream, since: Instant) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            ahead: Vec::new(),
            since,
        })
    }

    /// Sends all of it, unless the other end has closed: then what it says tells why.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub(crate) fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> Result<Head, Wrong> {
        let head = self.raw_head("an answer")?;
        Head::parse(&head).ok_or_else(|| wrong("a head as in RFC 9112", head))
    }

    /// The next head, without its empty line. Bytes beyond ASCII are as in ISO-8859-1.
    pub(crate) fn raw_head(&mut self, what: &str) -> Result<String, Wrong> {
        let mut searched = 0;
        let end = loop {
            let unsearched = &self.ahead[searched..];
            if let Some(at) = unsearched.windows(4).position(|four| four == b"\r\n\r\n") {
                break searched + at;
            }
            searched = self.ahead.len().saturating_sub(3);
            if self.ahead.len() > MOST_HEAD_BYTES {
                return Err(wrong(what, self.said()));
            }
            match self.read() {
                Ok(0) => return Err(wrong(what, format!("the end after {}", self.said()))),
                Ok(_) => {}
                Err(error) => return Err(wrong(what, format!("{error} after {}", self.said()))),
            }
        };
        let rest = self.ahead.split_off(end + 4);
        let head = std::mem::replace(&mut self.ahead, rest);
        Ok(head[..end].iter().copied().map(char::from).collect())
    }

    /// What has come and was not asked for.
    pub(crate) fn said(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(&self.ahead))
    }

    /// An answer's body, as its head says.
    pub(crate) fn body(&mut self, head: &Head) -> Result<Vec<u8>, Wrong> {
        self.whole(head.framing()?)
    }

    /// A body that has to be whole.
    pub(crate) fn whole(&mut self, framing: Framing) -> Result<Vec<u8>, Wrong> {
        let mut body = Vec::new();
        match self.body_to(framing, &mut |bytes| body.extend_from_slice(bytes))? {
            End::Whole => Ok(body),
            End::Cut(bytes) => Err(wrong("a whole body", format!("{bytes} bytes of it"))),
        }
    }

    /// Hands on a body's bytes as they come.
    pub(crate) fn body_to(
        &mut self,
        framing: Framing,
        to: &mut dyn FnMut(&[u8]),
    ) -> Result<End, Wrong> {
        match framing {
            Framing::Length(length) => self.bytes_to(length, to),
            Framing::Chunked => self.chunks_to(to),
            Framing::ToEnd => match self.bytes_to(u64::MAX, to)? {
                End::Whole => Err(wrong("an end", "none")),
                End::Cut(_) => Ok(End::Whole),
            },
        }
    }

    fn bytes_to(&mut self, length: u64, to: &mut dyn FnMut(&[u8])) -> Result<End, Wrong> {
        let mut left = length;
        loop {
            let now = self
                .ahead
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            to(&self.ahead[..now]);
            self.ahead.drain(..now);
            left -= now as u64;
            if left == 0 {
                return Ok(End::Whole);
            }
            if !self.has_more("a body")? {
                return Ok(End::Cut(length - left));
            }
        }
    }

    /// Chunks without extensions, and no trailers: a proxy that makes them anew has none.
    fn chunks_to(&mut self, to: &mut dyn FnMut(&[u8])) -> Result<End, Wrong> {
        let mut bytes = 0;
        loop {
            let Some(line) = self.line()? else {
                return Ok(End::Cut(bytes));
            };
            let is_number = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = match u64::from_str_radix(&line, 16) {
                Ok(size) if is_number => size,
                _ => return Err(wrong("the size of a chunk", format!("{line:?}"))),
            };
            if let End::Cut(part) = self.bytes_to(size, to)? {
                return Ok(End::Cut(bytes + part));
            }
            bytes += size;
            match self.line()?.as_deref() {
                Some("") if size == 0 => return Ok(End::Whole),
                Some("") => {}
                Some(line) => return Err(wrong("the end of a chunk", format!("{line:?}"))),
                None => return Ok(End::Cut(bytes)),
            }
        }
    }

    /// A line without its end; none, if the connection ends before.
    fn line(&mut self) -> Result<Option<String>, Wrong> {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line = self.ahead.drain(..at + 2).take(at).map(char::from);
                return Ok(Some(line.collect()));
            }
            if self.ahead.len() > MOST_HEAD_BYTES {
                return Err(wrong("a line", self.said()));
            }
            if !self.has_more("a line")? {
                return Ok(None);
            }
        }
    }

    /// Waits for more bytes; false, if the connection ends, however it does.
    fn has_more(&mut self, what: &str) -> Result<bool, Wrong> {
        match self.read() {
            Ok(read) => Ok(read > 0),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(wrong(what, format!("{error} after {}", self.said()))),
        }
    }

    /// Waits until the other end has closed the connection, with nothing more to be read. A
    /// reset is wrong: it can destroy what came before it.
    pub(crate) fn closed(&mut self) -> Result<(), Wrong> {
        let end = match self.ahead.is_empty() {
            true => self.read(),
            false => Ok(self.ahead.len()),
        };
        match end {
            Ok(0) => Ok(()),
            Ok(_) => Err(wrong("the end of the connection", self.said())),
            Err(error) => Err(wrong("the end of the connection", error)),
        }
    }

    /// All that comes until the other end has closed the connection.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, Wrong> {
        loop {
            match self.read() {
                Ok(0) => return Ok(std::mem::take(&mut self.ahead)),
                Ok(_) => {}
                Err(error) => return Err(wrong("the end of the connection", error)),
            }
        }
    }

    /// All that comes until the connection ends, however it does, within [`PATIENCE`].
    pub(crate) fn until_end(&mut self) -> Result<Vec<u8>, Wrong> {
        while self.has_more("the end of the connection")? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// How many bytes come until the connection ends, however it does.
    pub(crate) fn count(&mut self) -> u64 {
        let mut bytes = self.ahead.len() as u64;
        loop {
            self.ahead.clear();
            match self.read() {
                Ok(read @ 1..) => bytes += read as u64,
                _ => return bytes,
            }
        }
    }

    /// What has come by now.
    pub(crate) fn until_silent(&mut self) -> String {
        let _ = self.stream.set_nonblocking(true);
        while matches!(self.read(), Ok(1..)) {}
        let _ = self.stream.set_nonblocking(false);
        self.said()
    }

    /// Whether something more comes within this time. The end of the connection does not count.
    pub(crate) fn says_more(&mut self, within: Duration) -> bool {
        let _ = self.stream.set_read_timeout(Some(within));
        let more = matches!(self.read(), Ok(1..));
        let _ = self.stream.set_read_timeout(Some(PATIENCE));
        more
    }

    /// Reads what is there.
    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}
