//! Unit: thread. Shares: the counts, and whether it is called off, borrowed.
//! Ends: all are joined.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};

pub fn run(job: &Job) -> Result<Outcome> {
    crate::check_units(job.units)?;
    let tally = Tally::default();
    let called_off = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut workers = Vec::with_capacity(job.units);
        let mut start = || -> Result<()> {
            for _ in 0..job.units {
                let worker = crate::spawn_small(scope, || sleep(job, &tally, &called_off))?;
                workers.push(worker);
            }
            Ok(())
        };
        let started = start();
        if started.is_err() {
            called_off.store(true, Relaxed);
            workers.iter().for_each(|worker| worker.thread().unpark());
        }
        // The scope would not wait for those that are still on their way out.
        workers.into_iter().for_each(crate::join);
        started
    })?;
    Ok(tally.outcome())
}

/// Parks and does not `thread::sleep`: nobody could end that before its time.
fn sleep(job: &Job, tally: &Tally, called_off: &AtomicBool) {
    let due = Instant::now() + job.wait();
    tally.began();
    while !called_off.load(Relaxed) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return tally.woke(due);
        }
        thread::park_timeout(left);
    }
}
