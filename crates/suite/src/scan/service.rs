//! A scan that the units of a model share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use port_scan::{Attempt, Came, Found, Ports, Scan};
use rustix::net::getsockname;
use rustix::net::sockopt::set_socket_linger;

use super::{Outcome, Seen};
use crate::ending::Ending;

/// A scan: what to try, what came of it, and when to end. It is for one run of a job, or for the
/// program `scan`.
#[derive(Debug)]
pub struct Service {
    /// The host's address.
    pub host: IpAddr,
    /// Which ports of it.
    pub ports: Ports,
    /// The most attempts under way at once.
    pub limit: usize,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How often a port is tried again from which nothing came in time.
    pub retries: u32,
    scan: Mutex<Scan>,
    restarts: AtomicU64,
    end: Ending,
}

impl Service {
    /// Of these ports of a host.
    pub fn new(
        host: IpAddr,
        ports: Ports,
        limit: usize,
        timeout: Duration,
        retries: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            host,
            scan: Mutex::new(Scan::new(host, &ports, limit, retries)),
            ports,
            limit,
            timeout,
            retries,
            restarts: AtomicU64::new(0),
            end: Ending::default(),
        })
    }

    /// How many attempts can be under way at once.
    pub fn most_at_once(&self) -> usize {
        self.limit.min(self.ports.len())
    }

    /// What to try next: connect to its [address](Attempt::address), wait for at most
    /// [`timeout`](Self::timeout), close the socket ([`hang_up`]), and tell what
    /// [came](Self::came) of it.
    ///
    /// None if as many are under way as may be, or nothing is left. A unit that gets none can
    /// end, at any time: for each attempt that may be necessary later another is under way, whose
    /// unit asks again.
    pub fn next(&self) -> Option<Attempt> {
        self.scan().next_attempt()
    }

    /// Takes what came of an attempt: the local address of the connection, which is closed by now
    /// (see [`hang_up`]), or why there is none. One that was given up is
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// A connect that was done in time is not given up, even if the unit is late to see it: what is
    /// there counts, so the socket is looked at before the clock.
    pub fn came(&self, attempt: Attempt, connected: io::Result<SocketAddr>) {
        self.scan().came(attempt, Came::of(connected));
    }

    /// What is known so far.
    pub fn found(&self) -> Found {
        self.scan().found().clone()
    }

    /// Adds what others have found: for the parent, which scans no port itself.
    pub fn add(&self, found: Found) {
        self.scan().add(found);
    }

    /// A unit was lost in the middle, and its ports will be scanned again.
    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// No further attempt begins; the scan ends with those under way.
    pub fn stop(&self) {
        self.scan().stop();
        self.end.begin();
    }

    /// Has this done when the scan is stopped, or now if it is.
    pub fn on_stop(&self, act: impl FnOnce() + Send + 'static) {
        self.end.on_begin(act);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.end.has_begun()
    }

    /// What came of it all.
    pub fn outcome(&self) -> Outcome {
        let found = self.found();
        Outcome {
            ports: found.ports() as u64,
            open: found.open.into_iter().collect(),
            closed: found.closed.into_iter().collect(),
            filtered: found.filtered.into_iter().collect(),
            failed: found.failed,
            attempts: found.attempts,
            most_at_once: found.most_at_once,
            lowered: found.lowered,
            restarts: self.restarts.load(Relaxed),
            seen: Seen::default(),
        }
    }

    fn scan(&self) -> MutexGuard<'_, Scan> {
        // Locked for every port, and for tens of nanoseconds: connecting takes a hundred
        // times as long.
        self.scan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a connection closed with a reset when it is dropped, and tells its local address.
///
/// A connection that was closed in the usual way would keep its local port for a minute.
///
/// # Errors
///
/// When it has no local address.
pub fn hang_up(connection: impl AsFd) -> io::Result<SocketAddr> {
    // It fails if the other side has done it already.
    let _ = set_socket_linger(&connection, Some(Duration::ZERO));
    let local = getsockname(&connection)?;
    Ok(SocketAddr::try_from(local)?)
}
