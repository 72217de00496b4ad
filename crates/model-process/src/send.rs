//! Unit: child process, one a connection, at either end. Shares: at the sender counts of bytes, in
//! shared memory; at the receiver the listener and the directory. Ends: no file is left, or all
//! is stopped, and children are killed; the receiver's listener is shut down, which every child
//! sees.
//!
//! The sender's parent gives out one file after the other, and waits where one is to be tried
//! again. A child keeps its connection from file to file. A file whose child dies is tried again
//! by another.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context;
use file_send::{Error, Inbox, Outgoing, Range, ReceiveStep, Receiver, SendStep, Sender};
use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use suite::Result;
use suite::send::{Receiving, Sending};

use crate::pool::protocol::{ReceiveTask, SendAnswer, SendSetup, SendTask};
use crate::pool::{Answer, Children, Event, Task, WorkerContext};
use crate::server::{self, Listener, linger, wait_to_read};

/// How often the bytes are counted that children have sent.
const TICK: Duration = Duration::from_millis(100);

pub fn run(sending: &Sending, children: &mut Children) -> Result<()> {
    let units = sending.units();
    children.drain_events();
    children.ensure_started(units)?;
    let waker = children.waker();
    sending.on_stop(move || waker.wake());
    let units = (0..units).map(|unit| Unit {
        file: File::None,
        is_connected: false,
        sent: children.memory.progress[unit].read().0,
    });
    let mut parent = Parent {
        sending,
        units: units.collect(),
        children,
    };
    let sent = parent.send_all();
    // None is busy but after a stop or an error.
    parent.children.kill_busy();
    sent
}

/// The parent's side.
struct Parent<'a> {
    sending: &'a Sending,
    units: Vec<Unit>,
    children: &'a mut Children,
}

/// What a child does, as far as its parent has been told.
struct Unit {
    file: File,
    is_connected: bool,
    /// Bytes that the children in this place have ever sent, as far as they are counted.
    sent: u64,
}

enum File {
    /// There will be no other.
    None,
    /// It is under way.
    Begun(Box<Outgoing>),
    /// It is to be tried again then.
    Waiting(Box<Outgoing>, Instant),
    /// The child tells the receiver that there will be no other.
    Bye,
}

impl Parent<'_> {
    fn send_all(&mut self) -> Result<()> {
        for unit in 0..self.units.len() {
            self.next(unit)?;
        }
        while !self.sending.is_stopped() && !self.is_done() {
            let now = Instant::now();
            let mut until = now + TICK;
            for unit in 0..self.units.len() {
                self.count(unit);
                match std::mem::replace(&mut self.units[unit].file, File::None) {
                    File::Waiting(file, due) if due <= now => self.begin(unit, *file)?,
                    other => {
                        if let File::Waiting(_, due) = other {
                            until = until.min(due);
                        }
                        self.units[unit].file = other;
                    }
                }
            }
            match self.children.next_event(Some(until))? {
                Some(Event::Answer(unit, answer)) => self.answered(unit, answer?)?,
                Some(Event::Death(unit, _)) => self.died(unit)?,
                Some(Event::Wake) | None => {}
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_done = |unit: &Unit| matches!(unit.file, File::None);
        self.units.iter().all(is_done)
    }

    /// Gives a child the next file, or has it leave.
    fn next(&mut self, unit: usize) -> Result<()> {
        match self.sending.next() {
            Some(file) => self.begin(unit, file),
            None if self.units[unit].is_connected => {
                self.units[unit].file = File::Bye;
                self.children.send(unit, Task::Send(SendTask::Bye))
            }
            None => {
                self.units[unit].file = File::None;
                Ok(())
            }
        }
    }

    fn begin(&mut self, unit: usize, file: Outgoing) -> Result<()> {
        if !self.units[unit].is_connected {
            self.sending.open.opened();
            self.units[unit].is_connected = true;
        }
        let setup = SendSetup {
            address: self.sending.address,
            secret: self.sending.secret.clone(),
            path: self.sending.path,
            patience: self.sending.patience,
        };
        let task = SendTask::File(setup, Box::new(file.clone()));
        self.units[unit].file = File::Begun(Box::new(file));
        self.children.start_missing(unit..unit + 1)?;
        self.children.send(unit, Task::Send(task))
    }

    fn answered(&mut self, unit: usize, answer: Answer) -> Result<()> {
        self.count(unit);
        match answer {
            Answer::Send(answer) => {
                if !answer.is_connected {
                    self.disconnected(unit);
                }
                self.ended(unit, answer.file, answer.result)
            }
            Answer::Done => {
                self.disconnected(unit);
                self.units[unit].file = File::None;
                Ok(())
            }
            other => Err(other.unexpected()),
        }
    }

    fn died(&mut self, unit: usize) -> Result<()> {
        let Some(place) = self.units.get_mut(unit) else {
            return Ok(()); // of another job, which needed more
        };
        match std::mem::replace(&mut place.file, File::None) {
            File::Begun(mut file) => {
                file.sent += self.count(unit);
                self.disconnected(unit);
                let why = format!("a child died: {}", self.children.last_exit);
                self.ended(unit, *file, Err(Error::Broken(why)))
            }
            // Its connection is closed, and that is all that was left to do.
            File::Bye => {
                self.disconnected(unit);
                Ok(())
            }
            idle @ (File::None | File::Waiting(..)) => {
                self.units[unit].file = idle;
                Ok(())
            }
        }
    }

    fn ended(
        &mut self,
        unit: usize,
        file: Outgoing,
        result: std::result::Result<file_send::Acknowledged, Error>,
    ) -> Result<()> {
        match self.sending.ended(file, result) {
            Some((file, wait)) => {
                self.units[unit].file = File::Waiting(Box::new(file), Instant::now() + wait);
                Ok(())
            }
            None => self.next(unit),
        }
    }

    fn disconnected(&mut self, unit: usize) {
        if std::mem::take(&mut self.units[unit].is_connected) {
            self.sending.open.closed();
        }
    }

    /// Counts the bytes that a child has sent since it was asked last.
    fn count(&mut self, unit: usize) -> u64 {
        let sent = self.children.memory.progress[unit].read().0;
        let new = sent - self.units[unit].sent;
        self.units[unit].sent = sent;
        self.sending.meter.fetch_add(new, Relaxed);
        new
    }
}

/// What a child keeps from file to file.
#[derive(Default)]
pub(crate) struct Connected(Option<Connection>);

struct Connection {
    stream: TcpStream,
    sender: Sender,
    /// Bytes that have been sent, and not been told the parent.
    sent: Arc<AtomicU64>,
}

impl Connected {
    pub(crate) fn perform(&mut self, task: SendTask, context: &WorkerContext) -> Answer {
        match task {
            SendTask::File(setup, file) => {
                let connection = match self.0.take() {
                    Some(kept) => Ok(kept),
                    None => Connection::open(&setup),
                };
                let (file, result) = match connection {
                    Ok(mut connection) => {
                        connection.sender.send(*file);
                        connection.drive(context);
                        let ended = connection.sender.take();
                        self.0 = Some(connection).filter(|kept| kept.sender.is_open());
                        ended
                    }
                    Err(error) => (*file, Err(Error::Broken(error.to_string()))),
                };
                Answer::Send(Box::new(SendAnswer {
                    file,
                    result,
                    is_connected: self.0.is_some(),
                }))
            }
            SendTask::Bye => {
                if let Some(mut connection) = self.0.take() {
                    connection.sender.bye();
                    connection.drive(context);
                }
                Answer::Done
            }
        }
    }
}

impl Connection {
    fn open(setup: &SendSetup) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&setup.address, setup.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(setup.patience))?;
        stream.set_write_timeout(Some(setup.patience))?;
        let sent = Arc::default();
        Ok(Self {
            stream,
            sender: Sender::new(&setup.secret, setup.path, &sent),
            sent,
        })
    }

    /// Does what the sender says, until the file has ended, or the connection.
    fn drive(&mut self, context: &WorkerContext) {
        let Self {
            stream,
            sender,
            sent,
        } = self;
        loop {
            let io = match sender.step() {
                SendStep::Write(bytes) => stream.write_all(bytes),
                SendStep::Read(room) => read(stream, room).map(|read| sender.filled(read)),
                SendStep::Work(work) => {
                    sender.done(work.run());
                    Ok(())
                }
                SendStep::SendFile(range) => {
                    send_range(stream, &range).map(|sent| sender.sent(sent))
                }
                SendStep::End => return,
            };
            if let Err(error) = io {
                sender.broken(&in_words(error));
            }
            let progress = &context.memory.progress[context.unit];
            progress.add(sent.swap(0, Relaxed), 0, None);
        }
    }
}

