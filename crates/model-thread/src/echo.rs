//! Unit: thread, one a connection, at either end. Shares: the count of open
//! connections. Ends: the scope joins; the server's, when it is told to end.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::Context;
use suite::Result;
use suite::echo::{Closing, Job, Open, Outcome, Talk};

pub fn run(job: &Job) -> Result<Outcome> {
    let open = &Open::default();
    let mut streams = Vec::with_capacity(job.connections);
    for connection in 0..job.connections {
        let stream = TcpStream::connect(job.address());
        streams.push(stream.with_context(|| job.named(connection))?);
        open.opened();
    }
    thread::scope(|scope| {
        let workers = streams
            .into_iter()
            .enumerate()
            .map(|(connection, stream)| {
                crate::spawn_small(scope, move || {
                    let talk = talk(job, connection, &stream);
                    open.closed();
                    talk.with_context(|| job.named(connection))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let talks = workers.into_iter().map(crate::join);
        Ok(open.outcome(talks.collect::<Result<Vec<_>>>()?))
    })
}

fn talk(job: &Job, connection: usize, mut stream: &TcpStream) -> io::Result<Outcome> {
    stream.set_nodelay(true)?;
    let mut talk = Talk::new(job, connection);
    while let Some(piece) = talk.say() {
        stream.write_all(piece)?;
        stream.read_exact(talk.room())?;
        talk.hear();
    }
    talk.hear_end(stream.read(&mut [0])?);
    Ok(talk.outcome())
}

pub fn serve(listener: TcpListener, job: &Job, closing: &Closing) -> Result<()> {
    // The listener goes before the threads are joined: when it fails, clients
    // that are not accepted should not wait for the others.
    thread::scope(move |scope| {
        loop {
            let (stream, _) = listener.accept().context("accepting a connection")?;
            if closing.has_begun() {
                return Ok(());
            }
            // What breaks is the client's to tell.
            crate::spawn_small(scope, move || drop(echo(job, &stream)))?;
        }
    })
}

fn echo(job: &Job, mut stream: &TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    io::copy(&mut stream.take(job.bytes_each()), &mut stream)
}
