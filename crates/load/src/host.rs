//! The host that a scan is of: at an address of its own, some ports are open, others are
//! filtered, and all the rest refuse connections.
//!
//! A port is *open* if a socket listens there. The system completes a connection by itself; the
//! host accepts it when it is asked what it has counted, so that it takes no processor time of
//! the scan.
//!
//! A port is *filtered* if a socket listens there whose queue of connections is full, as this
//! system drops whatever comes then. A connection that is tried proves it.
//!
//! The address is one of 127.0.0.0/8 that no socket has. What listens at all addresses of the
//! machine also answers at this one: such ports are told.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use serde::{Deserialize, Serialize};

use crate::clients::print;
use crate::content::splitmix64;
use crate::limits::allow_open_files;
use crate::sockets::{is_in_use, open_everywhere};
use crate::wait::cpu_ns;

/// As many as a server's queue of new connections may have, by the system's default.
const BACKLOG: i32 = 4096;
/// The queue of a filtered port has room for one connection more than this.
const SHORT_BACKLOG: i32 = 1;
const OTHER_FILES: u64 = 32;
/// After this time, a connection that does not stand was dropped: one that is not takes
/// microseconds.
const PROOF: Duration = Duration::from_millis(200);
/// More connections than this fill every queue, unless the system drops none.
const MOST_FILLERS: usize = 16;
/// Addresses are drawn until one is free.
const DRAWS: u64 = 1_000;
/// How long connections may take that a scan has seen standing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which ports are open, and which are filtered: drawn from some, by a seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostShape {
    /// The ports that others are drawn from.
    pub ports: Vec<RangeInclusive<u16>>,
    /// How many are open.
    pub open: usize,
    /// How many are filtered.
    pub filtered: usize,
    /// What they are drawn by.
    pub seed: u64,
}

/// What a host has, and what was asked of it since this was taken last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCounts {
    /// Its open ports: fewer than asked for where it takes a privilege to open them.
    pub open: Vec<u16>,
    /// Its filtered ports: fewer in the same way, and none if the system does not drop connections
    /// to a full queue.
    pub filtered: Vec<u16>,
    /// The ports that are open at all addresses of this machine.
    pub open_everywhere: Vec<u16>,
    /// Connections that were made to open ports.
    pub accepted: u64,
    /// The most of them at one port.
    pub most_at_a_port: u64,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// Is such a host until `commands` ends. It prints its address; then, after each line of
/// `commands`, its [`HostCounts`] as a line of JSON.
///
/// # Errors
///
/// When it may not open as many files, or there is no address for it.
pub fn host(shape: &HostShape, commands: impl Read, mut printed: impl Write) -> anyhow::Result<()> {
    let mut host = Host::open(shape)?;
    // The port of its address is none that it listens at.
    writeln!(printed, "{}", SocketAddr::new(host.address.into(), 0))?;
    printed.flush()?;
    for line in BufReader::new(commands).lines() {
        line.context("the commands")?;
        print(&mut printed, &host.counts()?)?;
    }
    Ok(())
}

struct Host {
    address: Ipv4Addr,
    open: Vec<(u16, TcpListener)>,
    filtered: Vec<(u16, TcpListener)>,
    /// The connections that fill the queues of filtered ports.
    _fillers: Vec<OwnedFd>,
    /// Whether its ports have been told.
    is_known: bool,
    cpu_ns: u64,
}

impl Host {
    fn open(shape: &HostShape) -> anyhow::Result<Self> {
        let files = shape.open + shape.filtered * (3 + SHORT_BACKLOG as usize);
        allow_open_files(files as u64 + OTHER_FILES)?;
        let address = free_address()?;
        let mut listeners = listeners(shape, address)?;
        let mut filtered = listeners.split_off(listeners.len().min(shape.open));
        for (_, listener) in &listeners {
            rustix::net::listen(listener, BACKLOG).context("a queue of connections")?;
            listener.set_nonblocking(true)?;
        }
        for (_, listener) in &filtered {
            rustix::net::listen(listener, SHORT_BACKLOG).context("a short queue")?;
        }
        let ports = filtered.iter().map(|(port, _)| *port).collect();
        let fillers = fill(address, ports)?;
        if fillers.is_none() {
            filtered.clear();
        }
        Ok(Self {
            address,
            open: listeners,
            _fillers: fillers.unwrap_or_default(),
            filtered,
            is_known: false,
            cpu_ns: cpu_ns(),
        })
    }

