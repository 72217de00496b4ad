//! Unit: task. Shares: a channel to each from the one before it. Ends: each
//! after its last pass; the `JoinSet` drains.
//!
//! There is but one token, so a bound would bound nothing, and it is not free: a
//! pass takes some 30 % more over a channel with room for one.

use std::sync::Arc;

use anyhow::Context;
use suite::ping_pong::{Job, Outcome, Station};
use suite::{PhaseClock, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

pub async fn run(job: Job) -> Result<Outcome> {
    let clock = Arc::new(PhaseClock::begin());
    let channels = (0..job.units).map(|_| unbounded_channel());
    let (mut nexts, tokens): (Vec<_>, Vec<_>) = channels.unzip();
    nexts.rotate_left(1);
    let mut workers = JoinSet::new();
    for (unit, (tokens, next)) in tokens.into_iter().zip(nexts).enumerate() {
        let play = play(Station::new(&job, unit), tokens, next);
        workers.spawn(clock.clone().timed(play));
    }
    clock.started();
    let mut outcome = Outcome::default();
    for seen in workers.join_all().await {
        outcome = outcome.merge(seen?);
    }
    Ok(Outcome {
        phases: clock.phases(),
        ..outcome
    })
}

async fn play(
    mut station: Station,
    mut tokens: UnboundedReceiver<u64>,
    next: UnboundedSender<u64>,
) -> Result<Outcome> {
    if let Some(token) = station.first() {
        next.send(token).context("the next unit has gone")?;
    }
    while station.waits() {
        let token = tokens.recv().await.context("the unit before has gone")?;
        if let Some(token) = station.pass(token) {
            next.send(token).context("the next unit has gone")?;
        }
    }
    Ok(station.outcome())
}
