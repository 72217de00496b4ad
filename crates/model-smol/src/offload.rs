//! Unit: task, one a call. Shares: nothing. Ends: every call is awaited.

use std::sync::Arc;
use std::time::Instant;

use smol::{Executor, Timer, future, unblock};
use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

pub async fn run(job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut calls = Vec::with_capacity(job.calls);
    for _ in 0..job.calls {
        let job = job.clone();
        calls.push(match job.place {
            Place::Pool => unblock(move || block(&job, started)),
            // The mistake: the call keeps a worker from all other tasks.
            Place::Inline => executor.spawn(async move { block(&job, started) }),
        });
    }

    let beats = async {
        loop {
            Timer::after(job.heartbeat()).await;
            heartbeat.tick();
        }
    };
    let done = future::or(crate::join_all(calls), beats).await;
    Ok(heartbeat.outcome(done))
}
