//! Unit: task. Shares: for a reply over a channel, that. Ends: every task is awaited.
//!
//! A task without children has a future of its own, as that is smaller. What a task costs
//! grows with its size: with 16 bytes to answer instead of 8 it is some 30 % more.

use std::ops::Range;
use std::pin::Pin;

use suite::Result;
use suite::spawn::{Alive, Batch, Job, Outcome, Reply, answer};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

pub async fn run(job: Job) -> Result<Outcome> {
    let alive = Alive::new(&job);
    let mut sum = 0u64;
    for batch in job.batches() {
        sum = sum.wrapping_add(start(batch.first_units(), batch, alive.clone()).await);
    }
    Ok(alive.outcome(&job, sum))
}

/// Starts these units, and adds up what they answer.
///
/// In a box: a unit that has children calls it again.
fn start(
    units: Range<u64>,
    batch: Batch,
    alive: Alive,
) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    match batch.reply {
        Reply::Join => Box::pin(join(units, batch, alive)),
        Reply::Channel => Box::pin(receive(units, batch, alive)),
    }
}

async fn join(units: Range<u64>, batch: Batch, alive: Alive) -> u64 {
    let tasks: Vec<_> = units.map(|unit| spawn(unit, batch, &alive)).collect();
    let mut sum = 0u64;
    for task in tasks {
        sum = sum.wrapping_add(task.await.expect("a unit does not panic"));
    }
    sum
}

async fn receive(units: Range<u64>, batch: Batch, alive: Alive) -> u64 {
    let (replies, mut received) = unbounded_channel();
    let mut tasks = Vec::new();
    for unit in units {
        let (replies, alive) = (replies.clone(), alive.clone());
        let task = match batch.children(unit).is_empty() {
            true => tokio::spawn(async move { replies.send(leaf(unit, &alive)) }),
            false => {
                let work = perform(unit, batch, alive);
                tokio::spawn(async move { replies.send(work.await) })
            }
        };
        tasks.push(task);
    }
    drop(replies); // the tasks' own are left
    let mut sum = 0u64;
    while let Some(reply) = received.recv().await {
        sum = sum.wrapping_add(reply);
    }
    for task in tasks {
        let sent = task.await.expect("a unit does not panic");
        sent.expect("the receiver has waited for it");
    }
    sum
}

/// Starts a unit.
fn spawn(unit: u64, batch: Batch, alive: &Alive) -> JoinHandle<u64> {
    let alive = alive.clone();
    match batch.children(unit).is_empty() {
        true => tokio::spawn(async move { leaf(unit, &alive) }),
        false => tokio::spawn(perform(unit, batch, alive)),
    }
}

/// What a unit without children does.
fn leaf(unit: u64, alive: &Alive) -> u64 {
    let _living = alive.begin();
    answer(unit)
}

/// What a unit with children does.
async fn perform(unit: u64, batch: Batch, alive: Alive) -> u64 {
    let _living = alive.begin();
    let below = start(batch.children(unit), batch, alive).await;
    answer(unit).wrapping_add(below)
}
