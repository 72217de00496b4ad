//! Unit: task. Shares: `Arc` of a `Mutex` or `AtomicU64`. Ends: the `JoinSet`
//! drains.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use suite::Result;
use suite::counter::{Guard, Job, Outcome};
use tokio::task::JoinSet;

pub async fn run(job: Job) -> Result<Outcome> {
    let total = match job.guard {
        Guard::Lock => {
            // std's Mutex: the guard never crosses an await.
            let counter = Arc::new(Mutex::new(0));
            let shared = Arc::clone(&counter);
            count(&job, move || {
                *shared.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            })
            .await;
            *counter.lock().unwrap_or_else(PoisonError::into_inner)
        }
        Guard::Atomic => {
            let counter = Arc::new(AtomicU64::new(0));
            let shared = Arc::clone(&counter);
            count(&job, move || {
                shared.fetch_add(1, Relaxed);
            })
            .await;
            counter.load(Relaxed)
        }
        Guard::Racy => {
            let counter = Arc::new(AtomicU64::new(0));
            let shared = Arc::clone(&counter);
            // What another worker stores between the two is overwritten.
            count(&job, move || {
                shared.store(shared.load(Relaxed) + 1, Relaxed);
            })
            .await;
            counter.load(Relaxed)
        }
    };
    Ok(job.outcome(total))
}

async fn count(job: &Job, add: impl Fn() + Clone + Send + 'static) {
    let increments = job.increments;
    let mut workers = JoinSet::new();
    for _ in 0..job.workers {
        let add = add.clone();
        workers.spawn(async move {
            for _ in 0..increments {
                add();
            }
        });
    }
    workers.join_all().await;
}
