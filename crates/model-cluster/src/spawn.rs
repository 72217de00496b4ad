//! Unit: share, which a slot of a node works on. Shares: the subject over which answers arrive,
//! with `join` and with `channel`. Ends: each with its answer, when those that it has started have
//! answered.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context, bail};
use futures_lite::StreamExt;
use suite::spawn::{Alive, Batch, Job, Outcome, Tree, answer};
use suite::{Result, Unsupported};

use crate::node::Node;
use crate::peers::{self, Lost, Peers};
use crate::protocol::{self, Answer, Branch, Share, ShareId, Task};
use crate::session::Session;
use crate::shares::Shares;

/// A share takes some tenths of a millisecond, so more than this many would take too long.
const MOST_UNITS: u64 = 10_000;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    if job.units > MOST_UNITS {
        let text = format!("{MOST_UNITS} shares at most: each takes tenths of a millisecond");
        return Err(Unsupported(text).into());
    }
    let alive = Alive::new(job);
    let mut sum = 0u64;
    for batch in job.batches() {
        // The parent does not see when each unit begins and ends, so all are counted as alive.
        let living: Vec<_> = (0..batch.units()).map(|_| alive.begin()).collect();
        let answered = match job.tree {
            Tree::Flat => deal(batch, session).await?,
            Tree::Width(_) => grow(batch, session).await?,
        };
        sum = sum.wrapping_add(answered);
        drop(living);
    }
    Ok(alive.outcome(job, sum))
}

/// Starts all units, and returns the sum of their answers.
async fn deal(batch: Batch, session: &mut Session) -> Result<u64> {
    let units = batch.first_units().map(Task::Spawn);
    let mut workers = Shares::deal(session, units).await?;
    let mut sum = 0u64;
    while let Some(answer) = workers.answer().await? {
        sum = sum.wrapping_add(answer.number()?);
    }
    Ok(sum)
}

/// Starts the first unit of a tree, which answers with the sum of all. When a unit is lost, all
/// begin again.
async fn grow(batch: Batch, session: &mut Session) -> Result<u64> {
    let answers = peers::all_or_retry(session, || branches(batch)).await?;
    for answer in answers {
        match answer {
            Answer::Number(sum) => return Ok(sum),
            Answer::Done => {}
            other => return Err(other.unexpected()),
        }
    }
    bail!("the first unit has no answer")
}

/// All units of a tree, in the order of their numbers, each with the share of the unit that starts
/// it.
fn branches(batch: Batch) -> Vec<Task> {
    let branch = |unit, starter| Branch {
        batch,
        unit,
        starter,
    };
    let first_units = batch.first_units();
    let mut branches: Vec<_> = first_units.map(|unit| branch(unit, None)).collect();
    let mut at = 0;
    while let Some(&Branch { unit, .. }) = branches.get(at) {
        let children = batch.children(unit);
        branches.extend(children.map(|unit| branch(unit, Some(at))));
        at += 1;
    }
    branches.into_iter().map(Task::Branch).collect()
}

/// Starts these units, and returns the sum of their answers.
async fn start(units: Range<u64>, branch: Branch, id: ShareId, node: &Node) -> Result<u64> {
    let subject = node.subjects.unit(id.run, id.share);
    let mut answers = node.client.subscribe(subject).await?;
    let mut confirmations = Vec::new();
    for unit in units.clone() {
        let share = Share {
            id: ShareId {
                share: id.share + (unit - branch.unit) as usize,
                ..id
            },
            task: Task::Branch(Branch {
                unit,
                starter: Some(id.share),
                ..branch
            }),
        };
        let subject = node.subjects.shares.clone();
        let publishing = node.jetstream.send_publish(subject, share.message()?);
        confirmations.push(publishing.await?);
    }
    for confirmation in confirmations {
        // Without it, the share may or may not have been published.
        confirmation.await.map_err(Lost::by)?;
    }
    let mut sum = 0u64;
    let mut missing: BTreeSet<u64> = units.collect();
    while !missing.is_empty() {
        let message = answers.next().await.context("the connection has ended")?;
        let (unit, answer): (u64, u64) = protocol::decode(&message.payload)?;
        // A unit that is delivered twice answers twice.
        if missing.remove(&unit) {
            sum = sum.wrapping_add(answer);
        }
        let reply = message.reply.context("an answer that waits for no reply")?;
        node.client.publish(reply, "".into()).await?;
    }
    Ok(sum)
}

pub(crate) fn perform(unit: u64) -> Answer {
    Answer::Number(answer(unit))
}

/// Performs a unit of a tree, which may start others.
pub(crate) async fn perform_branch(branch: Branch, id: ShareId, node: &Node) -> Result<Answer> {
    let own = answer(branch.unit);
    let children = branch.batch.children(branch.unit);
    if children.is_empty() {
        return reply(own, branch, id, node).await;
    }
    let Some(mut peers) = Peers::join(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let working = async {
        let below = start(children, branch, id, node).await?;
        reply(own.wrapping_add(below), branch, id, node).await
    };
    peers.answer(working).await
}

/// Sends the sum to the unit that started this one, and waits for its confirmation. The first unit
/// answers the parent.
async fn reply(sum: u64, branch: Branch, id: ShareId, node: &Node) -> Result<Answer> {
    let Some(starter) = branch.starter else {
        return Ok(Answer::Number(sum));
    };
    let subject = node.subjects.unit(id.run, starter);
    let sum = protocol::encode(&(branch.unit, sum))?;
    match node.client.request(subject, sum.into()).await {
        Ok(_) => Ok(Answer::Done),
        // The sum may or may not have been added.
        Err(error) => Ok(Answer::Lost(error.to_string())),
    }
}
