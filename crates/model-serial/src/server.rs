//! What the servers share: one client after the other, what is asked, and how a connection ends.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use http_head::{Head, Heads, LINGER, Wrong};
use suite::Result;
use suite::listening::{Listening, pause_after};

/// Takes one client after the other, and does this after each, until the end begins.
pub fn accept_all(
    listening: &Listening,
    converse: impl Fn(&TcpStream) -> io::Result<()>,
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
            Ok((stream, _)) => drop(converse(&stream)),
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error).context("accepting a connection"),
            },
        }
        after();
    }
}

/// The request, or what is wrong with it; none when none will come.
pub fn next<H: Head>(
    mut stream: &TcpStream,
    requests: &mut Heads<H>,
    patience: Duration,
) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
    let mut until = None;
    loop {
        if let Some(next) = requests.next() {
            return Ok(Some(next));
        }
        if requests.has_begun() {
            // Or a client that sends a byte now and then would never be cut.
            let until = *until.get_or_insert_with(|| Instant::now() + patience);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Some(Err(Wrong::Late.into())));
            }
            stream.set_read_timeout(Some(left))?;
        }
        match stream.read(requests.room()) {
            Ok(0) => return Ok(None),
            Ok(read) => requests.filled(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(requests.has_begun().then_some(Err(Wrong::Late.into())));
            }
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
