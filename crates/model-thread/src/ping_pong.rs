//! Unit: thread. Shares: a channel to each from the one before it. Ends: each
//! after its last pass; the scope joins.
//!
//! Of std's channels and not crossbeam's: a thread that waits for one sleeps at
//! once. Crossbeam's look again and again first, which is quicker while there
//! are no more threads than cores, and costs twice the CPU when there are.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::Context;
use suite::ping_pong::{Job, Outcome, Station};
use suite::{PhaseClock, Result};

pub fn run(job: &Job) -> Result<Outcome> {
    crate::check_units(job.units)?;
    let clock = PhaseClock::begin();
    // There is but one token: no sender ever waits for room.
    let channels = (0..job.units).map(|_| sync_channel(1));
    let (mut nexts, tokens): (Vec<_>, Vec<_>) = channels.unzip();
    nexts.rotate_left(1);
    thread::scope(|scope| {
        // If one cannot be started, the channels of the others close.
        let workers = tokens
            .into_iter()
            .zip(nexts)
            .enumerate()
            .map(|(unit, (tokens, next))| {
                let (station, clock) = (Station::new(job, unit), &clock);
                crate::spawn_small(scope, move || clock.time(|| play(station, tokens, next)))
            })
            .collect::<Result<Vec<_>>>()?;
        clock.started();
        let mut outcome = Outcome::default();
        for worker in workers {
            outcome = outcome.merge(crate::join(worker)?);
        }
        Ok(Outcome {
            phases: clock.phases(),
            ..outcome
        })
    })
}

fn play(mut station: Station, tokens: Receiver<u64>, next: SyncSender<u64>) -> Result<Outcome> {
    if let Some(token) = station.first() {
        next.send(token).context("the next unit has gone")?;
    }
    while station.waits() {
        let token = tokens.recv().context("the unit before has gone")?;
        if let Some(token) = station.pass(token) {
            next.send(token).context("the next unit has gone")?;
        }
    }
    Ok(station.outcome())
}
