//! Unit: task. Shares: for a reply over a channel, that. Ends: every task is awaited.
//!
//! A task without children has a future of its own, as that is smaller.

use std::ops::Range;
use std::pin::Pin;

use async_std::channel::unbounded;
use async_std::task::{self, JoinHandle};
use suite::Result;
use suite::spawn::{Alive, Batch, Job, Outcome, Reply, answer};

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
        sum = sum.wrapping_add(task.await);
    }
    sum
}

async fn receive(units: Range<u64>, batch: Batch, alive: Alive) -> u64 {
    let (replies, received) = unbounded();
    let mut tasks = Vec::new();
    for unit in units {
        let (replies, alive) = (replies.clone(), alive.clone());
        let task = match batch.children(unit).is_empty() {
            true => task::spawn(async move { replies.send(leaf(unit, &alive)).await }),
            false => {
                let work = perform(unit, batch, alive);
                task::spawn(async move { replies.send(work.await).await })
            }
        };
        tasks.push(task);
    }
    drop(replies); // the tasks' own are left
    let mut sum = 0u64;
    while let Ok(reply) = received.recv().await {
        sum = sum.wrapping_add(reply);
    }
    for task in tasks {
        task.await.expect("the receiver has waited for it");
    }
    sum
}

/// Starts a unit.
fn spawn(unit: u64, batch: Batch, alive: &Alive) -> JoinHandle<u64> {
    let alive = alive.clone();
    match batch.children(unit).is_empty() {
        true => task::spawn(async move { leaf(unit, &alive) }),
        false => task::spawn(perform(unit, batch, alive)),
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
