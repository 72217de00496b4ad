//! A connection: what is sent and read over it, and when it is worth keeping.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::{ClientConfig, ClientConnection};
use transfer::AttemptError;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use crate::INPUT_BYTES;
use crate::chunks::{Chunks, is_chunked};
use crate::errors::carried;
use crate::wire::{Wire, interrupted};

const OUTPUT_BYTES: usize = 4 * 1024;

/// One connection, for one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Arc<Wire>,
    socket: Arc<TcpStream>,
    tls: Option<Tls>,
    buffers: LazyBuffers,
    output_bytes: usize,
    /// As the socket was told last. Setting one is a call into the kernel, and
    /// the same for all files.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    phase: Phase,
    /// When the last request was sent.
    asked: Instant,
    /// Bytes of informational answers that came before the answer.
    informational: usize,
    /// What has come of a head that did not come in one piece, or not alone.
    head: Vec<u8>,
    /// Where in the body it is, if that comes in chunks.
    chunks: Option<Chunks>,
}

#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) connection: Box<ClientConnection>,
    /// What the server was found to be the right one by.
    pub(crate) config: Arc<ClientConfig>,
}

impl Tls {
    fn stream<'a, 'b>(
        &'a mut self,
        socket: &'a mut &'b TcpStream,
    ) -> rustls::Stream<'a, ClientConnection, &'b TcpStream> {
        rustls::Stream::new(&mut self.connection, socket)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Kept for another request.
    Idle,
    /// The head of an answer has not come, or not all of it.
    Head,
    Body,
}

impl Connection {
    /// A connection over a socket that stands; `limits` are the timeouts that it
    /// was told last.
    pub(crate) fn new(
        wire: Arc<Wire>,
        socket: Arc<TcpStream>,
        tls: Option<Tls>,
        limits: Option<Duration>,
    ) -> Self {
        Self {
            wire,
            socket,
            tls,
            buffers: LazyBuffers::new(INPUT_BYTES, OUTPUT_BYTES),
            output_bytes: OUTPUT_BYTES,
            read_timeout: limits,
            write_timeout: limits,
            phase: Phase::Idle,
            asked: Instant::now(),
            informational: 0,
            head: Vec::new(),
            chunks: None,
        }
    }

