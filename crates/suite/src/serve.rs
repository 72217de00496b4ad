//! `serve`: a server of files, over HTTP/1.1 by hand.
//!
//! Shows what decides between threads and tasks for a server: requests a second, the latency
//! at a rate that does not wait for answers, connections that are open and say nothing, and
//! CPU work beside the answers.
//!
//! The server is the model's. What asks it is neutral: the load generator, a process of its
//! own, which counts what comes back. Parsing heads and forming answers is shared
//! (`http_serve`); accepting, reading, writing, timers, files that have to be waited for, and
//! the end are the model's.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use http_serve::Site;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::offload::Place;
use crate::{Invalid, Latency, Preset, Result, WrongAnswer, splitmix64};

/// The processor time of one piece of burning.
pub const BURN: Duration = Duration::from_millis(5);

/// How long the server of a job waits for a client, and the generator for an answer. Nothing
/// in a job takes that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a server waits that has no room for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// How many requests over how many connections, and what goes on beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Connections that requests go over.
    pub connections: usize,
    /// Requests in all.
    pub requests: u64,
    /// Bytes of each file.
    pub bytes: u64,
    /// Requests that are due in a second, whether or not the ones before are answered; 0 for
    /// a closed loop, in which each connection asks when it has its answer.
    pub rate: u64,
    /// Connections more that are open and say nothing.
    pub idle: usize,
    /// Pieces of CPU work of [`BURN`] each that the server starts in a second, beside the
    /// answers.
    pub burn: u64,
    /// Where these are done: where the model makes calls that block, or in units like those
    /// of the connections.
    pub place: Place,
    /// What to serve for one run. Filled in when the job is run.
    #[serde(skip)]
    pub service: Option<Arc<Service>>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests that were answered right.
    pub requests: u64,
    /// Those that were not, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Connections that were open at once.
    pub connections: u64,
    /// Idle ones among them that still were at the end.
    pub idle_alive: u64,
    /// Connections that were opened anew, as the server had closed them.
    pub reopened: u64,
    /// Whether one more request was answered, after all others.
    pub healthy: bool,
    /// Pieces of CPU work that were begun.
    pub burns_begun: u64,
    /// Those that were done.
    pub burns_done: u64,
    /// From when the connections stood until the last answer, in nanoseconds.
    pub load_ns: u64,
    /// When the last request was due, from then; 0 in a closed loop.
    pub due_ns: u64,
    /// Of that time, the generator's own processor time.
    pub generator_cpu_ns: u64,
    /// Requests that the generator sent late by its own fault.
    pub late: u64,
    /// From when a request was due until its answer was whole.
    pub latency: Latency,
}

impl Outcome {
    /// Requests a second that were due; none in a closed loop.
    pub fn offered_per_s(&self) -> Option<f64> {
        (self.due_ns > 0).then(|| self.requests as f64 / (self.due_ns as f64 / 1e9))
    }

    /// Requests a second that were answered.
    pub fn achieved_per_s(&self) -> f64 {
        self.requests as f64 / (self.load_ns.max(1) as f64 / 1e9)
    }

    /// Whether the server answered as many requests as were due, but for a twentieth; in a
    /// closed loop it always does. If not, requests wait in a queue that grows, and their
    /// latency depends on how long the load lasts.
    pub fn has_kept_up(&self) -> bool {
        const LEAST: f64 = 0.95;
        let offered = self.offered_per_s();
        offered.is_none_or(|offered| self.achieved_per_s() >= LEAST * offered)
    }
}

/// What is served, and until when: for one run of a job, or for the program `serve`.
#[derive(Debug)]
pub struct Service {
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    /// The directory.
    pub site: Site,
    /// Its path.
    pub directory: PathBuf,
    /// The most connections that are open at once. More wait until one of them ends, in the
    /// system's queue.
    pub connections: usize,
    /// How long a connection may take to send a whole head, or to take a piece of an answer.
    pub patience: Duration,
    /// CPU work beside it, if there is any.
    pub burns: Option<Burns>,
    closing: AtomicBool,
    at_close: Mutex<AtClose>,
}

