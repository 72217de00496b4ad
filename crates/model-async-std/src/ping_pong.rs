//! Unit: task. Shares: a channel to each from the one before it. Ends: each
//! after its last pass; every task is awaited.

use std::sync::Arc;

use anyhow::Context;
use async_std::channel::{Receiver, Sender, bounded};
use async_std::task;
use suite::ping_pong::{Job, Outcome, Station};
use suite::{PhaseClock, Result};

pub async fn run(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    // There is but one token: no sender ever waits for room.
    let (mut nexts, tokens): (Vec<_>, Vec<_>) = (0..job.units).map(|_| bounded(1)).unzip();
    nexts.rotate_left(1);
    let workers: Vec<_> = tokens
        .into_iter()
        .zip(nexts)
        .enumerate()
        .map(|(unit, (tokens, next))| {
            let play = play(Station::new(&job, unit), tokens, next);
            task::spawn(clock.clone().timed(play))
        })
        .collect();
    clock.started();
    let mut outcome = Outcome::default();
    for seen in crate::join_all(workers).await {
        outcome = outcome.merge(seen?);
    }
    Ok(Outcome {
        phases: clock.phases(),
        ..outcome
    })
}

async fn play(mut station: Station, tokens: Receiver<u64>, next: Sender<u64>) -> Result<Outcome> {
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