    fn read(&mut self, most: usize) -> io::Result<usize> {
        let buffer = self.buffers.input_append_buf();
        let most = most.min(buffer.len());
        let buffer = &mut buffer[..most];
        let mut socket = &*self.socket;
        loop {
            let read = match &mut self.tls {
                None => socket.read(buffer),
                Some(tls) => tls.stream(&mut socket).read(buffer),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn write(&mut self, amount: usize) -> io::Result<()> {
        let output = &self.buffers.output()[..amount];
        let mut socket = &*self.socket;
        match &mut self.tls {
            None => socket.write_all(output),
            Some(tls) => {
                let mut tls = tls.stream(&mut socket);
                tls.write_all(output).and_then(|()| tls.flush())
            }
        }
    }

    /// What an error means at this place, or the end of the connection, which is
    /// [`ErrorKind::UnexpectedEof`].
    fn attempt_error(&self, error: io::Error, timeout: Option<Duration>) -> AttemptError {
        let nothing_came = self.head.is_empty() && self.informational == 0;
        let closed = matches!(
            error.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::NotConnected
        );
        match (error.kind(), timeout) {
            _ if self.wire.is_interrupted() => AttemptError::Broken(interrupted().to_string()),
            (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(timeout)) => {
                AttemptError::Idle(timeout)
            }
            _ if closed && self.phase != Phase::Body && nothing_came => AttemptError::NoAnswer,
            (ErrorKind::UnexpectedEof, _) if self.phase != Phase::Body => {
                AttemptError::Broken("it was closed in the middle of the head".to_owned())
            }
            (ErrorKind::UnexpectedEof, _) => {
                AttemptError::Broken("it was closed in the middle of the body".to_owned())
            }
            _ => AttemptError::from_error(&error, AttemptError::Broken),
        }
    }

    /// Bytes of a head have come: gives ureq all of it when it is complete, for it
    /// parses what it has anew with every piece. Says whether it is.
    ///
    /// Takes informational answers (1xx) out. ureq would refuse a 100 that has
    /// headers, and takes any number of them; but not 101, which is an answer.
    /// Lines that are folded become one, as RFC 9112, 5.2, says: ureq refuses them.
    fn take_head(&mut self, read: usize) -> Result<bool, AttemptError> {
        let before = self.head.len();
        let piece = &mut self.buffers.input_append_buf()[..read];
        // An answer in HTTP/2 may never have what ends a head here.
        if !begins_as_http1(self.head.iter().chain(&*piece)) {
            return Err(AttemptError::NotHttp1);
        }
        // Most come whole, and stay where they are.
        if before == 0
            && let Some(end) = end_of_head(piece)
            && !is_informational(&piece[..end])
        {
            return self.append(read, end);
        }
        self.head.extend_from_slice(piece);
        // An empty line that ends here has begun at most three bytes before.
        let mut from = before.saturating_sub(3);
        while let Some(end) = end_of_head(&self.head[from..]) {
            let end = from + end;
            from = 0;
            if !is_informational(&self.head[..end]) {
                let bytes = self.head.len();
                self.buffers.input_append_buf()[..bytes].copy_from_slice(&self.head);
                self.head.clear();
                return self.append(bytes, end);
            }
            self.informational += end;
            if self.informational > INPUT_BYTES {
                let why = "informational answers without end";
                return Err(AttemptError::Protocol(why.to_owned()));
            }
            self.head.drain(..end);
        }
        match self.head.len() < INPUT_BYTES {
            true => Ok(false),
            false => Err(self.too_long()),
        }
    }

    /// Gives ureq what has been read, of which a head is the beginning. Says whether
    /// that is anything.
    fn append(&mut self, read: usize, head: usize) -> Result<bool, AttemptError> {
        let (head, body) = self.buffers.input_append_buf()[..read].split_at_mut(head);
        unfold(head);
        if self.phase == Phase::Head {
            self.phase = Phase::Body;
            self.chunks = is_chunked(head).then(Chunks::new);
        }
        let body = match &mut self.chunks {
            None => body.len(),
            Some(chunks) => chunks.strip(body).ok_or_else(|| {
                let why = "chunk extensions without end";
                AttemptError::Protocol(why.to_owned())
            })?,
        };
        let bytes = head.len() + body;
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    /// What it means that the input is full, and ureq can make nothing of it.
    fn too_long(&self) -> AttemptError {
        AttemptError::Protocol(match self.phase {
            Phase::Body => "a chunk's size, or what follows the last chunk, without end".to_owned(),
            _ => format!("a head of more than {INPUT_BYTES} bytes"),
        })
    }

    /// Whether nothing has come that was not asked for, as far as was read.
    fn is_clean(&mut self) -> bool {
        let quiet = self.tls.as_mut().is_none_or(|tls| {
            let state = tls.connection.process_new_packets();
            let quiet = state.is_ok_and(|state| {
                state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed()
            });
            quiet && self.wire.trusts(&tls.config)
        });
        quiet && self.buffers.input().is_empty()
    }
}

/// Where a head ends: after an empty line.
fn end_of_head(input: &[u8]) -> Option<usize> {
    let lines = input.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
    let mut ends = lines.map(|(at, _)| at + 1);
    ends.find_map(|at| match &input[at..] {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// Whether this can be the beginning of an answer. Empty lines may stand before one.
fn begins_as_http1<'a>(bytes: impl Iterator<Item = &'a u8>) -> bool {
    let mut line = bytes.skip_while(|byte| matches!(byte, b'\r' | b'\n'));
    b"HTTP/1."
        .iter()
        .all(|right| line.next().is_none_or(|byte| byte == right))
}

fn is_informational(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.") && head[8..].starts_with(b" 1") && !head[8..].starts_with(b" 101")
}

/// Makes one line of those that are folded, but for the first: a status line has no
/// continuation.
fn unfold(head: &mut [u8]) {
    let first = head.iter().position(|&byte| byte == b'\n');
    for at in first.map_or(head.len(), |first| first + 1)..head.len().saturating_sub(1) {
        if head[at] == b'\n' && matches!(head[at + 1], b' ' | b'\t') {
            head[at] = b' ';
            if head[at - 1] == b'\r' {
                head[at - 1] = b' ';
            }
        }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        // ureq wants room for a line of a request, and does not say how long it is.
        let line = self.wire.longest_line();
        if self.phase == Phase::Idle && line > self.output_bytes {
            self.buffers = LazyBuffers::new(INPUT_BYTES, line);
            self.output_bytes = line;
        }
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.phase = Phase::Head;
        self.asked = Instant::now();
        self.informational = 0;
        self.head.clear();
        self.chunks = None;
        let timeout = timeout.for_write().not_zero().map(|timeout| *timeout);
        let told = if timeout == self.write_timeout {
            Ok(())
        } else {
            self.socket.set_write_timeout(timeout)
        };
        self.write_timeout = timeout;
        told.and_then(|()| self.write(amount))
            .map_err(|error| carried(self.attempt_error(error, timeout)))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.buffers.input_append_buf().is_empty() {
            return Err(carried(self.too_long()));
        }
        let timeout = timeout.for_read().not_zero().map(|timeout| *timeout);
        let told = if timeout == self.read_timeout {
            Ok(())
        } else {
            self.socket.set_read_timeout(timeout)
        };
        self.read_timeout = timeout;
        told.map_err(|error| carried(self.attempt_error(error, timeout)))?;
        loop {
            let most = match self.phase {
                // With what has come of it before, a head has to fit.
                Phase::Head => INPUT_BYTES - self.head.len(),
                _ => usize::MAX,
            };
            match self.read(most) {
                // ureq knows whether a body may end here. (An interrupt ends none.)
                Ok(0) if self.phase == Phase::Body && !self.wire.is_interrupted() => {
                    return Ok(false);
                }
                Ok(0) => {
                    let end = ErrorKind::UnexpectedEof.into();
                    return Err(carried(self.attempt_error(end, timeout)));
                }
                Ok(read) if self.phase == Phase::Head => {
                    if self.take_head(read).map_err(carried)? {
                        return Ok(true);
                    }
                    // A head has as long as its first byte: one that comes byte by
                    // byte could go on for ever.
                    if let Some(most) = timeout.filter(|most| self.asked.elapsed() >= *most) {
                        return Err(carried(AttemptError::Idle(most)));
                    }
                }
                Ok(read) => {
                    if self.append(read, 0).map_err(carried)? {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(carried(self.attempt_error(error, timeout))),
            }
        }
    }

    /// ureq asks as it puts a connection away, and again as it takes it out. Only
    /// the second time it is worth to ask the kernel: a connection on which
    /// anything has come, be it its end, is not to be used again.
    fn is_open(&mut self) -> bool {
        let kept = std::mem::replace(&mut self.phase, Phase::Idle) == Phase::Idle;
        let nothing_came = || {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            let peeked = rustix::net::recv(&self.socket, &mut [0; 1], flags);
            matches!(peeked, Err(Errno::AGAIN))
        };
        (!kept || nothing_came()) && self.is_clean()
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}
