//! Unit: child process, one a connection. Shares: at the clients' side a count in
//! shared memory, at the server's the listener. Ends: every client has answered;
//! the server, when it is told to.
//!
//! The server's children stand before anybody connects, and each accepts for
//! itself, as those of a pre-forking web server do: a connection that the parent
//! accepted would take two more system calls, and a switch, to a child.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::{Relaxed, Release};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use suite::Result;
use suite::echo::{Closing, Job, Outcome, Talk};

use crate::children::{Children, Event};
use crate::worker::{self, Answer, Worker};
use crate::{futex, shelf};

pub fn run(job: &Job, children: &mut Children) -> Result<Outcome> {
    children.together(job.connections, |children| {
        let shared = children.shared();
        shared.open.reset();
        shared.connected.store(0, Relaxed);
        for connection in 0..job.connections {
            let talk = Task::Talk(job.clone(), connection, job.address());
            children.send(connection, worker::Task::Echo(talk))?;
        }
        let mut talks = Vec::new();
        for _ in 0..job.connections {
            match children.answer()? {
                Answer::Talk(talk) => talks.push(talk),
                other => return Err(other.unexpected()),
            }
        }
        Ok(children.shared().open.outcome(talks))
    })
}

pub fn serve(
    listener: &TcpListener,
    job: &Job,
    closing: &Closing,
    children: &mut Children,
) -> Result<()> {
    children.look();
    children.stand(job.connections)?;
    let shelf = children.shelf();
    shelf.put(listener).context("lending the listener")?;
    let served = keep_serving(job, closing, children);
    // They wait for clients, and there are no more.
    children.end_busy();
    let shelf = children.shelf();
    shelf.clear().context("taking the listener back")?;
    served
}

/// Sees to it that there is a child for each connection, until the end begins. The
/// connection that tells so says nothing, and so the child that accepts it answers.
fn keep_serving(job: &Job, closing: &Closing, children: &mut Children) -> Result<()> {
    let task = || worker::Task::Echo(Task::Serve(job.clone()));
    for unit in 0..job.connections {
        children.send(unit, task())?;
    }
    loop {
        let unit = match children.next(None)? {
            Some(Event::Answer(unit, answer)) => answer.map(|_| unit)?,
            Some(Event::Death(unit, _)) => {
                children.fill(unit..unit + 1)?;
                unit
            }
            Some(Event::Knock) | None => continue,
        };
        if closing.has_begun() {
            return Ok(());
        }
        children.send(unit, task())?;
    }
}

/// Which end of a connection to be.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Be the client of this number. The address is the job's, which does not take
    /// it along.
    Talk(Job, usize, SocketAddr),
    /// Be the server of one client after the other, until one hangs up too early.
    Serve(Job),
}

impl Task {
    pub fn perform(self, worker: &Worker) -> Result<Answer> {
        match self {
            Task::Talk(job, connection, address) => {
                let address = Some(address);
                let job = Job { address, ..job };
                let talk = talk(&job, connection, worker);
                Ok(Answer::Talk(talk.with_context(|| job.named(connection))?))
            }
            Task::Serve(job) => {
                let listener = TcpListener::from(shelf::copy().context("no listener")?);
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
}

fn talk(job: &Job, connection: usize, worker: &Worker) -> io::Result<Outcome> {
    let shared = &*worker.memory;
    let mut stream = TcpStream::connect(job.address())?;
    stream.set_nodelay(true)?;
    shared.open.opened();
    // The last to connect wakes all others. Should it fail, or die, the parent
    // hears of it and ends them.
    let all = job.connections as u32;
    if shared.connected.fetch_add(1, Release) + 1 == all {
        futex::wake(&shared.connected, futex::EVERYBODY);
    }
    futex::wait_for(&shared.connected, all);

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

fn echo(job: &Job, mut stream: &TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    io::copy(&mut stream.take(job.bytes_each()), &mut stream)
}
