//! Unit: child process. Shares: a channel to each from the one before it. Ends:
//! each after its last pass; every child has answered.

use std::mem;

use anyhow::Context;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use suite::ping_pong::{Job, Outcome, Station};
use suite::{PhaseClock, Result};

use crate::pool::protocol::PingPongTask;
use crate::pool::{Answer, Children, Task};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.run_all_or_retry(job.units, |children| {
        let clock = PhaseClock::begin();
        connect(job, children).context("connecting the ring")?;
        clock.started();
        // When one dies, its neighbors find its channels closed, then their own
        // neighbors do: all that live answer. Only then may all start again.
        let answers: Vec<_> = (0..job.units).map(|_| children.answer()).collect();
        clock.worked();
        let mut outcome = Outcome::default();
        for answer in answers {
            match answer? {
                Answer::PingPong(seen) => outcome = outcome.merge(seen),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Outcome {
            phases: clock.phases(),
            ..outcome
        })
    })
}

/// Gives each child its two ends of the ring. No end stays here: even of a large
/// ring there are never more than four, and a channel closes when the child at its
/// other end dies.
fn connect(job: &Job, children: &mut Children) -> Result<()> {
    let (to_first, mut tokens) = ipc::channel()?;
    let mut give = |unit, tokens, next| {
        let task = PingPongTask {
            job: job.clone(),
            unit,
            tokens,
            next,
        };
        children.send(unit, Task::PingPong(task))
    };
    for unit in 1..job.units {
        let (next, following) = ipc::channel()?;
        give(unit - 1, mem::replace(&mut tokens, following), next)?;
    }
    give(job.units - 1, tokens, to_first)
}

pub(crate) fn perform(task: PingPongTask) -> Answer {
    play(Station::new(&task.job, task.unit), &task.tokens, &task.next)
}

fn play(mut station: Station, tokens: &IpcReceiver<u64>, next: &IpcSender<u64>) -> Answer {
    let mut token = station.first();
    loop {
        if let Some(token) = token
            && next.send(token).is_err()
        {
            return Answer::PeerGone;
        }
        if !station.waits() {
            return Answer::PingPong(station.outcome());
        }
        token = match tokens.recv() {
            Ok(arrived) => station.pass(arrived),
            Err(_) => return Answer::PeerGone,
        };
    }
}
