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
    let mut heartbeat = Heartbeat::start();
    let (finished, calls) = unbounded();
    pool.in_place_scope(|workers| {
        for _ in 0..job.calls {
            let finished = finished.clone();
            workers.spawn(move |_| {
                block(job);
                // The receiver outlives the scope.
                let _ = finished.send(());
            });
        }
        drop(finished);

        let mut done = 0;
        let mut next = Instant::now() + job.heartbeat();
        loop {
            match calls.recv_deadline(next) {
                Ok(()) => done += 1,
                Err(RecvTimeoutError::Timeout) => {
                    heartbeat.tick();
                    next = Instant::now() + job.heartbeat();
                }
                Err(RecvTimeoutError::Disconnected) => break heartbeat.outcome(done),
            }
        }
    })
}

/// The mistake: the heart's own thread makes the calls.
fn inline(job: &Job) -> Outcome {
    let mut heartbeat = Heartbeat::start();
    let mut next = Instant::now() + job.heartbeat();
    for _ in 0..job.calls {
        block(job);
        if Instant::now() >= next {
            heartbeat.tick();
            next = Instant::now() + job.heartbeat();
        }
    }
    heartbeat.outcome(job.calls)
}
