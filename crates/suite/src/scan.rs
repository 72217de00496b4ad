//! `scan`: which TCP ports of a host are open, as connecting to each of them tells.
//!
//! Shows what many short connects cost that are refused at once, and how well those overlap from
//! which nothing comes: each of them takes as long as the model is to wait for it.
//!
//! The host is none of the models. It holds some ports open; others are *filtered*: whatever
//! comes to them is dropped. All its other ports refuse connections. Which port is next, how
//! often it is tried and what state it is in is shared ([`port_scan`]); units, connecting, giving
//! up in time and the end are the model's.

use std::fmt;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use port_scan::{Attempt, Came, Failure, Found, Malformed, Ports, Scan};
use rustix::net::getsockname;
use rustix::net::sockopt::set_socket_linger;
use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer};

/// Of this number of ports, one may be given up although it would have answered: a machine can be
/// so busy that a connection stands only when its time is over.
const PORTS_A_MISSED_ONE: usize = 100;

/// Which ports there are, and how they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The ports to scan, like `22,80,8000-8100`.
    pub ports: Ports,
    /// How many of them accept connections.
    pub open: usize,
    /// How many of them drop whatever comes.
    pub filtered: usize,
    /// The most attempts to connect that are under way at once.
    pub limit: usize,
    /// How long an attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often a port is tried again from which nothing came in time.
    pub retries: u32,
    /// What is scanned. Filled in when the job is prepared.
    #[serde(skip)]
    pub host: Option<Host>,
    /// Without a look at how many attempts the system has under way.
    #[serde(skip)]
    pub unwatched: bool,
}

/// A host: its address, and the ports that do not refuse connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// An address of this machine that no other job has.
    pub address: IpAddr,
    /// Ports that accept connections.
    pub open: Ports,
    /// Ports that drop whatever comes.
    pub filtered: Ports,
}

/// What the host and the system have seen of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Connections that the host has accepted.
    pub accepted: u64,
    /// The most that it has accepted at one port.
    pub most_at_a_port: u64,
    /// The most attempts that waited for an answer at once, as far as the system was looked at:
    /// not while the job was timed.
    pub most_waiting: u64,
    /// Ports that others have opened at all addresses of this machine: they are not judged.
    pub left_out: Ports,
    /// The host's processor time, in nanoseconds: it is no part of the model.
    pub cpu_ns: u64,
}

/// The state of every port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Ports with a state, each as often as it was found to be in one.
    pub ports: u64,
    /// Those that accept connections.
    pub open: Ports,
    /// Those that refuse them.
    pub closed: Ports,
    /// Those from which nothing has come in time.
    pub filtered: Ports,
    /// Those that could not be tried.
    pub failed: Vec<Failure>,
    /// Attempts to connect.
    pub attempts: u64,
    /// The most that were under way at once.
    pub most_at_once: u64,
    /// By how much the limit was lowered, as the system had no room for more.
    pub lowered: u64,
    /// Units that were lost in the middle, and whose ports were then scanned again.
    pub restarts: u64,
    /// What the other side has seen. Filled in when the answer is checked.
    pub seen: Seen,
}

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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    scan: Scan,
    is_stopped: bool,
    at_stop: AtStop,
    restarts: u64,
}

/// What is to be done when the scan is stopped.
#[derive(Default)]
struct AtStop(Vec<Box<dyn FnOnce() + Send>>);