/// Has the system send as much as the connection takes.
fn send_range(stream: &TcpStream, range: &Range<'_>) -> io::Result<u64> {
    let bytes = usize::try_from(range.bytes).unwrap_or(usize::MAX);
    let mut offset = range.offset;
    let send = || sendfile(stream, range.file, Some(&mut offset), bytes);
    Ok(retry_on_intr(send)? as u64)
}

pub fn receive(service: &Receiving, children: &mut Children) -> Result<()> {
    let task = || {
        Task::Receive(ReceiveTask {
            directory: service.directory.clone().into(),
            syncs: service.syncs,
            secret: service.secret.clone(),
            patience: service.patience,
        })
    };
    let (listening, connections) = (&service.listening, service.connections);
    server::run(listening, connections, None, &task, children)
}

/// Receives from one sender after the other.
pub(crate) fn perform(task: &ReceiveTask) -> Result<Answer> {
    let directory = Path::new(&task.directory);
    let inbox = Inbox::open_shared(directory, task.syncs);
    let inbox = Arc::new(inbox.with_context(|| directory.display().to_string())?);
    server::accept_all(|listener, stream| converse(stream, task, &inbox, listener))
}

/// Receives what comes over a connection, until either end closes it.
fn converse(
    mut stream: &TcpStream,
    task: &ReceiveTask,
    inbox: &Arc<Inbox>,
    listener: &Listener,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(task.patience))?;
    let mut receiver = Receiver::new(&task.secret, inbox);
    loop {
        let io = match receiver.step() {
            ReceiveStep::Write(bytes) => stream.write_all(bytes),
            ReceiveStep::Read(room) => {
                let read = read_until(stream, room, task.patience, listener);
                read.map(|read| receiver.filled(read))
            }
            ReceiveStep::Work(work) => {
                receiver.done(work.run());
                Ok(())
            }
            ReceiveStep::End(_) => return linger(stream),
        };
        if let Err(error) = io {
            receiver.broken(&in_words(error));
        }
    }
}

/// Reads, if something comes in time, and before the end begins.
fn read_until(
    stream: &TcpStream,
    room: &mut [u8],
    patience: Duration,
    listener: &Listener,
) -> io::Result<usize> {
    let ready = wait_to_read(stream, listener, Instant::now() + patience)?;
    if ready.is_closing {
        return Err(ErrorKind::Interrupted.into());
    }
    match ready.is_readable {
        true => read(stream, room),
        false => Err(ErrorKind::TimedOut.into()),
    }
}

fn read(mut stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// That a connection has taken too long, the system calls something else.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}
