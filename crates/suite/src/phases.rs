//! Where a job's time went: starting its units, their work, joining them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::completion;

/// A job's time in three parts, which together are all of it, in nanoseconds. Reported,
/// not checked; all are 0 where no units are started.
///
/// A model of threads starts them in the job, where its user would; child processes stand
/// before, and are only sent their tasks. Units work while others are still being started:
/// when the last has begun, little may be left to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// From the job's begin until the last unit is started.
    pub start_ns: u64,
    /// From then until the last unit has done its work.
    pub work_ns: u64,
    /// From then until all units are joined.
    pub join_ns: u64,
}

/// Measures a job's [`Phases`]. It costs each unit one reading of the clock.
#[derive(Debug)]
pub struct PhaseClock {
    begin: Instant,
    started_ns: AtomicU64,
    worked_ns: AtomicU64,
}

impl PhaseClock {
    /// The job begins.
    pub fn begin() -> Self {
        Self {
            begin: Instant::now(),
            started_ns: AtomicU64::new(0),
            worked_ns: AtomicU64::new(0),
        }
    }

    /// All units have been started.
    pub fn started(&self) {
        self.started_ns.store(self.elapsed_ns(), Relaxed);
    }

    /// A unit has done its work.
    pub fn worked(&self) {
        self.worked_ns.fetch_max(self.elapsed_ns(), Relaxed);
    }

    /// The work of one unit that is a thread.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = work();
        self.worked();
        done
    }

    /// The work of one unit that is a task.
    pub async fn timed<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        let done = work.await;
        self.worked();
        done
    }

    /// All units are joined.
    pub fn phases(&self) -> Phases {
        let started = self.started_ns.load(Relaxed);
        let worked = self.worked_ns.load(Relaxed).max(started);
        Phases {
            start_ns: started,
            work_ns: worked - started,
            join_ns: self.elapsed_ns() - worked,
        }
    }

    fn elapsed_ns(&self) -> u64 {
        completion::nanoseconds(self.begin.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_are_all_of_the_time() {
        let clock = PhaseClock::begin();
        clock.worked(); // a unit that is done before the last is started
        let before = clock.elapsed_ns();
        clock.started();
        let early = clock.phases();
        assert!(early.start_ns >= before);
        assert_eq!(early.work_ns, 0);
        let done = clock.time(|| clock.elapsed_ns());
        let Phases {
            start_ns,
            work_ns,
            join_ns,
        } = clock.phases();
        assert_eq!(start_ns, early.start_ns);
        assert!(start_ns + work_ns >= done);
        assert!(start_ns + work_ns + join_ns <= clock.elapsed_ns());
    }
}
