//! Unit: task, one a connection, at either end; reading, hashing and writing files in the pool
//! of blocking calls. Shares: the files that are left, behind a lock; the directory. Ends: no
//! file is left, or all is stopped; at the receiver, when the end begins. Then a channel closes,
//! and each task is awaited.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use file_send::{Error, Outgoing, Range, ReceiveStep, SendStep, Sender};
use rustix::fs::sendfile;
use smol::channel::{Receiver, bounded};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use smol::{Async, Executor, Timer, unblock};
use suite::Result;
use suite::send::{Receiving, Sending};

use crate::server::{self, Closed, linger, within};

pub async fn run(sending: Arc<Sending>, executor: Arc<Executor<'static>>) -> Result<()> {
    let (stop, stopped) = bounded(1);
    sending.on_stop(move || {
        stop.close();
    });
    let mut workers = Vec::with_capacity(sending.units());
    for _ in 0..sending.units() {
        let unit = Unit {
            sending: sending.clone(),
            stopped: stopped.clone(),
            connection: None,
        };
        workers.push(executor.spawn(unit.work()));
    }
    crate::join_all(workers).await;
    Ok(())
}

struct Unit {
    sending: Arc<Sending>,
    /// Nothing is ever sent here: it closes when all is stopped.
    stopped: Receiver<Infallible>,
    /// The one that the last file went over.
    connection: Option<Connection>,
}

struct Connection {
    stream: TcpStream,
    sender: Sender,
    sending: Arc<Sending>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.sending.open.closed();
    }
}

impl Unit {
    /// Sends one file after the other.
    async fn work(mut self) {
        while let Some(file) = self.sending.next() {
            let mut again = self.attempt(file).await;
            while let Some((file, wait)) = again {
                self.pause(wait).await;
                again = self.attempt(file).await;
            }
        }
        if let Some(mut connection) = self.connection.take() {
            connection.sender.bye();
            self.drive(&mut connection).await;
        }
    }

    /// Tries to send a file. Gives it back if it is to be tried again, after this time.
    async fn attempt(&mut self, file: Outgoing) -> Option<(Outgoing, Duration)> {
        let connection = match self.connection.take() {
            Some(kept) => Ok(kept),
            None => self.connect().await,
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                let error = Error::Broken(error.to_string());
                return self.sending.ended(file, Err(error));
            }
        };
        connection.sender.send(file);
        self.drive(&mut connection).await;
        let (file, result) = connection.sender.take();
        if connection.sender.is_open() {
            self.connection = Some(connection);
        }
        self.sending.ended(file, result)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let sending = &self.sending;
        let stream = self.within(TcpStream::connect(sending.address)).await?;
        stream.set_nodelay(true)?;
        sending.open.opened();
        Ok(Connection {
            stream,
            sender: sending.sender(),
            sending: sending.clone(),
        })
    }

    /// Waits so long, unless all is stopped before.
    async fn pause(&self, wait: Duration) {
        let over = async {
            Timer::after(wait).await;
        };
        let stopped = async {
            let Err(_closed) = self.stopped.recv().await;
        };
        or(over, stopped).await;
    }

    /// Does what the sender says, until the file has ended, or the connection.
    async fn drive(&self, connection: &mut Connection) {
        let Connection { stream, sender, .. } = connection;
        loop {
            let io = match sender.step() {
                SendStep::Write(bytes) => self.within(stream.write_all(bytes)).await,
                SendStep::Read(room) => {
                    let read = self.within(stream.read(room)).await;
                    read.map(|read| sender.filled(read))
                }
                SendStep::Work(work) => {
                    let worked = unblock(move || work.run()).await;
                    sender.done(worked);
                    Ok(())
                }
                SendStep::SendFile(range) => match self.send_range(stream, range).await {
                    Ok(sent) => {
                        sender.sent(sent);
                        Ok(())
                    }
                    // It was not as ready as it seemed.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                    Err(error) => Err(error),
                },
                SendStep::End => return,
            };
            if let Err(error) = io {
                sender.broken(&error);
            }
        }
    }

    /// What comes of this, if it does in time, and nothing is stopped before.
    async fn within<T>(&self, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let stopped = async {
            let Err(_closed) = self.stopped.recv().await;
            Err(ErrorKind::Interrupted.into())
        };
        or(stopped, within(self.sending.patience, io)).await
    }

    /// Has the system send as much as the connection takes now, where it may read the disk for
    /// that.
    async fn send_range(&self, stream: &TcpStream, range: Range<'_>) -> io::Result<u64> {
        let socket: Arc<Async<net::TcpStream>> = stream.clone().into();
        let bytes = usize::try_from(range.bytes).unwrap_or(usize::MAX);
        let (file, mut offset) = (range.file.try_clone()?, range.offset);
        self.within(socket.writable()).await?;
        let send = move || sendfile(&*socket, file, Some(&mut offset), bytes);
        Ok(unblock(send).await? as u64)
    }
}

pub async fn receive(service: Arc<Receiving>, executor: Arc<Executor<'static>>) -> Result<()> {
    let closed = server::closed(&service.listening);
    let converse = |stream, closed| converse(stream, service.clone(), closed);
    let (listening, connections) = (&service.listening, service.connections);
    server::accept_all(listening, connections, &closed, &executor, converse).await
}

/// Receives what comes over a connection, until either end closes it.
async fn converse(
    mut stream: TcpStream,
    service: Arc<Receiving>,
    closed: Closed,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut closing = pin!(closed.recv());
    let mut receiver = service.receiver();
    let patience = service.patience;
    loop {
        let io = match receiver.step() {
            ReceiveStep::Write(bytes) => {
                until_closed(stream.write_all(bytes), patience, closing.as_mut()).await
            }
            ReceiveStep::Read(room) => {
                let read = until_closed(stream.read(room), patience, closing.as_mut()).await;
                read.map(|read| receiver.filled(read))
            }
            ReceiveStep::Work(work) => {
                let worked = unblock(move || work.run()).await;
                receiver.done(worked);
                Ok(())
            }
            ReceiveStep::End(_) => return linger(&mut stream).await,
        };
        if let Err(error) = io {
            receiver.broken(&error);
        }
    }
}

/// What comes of this, if it does in time, and before the end begins.
async fn until_closed<T>(
    io: impl Future<Output = io::Result<T>>,
    patience: Duration,
    closing: Pin<&mut impl Future>,
) -> io::Result<T> {
    let closed = async {
        closing.await;
        Err(ErrorKind::Interrupted.into())
    };
    or(closed, within(patience, io)).await
}
