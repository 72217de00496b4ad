//! The upstream: the server behind a proxy. It answers requests for files that follow from
//! their numbers, after a time, and counts what it was asked and what was wrong in it.
//!
//! A request is `GET /K HTTP/1.1`, answered with [`content`] of that number, for numbers below
//! [`FILES`]. It is right if it has the upstream's address as its `Host`, at most one `Via`, and
//! no field that is of another connection; `Connection: close` closes the connection after the
//! answer. What is wrong is answered with 400, and its connection closed.
//!
//! A client may close its side when it has asked: it is answered all the same.
//!
//! It is one thread with one epoll, and uses none of the runtimes that are measured. Answers
//! are made when it starts: one buffer for each file, however many connections it goes over.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::ensure;
use rustix::event::epoll::EventFlags;
use serde::{Deserialize, Serialize};

use crate::asked::{Asked, MOST_HEAD_BYTES, NO_REQUEST, parse};
use crate::clients::{Client, Clients, Event, print};
use crate::content::{FILES, content};
use crate::timers::Timers;
use crate::wait::is_quiet;

/// Which answer is that to what is wrong: the one after the files.
const REFUSAL: usize = FILES as usize;
/// The answer that takes longer takes this many times as long.
const SLOW_TIMES: u32 = 10;

/// The most bytes that a body can have: all of them are in memory.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What an upstream answers, and after what time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Bytes of each body: at most [`MOST_BYTES`].
    pub bytes: u64,
    /// How long it waits before it answers, in milliseconds.
    pub delay_ms: u64,
    /// Each right request whose number is a multiple of this is answered after ten times that
    /// time; 0 for none.
    pub slow: u64,
    /// Connections at once, at most.
    pub connections: usize,
}

/// What was asked since the counts were taken last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamCounts {
    /// Connections that asked something.
    pub connections: u64,
    /// The most connections that were open at once, also those that asked nothing.
    pub peak_connections: u64,
    /// Requests whose head came whole, also those that are wrong.
    pub requests: u64,
    /// The most requests under way at once: from when the head was read until the last byte of
    /// the answer was with the kernel. One whose client has gone is under way until its time
    /// is over.
    pub most_at_once: u64,
    /// Connections that were open until now and asked nothing.
    pub idle: u64,
    /// Right requests without a `Via`.
    pub direct: u64,
    /// Right requests with one.
    pub via: u64,
    /// What was wrong, by kind. A request counts once for each kind.
    pub wrong: BTreeMap<String, u64>,
    /// Its processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// Answers at a port of its own until `commands` ends. It prints its address; then, after a
/// line of `commands`, it closes all connections and prints its [`UpstreamCounts`] as a line of
/// JSON. The end that closes first keeps a connection's port for a minute.
///
/// # Errors
///
/// When the bodies are too long, it may not open a file for each connection, or has no port;
/// broken connections are no error.
pub fn upstream(
    shape: &Shape,
    commands: impl Read + AsFd,
    mut printed: impl Write,
) -> anyhow::Result<()> {
    let bytes = shape.bytes;
    ensure!(
        bytes <= MOST_BYTES,
        "bytes is {bytes}: at most {MOST_BYTES}"
    );
    let file = |number| Answer::new("200 OK", &content(number, bytes));
    let mut answers: Vec<_> = (0..FILES).map(file).collect();
    answers.push(Answer::new("400 Bad Request", &[]));
    let clients = Clients::open(shape.connections, &commands, &mut printed)?;
    Upstream {
        shape,
        answers,
        host: clients.address().to_string(),
        clients,
        timers: Timers::new(),
        at_once: 0,
        counts: UpstreamCounts::default(),
        buffer: vec![0; 4 * MOST_HEAD_BYTES],
    }
    .run(commands, printed)
}

struct Upstream<'a> {
    shape: &'a Shape,
    answers: Vec<Answer>,
    host: String,
    clients: Clients<State>,
    /// When to answer whom.
    timers: Timers<(usize, u64)>,
    at_once: u64,
    counts: UpstreamCounts,
    buffer: Vec<u8>,
}

