use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::{Job, Workload};

/// What a model is started with: the same for every model, nothing left to a
/// library's default.
///
/// Left alone, smol's global executor has one thread while tokio and async-std
/// have one a core, and the blocking pools are capped at 500 and 512: a
/// comparison of defaults would compare these.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Worker threads that tasks run on. Threads and processes are their own
    /// units and do not need it.
    pub threads: usize,
    /// The most blocking calls that may be under way at once.
    pub blocking_threads: usize,
    /// Which workload is coming: a pool that only one of them uses is not built
    /// for the others.
    pub workload: Workload,
    /// How many of the model's own units (threads, children, tasks) it needs.
    pub units: usize,
    /// The running model's own binary. The process model starts its children
    /// from it (`PROGRAM worker`), and a run its origin (`PROGRAM origin`), or the
    /// server of `echo` (`PROGRAM echo-server`) or of `datagram` (`PROGRAM datagram-server`),
    /// or the receiver of `send`.
    pub program: PathBuf,
}

impl Setup {
    /// Blocking calls at once, unless the command line says otherwise. More
    /// than any workload's preset needs, and small enough for children to
    /// stand in for the threads.
    pub const BLOCKING_THREADS: usize = 64;

    /// The most that [`Setup::blocking_threads`] can be.
    pub const MOST_BLOCKING_THREADS: usize = 500;

    /// How many blocking calls the job has under way at once, if its time is about
    /// these. Threads for them are started before the job, by every model: those of one
    /// that starts them when they are first needed would cost it a part of its first job.
    pub fn blocking_calls(&self) -> usize {
        match self.workload {
            Workload::Offload | Workload::Files | Workload::Thumbnails => self.units,
            _ => 0,
        }
    }

    /// What `job` needs, with pools of the sizes given.
    pub fn sized(
        job: &Job,
        program: impl Into<PathBuf>,
        threads: usize,
        blocking_threads: usize,
    ) -> Self {
        let workload = job.workload();
        let units = match workload {
            Workload::Offload => job.units().min(blocking_threads),
            // Work for cores: more units than threads would only take turns.
            Workload::Files | Workload::Thumbnails => job.units().min(threads),
            Workload::Counter
            | Workload::Pipeline
            | Workload::Primes
            | Workload::Exchange
            | Workload::Fetch
            | Workload::Download
            | Workload::PingPong
            | Workload::Sleepers
            | Workload::Spawn
            | Workload::Deadlines
            | Workload::Echo
            | Workload::Datagram
            | Workload::Serve
            | Workload::Proxy
            | Workload::Scan
            | Workload::Chat => job.units(),
            Workload::Send => job.units(),
        };
        Self {
            threads,
            blocking_threads,
            workload,
            units,
            program: program.into(),
        }
    }
}

/// Where blocking calls wait for each other, so that each has a thread of its own: a pool
/// that is warmed up by them has all its threads.
#[derive(Debug)]
pub struct Meeting {
    missing: Mutex<usize>,
    complete: Condvar,
}

impl Meeting {
    /// Of so many calls.
    pub fn of(calls: usize) -> Self {
        Self {
            missing: Mutex::new(calls),
            complete: Condvar::new(),
        }
    }

    /// Waits for the others; a second at most, as the system may refuse a thread.
    pub fn wait(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = missing.saturating_sub(1);
        self.complete.notify_all();
        let limit = Duration::from_secs(1);
        let met = self
            .complete
            .wait_timeout_while(missing, limit, |missing| *missing > 0);
        drop(met);
    }
}
