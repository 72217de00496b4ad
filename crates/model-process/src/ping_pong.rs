//! Unit: child process. Shares: a channel to each from the one before it. Ends:
//! each after its last pass; every child has answered.

use std::mem;

use anyhow::Context;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::ping_pong::{Job, Outcome, Station};

use crate::children::Children;
use crate::worker::{self, Answer};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.together(job.units, |children| {
        lay(job, children).context("laying the ring")?;
        // The dead one's neighbours see that its channels are closed, then theirs
        // do: all who live answer. Only then may all start again.
        let answers: Vec<_> = (0..job.units).map(|_| children.answer()).collect();
        let mut outcome = Outcome::default();
        for answer in answers {
            match answer? {
                Answer::Passes(seen) => outcome = outcome.merge(seen),
                other => return Err(other.unexpected()),
            }
        }
        Ok(outcome)
    })
}

/// Hands each child its two ends of the ring. No end stays here: not even of a
/// large ring are there ever more than four, and a channel closes when the child
/// at its other end dies.
fn lay(job: &Job, children: &mut Children) -> Result<()> {
    let (to_first, mut tokens) = ipc::channel()?;
    let mut hand = |unit, tokens, next| {
        let station = Task {
            job: job.clone(),
            unit,
            tokens,
            next,
        };
        children.send(unit, worker::Task::PingPong(station))
    };
    for unit in 1..job.units {
        let (next, following) = ipc::channel()?;
        hand(unit - 1, mem::replace(&mut tokens, following), next)?;
    }
    hand(job.units - 1, tokens, to_first)
}

/// Be the ring's station of this number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    job: Job,
    unit: usize,
    tokens: IpcReceiver<u64>,
    next: IpcSender<u64>,
}

impl Task {
    pub fn perform(self) -> Result<Answer> {
        let Self {
            job,
            unit,
            tokens,
            next,
        } = self;
        let mut station = Station::new(&job, unit);
        let mut token = station.first();
        loop {
            if let Some(token) = token
                && next.send(token).is_err()
            {
                return Ok(Answer::Deserted);
            }
            if !station.waits() {
                return Ok(Answer::Passes(station.outcome()));
            }
            token = match tokens.recv() {
                Ok(arrived) => station.pass(arrived),
                Err(_) => return Ok(Answer::Deserted),
            };
        }
    }
}
