//! The responder: it answers each request after the time that the request asks for, and
//! counts what it was asked at once.
//!
//! A request is two numbers of 64 bits, little-endian: its own, from 1, and after how many
//! microseconds it is to be answered ([`NEVER`] is not answered at all). An answer is the same
//! number and its [`value`]. The request 0 is the gate: its second number says of how many
//! connections it has to come before it is answered, over all of them. So that many clients
//! have waited at once, however slowly they began.
//!
//! A client that sends its next request has given up the one before: one request a connection
//! counts as under way. The answer to the older one is sent all the same.
//!
//! It is one thread with one epoll, and uses none of the runtimes that are measured.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::epoll;
use serde::{Deserialize, Serialize};

use crate::limits::allow_open_files;
use crate::wait::{cpu_ns, wait};

/// The time of a request that gets no answer.
pub const NEVER: u64 = u64::MAX;

/// The number of the gate.
const GATE: u64 = 0;
const FRAME_BYTES: usize = 16;
/// As many as a server's queue of new connections may have, by the system's default.
const BACKLOG: i32 = 4096;
const OTHER_FILES: u64 = 32;
/// How long connections may take to close when a client has said that it is done.
const PATIENCE: Duration = Duration::from_secs(10);
/// What events are of that are not a connection's.
const LISTENER: u64 = u64::MAX;
const COMMANDS: u64 = u64::MAX - 1;

/// What was asked since the counts were taken last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Connections that asked something.
    pub connections: u64,
    /// Requests, without those at the gate.
    pub requests: u64,
    /// The most connections with a request under way at once.
    pub most_at_once: u64,
    /// Connections that were still open. They are waited for.
    pub open: u64,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// What the request of this number is answered with: its number, mixed by the finalizer of
