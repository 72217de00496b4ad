//! How connections are made, so that an interrupt ends every wait.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use transfer::{ATTEMPT_DELAY, AttemptError, look_up};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use crate::errors::carried;
use crate::stream::{Connection, Tls};
use crate::wire::{Wire, interrupted};

/// How often a wait for addresses checks for an interrupt.
const GLANCE: Duration = Duration::from_millis(100);

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
        let socket = connect(&self.0, host, port, until);
        let connected = socket.and_then(|socket| {
            let tls = if to.needs_tls() {
                Some(secure(&self.0, &socket, host, until)?)
            } else {
                None
            };
            // The handshake leaves other limits behind.
            let limits = (to.needs_tls() && until.is_some()).then_some(Duration::ZERO);
            Ok(Connection::new(self.0.clone(), socket, tls, limits))
        });
        connected.map(Some).map_err(|error| {
            carried(match (error.kind(), timeout) {
                (ErrorKind::TimedOut | ErrorKind::WouldBlock, Some(timeout)) => {
                    // ureq has taken some nanoseconds off.
                    let wait = Duration::from_millis((timeout.as_secs_f64() * 1e3).round() as u64);
                    AttemptError::Connect(format!("it took longer than {wait:?}"))
                }
                _ => AttemptError::from_error(&error, AttemptError::Connect),
            })
        })
    }
}

/// A connection to the first of a host's addresses that answers (RFC 8305): the next
/// one is tried as well when one has failed, or has had its time. The sockets are
/// known to an interrupt while they wait.
fn connect(
    wire: &Wire,
    host: &str,
    port: u16,
    until: Option<Instant>,
) -> io::Result<Arc<TcpStream>> {
    let mut addresses = addresses(wire, host, port, until)?.into_iter().peekable();
    let mut attempts: Vec<Arc<TcpStream>> = Vec::new();
    let mut last = io::Error::other("the host has no address");
    loop {
        if let Some(address) = addresses.next() {
            match begin(wire, address) {
                Ok(socket) => attempts.push(socket),
                Err(error) => last = error,
            }
        } else if attempts.is_empty() {
            return Err(last);
        }
        let next = addresses.peek().map(|_| Instant::now() + ATTEMPT_DELAY);
        while !attempts.is_empty() {
            let Some(at) = wait_for_one(&attempts, until, next)? else {
                break; // it is time for the next one
            };
            if wire.is_interrupted() {
                return Err(interrupted());
            }
            let socket = attempts.remove(at);
            match sockopt::socket_error(&socket)? {
                Ok(()) => {
                    socket.set_nonblocking(false)?;
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(errno) => last = errno.into(),
            }
            if next.is_some() {
                break;
            }
        }
    }
}

/// The addresses of a host, waited for no longer than for the connection.
fn addresses(
    wire: &Wire,
    host: &str,
    port: u16,
    until: Option<Instant>,
) -> io::Result<Vec<SocketAddr>> {
    let (found, addresses) = mpsc::channel();
    look_up(host, port, move |addresses| {
        // The request may have been given up.
        let _ = found.send(addresses);
    })?;
    loop {
        let wait = until.map_or(GLANCE, |until| left(until).min(GLANCE));
        match addresses.recv_timeout(wait) {
            Ok(addresses) => return addresses,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the lookup has ended without a result"));
            }
            Err(_) if wire.is_interrupted() => return Err(interrupted()),
            Err(_) if until.is_some_and(|until| left(until).is_zero()) => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(_) => {}
        }
    }
}

/// Begins to connect.
fn begin(wire: &Wire, to: SocketAddr) -> io::Result<Arc<TcpStream>> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    let socket = Arc::new(TcpStream::from(socket));
    wire.enter(&socket)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until one of these is connected or has failed; none if `next` comes before.
fn wait_for_one(
    sockets: &[Arc<TcpStream>],
    until: Option<Instant>,
    next: Option<Instant>,
) -> io::Result<Option<usize>> {
    let mut waits: Vec<_> = sockets
        .iter()
        .map(|socket| PollFd::new(socket, PollFlags::OUT))
        .collect();
    loop {
        if until.is_some_and(|until| left(until).is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        if next.is_some_and(|next| left(next).is_zero()) {
            return Ok(None);
        }
        // A time that is too long to be told is no limit.
        let timeout = until.into_iter().chain(next).min().map(left);
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut waits, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(waits.iter().position(|wait| !wait.revents().is_empty())),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn secure(wire: &Wire, socket: &TcpStream, host: &str, until: Option<Instant>) -> io::Result<Tls> {
    let config = wire
        .tls()
        .ok_or_else(|| io::Error::other("no certificates to trust were given"))?;
    let connection = Box::new(handshake(socket, host, config.clone(), until)?);
    Ok(Tls { connection, config })
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
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
