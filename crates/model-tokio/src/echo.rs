//! Unit: task, one a connection, at either end. Shares: the count of open
//! connections. Ends: the `JoinSet` drains; the server's, when it is told to end.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use suite::Result;
use suite::echo::{Closing, Job, Open, Outcome, Talk};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub async fn run(job: Job) -> Result<Outcome> {
    let open = Arc::new(Open::default());
    let mut streams = Vec::with_capacity(job.connections);
    // In turn: all at once would be more than the server's backlog holds.
    for connection in 0..job.connections {
        let stream = TcpStream::connect(job.address()).await;
        streams.push(stream.with_context(|| job.named(connection))?);
        open.opened();
    }
    let mut workers = JoinSet::new();
    for (connection, mut stream) in streams.into_iter().enumerate() {
        let (job, open) = (job.clone(), open.clone());
        workers.spawn(async move {
            let talk = talk(&job, connection, &mut stream).await;
            open.closed();
            talk.with_context(|| job.named(connection))
        });
    }
    let talks = workers.join_all().await;
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

pub async fn serve(listener: std::net::TcpListener, job: Job, closing: Closing) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut workers = JoinSet::new();
    let accepted = loop {
        let stream = match listener.accept().await {
            Ok(_) if closing.has_begun() => break Ok(()),
            Ok((stream, _)) => stream,
            Err(error) => break Err(error),
        };
        // What breaks is the client's to tell.
        workers.spawn(echo(job.bytes_each(), stream));
        // Or what is left of those that have ended would pile up.
        while workers.try_join_next().is_some() {}
    };
    drop(listener); // or clients that are not accepted would wait without end
    workers.join_all().await;
    accepted.context("accepting a connection")
}

/// Sends this many bytes back, or fewer if no more come.
async fn echo(bytes: u64, mut stream: TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    copy(&mut reader.take(bytes), &mut writer).await
}
