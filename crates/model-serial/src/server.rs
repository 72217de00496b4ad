//! What the servers share: one client after the other, what is asked, and how a connection ends.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_head::{Head, Heads, LINGER, Wrong};
use rustix::event::{PollFd, PollFlags};
use suite::Result;
use suite::listening::{Listening, pause_after};

use crate::both_ways::wait;

/// Takes one client after the other, and does this after each, until the end begins.
pub fn accept_all(
    listening: &Listening,
    converse: impl Fn(&TcpListener, &TcpStream) -> io::Result<()>,
    mut after: impl FnMut(),
) -> Result<()> {
    let listener = listening.listener()?;
    loop {
        let accepted = listener.accept();
        if listening.is_closing() {
            return Ok(());
        }
        match accepted {
            // What breaks is the client's to tell.
            Ok((stream, _)) => drop(converse(&listener, &stream)),
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error).context("accepting a connection"),
            },
        }
        after();
    }
}

/// What can be read from when the end begins.
pub fn end(listening: &Listening) -> io::Result<UnixStream> {
    let (end, until_then) = UnixStream::pair()?;
    listening.on_close(move || drop(until_then));
    Ok(end)
}

/// The request, or what is wrong with it; none when none will come, or the end has begun.
pub fn next<H: Head>(
    mut stream: &TcpStream,
    requests: &mut Heads<H>,
    patience: Duration,
    end: &UnixStream,
) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(next) = requests.next() {
            return Ok(Some(next));
        }
        let mut both = [
            PollFd::new(stream, PollFlags::IN),
            PollFd::new(end, PollFlags::IN),
        ];
        if !wait(&mut both, until)? {
            return Ok(requests.has_begun().then_some(Err(Wrong::Late.into())));
        }
        if both[0].revents().is_empty() {
            return Ok(None);
        }
        match stream.read(requests.room()) {
            Ok(0) => return Ok(None),
            Ok(read) => requests.filled(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lets the client read the answer before the connection is gone: what it sends meanwhile is
/// passed over.
pub fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + LINGER;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut [0; 1024])? == 0 {
            return Ok(());
        }
    }
}
