use std::path::PathBuf;

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
    /// from it (`PROGRAM worker`), and a run its origin (`PROGRAM origin`) or the
    /// server of `echo` (`PROGRAM echo-server`).
    pub program: PathBuf,
}

impl Setup {
    /// Blocking calls at once, unless the command line says otherwise. More
    /// than any workload's preset needs, and small enough for children to
    /// stand in for the threads.
    pub const BLOCKING_THREADS: usize = 64;

    /// The most that [`Setup::blocking_threads`] can be: the cap that the
    /// `blocking` crate, under smol and async-std, has unless its environment
    /// says otherwise.
    pub const MOST_BLOCKING_THREADS: usize = 500;

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
            | Workload::Echo => job.units(),
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
