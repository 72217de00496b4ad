//! Unit: task. Shares: `Arc` of a `Mutex` or `AtomicU64`. Ends: the `JoinSet`
//! drains.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use suite::counter::{Guard, Job, Outcome};
use suite::{PhaseClock, Result};
use tokio::task::JoinSet;

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
    let mut workers = JoinSet::new();
    for _ in 0..job.workers {
        let add = add.clone();
        workers.spawn(clock.clone().timed(async move {
            for _ in 0..increments {
                add();
            }
        }));
    }
    clock.started();
    workers.join_all().await;
}

/// The guard crosses an await: the lock has to be the runtime's own.
async fn count_across_await(job: &Job, clock: &Arc<PhaseClock>) -> u64 {
    let counter = Arc::new(tokio::sync::Mutex::new(0));
    let increments = job.increments;
    let mut workers = JoinSet::new();
    for _ in 0..job.workers {
        let counter = Arc::clone(&counter);
        workers.spawn(clock.clone().timed(async move {
            for _ in 0..increments {
                let mut total = counter.lock().await;
                tokio::task::yield_now().await;
                *total += 1;
            }
        }));
    }
    clock.started();
    workers.join_all().await;
    let total = counter.lock().await;
    *total
}
