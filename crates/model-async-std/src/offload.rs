//! Unit: task, one a call. Shares: nothing. Ends: every call is awaited.

use std::time::Instant;

use async_std::task;
use futures_lite::future;
use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

pub async fn run(job: Job) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut calls = Vec::with_capacity(job.calls);
    for _ in 0..job.calls {
        let job = job.clone();
        calls.push(match job.place {
            Place::Pool => task::spawn_blocking(move || block(&job, started)),
            // The mistake: the call keeps a worker from all other tasks.
            Place::Inline => task::spawn(async move { block(&job, started) }),
        });
    }

    let beats = async {
        loop {
            task::sleep(job.heartbeat()).await;
            heartbeat.tick();
        }
    };
    let done = future::or(crate::join_all(calls), beats).await;
    Ok(heartbeat.outcome(done))
}
