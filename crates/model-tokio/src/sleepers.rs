//! Unit: task. Shares: an `Arc` of the job and the counts. Ends: the `JoinSet`
//! drains.

use std::pin::pin;
use std::sync::Arc;

use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A task's memory is a multiple of 128 bytes, and here 256 do: with a copy of
/// the wait in each task it would be 384.
struct Shared {
    job: Job,
    tally: Tally,
}

pub async fn run(job: Job) -> Result<Outcome> {
    let units = job.units;
    let tally = Tally::default();
    let shared = Arc::new(Shared { job, tally });
    let mut workers = JoinSet::new();
    for _ in 0..units {
        let shared = shared.clone();
        workers.spawn(async move {
            let mut sleep = pin!(sleep(shared.job.wait()));
            shared.tally.began();
            sleep.as_mut().await;
            // The timer knows when it was due.
            shared.tally.woke(sleep.deadline().into_std());
        });
    }
    workers.join_all().await;
    Ok(shared.tally.outcome())
}
