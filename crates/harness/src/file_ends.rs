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
    let ended = loop {
        match before(&meter).then(|| step(&mut stream, &mut sender)) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => break Ok(true),
            Some(Err(error)) => break Err(error),
            None => break Ok(false),
        }
    };
    if let Err(error) = &ended {
        sender.broken(error);
    }
    let taken = sender.take();
    // Or the other end would take it for a connection that broke.
    if ended.is_ok_and(|whole| whole) && sender.is_open() {
        sender.bye();
        while step(&mut stream, &mut sender).unwrap_or(false) {}
    }
    Ok(taken)
}

/// Does what the sender says; false when there is nothing more.
fn step(stream: &mut TcpStream, sender: &mut Sender) -> io::Result<bool> {
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
