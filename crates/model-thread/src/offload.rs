//! Unit: thread of a pool, one a call under way. Shares: a channel of results.
//! Ends: the channel closes.

use std::time::Instant;

use crossbeam_channel::{RecvTimeoutError, unbounded};
use rayon::ThreadPool;
use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

pub fn run(job: &Job, pool: &ThreadPool) -> Result<Outcome> {
    match job.place {
        Place::Pool => Ok(handed_over(job, pool)),
        Place::Inline => Ok(inline(job)),
    }
}

fn handed_over(job: &Job, pool: &ThreadPool) -> Outcome {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let (finished, calls) = unbounded();
    pool.in_place_scope(|workers| {
        for _ in 0..job.calls {
            let finished = finished.clone();
            workers.spawn(move |_| {
                // The receiver outlives the scope.
                let _ = finished.send(block(job, started));
            });
        }
        drop(finished);

        let mut done = Vec::with_capacity(job.calls);
        let mut next = Instant::now() + job.heartbeat();
        loop {
            match calls.recv_deadline(next) {
                Ok(time) => done.push(time),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break heartbeat.outcome(done),
            }
            // Also while one answer follows the other.
            if Instant::now() >= next {
                heartbeat.tick();
                next = Instant::now() + job.heartbeat();
            }
        }
    })
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
