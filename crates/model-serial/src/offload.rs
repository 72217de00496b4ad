//! Unit: none. Shares: its thread, with the heart. Ends: the last call does.

use std::time::Instant;

use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, block};

/// There is nobody to hand a call over to: each blocks the heart, whatever
/// `place` says.
pub fn run(job: &Job) -> Result<Outcome> {
    let mut heartbeat = Heartbeat::start();
    let mut next = Instant::now() + job.heartbeat();
    for _ in 0..job.calls {
        block(job);
        if Instant::now() >= next {
            heartbeat.tick();
            next = Instant::now() + job.heartbeat();
        }
    }
    Ok(heartbeat.outcome(job.calls))
}
