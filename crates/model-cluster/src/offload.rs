//! Unit: thread of a node, one a call under way. Shares: nothing. Ends: every call is answered.

use std::time::Instant;

use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

use crate::protocol::{Answer, Task};
use crate::session::Session;
use crate::shares::Shares;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    match job.place {
        Place::Pool => handed_over(job, session).await,
        Place::Inline => Ok(inline(job)),
    }
}

/// The heartbeat runs in the thread that receives the answers, between two of them.
async fn handed_over(job: &Job, session: &mut Session) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut next = Instant::now() + job.heartbeat();
    let calls = (0..job.calls).map(|_| Task::Offload(job.clone()));
    let mut workers = Shares::deal(session, calls).await?;
    let mut done = Vec::with_capacity(job.calls);
    while !workers.is_done() {
        if workers.answer_by(Some(next)).await?.is_some() {
            done.push(started.elapsed());
        }
        if Instant::now() >= next {
            heartbeat.tick();
            next = Instant::now() + job.heartbeat();
        }
    }
    Ok(heartbeat.outcome(done))
}

/// The mistake to show: the thread of the heartbeat makes the blocking calls.
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