/// What is to be done when the end begins; none when it has begun.
struct AtClose(Option<Vec<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for AtClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtClose")
            .field(&self.0.as_ref().map(Vec::len))
            .finish()
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Service {}

impl Service {
    /// Serves this directory to those who connect to `listener`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened; it says which.
    pub fn new(
        listener: TcpListener,
        directory: &Path,
        connections: usize,
        patience: Duration,
        burns: Option<Burns>,
    ) -> Result<Self> {
        let site = Site::open(directory);
        Ok(Self {
            address: listener.local_addr().context("no address to listen at")?,
            listener: Mutex::new(Some(listener)),
            site: site.with_context(|| format!("serving {}", directory.display()))?,
            directory: directory.to_owned(),
            connections,
            patience,
            burns,
            closing: AtomicBool::new(false),
            at_close: Mutex::new(AtClose(Some(Vec::new()))),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect to. It can be taken once: when it is dropped, what has not been
    /// accepted is turned away.
    ///
    /// # Errors
    ///
    /// When it has been taken before.
    pub fn listener(&self) -> Result<TcpListener> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener
            .take()
            .context("the listener has been taken before")
    }

    /// Begins the end: what has been asked is still answered.
    pub fn close(&self) {
        self.closing.store(true, Release);
        let mut at_close = self.at_close.lock().unwrap_or_else(PoisonError::into_inner);
        for act in at_close.0.take().into_iter().flatten() {
            act();
        }
        // For an `accept` that waits; if it cannot be reached, none does.
        drop(TcpStream::connect(self.address));
    }

    /// Whether the end has begun: a connection that was just accepted is then no client's.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    /// Has this done when the end begins, or now if it has.
    pub fn on_close(&self, act: impl FnOnce() + Send + 'static) {
        let mut at_close = self.at_close.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut at_close.0 {
            Some(acts) => acts.push(Box::new(act)),
            None => act(),
        }
    }
}

/// How long to wait when there is no room for a connection that would be accepted: out of
/// descriptors or memory, as connections end. None if the listener itself is of no use.
pub fn pause_after(error: &io::Error) -> Option<Duration> {
    match error.kind() {
        // The client was gone before it was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Some(Duration::ZERO),
        io::ErrorKind::OutOfMemory => Some(PAUSE),
        _ => match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS) => Some(PAUSE),
            _ => None,
        },
    }
}

/// Pieces of CPU work at regular intervals.
#[derive(Debug)]
pub struct Burns {
    every: Duration,
    /// Where they are done.
    pub place: Place,
    begun: AtomicU64,
    done: AtomicU64,
}

impl Burns {
    /// When each is to begin, from now on. One that is late does not put off the others.
    pub fn schedule(&self) -> impl Iterator<Item = Instant> + use<> {
        let (start, every) = (Instant::now(), self.every);
        (0..).map(move |number| start + every * number)
    }

    /// One has begun.
    pub fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// One has been done.
    pub fn end(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// Does one in this thread.
    pub fn burn(&self) {
        burn();
        self.end();
    }
}

/// Keeps this thread busy until it has used [`BURN`] more of processor time.
pub fn burn() {
    let used = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            time.tv_sec.unsigned_abs(),
            time.tv_nsec.unsigned_abs() as u32,
        )
    };
    let end = used() + BURN;
    let mut number = 0;
    while used() < end {
        for _ in 0..1_000 {
            number = black_box(splitmix64(number));
        }
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (connections, requests, bytes) = match preset {
            Preset::Article => (10, 100, 10 * 1024),
            Preset::Heavy => (64, 20_000, 1024),
        };
        Self {
            connections,
            requests,
            bytes,
            rate: 0,
            idle: 0,
            burn: 0,
            place: Place::Pool,
            service: None,
        }
    }

    /// What to serve.
    ///
    /// # Panics
    ///
    /// If it is not filled in: running a prepared job does that.
    pub fn service(&self) -> &Arc<Service> {
        self.service.as_ref().expect("a prepared job has a service")
    }

    /// The CPU work that goes on beside it, if there is any.
    pub fn burns(&self) -> Option<Burns> {
        (self.burn > 0).then(|| Burns {
            every: Duration::from_secs(1).div_f64(self.burn as f64),
            place: self.place,
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
        })
    }

    /// What the server knows of what came of it.
    pub fn outcome(&self) -> Outcome {
        let burns = self.service().burns.as_ref();
        let count = |of: fn(&Burns) -> &AtomicU64| burns.map_or(0, |burns| of(burns).load(Relaxed));
        Outcome {
            burns_begun: count(|burns| &burns.begun),
            burns_done: count(|burns| &burns.done),
            ..Outcome::default()
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.connections + self.idle
    }

    pub(crate) fn validate(&self) -> std::result::Result<(), Invalid> {
        Invalid::unless_within("connections", self.connections as u64, 1, 10_000)?;
        Invalid::unless_within("requests", self.requests, 1, 10_000_000)?;
        Invalid::unless_within("bytes", self.bytes, 0, 1 << 30)?;
        Invalid::unless_within("rate", self.rate, 0, 1_000_000)?;
        Invalid::unless_within("idle", self.idle as u64, 0, 10_000)?;
        Invalid::unless_within("burn", self.burn, 0, 1_000)
    }

    /// Connections over which nothing goes: the idle ones, and those that requests do not
    /// suffice for.
    pub fn silent(&self) -> usize {
        let asked = usize::try_from(self.requests).unwrap_or(usize::MAX);
        self.idle + self.connections.saturating_sub(asked)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        // No fewer than connections, or some of these would become silent.
        let least = self.requests.min(self.connections as u64);
        Self {
            requests: (self.requests / divisor).max(least),
            ..self.clone()
        }
    }

    /// Every request answered right, over as many connections as asked, of which the idle ones
    /// are still open; the server answers afterwards, and has done its other work.
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        let errors: Vec<_> = outcome
            .errors
            .iter()
            .map(|(kind, count)| format!("{count} times {kind}"))
            .collect();
        WrongAnswer::unless(errors.is_empty(), "errors", errors.join(", "), "none")?;
        let all = self.units() as u64;
        for (what, got, right) in [
            ("requests", outcome.requests, self.requests),
            ("connections", outcome.connections, all),
            ("idle_alive", outcome.idle_alive, self.idle as u64),
            ("burns_done", outcome.burns_done, outcome.burns_begun),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        WrongAnswer::unless(outcome.healthy, "healthy", outcome.healthy, true)?;
        // The first is due at once.
        let burnt = (outcome.burns_begun > 0) == (self.burn > 0);
        WrongAnswer::unless(burnt, "burns_begun", outcome.burns_begun, self.burn)?;
        let Latency { p50, max, .. } = outcome.latency;
        let times = p50 > 0 && p50 <= max && max <= outcome.load_ns;
        let right = format!("from 0 to {} ns", outcome.load_ns);
        WrongAnswer::unless(times, "latency", format!("{:?}", outcome.latency), right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        let due = match outcome.offered_per_s() {
            None => String::new(),
            Some(due) => format!(" of {due:.0} that were due"),
        };
        let mut text = format!(
            "{} requests answered over {} connections, {:.0} a second{due}; {}",
            outcome.requests,
            outcome.connections,
            outcome.achieved_per_s(),
            outcome.latency
        );
        if self.idle > 0 {
            text += &format!("; {} idle connections still open", outcome.idle_alive);
        }
        if self.burn > 0 {
            text += &format!("; {} pieces of CPU work beside them", outcome.burns_done);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(job: &Job) -> Outcome {
        Outcome {
            requests: job.requests,
            connections: job.units() as u64,
            idle_alive: job.idle as u64,
            healthy: true,
            burns_begun: 2 * job.burn,
            burns_done: 2 * job.burn,
            load_ns: 100,
            latency: Latency {
                p50: 1,
                p90: 1,
                p99: 2,
                p999: 2,
                max: 100,
            },
            ..Outcome::default()
        }
    }

    #[test]
    fn what_is_lost_wrong_or_left_out_is_found() {
        let job = Job {
            idle: 3,
            burn: 2,
            ..Job::preset(Preset::Article)
        };
        job.check(&right(&job)).expect("right");
        type Change = fn(&mut Outcome);
        let wrong: [(&str, Change); 8] = [
            ("errors", |of| {
                of.errors = BTreeMap::from([("another body".to_owned(), 1)])
            }),
            ("requests", |of| of.requests -= 1),
            ("connections", |of| of.connections -= 1),
            ("idle_alive", |of| of.idle_alive -= 1),
            ("burns_done", |of| of.burns_done -= 1),
            ("healthy", |of| of.healthy = false),
            ("burns_begun", |of| (of.burns_begun, of.burns_done) = (0, 0)),
            ("latency", |of| of.latency.max = of.load_ns + 1),
        ];
        for (what, change) in wrong {
            let mut outcome = right(&job);
            change(&mut outcome);
            assert_eq!(job.check(&outcome).expect_err(what).what, what);
        }
    }

    #[test]
    fn burning_takes_processor_time() {
        let burns = Job {
            burn: 10,
            ..Job::preset(Preset::Article)
        }
        .burns()
        .expect("some");
        let due: Vec<_> = burns.schedule().take(3).collect();
        assert_eq!(due[2] - due[0], 2 * Duration::from_millis(100));
        let before = Instant::now();
        burns.burn();
        // Processor time is at most the time that passes.
        assert!(before.elapsed() >= BURN);
    }
}
