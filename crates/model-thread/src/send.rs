//! Unit: thread, one a connection, at either end. Shares: the files that are left, behind a
//! lock; the directory; the open connections. Ends: no file is left, or all is stopped; at the
//! receiver, when the end begins. Then connections are shut down; the scope joins.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use file_send::{Error, Outgoing, Range, ReceiveStep, SendStep, Sender};
use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use suite::Result;
use suite::send::{Receiving, Sending};

use crate::server::{self, Client};

pub fn run(sending: &Arc<Sending>) -> Result<()> {
    let open = Arc::new(Open::default());
    let stopping = open.clone();
    sending.on_stop(move || stopping.stop());
    thread::scope(|scope| {
        let mut started = Vec::with_capacity(sending.units());
        let mut start = || -> Result<()> {
            for _ in 0..sending.units() {
                let unit = Unit {
                    sending,
                    open: &open,
                    connection: None,
                };
                started.push(crate::spawn(scope, || unit.work())?);
            }
            Ok(())
        };
        // Those that have started end with the run.
        let begun = start().inspect_err(|_| sending.stop());
        // The scope would not wait for those that are still on their way out.
        started.into_iter().for_each(crate::join);
        begun
    })
}

/// The sender's connections, and the threads that wait: what a stop ends.
#[derive(Default)]
struct Open {
    streams: Mutex<Vec<Arc<TcpStream>>>,
    stopped: Condvar,
}

impl Open {
    fn streams(&self) -> MutexGuard<'_, Vec<Arc<TcpStream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Threads that read or write see the end of their connections.
    fn stop(&self) {
        for stream in self.streams().iter() {
            // It fails when the receiver is gone.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.stopped.notify_all();
    }
}

struct Unit<'a> {
    sending: &'a Sending,
    open: &'a Open,
    /// The one that the last file went over.
    connection: Option<Connection<'a>>,
}

struct Connection<'a> {
    stream: Arc<TcpStream>,
    sender: Sender,
    sending: &'a Sending,
    open: &'a Open,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let is_other = |stream: &Arc<_>| !Arc::ptr_eq(stream, &self.stream);
        self.open.streams().retain(is_other);
        self.sending.open.closed();
    }
}

impl<'a> Unit<'a> {
    /// Sends one file after the other.
    fn work(mut self) {
        while let Some(file) = self.sending.next() {
            let mut again = self.attempt(file);
            while let Some((file, wait)) = again {
                self.pause(wait);
                again = self.attempt(file);
            }
        }
        if let Some(mut connection) = self.connection.take() {
            connection.sender.bye();
            connection.drive();
        }
    }

    /// Tries to send a file. Gives it back if it is to be tried again, after this time.
    fn attempt(&mut self, file: Outgoing) -> Option<(Outgoing, Duration)> {
        let connection = match self.connection.take() {
            Some(kept) => Ok(kept),
            None => self.connect(),
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                let error = Error::Broken(error.to_string());
                return self.sending.ended(file, Err(error));
            }
        };
        connection.sender.send(file);
        connection.drive();
        let (file, result) = connection.sender.take();
        if connection.sender.is_open() {
            self.connection = Some(connection);
        }
        self.sending.ended(file, result)
    }

    fn connect(&self) -> io::Result<Connection<'a>> {
        let Self { sending, open, .. } = *self;
        let stream = TcpStream::connect_timeout(&sending.address, sending.patience)?;
        set_up(&stream, sending.patience)?;
        let stream = Arc::new(stream);
        let mut streams = open.streams();
        // Either the stop sees this connection, or this sees the stop.
        if sending.is_stopped() {
            return Err(ErrorKind::Interrupted.into());
        }
        streams.push(stream.clone());
        sending.open.opened();
        Ok(Connection {
            stream,
            sender: sending.sender(),
            sending,
            open,
        })
    }

    /// Waits so long, unless all is stopped before.
    fn pause(&self, wait: Duration) {
        let is_going = |_: &mut _| !self.sending.is_stopped();
        let stopped = &self.open.stopped;
        drop(stopped.wait_timeout_while(self.open.streams(), wait, is_going));
    }
}

impl Connection<'_> {
    /// Does what the sender says, until the file has ended, or the connection.
    fn drive(&mut self) {
        let Self { stream, sender, .. } = self;
        loop {
            let io = match sender.step() {
                SendStep::Write(bytes) => (&**stream).write_all(bytes),
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

pub fn receive(service: &Arc<Receiving>) -> Result<()> {
    let open = Arc::new(server::Open::default());
    let closing = open.clone();
    service.listening.on_close(move || closing.close());
    thread::scope(|scope| {
        let (listening, most) = (&service.listening, service.connections);
        let converse = |client: &Client| converse(client, service);
        let accepted = server::accept_all(scope, listening, most, &open, converse);
        // Also when accepting has failed: all threads are joined.
        open.close();
        accepted
    })
}

/// Receives what comes over a connection, until either end closes it.
fn converse(client: &Client, service: &Receiving) -> io::Result<()> {
    let mut stream = client.stream();
    set_up(stream, service.patience)?;
    let mut receiver = service.receiver();
    loop {
        let io = match receiver.step() {
            ReceiveStep::Write(bytes) => stream.write_all(bytes),
            // What has come before can still be read when the end has begun.
            ReceiveStep::Read(_) if service.listening.is_closing() => {
                Err(ErrorKind::Interrupted.into())
            }
            ReceiveStep::Read(room) => read(stream, room).map(|read| receiver.filled(read)),
            ReceiveStep::Work(work) => {
                receiver.done(work.run());
                Ok(())
            }
            // Nothing more can be read when the end has begun. A sender whose bytes are left unread
            // sees that at once; if they were read, it would wait for the closed end to take more.
            ReceiveStep::End(_) if service.listening.is_closing() => return Ok(()),
            ReceiveStep::End(_) => return client.linger(),
        };
        if let Err(error) = io {
            receiver.broken(&in_words(error));
        }
    }
}

/// Each read and write may take so long.
fn set_up(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
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
