//! Unit: child process, one a connection. Shares: at the clients' side a count in
//! shared memory, at the server's the listener. Ends: every client has answered;
//! the server, when it is told to.
//!
//! The server's children run before the first client connects, and each accepts
//! for itself, as those of a pre-forking web server do: a connection that the
//! parent accepted would take two more system calls, and a switch, to a child.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering::{Relaxed, Release};

use anyhow::Context;
use suite::Result;
use suite::echo::{Closing, Job, Outcome, Talk};

use crate::pool::fd_passing;
use crate::pool::protocol::EchoTask;
use crate::pool::{Answer, Children, Event, Task, WorkerContext};
use crate::shm::futex::{self, Word};

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
    // The last to connect wakes all others. If it fails or dies, the parent kills
    // them.
    let all = job.connections as u32;
    if shared.connected.fetch_add(1, Release) + 1 == all {
        shared.connected.wake(futex::ALL);
    }
    shared.connected.wait_until_at_least(all);

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
    children.drain_events();
    children.ensure_started(job.connections)?;
    let slot = &children.fd_slot;
    slot.put(listener).context("passing on the listener")?;
    let served = keep_serving(job, closing, children);
    // They wait for clients, and there are no more.
    children.kill_busy();
    let slot = &children.fd_slot;
    slot.clear().context("taking the listener back")?;
    served
}

/// Keeps a child running for each connection, until the server is told to end. The
/// connection that tells it sends nothing, and so the child that accepts it answers.
fn keep_serving(job: &Job, closing: &Closing, children: &mut Children) -> Result<()> {
    let task = || Task::Echo(EchoTask::Serve(job.clone()));
    for unit in 0..job.connections {
        children.send(unit, task())?;
    }
    loop {
        let unit = match children.next_event(None)? {
            Some(Event::Answer(unit, answer)) => answer.map(|_| unit)?,
            Some(Event::Death(unit, _)) => {
                children.start_missing(unit..unit + 1)?;
                unit
            }
            Some(Event::Wake) | None => continue,
        };
        if closing.has_begun() {
            return Ok(());
        }
        children.send(unit, task())?;
    }
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
