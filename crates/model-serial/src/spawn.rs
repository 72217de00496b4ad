//! Unit: none, a call. Shares: nothing. Ends: the last call returns.
//!
//! Nothing has to be handed over, so a reply over a channel is what the call returns.

use std::ops::Range;

use suite::Result;
use suite::spawn::{Alive, Batch, Job, Outcome, answer};

pub fn run(job: &Job) -> Result<Outcome> {
    let alive = Alive::new(job);
    let mut sum = 0u64;
    for batch in job.batches() {
        sum = sum.wrapping_add(start(batch.first_units(), batch, &alive));
    }
    Ok(alive.outcome(job, sum))
}

/// Calls these units, and adds up what they answer.
fn start(units: Range<u64>, batch: Batch, alive: &Alive) -> u64 {
    units
        .map(|unit| perform(unit, batch, alive))
        .fold(0, u64::wrapping_add)
}

/// What each unit does.
fn perform(unit: u64, batch: Batch, alive: &Alive) -> u64 {
    let _living = alive.begin();
    answer(unit).wrapping_add(start(batch.children(unit), batch, alive))
}
