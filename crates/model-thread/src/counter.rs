//! Unit: thread. Shares: a `Mutex` or `AtomicU64`, borrowed. Ends: all are joined.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

use suite::counter::{Guard, Job, Outcome};
use suite::{PhaseClock, Result};

pub fn run(job: &Job) -> Result<Outcome> {
    let clock = PhaseClock::begin();
    let total = match job.guard {
        Guard::Lock => {
            let counter = Mutex::new(0);
            count(job, &clock, || {
                *counter.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            })?;
            counter.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
        Guard::Atomic => {
            let counter = AtomicU64::new(0);
            count(job, &clock, || {
                counter.fetch_add(1, Relaxed);
            })?;
            counter.into_inner()
        }
        Guard::Racy => {
            let counter = AtomicU64::new(0);
            // What another worker stores between the two is overwritten.
            count(job, &clock, || {
                counter.store(counter.load(Relaxed) + 1, Relaxed);
            })?;
            counter.into_inner()
        }
        Guard::Async => {
            // A thread may wait anywhere: the lock is the same.
            let counter = Mutex::new(0);
            count(job, &clock, || {
                let mut total = counter.lock().unwrap_or_else(PoisonError::into_inner);
                thread::yield_now();
                *total += 1;
            })?;
            counter.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
    };
    Ok(Outcome {
        phases: clock.phases(),
        ..job.outcome(total)
    })
}

fn count(job: &Job, clock: &PhaseClock, add: impl Fn() + Sync) -> Result<()> {
    thread::scope(|workers| {
        let mut started = Vec::with_capacity(job.workers);
        for _ in 0..job.workers {
            started.push(crate::spawn(workers, || {
                clock.time(|| {
                    for _ in 0..job.increments {
                        add();
                    }
                });
            })?);
        }
        clock.started();
        // The scope would not wait for those that are still on their way out.
        started.into_iter().for_each(crate::join);
        Ok(())
    })
}
