//! Unit: task, one a connection, at either end. Shares: the count of open
//! connections. Ends: every task is awaited; the server's, by a channel that
//! closes when the last of them drops its sender.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use async_std::channel::bounded;
use async_std::io::prelude::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use async_std::{io, task};
use suite::Result;
use suite::echo::{Closing, Job, Open, Outcome, Talk};

pub async fn run(job: Job) -> Result<Outcome> {
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
        .map(|(connection, stream)| {
            let (job, open) = (job.clone(), open.clone());
            task::spawn(async move {
                let talk = talk(&job, connection, &stream).await;
                open.closed();
                talk.with_context(|| job.named(connection))
            })
        })
        .collect();
    let talks = crate::join_all(workers).await;
    let talks: Vec<_> = talks.into_iter().collect::<Result<_>>()?;
    Ok(open.outcome(talks))
}

async fn talk(job: &Job, connection: usize, mut stream: &TcpStream) -> io::Result<Outcome> {
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
    let listener = TcpListener::from(listener);
    // Nothing is ever sent here: it closes when the last connection has.
    let (serving, all_served) = bounded::<Infallible>(1);
    let accepted = loop {
        let stream = match listener.accept().await {
            Ok(_) if closing.has_begun() => break Ok(()),
            Ok((stream, _)) => stream,
            Err(error) => break Err(error),
        };
        let (job, serving) = (job.clone(), serving.clone());
        task::spawn(async move {
            // What breaks is the client's to tell.
            let _ = echo(&job, &stream).await;
            drop(serving);
        });
    };
    drop((listener, serving)); // or clients that are not accepted would wait without end
    let Err(_closed) = all_served.recv().await;
    accepted.context("accepting a connection")
}

async fn echo(job: &Job, mut stream: &TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    io::copy(&mut stream.take(job.bytes_each()), &mut stream).await
}
