//! Unit: none. Shares: nothing. Ends: the only wait does.

use std::thread;
use std::time::Instant;

use suite::sleepers::{Job, Outcome, Tally};
use suite::{Result, Unsupported};

/// Waits that follow each other are not at once: more than one is refused.
pub fn run(job: &Job) -> Result<Outcome> {
    if job.units > 1 {
        let text = "one thing after the other: no two can wait at once";
        return Err(Unsupported(text.to_owned()).into());
    }
    let tally = Tally::default();
    let started = Instant::now();
    tally.began(1);
    tally.stand(started.elapsed());
    let due = Instant::now() + job.wait();
    thread::sleep(job.wait());
    tally.woke(due);
    Ok(tally.outcome())
}
