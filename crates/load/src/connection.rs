//! A connection that does not block.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::answer::{Answer, Whole};
use crate::wait::is_quiet;

/// Read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// One connection, with at most one request under way.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    state: State,
    answer: Answer,
    /// What opens a tunnel, for one that goes through a proxy.
    tunnel: Option<Arc<[u8]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    /// With the number of bytes that are still to be written of what opens a tunnel.
    Asking(usize),
    /// The proxy has not answered yet.
    Asked,
    Ready,
    /// With the number of bytes of the request that are still to be written.
    Writing(usize),
    Reading,
    /// The server closes it: its end has not come yet.
    Ending,
}

/// What has come over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Nothing that is whole.
    Part,
    /// The tunnel stands.
    Tunnel,
    /// An answer.
    Answer(Whole),
    /// The end that the server had announced.
    End,
}

/// Why a request was not answered, or a connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    Connect,
    /// A proxy answered CONNECT with this status.
    Refused(u16),
    /// A proxy's answer to CONNECT has a length.
    Framed,
    NoTunnel,
    Closed,
    NoHttp,
    Status,
    Body,
    Timeout,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Refused(status) => return write!(f, "CONNECT was answered {status}"),
            Failure::Connect => "no connection",
            Failure::Framed => {
                "CONNECT was answered 200 with a Content-Length or a Transfer-Encoding"
            }
            Failure::NoTunnel => "an answer to CONNECT that is no HTTP/1.1, or goes on",
            Failure::Closed => "closed before the answer was whole",
            Failure::NoHttp => "an answer that is no HTTP/1.1 with a Content-Length",
            Failure::Status => "another status",
            Failure::Body => "another body",
            Failure::Timeout => "no answer in time",
        })
    }
}

impl Connection {
    /// Begins to connect, and then to open a tunnel if this is said.
    pub(crate) fn open(to: SocketAddr, tunnel: Option<Arc<[u8]>>) -> io::Result<Self> {
        let family = match to {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            stream: socket.into(),
            state: State::Connecting,
            answer: Answer::default(),
            tunnel,
        })
    }

    /// Whether it stands, and no request is under way.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether the server has said that it closes it.
    pub(crate) fn is_ending(&self) -> bool {
        self.state == State::Ending
    }

    /// Whether it waits to be able to write.
    pub(crate) fn wants_to_write(&self) -> bool {
        matches!(
            self.state,
            State::Connecting | State::Asking(_) | State::Writing(_)
        )
    }

    /// Begins a request.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.state = State::Writing(request.len());
        self.write(request)
    }

    /// It can be written to: goes on with connecting, or with this request.
    pub(crate) fn write(&mut self, request: &[u8]) -> Result<(), Failure> {
        if self.state == State::Connecting {
            match sockopt::socket_error(&self.stream) {
                Ok(Ok(())) => {
                    self.state = match &self.tunnel {
                        None => State::Ready,
                        Some(tunnel) => State::Asking(tunnel.len()),
                    }
                }
                _ => return Err(Failure::Connect),
            }
        }
        loop {
            let (bytes, left) = match (self.state, &self.tunnel) {
                (State::Asking(left), Some(tunnel)) => (&**tunnel, left),
                (State::Writing(left), _) => (request, left),
                _ => return Ok(()),
            };
            match self.stream.write(&bytes[bytes.len() - left..]) {
                Ok(written) => {
                    let left = left - written;
                    self.state = match self.state {
                        State::Asking(_) if left > 0 => State::Asking(left),
                        State::Asking(_) => State::Asked,
                        _ if left > 0 => State::Writing(left),
                        _ => State::Reading,
                    };
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Failure::Closed),
            }
        }
    }

    /// Something has come. When nothing was asked, that can only be the end.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Came, Failure> {
        buffer.resize(PIECE_BYTES, 0);
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) if self.state == State::Ending => return Ok(Came::End),
                Ok(0) => return Err(Failure::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Came::Part),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Failure::Closed),
            };
            if self.state == State::Asked {
                match self.answer.take_opened(&buffer[..read]) {
                    Ok(None) => continue,
                    Ok(Some(opened)) if opened.status != 200 => {
                        return Err(Failure::Refused(opened.status));
                    }
                    Ok(Some(opened)) if opened.is_framed => return Err(Failure::Framed),
                    Ok(Some(_)) => {
                        self.state = State::Ready;
                        return Ok(Came::Tunnel);
                    }
                    Err(_) => return Err(Failure::NoTunnel),
                }
            }
            if self.state != State::Reading {
                return Err(Failure::NoHttp);
            }
            let whole = self.answer.take(&buffer[..read]);
            if let Some(whole) = whole.map_err(|_| Failure::NoHttp)? {
                self.state = match whole.closes {
                    true => State::Ending,
                    false => State::Ready,
                };
                return Ok(Came::Answer(whole));
            }
            if read < buffer.len() {
                return Ok(Came::Part);
            }
        }
    }

    /// Whether the other side has neither closed it nor sent anything.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state == State::Ready && is_quiet(&self.stream)
    }
}
