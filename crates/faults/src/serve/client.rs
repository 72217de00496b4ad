//! A connection to the server, and what comes over it. Answers are read strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::check::{Wrong, wrong};

/// How long to wait for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// More than any answer's head.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// What was read and belongs to no answer yet.
    ahead: Vec<u8>,
    /// When it was about to be opened: the server cannot have had it sooner.
    pub(crate) since: Instant,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Names in lower case.
    fields: Vec<(String, String)>,
}

/// What is left of an answer's body when the connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing is.
    Whole,
    /// It was cut after this number of bytes.
    Cut(u64),
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Wrong> {
        let since = Instant::now();
        let open = || {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            io::Result::Ok(stream)
        };
        match open() {
            Ok(stream) => Ok(Self {
                stream,
                ahead: Vec::new(),
                since,
            }),
            Err(error) => Err(wrong("a connection", error)),
        }
    }

    /// Sends all of it, unless the server has closed: then an answer tells why.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> Result<Head, Wrong> {
        let mut searched = 0;
        let end = loop {
            let unsearched = &self.ahead[searched..];
            if let Some(at) = unsearched.windows(4).position(|four| four == b"\r\n\r\n") {
                break searched + at;
            }
            searched = self.ahead.len().saturating_sub(3);
            let got = format!("{:?}", String::from_utf8_lossy(&self.ahead));
            if self.ahead.len() > MOST_HEAD_BYTES {
                return Err(wrong("an answer", got));
            }
            match self.read() {
                Ok(0) => return Err(wrong("an answer", format!("the end after {got}"))),
                Ok(_) => {}
                Err(error) => return Err(wrong("an answer", format!("{error} after {got}"))),
            }
        };
        let rest = self.ahead.split_off(end + 4);
        let head = std::mem::replace(&mut self.ahead, rest);
        let head = str::from_utf8(&head[..end]);
        let head = head.map_err(|error| wrong("a head of text", error))?;
        parse(head).ok_or_else(|| wrong("a head as in RFC 9112", head))
    }

    /// An answer's body, as long as its head says.
    pub(crate) fn body(&mut self, head: &Head) -> Result<Vec<u8>, Wrong> {
        let mut body = Vec::new();
        let end = self.body_to(head, &mut |bytes| body.extend_from_slice(bytes))?;
        match end {
            End::Whole => Ok(body),
            End::Cut(bytes) => Err(wrong("a whole body", format!("{bytes} bytes of it"))),
        }
    }

    /// Hands on the body's bytes as they come.
    pub(crate) fn body_to(&mut self, head: &Head, to: &mut dyn FnMut(&[u8])) -> Result<End, Wrong> {
        let length = head
            .length()
            .ok_or_else(|| wrong("Content-Length", format!("{head:?}")))?;
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
            match self.read() {
                Ok(0) => return Ok(End::Cut(length - left)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(End::Cut(length - left));
                }
                Err(error) => {
                    let got = format!("{error} after {} of {length} bytes", length - left);
                    return Err(wrong("a body", got));
                }
            }
        }
    }

    /// Waits until the server has closed the connection, with nothing more to be read. A reset
    /// is wrong: it can destroy the answer before it.
    pub(crate) fn closed(&mut self) -> Result<(), Wrong> {
        let end = match self.ahead.is_empty() {
            true => self.read(),
            false => Ok(self.ahead.len()),
        };
        match end {
            Ok(0) => Ok(()),
            Ok(_) => {
                let got = String::from_utf8_lossy(&self.ahead);
                Err(wrong("the end of the connection", format!("{got:?}")))
            }
            Err(error) => Err(wrong("the end of the connection", error)),
        }
    }

    /// All that comes until the server has closed the connection.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, Wrong> {
        loop {
            match self.read() {
                Ok(0) => return Ok(std::mem::take(&mut self.ahead)),
                Ok(_) => {}
                Err(error) => return Err(wrong("the end of the connection", error)),
            }
        }
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

/// A head without its empty line.
fn parse(head: &str) -> Option<Head> {
    let mut lines = head.split("\r\n");
    let line = lines.next()?.strip_prefix("HTTP/1.1 ")?;
    let (status, _reason) = line.split_once(' ')?;
    let status = match status.len() {
        3 => status.parse().ok()?,
        _ => return None,
    };
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n']) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        // None that an answer has here may come twice.
        if fields.iter().any(|(known, _)| *known == name) {
            return None;
        }
        fields.push((name, value.trim().to_owned()));
    }
    Some(Head { status, fields })
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// How long the body is.
    fn length(&self) -> Option<u64> {
        match self.status {
            100..200 | 204 | 304 => Some(0),
            _ => self.field("content-length")?.parse().ok(),
        }
    }

    /// Whether the connection is closed after it.
    pub(crate) fn closes(&self) -> bool {
        let mut options = self.field("connection").unwrap_or_default().split(',');
        options.any(|option| option.trim().eq_ignore_ascii_case("close"))
    }
}
