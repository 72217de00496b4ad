//! `serve`: a server of files, over HTTP/1.1 by hand.
//!
//! Shows what decides between threads and tasks for a server: requests a second, the latency
//! at a rate that does not wait for answers, connections that are open and say nothing, and
//! CPU work at the same time.
//!
//! The server is the model's. What asks it is neutral: the load generator, a process of its
//! own, which counts what comes back. Parsing heads and forming answers is shared
//! (`http_serve`); accepting, reading, writing, timers, files that have to be waited for, and
//! the end are the model's.

use std::hint::black_box;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_serve::Site;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::generator::Counted;
use crate::listening::Listening;
use crate::offload::Place;
use crate::{Invalid, Preset, Result, WrongAnswer, splitmix64};

/// The processor time of one piece of burning.
pub const BURN: Duration = Duration::from_millis(5);

/// How many requests over how many connections, and what else the server does.
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
    /// Pieces of CPU work of [`BURN`] each that the server starts in a second, while
    /// it answers.
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
    /// What the load generator has counted.
    #[serde(flatten)]
    pub counted: Counted,
    /// Pieces of CPU work that were begun.
    pub burns_begun: u64,
    /// Those that were done.
    pub burns_done: u64,
}

/// What is served, and until when: for one run of a job, or for the program `serve`.
#[derive(Debug)]
pub struct Service {
    /// Where, and until when.
    pub listening: Arc<Listening>,
    /// The directory.
    pub site: Site,
    /// Its path.
    pub directory: PathBuf,
    /// The most connections that are open at once. More wait until one of them ends, in the
    /// system's queue.
    pub connections: usize,
    /// How long a connection may take to send a whole head, or to take a piece of an answer.
    pub patience: Duration,
    /// CPU work at the same time, if there is any.
    pub burns: Option<Burns>,
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
            listening: Arc::new(Listening::new(listener)?),
            site: site.with_context(|| format!("serving {}", directory.display()))?,
            directory: directory.to_owned(),
            connections,
            patience,
            burns,
        })
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

    /// The CPU work at the same time, if there is any.
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

    /// Sockets and files that the server has open at once: an answer has its file.
    pub fn sockets(&self) -> usize {
        self.units() + self.connections
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
        let (begun, done) = (outcome.burns_begun, outcome.burns_done);
        outcome
            .counted
            .check(self.requests, self.connections, self.idle)?;
        WrongAnswer::unless(done == begun, "burns_done", done, begun)?;
        // The first is due at once.
        let burnt = (begun > 0) == (self.burn > 0);
        WrongAnswer::unless(burnt, "burns_begun", begun, self.burn)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        let mut text = outcome.counted.summary();
        if self.burn > 0 {
            text += &format!(
                "; {} pieces of CPU work at the same time",
                outcome.burns_done
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_not_done_is_found() {
        let job = Job {
            burn: 2,
            ..Job::preset(Preset::Article)
        };
        let right = Outcome {
            counted: Counted::right(job.requests, job.connections, job.idle),
            burns_begun: 4,
            burns_done: 4,
        };
        job.check(&right).expect("right");
        for (what, begun, done) in [("burns_done", 4, 3), ("burns_begun", 0, 0)] {
            let wrong = Outcome {
                burns_begun: begun,
                burns_done: done,
                ..right.clone()
            };
            assert_eq!(job.check(&wrong).expect_err(what).what, what);
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
