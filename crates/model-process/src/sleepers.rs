//! Unit: child process. Shares: the counts, in shared memory. Ends: every child has
//! answered.

use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use suite::Result;
use suite::sleepers::{Job, Outcome};

use crate::children::Children;
use crate::worker::{self, Answer, Worker};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    // All have to wait at once: when one dies, nobody sleeps on.
    children.together(job.units, |children| {
        children.shared().sleepers.reset();
        for unit in 0..job.units {
            children.send(unit, worker::Task::Sleepers(Task(job.clone())))?;
        }
        for _ in 0..job.units {
            children.answer()?;
        }
        Ok(children.shared().sleepers.outcome())
    })
}

/// Sleep as long as this job says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task(Job);

impl Task {
    pub fn perform(self, worker: &Worker) -> Result<Answer> {
        let Self(job) = self;
        let tally = &worker.memory.sleepers;
        let due = Instant::now() + job.wait();
        tally.began();
        thread::sleep(job.wait());
        tally.woke(due);
        Ok(Answer::Done)
    }
}
