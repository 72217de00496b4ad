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

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clients::{Clients, Event, print};
use crate::content::splitmix64;
use crate::timers::Timers;

/// The time of a request that gets no answer.
pub const NEVER: u64 = u64::MAX;

/// The number of the gate.
const GATE: u64 = 0;
const FRAME_BYTES: usize = 16;
/// How long connections may take to close when a client has said that it is done.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// What the request of this number is answered with: its number, mixed by SplitMix64.
pub fn value(number: u64) -> u64 {
    splitmix64(number)
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
    Responder {
        clients: Clients::open(connections, &commands, &mut printed)?,
        timers: Timers::new(),
        at_once: 0,
        at_gate: Vec::new(),
        counts: Counts::default(),
        asked: None,
    }
    .run(commands, printed)
}

struct Responder {
    clients: Clients<Client>,
    /// When to answer whom, and which request.
    timers: Timers<(usize, u64, u64)>,
    at_once: u64,
    /// Who waits at the gate.
    at_gate: Vec<(usize, u64)>,
    counts: Counts,
    /// Since when the counts have been asked for.
    asked: Option<Instant>,
}

#[derive(Default)]
struct Client {
    frame: [u8; FRAME_BYTES],
    filled: usize,
    /// The request that is under way.
    request: Option<u64>,
    has_asked: bool,
}

impl Responder {
    fn run(mut self, mut commands: impl Read, mut printed: impl Write) -> anyhow::Result<()> {
        loop {
            let patience = self
                .asked
                .map(|since| PATIENCE.saturating_sub(since.elapsed()));
            let most = self.timers.until_next().into_iter().chain(patience).min();
            for event in self.clients.wait(most, &mut commands)? {
                match event {
                    // One that breaks, or sends what is no request, is closed.
                    Event::Client(place, _) => {
                        if self.read(place).is_err() {
                            self.close(place);
                        }
                    }
                    Event::Counts => self.asked = Some(Instant::now()),
                    Event::End => return Ok(()),
                }
            }
            while let Some((place, id, number)) = self.timers.pop_due() {
                self.answer(place, id, number);
            }
            let is_done = |since: Instant| self.clients.count() == 0 || since.elapsed() >= PATIENCE;
            if self.asked.is_some_and(is_done) {
                self.asked = None;
                print(&mut printed, &self.take_counts())?;
            }
        }
    }

    /// Reads all that has come over a connection.
    fn read(&mut self, place: usize) -> io::Result<()> {
        let mut buffer = [0; 16 * FRAME_BYTES];
        loop {
            let Some(client) = self.clients.at(place) else {
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
                let Some(client) = self.clients.at(place) else {
                    return Ok(());
                };
                let state = &mut client.state;
                state.frame[state.filled] = *byte;
                state.filled += 1;
                if state.filled == FRAME_BYTES {
                    state.filled = 0;
                    let frame = state.frame;
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
        let Some(client) = self.clients.at(place) else {
            return Ok(());
        };
        self.counts.connections += u64::from(!client.state.has_asked);
        client.state.has_asked = true;
        if client.state.request.replace(number).is_none() {
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
            let time = Duration::from_micros(time);
            self.timers.start(time, (place, id, number));
        }
        Ok(())
    }

    fn answer(&mut self, place: usize, id: u64, number: u64) {
        let Some(client) = self.clients.with_id(place, id) else {
            return;
        };
        if client.state.request == Some(number) {
            client.state.request = None;
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

    fn close(&mut self, place: usize) {
        if let Some(client) = self.clients.close(place) {
            self.at_once -= u64::from(client.state.request.is_some());
            self.at_gate.retain(|(_, id)| *id != client.id);
        }
    }

    fn take_counts(&mut self) -> Counts {
        // Nothing of the next client's is due to this one.
        self.timers.clear();
        Counts {
            open: self.clients.count() as u64,
            cpu_ns: self.clients.take_cpu_ns(),
            ..std::mem::take(&mut self.counts)
        }
    }
}

fn numbers(frame: [u8; FRAME_BYTES]) -> [u64; 2] {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| frame[at + byte]));
    [number(0), number(8)]
}
