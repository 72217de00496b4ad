//! Unit: none. Shares: nothing. Ends: the last connection does; the server, when
//! it is told to.
//!
//! All connections are open at once, and are talked over one after the other:
//! those that the server has not come to yet, the system holds for it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::Context;
use suite::echo::{BACKLOG, Closing, Job, Open, Outcome, Talk};
use suite::{Result, Unsupported};

pub fn run(job: &Job) -> Result<Outcome> {
    if job.connections > BACKLOG {
        let text = format!(
            "one thing after the other: of {} connections, {BACKLOG} at most wait for that",
            job.connections
        );
        return Err(Unsupported(text).into());
    }
    let open = Open::default();
    let mut streams = Vec::with_capacity(job.connections);
    for connection in 0..job.connections {
        let stream = TcpStream::connect(job.address());
        streams.push(stream.with_context(|| job.named(connection))?);
        open.opened();
    }
    let mut talks = Vec::with_capacity(job.connections);
    for (connection, stream) in streams.into_iter().enumerate() {
        let talk = talk(job, connection, &stream).with_context(|| job.named(connection))?;
        open.closed();
        talks.push(talk);
    }
    Ok(open.outcome(talks))
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

pub fn serve(listener: &TcpListener, job: &Job, closing: &Closing) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().context("accepting a connection")?;
        if closing.has_begun() {
            return Ok(());
        }
        // What breaks is the client's to tell.
        let _ = echo(job, &stream);
    }
}

fn echo(job: &Job, mut stream: &TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    io::copy(&mut stream.take(job.bytes_each()), &mut stream)
}
