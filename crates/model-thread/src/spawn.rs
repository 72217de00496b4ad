//! Unit: thread. Shares: for a reply over a channel, that. Ends: the scope joins.

use std::ops::Range;
use std::sync::mpsc::channel;
use std::thread;

use suite::Result;
use suite::spawn::{Alive, Batch, Job, Outcome, Reply, answer};

pub fn run(job: &Job) -> Result<Outcome> {
    crate::check_units(job.batch)?;
    let alive = Alive::new(job);
    let mut sum = 0u64;
    for batch in job.batches() {
        sum = sum.wrapping_add(start(batch.first_units(), batch, &alive)?);
    }
    Ok(alive.outcome(job, sum))
}

/// Starts these units, and adds up what they answer.
fn start(units: Range<u64>, batch: Batch, alive: &Alive) -> Result<u64> {
    match batch.reply {
        Reply::Join => join(units, batch, alive),
        Reply::Channel => receive(units, batch, alive),
    }
}

fn join(units: Range<u64>, batch: Batch, alive: &Alive) -> Result<u64> {
    thread::scope(|scope| {
        let threads = units
            .map(|unit| crate::spawn_small(scope, move || perform(unit, batch, alive)))
            .collect::<Result<Vec<_>>>()?;
        let mut sum = 0u64;
        for thread in threads {
            sum = sum.wrapping_add(crate::join(thread)?);
        }
        Ok(sum)
    })
}

fn receive(units: Range<u64>, batch: Batch, alive: &Alive) -> Result<u64> {
    let (replies, received) = channel();
    thread::scope(|scope| {
        for unit in units {
            let replies = replies.clone();
            crate::spawn_small(scope, move || {
                // The receiver has gone if a thread could not be started.
                let _ = replies.send(perform(unit, batch, alive));
            })?;
        }
        drop(replies); // the threads' own are left
        let mut sum = 0u64;
        for reply in received {
            sum = sum.wrapping_add(reply?);
        }
        Ok(sum)
    })
}

/// What each unit does.
fn perform(unit: u64, batch: Batch, alive: &Alive) -> Result<u64> {
    let _living = alive.begin();
    let children = batch.children(unit);
    let below = match children.is_empty() {
        true => 0,
        false => start(children, batch, alive)?,
    };
    Ok(answer(unit).wrapping_add(below))
}
