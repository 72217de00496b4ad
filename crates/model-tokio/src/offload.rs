//! Unit: task, one a call. Shares: nothing. Ends: the `JoinSet` drains.

use std::time::Instant;

use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub async fn run(job: Job) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let mut calls = JoinSet::new();
    for _ in 0..job.calls {
        let job = job.clone();
        match job.place {
            Place::Pool => calls.spawn_blocking(move || block(&job, started)),
            // The mistake: the call keeps a worker from all other tasks.
            Place::Inline => calls.spawn(async move { block(&job, started) }),
        };
    }

    let beats = async {
        loop {
            sleep(job.heartbeat()).await;
            heartbeat.tick();
        }
    };
    let done = tokio::select! {
        done = calls.join_all() => done,
        never = beats => never,
    };
    Ok(heartbeat.outcome(done))
}
