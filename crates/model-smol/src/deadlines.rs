//! Unit: task, one a connection. Shares: the ledger. Ends: a channel closes when the last task
//! has gone; those that are cancelled are dropped before.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use smol::channel::{Sender, unbounded};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use smol::{Executor, Timer};
use suite::Result;
use suite::deadlines::{Answers, Job, Ledger, Outcome, Slot};

pub async fn run(job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let mut streams = Vec::new();
    for slot in 0..job.slots() {
        let stream = TcpStream::connect(job.address()).await;
        streams.push(stream.with_context(|| job.named(slot))?);
    }
    let ledger = Ledger::new(&job);
    // What ends all: a failure, or that the last request has been sent.
    let (over, news) = unbounded();
    let workers: Vec<_> = (0..)
        .zip(streams)
        .map(|(slot, stream)| {
            let (ledger, over) = (ledger.clone(), over.clone());
            executor.spawn(async move {
                let worked = work(&ledger, slot, stream, &over).await;
                if worked.is_err() {
                    let failed = worked.with_context(|| ledger.job().named(slot));
                    let _ = over.try_send(failed); // the root is there
                }
            })
        })
        .collect();
    drop(over);
    let first = news.recv().await;
    // The futures of those that have not ended are not polled any more, but dropped.
    drop(workers);
    // Their senders are, too.
    while news.recv().await.is_ok() {}
    // Without news, all have ended.
    first.unwrap_or(Ok(()))?;
    Ok(ledger.outcome())
}

async fn work(
    ledger: &Arc<Ledger>,
    slot: u64,
    mut stream: TcpStream,
    over: &Sender<Result<()>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut slot = Slot::new(ledger, slot);
    stream.write_all(&slot.gate()).await?;
    answer(&mut stream, slot.answers()).await?;
    while let Some(mut operation) = slot.begin() {
        stream.write_all(&operation.request()).await?;
        if operation.sent() {
            let _ = over.try_send(Ok(())); // the root is there
        }
        let due = operation.due();
        let answer = answer(&mut stream, operation.answers());
        let value = match due {
            None => Some(answer.await?),
            // What was read before the deadline stays in the answers.
            Some(due) => {
                let answer = async { answer.await.map(Some) };
                let cut = async {
                    Timer::at(due).await;
                    Ok(None)
                };
                or(answer, cut).await?
            }
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
