//! Unit: task, one a connection. Shares: the ledger. Ends: the `JoinSet` drains; or it aborts
//! all.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use suite::Result;
use suite::deadlines::{Answers, Job, Ledger, Outcome, Slot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

pub async fn run(job: Job) -> Result<Outcome> {
    let mut streams = Vec::new();
    for slot in 0..job.slots() {
        let stream = TcpStream::connect(job.address()).await;
        streams.push(stream.with_context(|| job.named(slot))?);
    }
    let (ledger, last_sent) = (Ledger::new(&job), Arc::new(Notify::new()));
    let mut workers = JoinSet::new();
    for (slot, stream) in (0..).zip(streams) {
        let (ledger, last_sent) = (ledger.clone(), last_sent.clone());
        workers.spawn(async move {
            let worked = work(&ledger, slot, stream, &last_sent).await;
            worked.with_context(|| ledger.job().named(slot))
        });
    }
    let ended = async {
        while let Some(worked) = workers.join_next().await {
            worked.context("a task has ended early")??;
        }
        Ok(())
    };
    let worked: Result<()> = tokio::select! {
        worked = ended => worked,
        () = last_sent.notified() => Ok(()),
    };
    // It returns when all that are left have been dropped.
    workers.shutdown().await;
    worked?;
    Ok(ledger.outcome())
}

async fn work(
    ledger: &Arc<Ledger>,
    slot: u64,
    mut stream: TcpStream,
    last_sent: &Notify,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut slot = Slot::new(ledger, slot);
    stream.write_all(&slot.gate()).await?;
    answer(&mut stream, slot.answers()).await?;
    while let Some(mut operation) = slot.begin() {
        stream.write_all(&operation.request()).await?;
        if operation.sent() {
            last_sent.notify_one();
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

async fn answer(stream: &mut TcpStream, answers: &mut Answers) -> io::Result<u64> {
    loop {
        let read = stream.read(answers.room()).await?;
        if let Some(value) = answers.read(read)? {
            return Ok(value);
        }
    }
}