/// An answer as it is sent: with one head, or with another when the connection is closed.
struct Answer {
    /// Head and body.
    whole: Vec<u8>,
    head_bytes: usize,
    closing_head: Vec<u8>,
}

/// The state of a connection.
#[derive(Default)]
struct State {
    /// What has come and is not a whole request yet, or comes before its turn.
    ahead: Vec<u8>,
    under_way: Option<UnderWay>,
    has_asked: bool,
    /// Nothing more comes.
    has_ended: bool,
    /// What epoll waits for, if not for something to read.
    watched: Option<EventFlags>,
}

/// The answer to a request.
struct UnderWay {
    answer: usize,
    closes: bool,
    written: usize,
    /// The kernel takes no more of it for now.
    is_blocked: bool,
}

impl Answer {
    fn new(status: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
        let mut whole = Vec::with_capacity(head.len() + 2 + length);
        whole.extend_from_slice(head.as_bytes());
        whole.extend_from_slice(b"\r\n");
        whole.extend_from_slice(body);
        Self {
            whole,
            head_bytes: head.len() + 2,
            closing_head: format!("{head}Connection: close\r\n\r\n").into_bytes(),
        }
    }

    /// What is sent, in two parts.
    fn parts(&self, closes: bool) -> (&[u8], &[u8]) {
        match closes {
            true => (&self.closing_head, &self.whole[self.head_bytes..]),
            false => (&self.whole[..], &[]),
        }
    }
}

