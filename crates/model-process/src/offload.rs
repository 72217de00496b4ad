//! Unit: child process of a pool, one a call under way. Shares: nothing. Ends:
//! every call is answered.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

use crate::children::Children;
use crate::worker::{self, Answer};

pub fn run(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    match job.place {
        Place::Pool => handed_over(job, children, most),
        Place::Inline => Ok(inline(job)),
    }
}

/// The heart beats where the answers arrive, between two of them.
fn handed_over(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut next = Instant::now() + job.heartbeat();
    let calls = (0..job.calls).map(|_| Task(job.clone()));
    let mut workers = children.deal(job.calls.min(most), calls, worker::Task::Offload)?;
    let mut done = Vec::with_capacity(job.calls);
    while !workers.is_done() {
        if workers.answer(Some(next))?.is_some() {
            done.push(started.elapsed());
        }
        if Instant::now() >= next {
            heartbeat.tick();
            next = Instant::now() + job.heartbeat();
        }
    }
    Ok(heartbeat.outcome(done))
}

/// The mistake: the heart's own thread makes the calls.
fn inline(job: &Job) -> Outcome {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut next = Instant::now() + job.heartbeat();
    let mut done = Vec::with_capacity(job.calls);
    for _ in 0..job.calls {
        done.push(block(job, started));
        if Instant::now() >= next {
            heartbeat.tick();
            next = Instant::now() + job.heartbeat();
        }
    }
    heartbeat.outcome(done)
}

/// Make one of this job's calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task(Job);

impl Task {
    pub fn perform(self) -> Result<Answer> {
        block(&self.0, Instant::now());
        Ok(Answer::Done)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a call of {:?}", self.0.call())
    }
}
