//! Unit: none. Shares: nothing but the connection that a stop shuts down. Ends: no file is left,
//! or all is stopped; the receiver, when the one connection at a time does.
//!
//! Files go over one connection, however many streams are asked for. The receiver lets another
//! sender come when it has a file of the one before: else all others would wait for its last.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use file_send::{Error, Outgoing, Range, ReceiveStep, SendStep, Sender};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use suite::Result;
use suite::send::{Receiving, Sending};

use crate::both_ways::wait;
use crate::server::{accept_all, end, linger};

pub fn run(sending: &Sending) -> Result<()> {
    let open = Arc::new(Open::default());
    let stopping = open.clone();
    // Another thread stops it, such as the one that handles signals.
    sending.on_stop(move || stopping.stop());
    let unit = Unit {
        sending,
        open: &open,
        connection: None,
    };
    unit.work();
    Ok(())
}

/// The sender's connection, and its waits: what a stop ends.
#[derive(Default)]
struct Open {
    stream: Mutex<Option<Arc<TcpStream>>>,
    stopped: Condvar,
}

impl Open {
    fn stream(&self) -> MutexGuard<'_, Option<Arc<TcpStream>>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is read or written sees the end of the connection.
    fn stop(&self) {
        if let Some(stream) = &*self.stream() {
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
        *self.open.stream() = None;
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
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(sending.patience))?;
        stream.set_write_timeout(Some(sending.patience))?;
        let stream = Arc::new(stream);
        let mut place = open.stream();
        // Either the stop sees this connection, or this sees the stop.
        if sending.is_stopped() {
            return Err(ErrorKind::Interrupted.into());
        }
        *place = Some(stream.clone());
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
        drop(stopped.wait_timeout_while(self.open.stream(), wait, is_going));
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

pub fn receive(service: &Receiving) -> Result<()> {
    let end = end(&service.listening)?;
    let converse =
        |listener: &TcpListener, stream: &TcpStream| converse(stream, service, listener, &end);
    accept_all(&service.listening, converse, || {})
}

/// Receives what comes over a connection, until either end closes it.
fn converse(
    mut stream: &TcpStream,
    service: &Receiving,
    listener: &TcpListener,
    end: &UnixStream,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(service.patience))?;
    let mut receiver = service.receiver();
    let mut has_had_file = false;
    loop {
        let is_between_files = has_had_file && receiver.is_idle();
        let io = match receiver.step() {
            ReceiveStep::Write(bytes) => stream.write_all(bytes),
            ReceiveStep::Read(_) if is_between_files && is_awaited(listener)? => {
                return linger(stream);
            }
            ReceiveStep::Read(room) => {
                let read = read_until(stream, room, service.patience, end);
                read.map(|read| receiver.filled(read))
            }
            ReceiveStep::Work(work) => {
                receiver.done(work.run());
                has_had_file = true;
                Ok(())
            }
            ReceiveStep::End(_) => return linger(stream),
        };
        if let Err(error) = io {
            receiver.broken(&in_words(error));
        }
    }
}

/// Whether another sender waits.
fn is_awaited(listener: &TcpListener) -> io::Result<bool> {
    wait(&mut [PollFd::new(listener, PollFlags::IN)], Instant::now())
}

/// Reads, if something comes in time, and before the end begins.
fn read_until(
    stream: &TcpStream,
    room: &mut [u8],
    patience: Duration,
    end: &UnixStream,
) -> io::Result<usize> {
    let mut both = [
        PollFd::new(stream, PollFlags::IN),
        PollFd::new(end, PollFlags::IN),
    ];
    if !wait(&mut both, Instant::now() + patience)? {
        return Err(ErrorKind::TimedOut.into());
    }
    match both[1].revents().is_empty() {
        true => read(stream, room),
        false => Err(ErrorKind::Interrupted.into()),
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
