//! Unit: task, one a call. Shares: the permits of the blocking pool. Ends:
//! every call is awaited.

use std::sync::Arc;
use std::time::Instant;

use async_lock::Semaphore;
use async_std::task;
use futures_lite::future;
use suite::Result;
use suite::offload::{Heartbeat, Job, Outcome, Place, block};

pub async fn run(job: Job, pool: Arc<Semaphore>) -> Result<Outcome> {
    let started = Instant::now();
    let mut heartbeat = Heartbeat::start();
    let calls = async {
        let mut calls = Vec::with_capacity(job.calls);
        for _ in 0..job.calls {
            let job = job.clone();
            calls.push(match job.place {
                Place::Pool => {
                    let permit = pool.acquire_arc().await;
                    task::spawn_blocking(move || {
                        let time = block(&job, started);
                        drop(permit);
                        time
                    })
                }
                // The mistake: the call keeps a worker from all other tasks.
                Place::Inline => task::spawn(async move { block(&job, started) }),
            });
        }
        crate::join_all(calls).await
    };
    let beats = async {
        loop {
            task::sleep(job.heartbeat()).await;
            heartbeat.tick();
        }
    };
    let done = future::or(calls, beats).await;
    Ok(heartbeat.outcome(done))
}
