//! Unit: slot of a node. Shares: a subject to each from the one before it. Ends: each after its
//! last pass; every unit has answered.

use anyhow::Context;
use suite::ping_pong::{Job, Outcome, Station};
use suite::{PhaseClock, Result};

use crate::node::Node;
use crate::peers::{self, Peers};
use crate::protocol::{Answer, ShareId, Task};
use crate::session::Session;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    let clock = PhaseClock::begin();
    let tasks = || {
        let units = 0..job.units;
        units
            .map(|unit| Task::PingPong(job.clone(), unit))
            .collect()
    };
    let answers = peers::all_or_retry(session, tasks).await?;
    clock.worked();
    let mut outcome = Outcome::default();
    for answer in answers {
        match answer {
            Answer::PingPong(seen) => outcome = outcome.merge(seen),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Outcome {
        phases: clock.phases(),
        ..outcome
    })
}

pub(crate) async fn perform(job: &Job, unit: usize, id: ShareId, node: &Node) -> Result<Answer> {
    let subject = |unit| node.subjects.unit(id.run, unit);
    let mut tokens = node.client.subscribe(subject(unit)).await?;
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let next = subject((unit + 1) % job.units);
    let mut station = Station::new(job, unit);
    let mut token = station.first();
    loop {
        if let Some(token) = token {
            let token = token.to_le_bytes().to_vec();
            node.client.publish(next.clone(), token.into()).await?;
        }
        if !station.waits() {
            return Ok(Answer::PingPong(station.outcome()));
        }
        let Some(arrived) = peers.next(&mut tokens).await else {
            return Ok(Answer::PeerGone);
        };
        let arrived = (*arrived.payload).try_into().context("a token")?;
        token = station.pass(u64::from_le_bytes(arrived));
    }
}