    /// Accepts all that has come.
    fn counts(&mut self) -> anyhow::Result<HostCounts> {
        // Before it was asked for the first time, nothing was scanned.
        let patience = match std::mem::replace(&mut self.is_known, true) {
            true => PATIENCE,
            false => Duration::ZERO,
        };
        let began = Instant::now();
        let mut accepted = Vec::with_capacity(self.open.len());
        for (_, listener) in &self.open {
            // A connection stands for its client slightly before it is in the queue.
            is_ready(
                listener,
                PollFlags::IN,
                patience.saturating_sub(began.elapsed()),
            )?;
            accepted.push(accept_all(listener)?);
        }
        let now = cpu_ns();
        let ports = |listeners: &[(u16, _)]| listeners.iter().map(|(port, _)| *port).collect();
        Ok(HostCounts {
            open: ports(&self.open),
            filtered: ports(&self.filtered),
            open_everywhere: open_everywhere().context("this machine's sockets")?,
            accepted: accepted.iter().sum(),
            most_at_a_port: accepted.iter().copied().max().unwrap_or(0),
            cpu_ns: now - std::mem::replace(&mut self.cpu_ns, now),
        })
    }
}

/// An address of 127.0.0.0/8 that no socket has.
fn free_address() -> anyhow::Result<Ipv4Addr> {
    let random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let random = random.unwrap_or_default().as_nanos() as u64 ^ (u64::from(process::id()) << 32);
    for draw in 0..DRAWS {
        let [a, b, c, ..] = splitmix64(random.wrapping_add(draw)).to_le_bytes();
        // Low ones are in use where several services run on one machine.
        let address = Ipv4Addr::new(127, a | 0x40, b, c.clamp(1, 254));
        if !is_in_use(address).context("this machine's sockets")? {
            return Ok(address);
        }
    }
    bail!("no address of 127.0.0.0/8 is free")
}

/// As many sockets as are asked for, each at a port that was drawn. Fewer where there are not as
/// many that may be had: some take a privilege, and others are in use at all addresses.
fn listeners(shape: &HostShape, address: Ipv4Addr) -> anyhow::Result<Vec<(u16, TcpListener)>> {
    let mut ports: Vec<u16> = shape.ports.iter().cloned().flatten().collect();
    let mut listeners = Vec::new();
    let mut draw = shape.seed;
    while listeners.len() < shape.open + shape.filtered && !ports.is_empty() {
        draw = draw.wrapping_add(1);
        let drawn = splitmix64(draw) % ports.len() as u64;
        let port = ports.swap_remove(drawn as usize);
        match TcpListener::bind((address, port)) {
            Ok(listener) => listeners.push((port, listener)),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::AddrInUse | ErrorKind::PermissionDenied
                ) => {}
            Err(error) => return Err(error).with_context(|| format!("{address}:{port}")),
        }
    }
    Ok(listeners)
}

/// Connects to each port until the system drops what comes there. The queues are full as long as
/// nothing is accepted. None if the system drops nothing.
fn fill(address: Ipv4Addr, mut ports: Vec<u16>) -> anyhow::Result<Option<Vec<OwnedFd>>> {
    let mut fillers = Vec::new();
    for _ in 0..MOST_FILLERS {
        let tried: Vec<_> = ports
            .iter()
            .map(|port| try_connect(SocketAddr::new(address.into(), *port)))
            .collect::<Result<_, _>>()?;
        let began = Instant::now();
        ports = Vec::new();
        for (connection, address) in tried {
            let left = PROOF.saturating_sub(began.elapsed());
            if is_ready(&connection, PollFlags::OUT, left)? {
                ports.push(address.port());
                fillers.push(connection);
            }
        }
        if ports.is_empty() {
            return Ok(Some(fillers));
        }
    }
    Ok(None)
}

/// Begins to connect.
fn try_connect(address: SocketAddr) -> anyhow::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok((socket, address)),
        Err(error) => Err(error).with_context(|| address.to_string()),
    }
}

/// Waits for this time at most.
fn is_ready(socket: impl AsFd, flags: PollFlags, most: Duration) -> anyhow::Result<bool> {
    let most = Timespec::try_from(most)?;
    loop {
        match poll(&mut [PollFd::new(&socket, flags)], Some(&most)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for a socket"),
        }
    }
}

/// How many connections are in the queue, which is empty then.
fn accept_all(listener: &TcpListener) -> anyhow::Result<u64> {
    let mut accepted = 0;
    loop {
        match listener.accept() {
            Ok(_) => accepted += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(accepted),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error).context("accepting a connection"),
        }
    }
}
