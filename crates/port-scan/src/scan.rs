//! Which port is next, and what came of each.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::vec;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::Ports;

/// A scan under way, of the ports that `I` gives.
#[derive(Debug)]
pub struct Scan<I = vec::IntoIter<u16>> {
    host: IpAddr,
    /// Ports that have not been tried.
    left: I,
    /// What is to be tried again.
    again: Vec<Attempt>,
    limit: usize,
    retries: u32,
    in_flight: usize,
    most_at_once: usize,
    is_stopped: bool,
    found: Found,
}

/// One attempt to connect to a port. It goes back to the scan with what came of it.
#[derive(Debug)]
pub struct Attempt {
    address: SocketAddr,
    /// How many attempts at this port have timed out before.
    timed_out: u32,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Came {
    /// There is a connection, from this local address.
    Connected(SocketAddr),
    /// The host has refused it.
    Refused,
    /// There was no answer in time.
    TimedOut,
    /// The system has no descriptor, port or memory for another socket.
    NoRoom(io::Error),
    /// Something else went wrong.
    Failed(io::Error),
}

/// What is known of the ports. All of it can be added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Ports that connections were made to, in the order in which that was found.
    pub open: Vec<u16>,
    /// Ports that refuse connections.
    pub closed: Vec<u16>,
    /// Ports from which nothing has come in time, at any attempt.
    pub filtered: Vec<u16>,
    /// Ports that could not be tried.
    pub failed: Vec<Failure>,
    /// Attempts to connect, without those that the system had no room for.
    pub attempts: u64,
    /// The most attempts that were under way at once.
    pub most_at_once: u64,
    /// By how much the limit was lowered, as the system had no room for more.
    pub lowered: u64,
}

/// A port that could not be tried, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The port.
    pub port: u16,
    /// What the system says.
    pub reason: String,
}

impl Scan {
    /// Of these ports of a host, with at most `limit` attempts under way at once, and `retries`
    /// more for a port from which nothing comes in time.
    pub fn new(host: IpAddr, ports: &Ports, limit: usize, retries: u32) -> Self {
        let ports: Vec<_> = ports.iter().collect();
        Self::of(host, ports.into_iter(), limit, retries)
    }
}

impl<I: Iterator<Item = u16>> Scan<I> {
    /// The same of ports that are taken as they are tried: others may take from them, too.
    pub fn of(host: IpAddr, ports: I, limit: usize, retries: u32) -> Self {
        Self {
            host,
            left: ports,
            again: Vec::new(),
            limit,
            retries,
            in_flight: 0,
            most_at_once: 0,
            is_stopped: false,
            found: Found::default(),
        }
    }

    /// What to try next. None if as many are under way as may be, or nothing is left.
    ///
    /// Who has no attempt under way then can end: for each that may be necessary later, one is
    /// under way, and who tells what came of it gets the next.
    pub fn next_attempt(&mut self) -> Option<Attempt> {
        if self.is_stopped || self.in_flight >= self.limit {
            return None;
        }
        let fresh = |port| Attempt {
            address: SocketAddr::new(self.host, port),
            timed_out: 0,
        };
        let attempt = self.left.next().map(fresh).or_else(|| self.again.pop())?;
        self.in_flight += 1;
        if self.in_flight > self.most_at_once {
            self.most_at_once = self.in_flight;
            self.found.most_at_once += 1;
        }
        Some(attempt)
    }

    /// Takes what came of an attempt. Its socket has to be closed by then.
    pub fn came(&mut self, attempt: Attempt, came: Came) {
        self.in_flight -= 1;
        let port = attempt.address.port();
        match came {
            Came::NoRoom(_) if self.in_flight > 0 => {
                self.found.lowered += (self.limit - self.in_flight) as u64;
                self.limit = self.in_flight;
                self.again.push(attempt);
                return;
            }
            // A closed port that was also the one it was connected from: both ends of the
            // connection are the same socket.
            Came::Connected(local) if local == attempt.address => self.found.closed.push(port),
            Came::Connected(_) => self.found.open.push(port),
            Came::Refused => self.found.closed.push(port),
            Came::TimedOut if attempt.timed_out < self.retries => self.again.push(Attempt {
                timed_out: attempt.timed_out + 1,
                ..attempt
            }),
            Came::TimedOut => self.found.filtered.push(port),
            // There is none under way whose end would make room.
            Came::NoRoom(error) | Came::Failed(error) => self.found.failed.push(Failure {
                port,
                reason: error.to_string(),
            }),
        }
        self.found.attempts += 1;
    }

    /// Nothing is next from now on.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// What is known so far.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// What has come to be known since this was called last. All of it together is what is
    /// known.
    pub fn take_found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Adds what others have found, of ports that this scan does not have.
    pub fn add(&mut self, found: Found) {
        self.found.add(found);
    }
}

impl Attempt {
    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Came {
    /// Of a connect that gave this local address, or failed. One that was given up is
    /// [`ErrorKind::TimedOut`].
    pub fn of(connected: io::Result<SocketAddr>) -> Self {
        let error = match connected {
            Ok(local) => return Came::Connected(local),
            Err(error) => error,
        };
        match (error.kind(), Errno::from_io_error(&error)) {
            (ErrorKind::ConnectionRefused, _) => Came::Refused,
            (ErrorKind::TimedOut, _) => Came::TimedOut,
            (_, Some(errno)) if NO_ROOM.contains(&errno) => Came::NoRoom(error),
            _ => Came::Failed(error),
        }
    }
}

/// Errors that are gone when other sockets have been closed. `ADDRNOTAVAIL` is that all
/// ports to connect from are in use.
const NO_ROOM: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::ADDRNOTAVAIL,
];

impl Found {
    /// How many ports a state is known of.
    pub fn ports(&self) -> usize {
        self.open.len() + self.closed.len() + self.filtered.len() + self.failed.len()
    }

    /// Adds what others have found.
    pub fn add(&mut self, other: Found) {
        self.open.extend(other.open);
        self.closed.extend(other.closed);
        self.filtered.extend(other.filtered);
        self.failed.extend(other.failed);
        self.attempts += other.attempts;
        self.most_at_once += other.most_at_once;
        self.lowered += other.lowered;
    }
}
