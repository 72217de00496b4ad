//! Unit: child process. Shares: the counts, in shared memory. Ends: every child has
//! answered.

use std::thread;
use std::time::Instant;

use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};

use crate::pool::{Answer, Children, Task, WorkerContext};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    // All have to wait at once: when one dies, the others are killed and all start
    // again.
    children.run_all_or_retry(job.units, |children| {
        children.memory.sleepers.reset();
        for unit in 0..job.units {
            children.send(unit, Task::Sleepers(job.clone()))?;
        }
        for _ in 0..job.units {
            children.answer()?;
        }
        Ok(children.memory.sleepers.outcome())
    })
}

pub(crate) fn perform(job: &Job, context: &WorkerContext) -> Answer {
    sleep(job, &context.memory.sleepers);
    Answer::Done
}

fn sleep(job: &Job, tally: &Tally) {
    let due = Instant::now() + job.wait();
    tally.began();
    thread::sleep(job.wait());
    tally.woke(due);
}
