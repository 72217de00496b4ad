//! A small blocking HTTP/1.1 client, for the origin alone.
//!
//! It lives in the processes that are measured, so it brings no threads, pools or
//! crates of its own. It speaks plain HTTP only, which an origin under TLS
//! understands as well.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};

use crate::SERVER;

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The largest body that is collected, in bytes: a manifest of a million images
/// has about 170 million.
const MAX_BODY: u64 = 512 * 1024 * 1024;

/// Divides `http://HOST:PORT/PATH` into `HOST:PORT` and `/PATH`.
pub(crate) fn split(url: &str) -> anyhow::Result<(&str, &str)> {
    let rest = url
        .strip_prefix("http://")
        .with_context(|| format!("{url}: an origin's URL begins with http://"))?;
    Ok(rest
        .find('/')
        .map_or((rest, "/"), |slash| rest.split_at(slash)))
}

/// Does one request on a connection of its own, and gives the body of its answer.
/// Every single wait, for the connection or for bytes, ends after `timeout`.
///
/// # Errors
///
/// Any, named `origin URL: ...`: also when the answer is not an origin's, or
/// refuses the request.
pub(crate) fn exchange(
    method: &str,
    url: &str,
    body: &[u8],
    timeout: Duration,
) -> anyhow::Result<Vec<u8>> {
    let exchange = || {
        let (authority, path) = split(url)?;
        let mut connection = Connection::open(authority, timeout)?;
        connection.send(method, path, body, true)?;
        let answer = connection.receive()?;
        ensure!(
            answer.from_origin,
            "HTTP {}, and not from a Paces origin",
            answer.status
        );
        ensure!(
            answer.body_bytes <= MAX_BODY,
            "an answer of {} bytes, at most {MAX_BODY} are read",
            answer.body_bytes
        );
        let mut content = Vec::new();
        connection.body(answer.body_bytes, |bytes| content.extend_from_slice(bytes))?;
        if !(200..300).contains(&answer.status) {
            bail!(
                "HTTP {}: {}",
                answer.status,
                String::from_utf8_lossy(&content).trim_end()
            );
        }
        Ok(content)
    };
    exchange().with_context(|| format!("origin {url}"))
}

/// A connection to an origin.
pub(crate) struct Connection {
    stream: TcpStream,
    authority: String,
    /// What has been received and not yet been used.
    buffer: Vec<u8>,
}

/// The head of an answer.
pub(crate) struct Answer {
    pub status: u16,
    pub from_origin: bool,
    pub body_bytes: u64,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub(crate) fn open(authority: &str, timeout: Duration) -> anyhow::Result<Connection> {
        let mut failure = anyhow!("the host has no address");
        for address in authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    let authority = authority.to_owned();
                    return Ok(Connection {
                        stream,
                        authority,
                        buffer: Vec::new(),
                    });
                }
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        close: bool,
    ) -> anyhow::Result<()> {
        let connection = if close { "close" } else { "keep-alive" };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\
             Content-Length: {}\r\n\r\n",
            self.authority,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).map_err(plain)
    }

    /// Waits for the head of an answer.
    pub(crate) fn receive(&mut self) -> anyhow::Result<Answer> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut headers);
            let parsed = head.parse(&self.buffer).context("not an HTTP answer")?;
            if let httparse::Status::Complete(bytes) = parsed {
                let status = head.code.unwrap_or(0);
                let header = |name: &str| {
                    let found = head
                        .headers
                        .iter()
                        .find(|h| h.name.eq_ignore_ascii_case(name));
                    found.and_then(|header| str::from_utf8(header.value).ok())
                };
                let from_origin = header("server") == Some(SERVER);
                let length = header("content-length").and_then(|length| length.parse().ok());
                let body_bytes = match (status, length) {
                    (204 | 304, _) => 0,
                    (_, Some(length)) => length,
                    _ if !from_origin => 0,
                    _ => bail!("HTTP {status} without a Content-Length"),
                };
                self.buffer.drain(..bytes);
                return Ok(Answer {
                    status,
                    from_origin,
                    body_bytes,
                });
            }
            ensure!(
                self.buffer.len() <= MAX_HEAD,
                "not an HTTP answer: no end to its head"
            );
            let mut chunk = [0; 8 * 1024];
            match self.read(&mut chunk)? {
                0 => bail!("connection closed before an answer"),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Reads a body of `length` bytes, piece by piece.
    pub(crate) fn body(&mut self, length: u64, mut piece: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let ahead = self.buffer.len().min(usize::try_from(length)?);
        piece(&self.buffer[..ahead]);
        self.buffer.drain(..ahead);
        let mut left = length - ahead as u64;
        let mut chunk = [0; 64 * 1024];
        while left > 0 {
            let room = chunk.len().min(usize::try_from(left)?);
            match self.read(&mut chunk[..room])? {
                0 => bail!(
                    "connection closed after {} of {length} bytes",
                    length - left
                ),
                read => {
                    piece(&chunk[..read]);
                    left -= read as u64;
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(plain),
            }
        }
    }
}

/// A timeout's own name is "resource temporarily unavailable", which says nothing.
fn plain(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => anyhow!("no answer in time"),
        _ => error.into(),
    }
}
