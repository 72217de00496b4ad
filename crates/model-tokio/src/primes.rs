//! Unit: task. Shares: the chunks still to search. Ends: the `JoinSet` drains.

use std::sync::{Arc, Mutex, PoisonError};

use suite::Result;
use suite::primes::{Job, Outcome, count};
use tokio::task::{JoinSet, yield_now};

pub async fn run(job: Job) -> Result<Outcome> {
    let chunks = Arc::new(Mutex::new(job.chunks()));
    let next = move || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut workers = JoinSet::new();
    for _ in 0..job.workers {
        let next = next.clone();
        workers.spawn(async move {
            let mut primes = 0;
            while let Some(chunk) = next() {
                primes += count(chunk);
                // A task that only computes has to let others on by itself.
                yield_now().await;
            }
            primes
        });
    }
    let count = workers.join_all().await.into_iter().sum();
    Ok(Outcome { count })
}
