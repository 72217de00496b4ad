//! Unit: none. Shares: its thread, with the heartbeat. Ends: the last call does.

use std::time::Instant;

use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, block};

/// There is no pool to hand a call over to: each blocks the heartbeat, whatever
/// `place` says.
pub fn run(job: &Job) -> Result<Outcome> {
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
    Ok(heartbeat.outcome(done))
}
