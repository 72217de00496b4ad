//! Connections: how they are made, waited for, and cut off.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use transfer::Trouble;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use crate::HEAD_BYTES;
use crate::trouble::carried;

/// Bytes that are read at once. ureq's own buffers have 128 KiB each: measured
/// with 20 threads, these take 5 MiB less and no longer.
const INPUT_BYTES: usize = 32 * 1024;
const OUTPUT_BYTES: usize = 4 * 1024;

/// What all connections share.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    state: Mutex<State>,
    /// The longest line of any request so far.
    longest_line: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// All that are open, and some that were.
    sockets: Vec<Weak<TcpStream>>,
    interrupted: bool,
    tls: Option<Arc<ClientConfig>>,
}

impl Wire {
    pub fn begin(&self) {
        self.state().interrupted = false;
    }

    pub fn interrupt(&self) {
        let mut state = self.state();
        state.interrupted = true;
        for socket in state.sockets.drain(..).filter_map(|it| it.upgrade()) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Says whom to trust, with connections that were kept, too.
    pub fn trust(&self, tls: Arc<ClientConfig>) {
        self.state().tls = Some(tls);
    }

    fn trusts(&self, tls: &Arc<ClientConfig>) -> bool {
        let state = self.state();
        state
            .tls
            .as_ref()
            .is_some_and(|trusted| Arc::ptr_eq(trusted, tls))
    }

    /// A request is to be sent that has a line of so many bytes.
    pub fn expect_line(&self, bytes: usize) {
        self.longest_line.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Has a socket shut down by an interrupt. One that comes too late for that
    /// is refused.
    fn enter(&self, socket: &Arc<TcpStream>) -> io::Result<()> {
        let mut state = self.state();
        if state.interrupted {
            return Err(interrupted());
        }
        if state.sockets.len() == state.sockets.capacity() {
            state.sockets.retain(|it| it.strong_count() > 0);
        }
        state.sockets.push(Arc::downgrade(socket));
        Ok(())
    }

    fn is_interrupted(&self) -> bool {
        self.state().interrupted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the first of a host's addresses that has one to give.
    fn connect(&self, host: &str, port: u16, until: Option<Instant>) -> io::Result<Arc<TcpStream>> {
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let mut last = io::Error::other("the host has no address");
        for (at, &address) in addresses.iter().enumerate() {
            // An equal share of what is left: one address that swallows all
            // leaves something for the next.
            let others = addresses.len() - at;
            let share = until.map(|until| Instant::now() + left(until) / others as u32);
            match self.connect_to(address, share) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
            if self.is_interrupted() {
                break;
            }
        }
        Err(last)
    }

    /// As `TcpStream::connect_timeout`, but the socket is known while it waits.
    fn connect_to(&self, to: SocketAddr, until: Option<Instant>) -> io::Result<Arc<TcpStream>> {
        let family = match to {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        let socket = Arc::new(TcpStream::from(socket));
        self.enter(&socket)?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => wait_for_connection(&socket, until)?,
            Err(errno) => return Err(errno.into()),
        }
        if self.is_interrupted() {
            return Err(interrupted());
        }
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn secure(&self, socket: &TcpStream, host: &str, until: Option<Instant>) -> io::Result<Tls> {
        let config = self.state().tls.clone();
        let config = config.ok_or_else(|| io::Error::other("nobody has said whom to trust"))?;
        let connection = Box::new(handshake(socket, host, config.clone(), until)?);
        Ok(Tls { connection, config })
    }
}

fn wait_for_connection(socket: &TcpStream, until: Option<Instant>) -> io::Result<()> {
    loop {
        let timeout = match until.map(left) {
            Some(Duration::ZERO) => return Err(ErrorKind::TimedOut.into()),
            // A time that is too long to be told is no limit.
            timeout => timeout.and_then(|left| Timespec::try_from(left).ok()),
        };
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(sockopt::socket_error(socket)??),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn interrupted() -> io::Error {
    io::Error::other("the run was stopped")
}

/// ureq asks for addresses before it looks whether it has kept a connection:
/// with a thousand files of one host that would be a thousand questions. Here
/// a host is looked up when it is connected to.
#[derive(Debug)]
pub(crate) struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Connects, for ureq.
#[derive(Debug)]
pub(crate) struct Connects(pub Arc<Wire>);

impl Connector for Connects {
    type Out = Connection;

    fn connect(&self, to: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, Error> {
        let timeout = to.timeout.not_zero();
        let until = timeout.and_then(|timeout| Instant::now().checked_add(*timeout));
        let host = to.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = match (to.uri.port_u16(), to.needs_tls()) {
            (Some(port), _) => port,
            (None, true) => 443,
            (None, false) => 80,
        };
        let socket = self.0.connect(host, port, until);
        let connected = socket.and_then(|socket| {
            let tls = match to.needs_tls() {
                false => None,
                true => Some(self.0.secure(&socket, host, until)?),
            };
            // The handshake leaves other limits behind.
            let limits = (to.needs_tls() && until.is_some()).then_some(Duration::ZERO);
            Ok(Connection {
                wire: self.0.clone(),
                socket,
                tls,
                buffers: LazyBuffers::new(INPUT_BYTES, OUTPUT_BYTES),
                output_bytes: OUTPUT_BYTES,
                read_timeout: limits,
                write_timeout: limits,
                phase: Phase::Idle,
                asked: Instant::now(),
                informational: 0,
            })
        });
        connected.map(Some).map_err(|error| {
            carried(match (error.kind(), timeout) {
                (ErrorKind::TimedOut | ErrorKind::WouldBlock, Some(timeout)) => {
                    // ureq has taken some nanoseconds off.
                    let wait = Duration::from_millis((timeout.as_secs_f64() * 1e3).round() as u64);
                    Trouble::Connect(format!("it took longer than {wait:?}"))
                }
                _ => Trouble::of(&error, Trouble::Connect),
            })
        })
    }
}

fn handshake(
    mut socket: &TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
    until: Option<Instant>,
) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        if let Some(until) = until {
            let left = left(until);
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            socket.set_write_timeout(Some(left))?;
        }
        if tls.wants_write() {
            tls.write_tls(&mut socket)?;
            continue;
        }
        match tls.read_tls(&mut socket) {
            Ok(0) => return Err(io::Error::other("closed in the middle of TLS's handshake")),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if let Err(wrong) = tls.process_new_packets() {
            // The server is told why, if it listens.
            let _ = tls.write_tls(&mut socket);
            return Err(io::Error::other(wrong));
        }
    }
    Ok(tls)
}

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
}

#[derive(Debug)]
struct Tls {
    connection: Box<ClientConnection>,
    /// By whom the server was found to be the right one.
    config: Arc<ClientConfig>,
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
    fn read(&mut self) -> io::Result<usize> {
        let buffer = self.buffers.input_append_buf();
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
    fn trouble(&self, error: io::Error, timeout: Option<Duration>) -> Trouble {
        let nothing_came = self.buffers.input().is_empty() && self.informational == 0;
        let closed = matches!(
            error.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::NotConnected
        );
        match (error.kind(), timeout) {
            _ if self.wire.is_interrupted() => Trouble::Broken(interrupted().to_string()),
            (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(timeout)) => Trouble::Idle(timeout),
            _ if closed && self.phase != Phase::Body && nothing_came => Trouble::NoAnswer,
            (ErrorKind::UnexpectedEof, _) if self.phase != Phase::Body => {
                Trouble::Broken("it was closed in the middle of the head".to_owned())
            }
            (ErrorKind::UnexpectedEof, _) => {
                Trouble::Broken("it was closed in the middle of the body".to_owned())
            }
            _ => Trouble::of(&error, Trouble::Broken),
        }
    }

    /// Takes informational answers (1xx) out of the input. ureq would refuse a
    /// 100 that has headers, and takes any number of them; but not 101, which is
    /// an answer.
    fn skip_informational(&mut self) -> Result<(), Trouble> {
        while let Some(end) = end_of_head(self.buffers.input()) {
            let start = &self.buffers.input()[..end];
            let informational = start.starts_with(b"HTTP/1.")
                && start[8..].starts_with(b" 1")
                && !start[8..].starts_with(b" 101");
            if !informational {
                self.phase = Phase::Body;
                return Ok(());
            }
            self.informational += end;
            if self.informational > HEAD_BYTES {
                let why = "informational answers without end";
                return Err(Trouble::Protocol(why.to_owned()));
            }
            self.buffers.input_consume(end);
        }
        Ok(())
    }

    /// The input is full, and ureq can make nothing of it.
    fn widen(&mut self) -> Result<(), Trouble> {
        let input = self.buffers.input();
        if self.phase == Phase::Body {
            return Err(Trouble::Protocol("a chunk's size without end".to_owned()));
        }
        if input.len() >= HEAD_BYTES {
            return Err(Trouble::Protocol(format!(
                "a head of more than {HEAD_BYTES} bytes"
            )));
        }
        let mut wider = LazyBuffers::new(HEAD_BYTES, self.output_bytes);
        wider.input_append_buf()[..input.len()].copy_from_slice(input);
        wider.input_appended(input.len());
        self.buffers = wider;
        Ok(())
    }

    /// Whether nothing has come that nobody asked for, as far as we have read.
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

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        // ureq wants room for a line of a request, and does not say how long it is.
        let line = self.wire.longest_line.load(Ordering::Relaxed);
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
        let timeout = timeout.for_write().not_zero().map(|timeout| *timeout);
        let told = match timeout == self.write_timeout {
            true => Ok(()),
            false => self.socket.set_write_timeout(timeout),
        };
        self.write_timeout = timeout;
        told.and_then(|()| self.write(amount))
            .map_err(|error| carried(self.trouble(error, timeout)))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.buffers.input_append_buf().is_empty() {
            self.widen().map_err(carried)?;
        }
        let timeout = timeout.for_read().not_zero().map(|timeout| *timeout);
        let told = match timeout == self.read_timeout {
            true => Ok(()),
            false => self.socket.set_read_timeout(timeout),
        };
        self.read_timeout = timeout;
        match told.and_then(|()| self.read()) {
            // ureq knows whether a body may end here. (An interrupt ends none.)
            Ok(0) if self.phase == Phase::Body && !self.wire.is_interrupted() => Ok(false),
            Ok(0) => Err(carried(
                self.trouble(ErrorKind::UnexpectedEof.into(), timeout),
            )),
            Ok(read) => {
                self.buffers.input_appended(read);
                if self.phase == Phase::Head {
                    self.skip_informational().map_err(carried)?;
                }
                // A head has as long as its first byte: one that comes byte by
                // byte could go on for ever.
                match timeout.filter(|_| self.phase == Phase::Head) {
                    Some(most) if self.asked.elapsed() >= most => Err(carried(Trouble::Idle(most))),
                    _ => Ok(true),
                }
            }
            Err(error) => Err(carried(self.trouble(error, timeout))),
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
