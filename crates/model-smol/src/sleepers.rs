//! Unit: task. Shares: an `Arc` of the wait and the counts. Ends: every task is
//! awaited.

use std::sync::Arc;
use std::time::Duration;

use smol::{Executor, Timer};
use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};

/// What a sleeper does not have to have for itself: a million of them would each
/// be larger by it.
struct Shared {
    wait: Duration,
    tally: Tally,
}

pub async fn run(job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let shared = Arc::new(Shared {
        wait: job.wait(),
        tally: Tally::default(),
    });
    let workers: Vec<_> = (0..job.units)
        .map(|_| {
            let shared = shared.clone();
            executor.spawn(async move {
                shared.tally.began();
                // The timer says when it was due, so that nobody has to keep it.
                let due = Timer::after(shared.wait).await;
                shared.tally.woke(due);
            })
        })
        .collect();
    crate::join_all(workers).await;
    Ok(shared.tally.outcome())
}
