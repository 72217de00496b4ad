//! Unit: task. Shares: a channel to each from the one before it. Ends: each
//! after its last pass; every task is awaited.

use anyhow::Context;
use async_std::channel::{Receiver, Sender, bounded};
use async_std::task;
use suite::Result;
use suite::ping_pong::{Job, Outcome, Station};

pub async fn run(job: Job) -> Result<Outcome> {
    // There is one token: no channel ever holds more.
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..job.units).map(|_| bounded(1)).unzip();
    senders.rotate_left(1); // unit n sends to unit n + 1
    let workers: Vec<_> = senders
        .into_iter()
        .zip(receivers)
        .enumerate()
        .map(|(unit, (next, tokens))| task::spawn(play(Station::new(&job, unit), next, tokens)))
        .collect();
    let mut outcome = Outcome::default();
    for seen in crate::join_all(workers).await {
        outcome = outcome.merge(seen?);
    }
    Ok(outcome)
}

/// One unit. When it fails, its neighbours do too: both their channels close.
async fn play(mut station: Station, next: Sender<u64>, tokens: Receiver<u64>) -> Result<Outcome> {
    if let Some(token) = station.first() {
        next.send(token).await.context("the next unit has gone")?;
    }
    while station.waits() {
        let token = tokens.recv().await.context("the unit before has gone")?;
        if let Some(token) = station.pass(token) {
            next.send(token).await.context("the next unit has gone")?;
        }
    }
    Ok(station.outcome())
}
