//! Unit: child process, started for this and not kept. Shares: for a reply over a channel,
//! that. Ends: each after its answer; every end has been seen.

use std::env;
use std::ops::Range;

use ipc_channel::ipc;
use suite::spawn::{Alive, Batch, Job, Outcome, Reply, answer};
use suite::{Result, Unsupported};

use crate::pool::protocol::SpawnTask;
use crate::pool::{Answer, Children, Task, check_supported};

/// A child takes milliseconds to start: more than these would take many seconds.
const MOST_UNITS: u64 = 2_000;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    check_supported(job.batch)?;
    if job.units > MOST_UNITS {
        let text = format!("{MOST_UNITS} child processes at most: each takes milliseconds");
        return Err(Unsupported(text).into());
    }
    let alive = Alive::new(job);
    let mut sum = 0u64;
    for batch in job.batches() {
        // Which children of a tree are alive cannot be seen from here: all are counted.
        let living: Vec<_> = (0..batch.units()).map(|_| alive.begin()).collect();
        sum = sum.wrapping_add(start(batch.first_units(), batch, children)?);
        drop(living);
    }
    Ok(alive.outcome(job, sum))
}

/// Starts these units, and adds up what they answer. When one dies, the others are killed
/// and all start again.
fn start(units: Range<u64>, batch: Batch, children: &mut Children) -> Result<u64> {
    let count = units.clone().count();
    children.run_all_or_retry(count, |children| match batch.reply {
        Reply::Join => join(units.clone(), batch, children),
        Reply::Channel => receive(units.clone(), batch, children),
    })
}

fn join(units: Range<u64>, batch: Batch, children: &mut Children) -> Result<u64> {
    let count = units.clone().count();
    for (place, unit) in units.enumerate() {
        let task = SpawnTask {
            unit,
            batch,
            replies: None,
        };
        children.send(place, Task::Spawn(task))?;
    }
    end(count, children)
}

fn receive(units: Range<u64>, batch: Batch, children: &mut Children) -> Result<u64> {
    let count = units.clone().count();
    let (replies, received) = ipc::channel()?;
    for (place, unit) in units.enumerate() {
        let task = SpawnTask {
            unit,
            batch,
            replies: Some(replies.clone()),
        };
        children.send(place, Task::Spawn(task))?;
    }
    drop(replies); // the children's own are left
    let mut sum = 0u64;
    while let Ok(reply) = received.recv() {
        sum = sum.wrapping_add(reply);
    }
    Ok(sum.wrapping_add(end(count, children)?))
}

/// Waits for the answers to this many tasks, and until the children that gave them have
/// ended.
fn end(count: usize, children: &mut Children) -> Result<u64> {
    let mut sum = 0u64;
    for _ in 0..count {
        sum = sum.wrapping_add(children.answer()?.number()?);
    }
    children.wait_for_ends(count)?;
    Ok(sum)
}

/// What each unit does. After its answer it ends.
pub(crate) fn perform(task: SpawnTask) -> Result<Answer> {
    let mut sum = answer(task.unit);
    let below = task.batch.children(task.unit);
    if !below.is_empty() {
        let mut children = Children::new(&env::current_exe()?)?;
        sum = sum.wrapping_add(start(below, task.batch, &mut children)?);
    }
    match task.replies {
        None => Ok(Answer::Number(sum)),
        Some(replies) => {
            replies.send(sum)?;
            Ok(Answer::Number(0))
        }
    }
}
