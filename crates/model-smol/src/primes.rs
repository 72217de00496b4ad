//! Unit: task. Shares: the chunks still to search. Ends: every task is
//! awaited.

use std::sync::{Arc, Mutex, PoisonError};

use smol::Executor;
use smol::future::yield_now;
use suite::Result;
use suite::primes::{Job, Outcome, count};

pub async fn run(job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let chunks = Arc::new(Mutex::new(job.chunks()));
    let next = move || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let workers: Vec<_> = (0..job.workers)
        .map(|_| {
            let next = next.clone();
            executor.spawn(async move {
                let mut primes = 0;
                while let Some(chunk) = next() {
                    primes += count(chunk);
                    // A task that only computes has to let others on by itself.
                    yield_now().await;
                }
                primes
            })
        })
        .collect();
    let count = crate::join_all(workers).await.into_iter().sum();
    Ok(Outcome { count })
}
