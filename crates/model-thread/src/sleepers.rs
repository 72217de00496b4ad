//! Unit: thread. Shares: the counts, the latch, and whether it is called off, borrowed.
//! Ends: all are joined.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Thread};
use std::time::Instant;

use suite::Result;
use suite::sleepers::{Job, Outcome, Tally};

struct Shared<'a> {
    job: &'a Job,
    tally: Tally,
    /// Held for writing until the last has begun: all that want to read go on at once.
    latch: RwLock<()>,
    starter: Thread,
    called_off: AtomicBool,
}

pub fn run(job: &Job) -> Result<Outcome> {
    crate::check_units(job.units)?;
    let started = Instant::now();
    let shared = Shared {
        job,
        tally: Tally::default(),
        latch: RwLock::default(),
        starter: thread::current(),
        called_off: AtomicBool::new(false),
    };
    let latch = shared.latch.write();
    thread::scope(|scope| {
        let mut workers = Vec::with_capacity(job.units);
        let mut start = || -> Result<()> {
            for _ in 0..job.units {
                workers.push(crate::spawn_small(scope, || sleep(&shared))?);
            }
            Ok(())
        };
        let begun = start();
        if begun.is_err() {
            shared.called_off.store(true, Relaxed);
        }
        while begun.is_ok() && !shared.tally.is_complete(job.units) {
            thread::park();
        }
        shared.tally.stand(started.elapsed());
        drop(latch);
        // The scope would not wait for those that are still on their way out.
        workers.into_iter().for_each(crate::join);
        begun
    })?;
    Ok(shared.tally.outcome())
}

fn sleep(shared: &Shared) {
    if shared.tally.began(shared.job.units) {
        shared.starter.unpark();
    }
    drop(shared.latch.read());
    if shared.called_off.load(Relaxed) {
        return;
    }
    let due = Instant::now() + shared.job.wait();
    thread::sleep(shared.job.wait());
    shared.tally.woke(due);
}