impl fmt::Debug for AtStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtStop").field(&self.0.len()).finish()
    }
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
        let scan = Scan::new(host, &ports, limit, retries);
        Arc::new(Self {
            host,
            ports,
            limit,
            timeout,
            retries,
            state: Mutex::new(State {
                scan,
                is_stopped: false,
                at_stop: AtStop::default(),
                restarts: 0,
            }),
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
        self.state().scan.next_attempt()
    }

    /// Takes what came of an attempt: the local address of the connection, which is closed by now
    /// (see [`hang_up`]), or why there is none. One that was given up is
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// A connect that was done in time is not given up, even if the unit is late to see it: what is
    /// there counts, so the socket is looked at before the clock.
    pub fn came(&self, attempt: Attempt, connected: io::Result<SocketAddr>) {
        self.state().scan.came(attempt, Came::of(connected));
    }

    /// What is known so far.
    pub fn found(&self) -> Found {
        self.state().scan.found().clone()
    }

    /// Adds what others have found: for the parent, which scans no port itself.
    pub fn add(&self, found: Found) {
        self.state().scan.add(found);
    }

    /// A unit was lost in the middle, and its ports will be scanned again.
    pub fn restarted(&self) {
        self.state().restarts += 1;
    }

    /// No further attempt begins; the scan ends with those under way.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        state.scan.stop();
        let acts = mem::take(&mut state.at_stop.0);
        drop(state);
        acts.into_iter().for_each(|act| act());
    }

    /// Has this done when the scan is stopped, or now if it is.
    pub fn on_stop(&self, act: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        if state.is_stopped {
            drop(state);
            return act();
        }
        state.at_stop.0.push(Box::new(act));
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// What came of it all.
    pub fn outcome(&self) -> Outcome {
        let state = self.state();
        let found = state.scan.found().clone();
        Outcome {
            ports: found.ports() as u64,
            open: found.open.into_iter().collect(),
            closed: found.closed.into_iter().collect(),
            filtered: found.filtered.into_iter().collect(),
            failed: found.failed,
            attempts: found.attempts,
            most_at_once: found.most_at_once,
            lowered: found.lowered,
            restarts: state.restarts,
            seen: Seen::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Locked for every port, and for tens of nanoseconds: connecting takes a hundred
        // times as long.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (last, open, limit) = match preset {
            Preset::Article => (1_024, 10, 100),
            Preset::Heavy => (u16::MAX, 50, 512),
        };
        Self {
            ports: [1..=last].into_iter().collect(),
            open,
            filtered: 0,
            limit,
            timeout_ms: 1_000,
            retries: 1,
            host: None,
            unwatched: false,
        }
    }

    /// What is scanned.
    ///
    /// # Panics
    ///
    /// If the host is not filled in: preparing a job does that.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("a prepared scan has a host")
    }

    /// A scan for one run.
    pub fn service(&self) -> Arc<Service> {
        Service::new(
            self.host().address,
            self.ports.clone(),
            self.limit,
            Duration::from_millis(self.timeout_ms),
            self.retries,
        )
    }

    pub(crate) fn units(&self) -> usize {
        self.limit.min(self.ports.len())
    }

    /// How often a port is tried from which nothing comes.
    fn tries(&self) -> u64 {
        u64::from(self.retries) + 1
    }

    /// The time that filtered ports take if this many attempts wait at once, and nothing else
    /// takes any: it cannot be less.
    pub fn ideal_wait(&self, at_once: usize) -> Duration {
        let filtered = (self.host.as_ref()).map_or(self.filtered, |host| host.filtered.len());
        let attempts = filtered as u64 * self.tries();
        let rounds = attempts.div_ceil(at_once.max(1) as u64);
        Duration::from_millis(rounds * self.timeout_ms)
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        let ports = self.ports.len() as u64;
        if self.ports.is_empty() {
            return Err(Invalid::new("ports", "", "has to be like 22,80,8000-8100"));
        }
        Invalid::unless_within("open", self.open as u64, 0, ports.min(10_000))?;
        let most_filtered = ports.min(10_000) - self.open as u64;
        Invalid::unless_within("filtered", self.filtered as u64, 0, most_filtered)?;
        Invalid::unless_within("limit", self.limit as u64, 1, 10_000)?;
        Invalid::unless_within("timeout_ms", self.timeout_ms, 1, 600_000)?;
        Invalid::unless_within("retries", u64::from(self.retries), 0, 10)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let divisor = usize::try_from(divisor).unwrap_or(usize::MAX);
        let ports: Ports = (self.ports.iter())
            .take((self.ports.len() / divisor).max(1))
            .collect();
        let open = (self.open / divisor).max(self.open.min(1));
        // Of one port, none can be both.
        let filtered = (self.filtered / divisor).max(self.filtered.min(ports.len() - open));
        Self {
            ports,
            open,
            filtered,
            ..self.clone()
        }
    }

    /// Each port has its state, and was tried as often as it may be; and never were more attempts
    /// under way than the limit.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let (host, seen) = (self.host(), &outcome.seen);
        let judged = |ports: &Ports| ports.without(&seen.left_out);
        let missed = judged(&outcome.filtered.without(&host.filtered));
        let others = host.open.iter().chain(host.filtered.iter()).collect();
        for (what, got, right) in [
            ("open", &outcome.open, &host.open),
            ("closed", &outcome.closed, &self.ports.without(&others)),
            ("filtered", &outcome.filtered, &host.filtered),
        ] {
            let (got, right) = (judged(got), judged(right));
            WrongAnswer::unless(
                got.without(&missed) == right.without(&missed),
                what,
                &got,
                &right,
            )?;
        }
        let failed = outcome.failed.first();
        let failed = failed.map(|failure| format!("port {}: {}", failure.port, failure.reason));
        let is_right = failed.is_none();
        WrongAnswer::unless(is_right, "failed", failed.unwrap_or_default(), "none")?;
        let ports = self.ports.len() as u64;
        WrongAnswer::unless(outcome.ports == ports, "ports", outcome.ports, ports)?;
        let least = ports + outcome.filtered.len() as u64 * u64::from(self.retries);
        let most = self.tries() * (1 + outcome.restarts);
        let open = host.open.without(&missed).len() as u64;
        for (what, got, least, most) in [
            (
                "missed",
                missed.len() as u64,
                0,
                ports / PORTS_A_MISSED_ONE as u64,
            ),
            ("attempts", outcome.attempts, least, ports * most),
            ("most_at_once", outcome.most_at_once, 1, self.limit as u64),
            ("most_waiting", seen.most_waiting, 0, self.limit as u64),
            ("accepted", seen.accepted, open, self.open as u64 * most),
            ("most_at_a_port", seen.most_at_a_port, open.min(1), most),
        ] {
            let is_within = (least..=most).contains(&got);
            let right = format!("from {least} to {most}");
            WrongAnswer::unless(is_within, what, got, right)?;
        }
        Ok(())
    }

    /// A scan that took `elapsed` has not waited less for filtered ports than it has to.
    pub fn check_wait(&self, elapsed: Duration) -> Result<(), WrongAnswer> {
        let ideal = self.ideal_wait(self.limit);
        let (got, right) = (format!("{elapsed:.3?}"), format!("at least {ideal:.3?}"));
        WrongAnswer::unless(elapsed >= ideal, "elapsed", got, right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let mut text = format!(
            "{} ports: {} open, {} closed, {} filtered; {:.0} a second; at most {} at once",
            outcome.ports,
            outcome.open.len(),
            outcome.closed.len(),
            outcome.filtered.len(),
            outcome.ports as f64 / elapsed.as_secs_f64().max(1e-9),
            outcome.most_at_once,
        );
        let ideal = self.ideal_wait(self.limit);
        if !ideal.is_zero() {
            let times = elapsed.div_duration_f64(ideal);
            text += &format!("; {times:.2} times the ideal wait of {ideal:.1?}");
        }
        if outcome.lowered > 0 {
            text += &format!("; the limit was lowered by {}", outcome.lowered);
        }
        text
    }
}
