//! Unit: task of a node, one a connection. Shares: the ledger of its node, which has a part of
//! the job. Ends: the node's `JoinSet` drains; or, when all nodes have said that their last
//! operation has begun, each aborts what it has.
//!
//! Each node decides by itself which operation is next: asking another node would take longer than
//! an operation.

use std::sync::Arc;

use anyhow::Context;
use async_nats::{Client, Subscriber};
use futures_lite::StreamExt;
use suite::Result;
use suite::deadlines::{Answers, Job, Ledger, Outcome, Part, Slot, Tally, Turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::node::Node;
use crate::peers::{self, Peers};
use crate::protocol::{Answer, PartEnded, ShareId, Task};
use crate::session::Session;

/// Used in place of a unit number, for the subject where nodes report their progress to each other.
const PROGRESS: usize = usize::MAX;

pub async fn run(job: &Job, session: &mut Session) -> Result<Outcome> {
    let parts = job.parts(session.units() as u64);
    let tasks = || parts.iter().cloned().map(Task::Deadlines).collect();
    let answers = peers::all_or_retry(session, tasks).await?;
    let mut total = Tally::default();
    let (mut operations, mut cancel_ns) = (0, u64::MAX);
    for answer in answers {
        match answer {
            Answer::Deadlines(part) => {
                total.add(part.tally);
                operations += part.begun;
                // The node that began last has waited the shortest time for the end.
                cancel_ns = cancel_ns.min(part.cancel_ns);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Outcome {
        operations,
        cancel_ns,
        ..total.outcome(&Turn::default(), None)
    })
}

pub(crate) async fn perform(part: &Part, id: ShareId, node: &Node) -> Result<Answer> {
    let ledger = part.ledger();
    let subject = node.subjects.unit(id.run, PROGRESS);
    let mut progress = Progress {
        told: node.client.subscribe(subject.clone()).await?,
        heard: 0,
    };
    let mut streams = Vec::new();
    for slot in part.slots() {
        let stream = TcpStream::connect(ledger.job().address()).await;
        streams.push(stream.with_context(|| ledger.job().named(slot))?);
    }
    let Some(mut peers) = Peers::gather(node, id).await? else {
        return Ok(Answer::PeerGone);
    };
    let mut workers = JoinSet::new();
    for (slot, stream) in part.slots().zip(streams) {
        let (ledger, client, subject) = (ledger.clone(), node.client.clone(), subject.clone());
        workers.spawn(async move {
            let worked = work(&ledger, slot, stream, &client, &subject).await;
            worked.with_context(|| ledger.job().named(slot))
        });
    }
    let working = async {
        let worked = tokio::select! {
            worked = drain(&mut workers) => worked,
            // Each slot that has begun its last operation has reported it.
            told = progress.until(part.parts()) => told,
        };
        // This returns when all remaining tasks have been dropped.
        workers.shutdown().await;
        worked?;
        if ledger.job().cancel_after > 0 {
            // The next report means that all operations of a node have ended. It must not be sent
            // before all parts have reported that theirs have begun.
            progress.until(part.parts()).await?;
            node.client.publish(subject, "".into()).await?;
            progress.until(2 * part.parts()).await?;
        }
        anyhow::Ok(Answer::Deadlines(PartEnded {
            // Measured from the start of the node's own last operation, because each node has its
            // own clock.
            cancel_ns: ledger.outcome().cancel_ns,
            begun: part.begun(&ledger),
            tally: ledger.tally(),
        }))
    };
    let answer = peers.answer(working).await;
    // If a unit is lost, all begin again with new connections, so close these.
    workers.shutdown().await;
    answer
}

/// Runs a slot: one operation after the other. Reports to all nodes when its last operation has
/// begun, if operations in flight are cancelled then.
async fn work(
    ledger: &Arc<Ledger>,
    slot: u64,
    mut stream: TcpStream,
    client: &Client,
    progress: &str,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut slot = Slot::new(ledger, slot);
    stream.write_all(&slot.gate()).await?;
    answer(&mut stream, slot.answers()).await?;
    while let Some(mut operation) = slot.begin() {
        stream.write_all(&operation.request()).await?;
        if operation.sent() {
            client.publish(progress.to_owned(), "".into()).await?;
        }
        let due = operation.due();
        let answer = answer(&mut stream, operation.answers());
        let value = match due {
            None => Some(answer.await?),
            // What was read before the deadline stays in the answers.
            Some(due) => timeout_at(due.into(), answer).await.ok().transpose()?,
        };
        operation.end(value);
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, answers: &mut Answers) -> Result<u64> {
    loop {
        let read = stream.read(answers.room()).await?;
        if let Some(value) = answers.read(read)? {
            return Ok(value);
        }
    }
}

/// Waits until all slots have ended, or one has failed.
async fn drain(workers: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(worked) = workers.join_next().await {
        worked.context("a task has ended early")??;
    }
    Ok(())
}

/// The progress reports of all nodes: first that a node's last operation has begun, and, after all
/// have reported that, that all of its operations have ended.
struct Progress {
    told: Subscriber,
    /// The number of reports received.
    heard: u64,
}

impl Progress {
    /// Waits until this number of reports has arrived.
    async fn until(&mut self, told: u64) -> Result<()> {
        while self.heard < told {
            let more = self.told.next().await;
            more.context("the connection has ended")?;
            self.heard += 1;
        }
        Ok(())
    }
}
