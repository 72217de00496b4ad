//! Both ends of `send` in plain threads, for tests of the other one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use file_send::{
    Acknowledged, Error, Inbox, Outgoing, Path, ReceiveStep, Receiver, Secret, SendStep, Sender,
};

/// How long a test waits for the other end: nothing takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What both ends of a test have.
pub(crate) fn secret() -> Secret {
    Secret::new(*b"what both ends of a test have").expect("enough bytes")
}

/// Sends one file over one connection. `before` is asked before each step what of it is to be
/// done: whether to go on.
pub(crate) fn send(
    to: SocketAddr,
    secret: &Secret,
    file: Outgoing,
    mut before: impl FnMut(&AtomicU64) -> bool,
) -> io::Result<(Outgoing, Result<Acknowledged, Error>)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let meter: Arc<AtomicU64> = Arc::default();
    let mut sender = Sender::new(secret, Path::Copy, &meter);
    sender.send(file);
    let mut step = || -> io::Result<bool> {
        match sender.step() {
            SendStep::Write(bytes) => stream.write_all(bytes)?,
            SendStep::Read(room) => {
                let read = stream.read(room)?;
                sender.filled(read);
            }
            SendStep::Work(work) => sender.done(work.run()),
            SendStep::SendFile(_) => return Err(io::Error::other("it was not asked for")),
            SendStep::End => return Ok(false),
        }
        Ok(true)
    };
    let ended = loop {
        match before(&meter).then(&mut step) {
            Some(Ok(true)) => {}
            Some(Err(error)) => break Some(error),
            Some(Ok(false)) | None => break None,
        }
    };
    if let Some(error) = ended {
        sender.broken(&error);
    }
    Ok(sender.take())
}

/// Receives what comes over one connection. `before` is told before each piece of work.
pub(crate) fn receive(
    mut stream: &TcpStream,
    secret: &Secret,
    inbox: &Arc<Inbox>,
    mut before: impl FnMut(),
) -> io::Result<Result<(), Error>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut receiver = Receiver::new(secret, inbox);
    loop {
        match receiver.step() {
            ReceiveStep::Write(bytes) => stream.write_all(bytes)?,
            ReceiveStep::Read(room) => {
                // What has broken has ended.
                let read = stream.read(room).unwrap_or(0);
                receiver.filled(read);
            }
            ReceiveStep::Work(work) => {
                before();
                receiver.done(work.run());
            }
            ReceiveStep::End(result) => return Ok(result),
        }
    }
}
