//! Unit: child process, one a connection. Shares: at the clients' side a count in
//! shared memory, at the server's the listener. Ends: every client has answered;
//! the server, when it is told to.
//!
//! The server's children run before the first client connects, and each accepts
//! for itself, as those of a pre-forking web server do: a connection that the
//! parent accepted would take two more system calls, and a switch, to a child.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use suite::Result;
use suite::echo::{Closing, Job, Outcome, Talk};

use crate::pool::fd_passing;
use crate::pool::protocol::EchoTask;
use crate::pool::{Answer, Children, Task, WorkerContext};
use crate::server;
use crate::shm::futex::Word;

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.run_all_or_retry(job.connections, |children| {
        let shared = &children.memory;
        shared.open.reset();
        shared.connected.store(0, Relaxed);
        for connection in 0..job.connections {
            let talk = EchoTask::Talk(job.clone(), connection, job.address());
            children.send(connection, Task::Echo(talk))?;
        }
        let mut talks = Vec::new();
        for _ in 0..job.connections {
            match children.answer()? {
                Answer::Echo(talk) => talks.push(talk),
                other => return Err(other.unexpected()),
            }
        }
        Ok(children.memory.open.outcome(talks))
    })
}

fn talk(job: &Job, connection: usize, context: &WorkerContext) -> io::Result<Outcome> {
    let shared = &*context.memory;
    let mut stream = TcpStream::connect(job.address())?;
    stream.set_nodelay(true)?;
    shared.open.opened();
    shared.connected.meet(job.connections as u32);

    let mut talk = Talk::new(job, connection);
    while let Some(piece) = talk.say() {
        stream.write_all(piece)?;
        stream.read_exact(talk.room())?;
        talk.hear();
    }
    talk.hear_end(stream.read(&mut [0])?);
    shared.open.closed();
    Ok(talk.outcome())
}

pub fn serve(
    listener: &TcpListener,
    job: &Job,
    closing: &Closing,
    children: &mut Children,
) -> Result<()> {
    // A connection that sends nothing ends the task of the child that accepts it.
    let task = || Task::Echo(EchoTask::Serve(job.clone()));
    server::keep_running(listener, job.connections, &task, closing, children)
}

pub(crate) fn perform(task: EchoTask, context: &WorkerContext) -> Result<Answer> {
    match task {
        EchoTask::Talk(job, connection, address) => {
            let address = Some(address);
            let job = Job { address, ..job };
            let talk = talk(&job, connection, context);
            Ok(Answer::Echo(talk.with_context(|| job.named(connection))?))
        }
        EchoTask::Serve(job) => {
            let listener = TcpListener::from(fd_passing::copy().context("no listener")?);
            loop {
                let (stream, _) = listener.accept().context("accepting a connection")?;
                // What breaks is the client's to tell.
                if echo(&job, &stream).ok() != Some(job.bytes_each()) {
                    return Ok(Answer::Done);
                }
            }
        }
    }
}

fn echo(job: &Job, mut stream: &TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    io::copy(&mut stream.take(job.bytes_each()), &mut stream)
}
