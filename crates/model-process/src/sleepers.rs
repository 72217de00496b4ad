//! Unit: child process. Shares: the counts and the latch, in shared memory. Ends: every
//! child has answered.

use std::sync::atomic::Ordering::Release;
use std::thread;
use std::time::{Duration, Instant};

use runner::clock::monotonic_ns;
use suite::Result;
use suite::sleepers::{Job, Outcome};

use crate::pool::{Answer, Children, Task, WorkerContext};
use crate::shm::futex::{self, Word};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    let started_ns = monotonic_ns();
    // All have to wait at once: when one dies, the others are killed and all start
    // again.
    children.run_all_or_retry(job.units, |children| {
        children.memory.sleepers.reset();
        children.memory.standing.store(0, Release);
        for unit in 0..job.units {
            children.send(unit, Task::Sleepers(job.clone(), started_ns))?;
        }
        for _ in 0..job.units {
            children.answer()?;
        }
        Ok(children.memory.sleepers.outcome())
    })
}

pub(crate) fn perform(job: &Job, started_ns: u64, context: &WorkerContext) -> Answer {
    let shared = &*context.memory;
    if shared.sleepers.began(job.units) {
        let after = monotonic_ns().saturating_sub(started_ns);
        shared.sleepers.stand(Duration::from_nanos(after));
        // If it dies before that, the parent kills the others.
        shared.standing.store(1, Release);
        shared.standing.wake(futex::ALL);
    }
    shared.standing.wait_until_at_least(1);
    let due = Instant::now() + job.wait();
    thread::sleep(job.wait());
    shared.sleepers.woke(due);
    Answer::Done
}
