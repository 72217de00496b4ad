//! Unit: task. Shares: `Arc` of a `Mutex` or `AtomicU64`. Ends: every
//! task is awaited.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use async_std::task;
use suite::counter::{Guard, Job, Outcome};
use suite::{PhaseClock, Result};

pub async fn run(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    let total = match job.guard {
        Guard::Lock => {
            // std's Mutex: the guard never crosses an await.
            let counter = Arc::new(Mutex::new(0));
            let shared = Arc::clone(&counter);
            count(&job, &clock, move || {
                *shared.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            })
            .await;
            *counter.lock().unwrap_or_else(PoisonError::into_inner)
        }
        Guard::Atomic => {
            let counter = Arc::new(AtomicU64::new(0));
            let shared = Arc::clone(&counter);
            count(&job, &clock, move || {
                shared.fetch_add(1, Relaxed);
            })
            .await;
            counter.load(Relaxed)
        }
        Guard::Racy => {
            let counter = Arc::new(AtomicU64::new(0));
            let shared = Arc::clone(&counter);
            // What another worker stores between the two is overwritten.
            count(&job, &clock, move || {
                shared.store(shared.load(Relaxed) + 1, Relaxed);
            })
            .await;
            counter.load(Relaxed)
        }
        Guard::Async => count_across_await(&job, &clock).await,
    };
    Ok(Outcome {
        phases: clock.phases(),
        ..job.outcome(total)
    })
}

async fn count(job: &Job, clock: &Arc<PhaseClock>, add: impl Fn() + Clone + Send + 'static) {
    let increments = job.increments;
    let workers: Vec<_> = (0..job.workers)
        .map(|_| {
            let add = add.clone();
            task::spawn(clock.clone().timed(async move {
                for _ in 0..increments {
                    add();
                }
            }))
        })
        .collect();
    clock.started();
    crate::join_all(workers).await;
}

/// The guard crosses an await: the lock has to be the library's own.
async fn count_across_await(job: &Job, clock: &Arc<PhaseClock>) -> u64 {
    let counter = Arc::new(async_std::sync::Mutex::new(0));
    let increments = job.increments;
    let workers: Vec<_> = (0..job.workers)
        .map(|_| {
            let counter = Arc::clone(&counter);
            task::spawn(clock.clone().timed(async move {
                for _ in 0..increments {
                    let mut total = counter.lock().await;
                    task::yield_now().await;
                    *total += 1;
                }
            }))
        })
        .collect();
    clock.started();
    crate::join_all(workers).await;
    let total = counter.lock().await;
    *total
}