/// SplitMix64 (Steele, Lea and Flood 2014).
pub fn value(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Answers at a port of its own, over at most this number of connections at once, until `commands`
/// ends. It prints its address; then, after a line of `commands`, its [`Counts`] as a line of
/// JSON, when all connections have been closed.
///
/// # Errors
///
/// When it may not open a file for each of them, or has no port; broken connections are no error.
pub fn respond(
    connections: usize,
    commands: impl Read + AsFd,
    mut printed: impl Write,
) -> anyhow::Result<()> {
    allow_open_files(connections as u64 + OTHER_FILES)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
    rustix::net::listen(&listener, BACKLOG).context("the queue of new connections")?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?;
    let readable = epoll::EventFlags::IN;
    for (fd, token) in [(listener.as_fd(), LISTENER), (commands.as_fd(), COMMANDS)] {
        epoll::add(&epoll, fd, epoll::EventData::new_u64(token), readable)
            .context("what cannot be waited for")?;
    }
    writeln!(printed, "{}", listener.local_addr()?)?;
    printed.flush()?;
    Responder {
        listener,
        epoll,
        begun: Instant::now(),
        clients: Vec::new(),
        free: Vec::new(),
        timers: BinaryHeap::new(),
        opened: 0,
        open: 0,
        at_once: 0,
        at_gate: Vec::new(),
        counts: Counts::default(),
        cpu_ns: cpu_ns(),
        asked: None,
    }
    .run(commands, printed)
}

struct Responder {
    listener: TcpListener,
    epoll: OwnedFd,
    begun: Instant,
    clients: Vec<Option<Client>>,
    /// Places of them that are free.
    free: Vec<usize>,
    /// When to answer whom, in nanoseconds, and which request.
    timers: BinaryHeap<Reverse<(u64, usize, u64, u64)>>,
    /// Connections ever, which numbers them.
    opened: u64,
    open: u64,
    at_once: u64,
    /// Who waits at the gate.
    at_gate: Vec<(usize, u64)>,
    counts: Counts,
    /// Processor time when the counts were taken last.
    cpu_ns: u64,
    /// Since when the counts have been asked for.
    asked: Option<Instant>,
}

struct Client {
    stream: TcpStream,
    id: u64,
    frame: [u8; FRAME_BYTES],
    filled: usize,
    /// The request that is under way.
    request: Option<u64>,
    has_asked: bool,
}

impl Responder {
    fn run(mut self, mut commands: impl Read, mut printed: impl Write) -> anyhow::Result<()> {
        let mut command = [0; 64];
        loop {
            for event in self.wait()? {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    COMMANDS => match commands.read(&mut command) {
                        Ok(0) => return Ok(()),
                        // A line may come in pieces.
                        Ok(read) if command[..read].contains(&b'\n') => {
                            self.asked = Some(Instant::now());
                        }
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(error).context("standard input"),
                    },
                    place => {
                        let place = place as usize;
                        // One that breaks, or sends what is no request, is closed.
                        if self.read(place).is_err() {
                            self.close(place);
                        }
                    }
                }
            }
            self.answer_due();
            let is_done = |since: Instant| self.open == 0 || since.elapsed() >= PATIENCE;
            if self.asked.is_some_and(is_done) {
                self.asked = None;
                let counts = serde_json::to_string(&self.take_counts())?;
                writeln!(printed, "{counts}")?;
                printed.flush()?;
            }
        }
    }

    fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn wait(&self) -> anyhow::Result<Vec<epoll::Event>> {
        let now = self.now_ns();
        let next = self.timers.peek().map(|Reverse((due, ..))| *due);
        let until_next = next.map(|due| Duration::from_nanos(due.saturating_sub(now)));
        let patience = self
            .asked
            .map(|since| PATIENCE.saturating_sub(since.elapsed()));
        let most = until_next.into_iter().chain(patience).min();
        wait(&self.epoll, most)
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It has gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("accepting a connection"),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let data = epoll::EventData::new_u64(place as u64);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
            self.opened += 1;
            self.open += 1;
            self.clients[place] = Some(Client {
                stream,
                id: self.opened,
                frame: [0; FRAME_BYTES],
                filled: 0,
                request: None,
                has_asked: false,
            });
        }
    }

    /// Reads all that has come over a connection.
    fn read(&mut self, place: usize) -> io::Result<()> {
        let mut buffer = [0; 16 * FRAME_BYTES];
        loop {
            let Some(client) = &mut self.clients[place] else {
                return Ok(());
            };
            let read = match client.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for byte in &buffer[..read] {
                let Some(client) = &mut self.clients[place] else {
                    return Ok(());
                };
                client.frame[client.filled] = *byte;
                client.filled += 1;
                if client.filled == FRAME_BYTES {
                    client.filled = 0;
                    let frame = client.frame;
                    self.request(place, frame)?;
                }
            }
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn request(&mut self, place: usize, frame: [u8; FRAME_BYTES]) -> io::Result<()> {
        let [number, time] = numbers(frame);
        let Some(client) = &mut self.clients[place] else {
            return Ok(());
        };
        self.counts.connections += u64::from(!client.has_asked);
        client.has_asked = true;
        if client.request.replace(number).is_none() {
            self.at_once += 1;
            self.counts.most_at_once = self.counts.most_at_once.max(self.at_once);
        }
        let id = client.id;
        if number == GATE {
            self.at_gate.push((place, id));
            if self.at_gate.len() as u64 >= time {
                for (place, id) in std::mem::take(&mut self.at_gate) {
                    self.answer(place, id, GATE);
                }
            }
            return Ok(());
        }
        self.counts.requests += 1;
        if time != NEVER {
            let due = self.now_ns().saturating_add(time.saturating_mul(1_000));
            self.timers.push(Reverse((due, place, id, number)));
        }
        Ok(())
    }

    fn answer_due(&mut self) {
        let now = self.now_ns();
        while let Some(Reverse((due, place, id, number))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            self.answer(place, id, number);
        }
    }

    fn answer(&mut self, place: usize, id: u64, number: u64) {
        let client = self.clients[place].as_mut();
        // Or another has its place.
        let Some(client) = client.filter(|client| client.id == id) else {
            return;
        };
        if client.request == Some(number) {
            client.request = None;
            self.at_once -= 1;
        }
        let mut frame = [0; FRAME_BYTES];
        frame[..8].copy_from_slice(&number.to_le_bytes());
        frame[8..].copy_from_slice(&value(number).to_le_bytes());
        // A client whose buffer has no room for it reads nothing.
        if !matches!(client.stream.write(&frame), Ok(FRAME_BYTES)) {
            self.close(place);
        }
    }

    /// Closing it removes it from the epoll.
    fn close(&mut self, place: usize) {
        if let Some(client) = self.clients[place].take() {
            self.at_once -= u64::from(client.request.is_some());
            self.at_gate.retain(|(_, id)| *id != client.id);
            self.open -= 1;
            self.free.push(place);
        }
    }

    fn take_counts(&mut self) -> Counts {
        let cpu_ns = cpu_ns();
        let counts = std::mem::take(&mut self.counts);
        // Nothing of the next client's is due to this one.
        self.timers.clear();
        Counts {
            open: self.open,
            cpu_ns: cpu_ns - std::mem::replace(&mut self.cpu_ns, cpu_ns),
            ..counts
        }
    }
}

fn numbers(frame: [u8; FRAME_BYTES]) -> [u64; 2] {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| frame[at + byte]));
    [number(0), number(8)]
}
