//! Unit: task. Shares: an `Arc` of the job, the counts and the latch. Ends: every task
//! is awaited.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What a sleeper does not have to have for itself: a million of them would each be
/// larger by it.
struct Shared {
    job: Job,
    started: Instant,
    tally: Tally,
    latch: Notify,
}

pub async fn run(job: Job) -> Result<Outcome> {
    let units = job.units;
    let shared = Arc::new(Shared {
        job,
        started: Instant::now(),
        tally: Tally::default(),
        latch: Notify::new(),
    });
    let mut workers = Vec::with_capacity(units);
    for _ in 0..units {
        let shared = shared.clone();
        workers.push(tokio::spawn(async move {
            {
                let mut open = pin!(shared.latch.notified());
                // From now on it hears of it.
                open.as_mut().enable();
                if shared.tally.began(shared.job.units) {
                    shared.tally.stand(shared.started.elapsed());
                    shared.latch.notify_waiters();
                }
                open.await;
            }
            let mut sleep = pin!(sleep(shared.job.wait()));
            sleep.as_mut().await;
            // The timer knows when it was due.
            shared.tally.woke(sleep.deadline().into_std());
        }));
    }
    crate::join_all(workers).await?;
    Ok(shared.tally.outcome())
}
