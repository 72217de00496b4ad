//! Unit: task. Shares: an `Arc` of the job, the counts and the latch. Ends: every task
//! is awaited.

use std::sync::Arc;
use std::time::Instant;

use async_std::task;
use event_listener::Event;
use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};

/// What a sleeper does not have to have for itself: a million of them would each be
/// larger by it.
struct Shared {
    job: Job,
    started: Instant,
    tally: Tally,
    latch: Event,
}

pub async fn run(job: Job) -> Result<Outcome> {
    let units = job.units;
    let shared = Arc::new(Shared {
        job,
        started: Instant::now(),
        tally: Tally::default(),
        latch: Event::new(),
    });
    let mut workers = Vec::with_capacity(units);
    for _ in 0..units {
        let shared = shared.clone();
        // An `async fn` would have room for its arguments twice.
        workers.push(task::spawn(async move {
            // From now on it hears of it.
            let open = shared.latch.listen();
            if shared.tally.began(shared.job.units) {
                shared.tally.stand(shared.started.elapsed());
                shared.latch.notify(usize::MAX);
            }
            open.await;
            let due = Instant::now() + shared.job.wait();
            task::sleep(shared.job.wait()).await;
            shared.tally.woke(due);
        }));
    }
    crate::join_all(workers).await;
    Ok(shared.tally.outcome())
}
