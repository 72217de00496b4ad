//! Unit: child process of a pool, one a call under way. Shares: nothing. Ends:
//! every call is answered.

use std::time::Instant;

use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

use crate::pool::{Answer, Children, Chunks, Task};

pub fn run(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    match job.place {
        Place::Pool => handed_over(job, children, most),
        Place::Inline => Ok(inline(job)),
    }
}

/// The heartbeat goes on where the answers arrive, between two of them.
fn handed_over(job: &Job, children: &mut Children, most: usize) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut next = Instant::now() + job.heartbeat();
    let calls = (0..job.calls).map(|_| job.clone());
    let describe = |job: &Job| format!("a call of {:?}", job.call());
    let units = job.calls.min(most);
    let mut workers = Chunks::dispatch(children, units, calls, Task::Offload, describe)?;
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

/// The mistake: the thread of the heartbeat makes the calls.
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

pub(crate) fn perform(job: &Job) -> Answer {
    block(job, Instant::now());
    Answer::Done
}
