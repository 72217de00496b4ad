//! Two connections in one thread, and bytes that go both ways between them: what is ready goes
//! on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use http_head::Received;
use http_proxy::{ESTABLISHED, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use suite::proxy::{PIECE, TUNNEL_GRACE, TUNNEL_PATIENCE};

/// Reads and writes in one direction, before it is the other's turn.
const TURNS: usize = 32;

/// Where a message has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// It goes on.
    On,
    /// All of it has been passed on.
    Whole,
    /// Its own side has failed.
    From,
    /// It could be read in two ways, or in none.
    Malformed,
    /// The other side has failed.
    To,
}

/// A message on its way between two connections, none of which is waited for.
pub struct Way<'a> {
    pub from: &'a TcpStream,
    pub to: &'a TcpStream,
    pub received: &'a mut Received,
    pub message: &'a mut Message,
    /// Bytes of the message's piece that have been written.
    pub written: usize,
    pub state: Passing,
}

impl Way<'_> {
    /// Goes on as far as both sides are ready, but for a while: the other direction is not to
    /// wait. It stops where it waits to write, as what has been read may be there already.
    pub fn step(&mut self) {
        for turn in 0.. {
            if self.state != Passing::On || (turn >= TURNS && self.is_writing()) {
                return;
            }
            match self.try_step() {
                Ok(state) => self.state = state,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.is_writing() => self.state = Passing::To,
                Err(_) => self.state = Passing::From,
            }
        }
    }

    fn try_step(&mut self) -> io::Result<Passing> {
        if self.is_writing() {
            self.written += self.to.write(&self.message.bytes()[self.written..])?;
            return Ok(Passing::On);
        }
        if self.message.is_whole() {
            return Ok(Passing::Whole);
        }
        self.message.written();
        self.written = 0;
        if self.received.is_empty() {
            match self.from.read(self.message.room(self.received))? {
                0 => return Ok(self.message.end().map_or(Passing::From, |()| Passing::On)),
                read => self.received.filled(read),
            }
        }
        let taken = self.message.take(self.received);
        Ok(taken.map_or(Passing::Malformed, |()| Passing::On))
    }

    /// Whether a piece of it has been read, and not all of that written.
    pub fn is_writing(&self) -> bool {
        self.written < self.message.bytes().len()
    }

    /// What it waits for.
    pub fn waits_for(&self) -> Option<PollFd<'_>> {
        (self.state == Passing::On).then(|| match self.is_writing() {
            true => PollFd::new(self.to, PollFlags::OUT),
            false => PollFd::new(self.from, PollFlags::IN),
        })
    }
}

/// Waits until one of these is ready; whether one is by then.
pub fn wait(waiting: &mut [PollFd<'_>], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(waiting, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// One direction of a tunnel.
struct Pipe<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    buffer: Vec<u8>,
    /// Where in it what is to be written begins and ends.
    begin: usize,
    end: usize,
    is_over: bool,
}

impl<'a> Pipe<'a> {
    fn new(from: &'a TcpStream, to: &'a TcpStream, first: &[u8]) -> Self {
        let mut buffer = vec![0; PIECE.max(first.len())];
        buffer[..first.len()].copy_from_slice(first);
        Self {
            from,
            to,
            buffer,
            begin: 0,
            end: first.len(),
            is_over: false,
        }
    }

    /// Goes on as far as both sides are ready, but for a while; tells whether anything has gone
    /// through.
    fn step(&mut self) -> io::Result<bool> {
        let mut has_moved = false;
        for _ in 0..TURNS {
            if self.is_over {
                break;
            }
            let done = match self.begin < self.end {
                true => {
                    let written = self.to.write(&self.buffer[self.begin..self.end]);
                    written.map(|written| self.begin += written)
                }
                false => self.from.read(&mut self.buffer).and_then(|read| {
                    (self.begin, self.end) = (0, read);
                    self.is_over = read == 0;
                    match self.is_over {
                        true => self.to.shutdown(Shutdown::Write),
                        false => Ok(()),
                    }
                }),
            };
            match done {
                Ok(()) => has_moved = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(has_moved)
    }

    fn waits_for(&self) -> Option<PollFd<'_>> {
        (!self.is_over).then(|| match self.begin < self.end {
            true => PollFd::new(self.to, PollFlags::OUT),
            false => PollFd::new(self.from, PollFlags::IN),
        })
    }
}

/// Passes bytes on in both directions, until both have ended, or for a while from when this is
/// ready with no flags: the end.
pub fn tunnel(
    mut client: &TcpStream,
    early: &[u8],
    upstream: &TcpStream,
    end: BorrowedFd<'_>,
    end_flags: PollFlags,
) -> io::Result<()> {
    client.write_all(ESTABLISHED)?;
    client.set_nonblocking(true)?;
    upstream.set_nonblocking(true)?;
    let mut forth = Pipe::new(client, upstream, early);
    let mut back = Pipe::new(upstream, client, &[]);
    let mut until = Instant::now() + TUNNEL_PATIENCE;
    let mut is_ending = false;
    loop {
        let has_moved = [forth.step()?, back.step()?].contains(&true);
        if has_moved && !is_ending {
            until = Instant::now() + TUNNEL_PATIENCE;
        }
        let mut waiting: Vec<_> = [forth.waits_for(), back.waits_for()]
            .into_iter()
            .flatten()
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if !is_ending {
            waiting.push(PollFd::from_borrowed_fd(end, end_flags));
        }
        if !wait(&mut waiting, until)? {
            return Err(ErrorKind::TimedOut.into());
        }
        if !is_ending && waiting.last().is_some_and(|end| !end.revents().is_empty()) {
            is_ending = true;
            until = Instant::now() + TUNNEL_GRACE;
        }
    }
}
