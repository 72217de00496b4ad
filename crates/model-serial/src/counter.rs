//! Unit: none. Shares: nothing, and takes the guard all the same. Ends: the
//! loop does.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

use suite::Result;
use suite::counter::{Guard, Job, Outcome};

pub fn run(job: &Job) -> Result<Outcome> {
    let total = match job.guard {
        Guard::Lock => {
            let counter = Mutex::new(0);
            count(job, || {
                *counter.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            });
            counter.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
        Guard::Atomic => {
            let counter = AtomicU64::new(0);
            count(job, || {
                counter.fetch_add(1, Relaxed);
            });
            counter.into_inner()
        }
        Guard::Racy => {
            let counter = AtomicU64::new(0);
            // No other thread can see the counter: without `black_box`, the compiler
            // would reduce all the additions to one.
            let counter = black_box(&counter);
            count(job, || counter.store(counter.load(Relaxed) + 1, Relaxed));
            counter.load(Relaxed)
        }
        Guard::Async => {
            let counter = Mutex::new(0);
            count(job, || {
                let mut total = counter.lock().unwrap_or_else(PoisonError::into_inner);
                thread::yield_now();
                *total += 1;
            });
            counter.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
    };
    Ok(job.outcome(total))
}

fn count(job: &Job, add: impl Fn()) {
    for _ in 0..job.workers {
        for _ in 0..job.increments {
            add();
        }
    }
}