impl Upstream<'_> {
    fn run(mut self, mut commands: impl Read, mut printed: impl Write) -> anyhow::Result<()> {
        loop {
            let most = self.timers.until_next();
            let mut is_asked_for_counts = false;
            for event in self.clients.wait(most, &mut commands)? {
                match event {
                    // One that breaks is closed.
                    Event::Client(place, flags) => {
                        if self.turn(place, flags).is_err() {
                            self.close(place);
                        }
                    }
                    Event::Counts => is_asked_for_counts = true,
                    Event::End => return Ok(()),
                }
            }
            while let Some((place, id)) = self.timers.pop_due() {
                let is_there = self.clients.with_id(place, id).is_some();
                if is_there && self.answer(place).and_then(|()| self.go_on(place)).is_err() {
                    self.close(place);
                }
            }
            if is_asked_for_counts {
                print(&mut printed, &self.take_counts()?)?;
            }
        }
    }

    /// A connection can be read or written.
    fn turn(&mut self, place: usize, flags: EventFlags) -> io::Result<()> {
        let Some(client) = self.clients.at(place) else {
            return Ok(());
        };
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let state = &mut client.state;
        if state.is_blocked() {
            self.answer(place)?;
            return self.go_on(place);
        }
        match client.stream.read(&mut self.buffer) {
            Ok(0) => state.has_ended = true,
            Ok(read) => {
                self.counts.connections += u64::from(!state.has_asked);
                state.has_asked = true;
                state.ahead.extend_from_slice(&self.buffer[..read]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.go_on(place)
    }

    /// Takes requests that have come, until one is under way; closes a connection over which
    /// none comes any more.
    fn go_on(&mut self, place: usize) -> io::Result<()> {
        while let Some(client) = self.clients.at(place) {
            let state = &mut client.state;
            let is_free = state.under_way.is_none() && !state.ahead.is_empty();
            let asked = is_free.then(|| parse(&state.ahead, &self.host)).flatten();
            if let Some(asked) = asked {
                state.ahead.drain(..asked.bytes);
                self.take(place, &asked)?;
                continue;
            }
            if state.has_ended && state.under_way.is_none() {
                if is_free {
                    self.count_wrong(NO_REQUEST);
                }
                self.close(place);
                return Ok(());
            }
            return self.watch(place);
        }
        Ok(())
    }

    /// Begins with a request.
    fn take(&mut self, place: usize, asked: &Asked) -> io::Result<()> {
        self.counts.requests += 1;
        for kind in &asked.wrong {
            self.count_wrong(kind);
        }
        let is_right = asked.wrong.is_empty();
        let mut delay = Duration::ZERO;
        if is_right {
            self.counts.via += u64::from(asked.via);
            self.counts.direct += u64::from(!asked.via);
            delay = Duration::from_millis(self.shape.delay_ms);
            let right = self.counts.via + self.counts.direct;
            if self.shape.slow > 0 && right.is_multiple_of(self.shape.slow) {
                delay = delay.saturating_mul(SLOW_TIMES);
            }
        }
        let Some(client) = self.clients.at(place) else {
            return Ok(());
        };
        client.state.under_way = Some(UnderWay {
            answer: if is_right {
                asked.file as usize
            } else {
                REFUSAL
            },
            closes: asked.closes || !is_right,
            written: 0,
            is_blocked: false,
        });
        self.at_once += 1;
        self.counts.most_at_once = self.counts.most_at_once.max(self.at_once);
        if delay.is_zero() {
            return self.answer(place);
        }
        self.timers.start(delay, (place, client.id));
        Ok(())
    }

    fn count_wrong(&mut self, kind: &str) {
        match self.counts.wrong.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.counts.wrong.insert(kind.to_owned(), 1)),
        }
    }

    /// Writes as much of the answer as the kernel takes.
    fn answer(&mut self, place: usize) -> io::Result<()> {
        let Some(client) = self.clients.at(place) else {
            return Ok(());
        };
        let Some(under_way) = &mut client.state.under_way else {
            return Ok(());
        };
        let (first, second) = self.answers[under_way.answer].parts(under_way.closes);
        while under_way.written < first.len() + second.len() {
            let written = match under_way.written.checked_sub(first.len()) {
                Some(at) => client.stream.write(&second[at..]),
                None => client.stream.write_vectored(&[
                    IoSlice::new(&first[under_way.written..]),
                    IoSlice::new(second),
                ]),
            };
            match written {
                Ok(written) => under_way.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    under_way.is_blocked = true;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if under_way.closes {
            self.close(place);
        } else {
            client.state.under_way = None;
            self.at_once -= 1;
        }
        Ok(())
    }

    /// Has epoll wait for what can be done now.
    fn watch(&mut self, place: usize) -> io::Result<()> {
        let Some(client) = self.clients.at(place) else {
            return Ok(());
        };
        let state = &mut client.state;
        let flags = if state.is_blocked() {
            EventFlags::OUT
        } else if state.has_ended || state.ahead.len() >= MOST_HEAD_BYTES {
            // Only a timer goes on with it.
            EventFlags::empty()
        } else {
            EventFlags::IN
        };
        if state.watched.unwrap_or(EventFlags::IN) != flags {
            state.watched = Some(flags);
            self.clients.watch(place, flags)?;
        }
        Ok(())
    }

    fn close(&mut self, place: usize) {
        if let Some(client) = self.clients.close(place) {
            self.at_once -= u64::from(client.state.under_way.is_some());
        }
    }

    /// Closes all connections, and begins to count anew.
    fn take_counts(&mut self) -> anyhow::Result<UpstreamCounts> {
        self.clients.settle()?;
        let idle = |client: &&Client<State>| !client.state.has_asked && is_quiet(&client.stream);
        let idle = self.clients.all().filter(idle).count();
        self.clients.close_all();
        self.timers.clear();
        self.at_once = 0;
        Ok(UpstreamCounts {
            peak_connections: self.clients.take_peak() as u64,
            idle: idle as u64,
            cpu_ns: self.clients.take_cpu_ns(),
            ..std::mem::take(&mut self.counts)
        })
    }
}

impl State {
    fn is_blocked(&self) -> bool {
        let under_way = self.under_way.as_ref();
        under_way.is_some_and(|answer| answer.is_blocked)
    }
}
