//! Unit: task, one a connection, at either end. Shares: the count of open
//! connections. Ends: every task is awaited; the server's, when it is told to end.

use std::io;
use std::net;
use std::sync::Arc;

use anyhow::Context;
use smol::io::{AsyncReadExt, AsyncWriteExt, copy};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task};
use suite::Result;
use suite::echo::{Closing, Job, Open, Outcome, Talk};

pub async fn run(job: Job, executor: Arc<Executor<'static>>) -> Result<Outcome> {
    let open = Arc::new(Open::default());
    let mut streams = Vec::with_capacity(job.connections);
    for connection in 0..job.connections {
        let stream = TcpStream::connect(job.address()).await;
        streams.push(stream.with_context(|| job.named(connection))?);
        open.opened();
    }
    let workers: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(connection, mut stream)| {
            let (job, open) = (job.clone(), open.clone());
            executor.spawn(async move {
                let talk = talk(&job, connection, &mut stream).await;
                open.closed();
                talk.with_context(|| job.named(connection))
            })
        })
        .collect();
    let talks = crate::join_all(workers).await;
    let talks: Vec<_> = talks.into_iter().collect::<Result<_>>()?;
    Ok(open.outcome(talks))
}

async fn talk(job: &Job, connection: usize, stream: &mut TcpStream) -> io::Result<Outcome> {
    stream.set_nodelay(true)?;
    let mut talk = Talk::new(job, connection);
    while let Some(piece) = talk.say() {
        stream.write_all(piece).await?;
        stream.read_exact(talk.room()).await?;
        talk.hear();
    }
    talk.hear_end(stream.read(&mut [0]).await?);
    Ok(talk.outcome())
}

pub async fn serve(
    listener: net::TcpListener,
    job: Job,
    closing: Closing,
    executor: Arc<Executor<'static>>,
) -> Result<()> {
    let listener = TcpListener::try_from(listener).context("listening without blocking")?;
    let mut workers: Vec<Task<_>> = Vec::with_capacity(2 * job.connections);
    let accepted = loop {
        let stream = match listener.accept().await {
            Ok(_) if closing.has_begun() => break Ok(()),
            Ok((stream, _)) => stream,
            Err(error) => break Err(error),
        };
        // There are many jobs: those that have ended make room.
        if workers.len() == workers.capacity() {
            workers.retain(|worker| !worker.is_finished());
        }
        workers.push(executor.spawn(echo(stream, job.bytes_each())));
    };
    drop(listener); // or clients that are not accepted would wait without end
    // What breaks is the client's to tell.
    let _ = crate::join_all(workers).await;
    accepted.context("accepting a connection")
}

async fn echo(mut stream: TcpStream, bytes: u64) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    copy(stream.clone().take(bytes), &mut stream).await
}
