//! Unit: thread. Shares: a `Mutex` or `AtomicU64`, borrowed. Ends: all are joined.

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
            })?;
            counter.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
        Guard::Atomic => {
            let counter = AtomicU64::new(0);
            count(job, || {
                counter.fetch_add(1, Relaxed);
            })?;
            counter.into_inner()
        }
        Guard::Racy => {
            let counter = AtomicU64::new(0);
            // What another worker stores between the two is overwritten.
            count(job, || {
                counter.store(counter.load(Relaxed) + 1, Relaxed);
            })?;
            counter.into_inner()
        }
    };
    Ok(job.outcome(total))
}

fn count(job: &Job, add: impl Fn() + Sync) -> Result<()> {
    thread::scope(|workers| {
        let mut started = Vec::with_capacity(job.workers);
        for _ in 0..job.workers {
            started.push(crate::spawn(workers, || {
                for _ in 0..job.increments {
                    add();
                }
            })?);
        }
        // The scope would not wait for those that are still on their way out.
        started.into_iter().for_each(crate::join);
        Ok(())
    })
}
