//! A client's side: what to send, and what to make of what comes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{HEAD_BYTES, Job, Outcome};
use crate::splitmix64;

/// How long a client at its end waits for echoes of what it has given up, unless its timeout is
/// longer: a server that a busy machine delays answers within this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// One client's datagrams. It does no I/O and reads no clock.
///
/// ```
/// # use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
/// # use std::io;
/// # use std::net::UdpSocket;
/// # use std::time::Instant;
/// # use suite::datagram::{Job, Outcome, Step, Window};
/// fn talk(job: &Job, client: usize, socket: &UdpSocket) -> io::Result<Outcome> {
///     let mut window = Window::new(job, client);
///     loop {
///         match window.step(Instant::now()) {
///             Step::Send(datagram) => {
///                 socket.send(datagram)?;
///             }
///             Step::Receive(due) => {
///                 if let Some(bytes) = receive(socket, window.room(), due)? {
///                     window.received(bytes);
///                 }
///             }
///             Step::End => return Ok(window.outcome()),
///         }
///     }
/// }
///
/// /// One datagram, if one comes until then. One that is there is taken, however late it is.
/// fn receive(socket: &UdpSocket, room: &mut [u8], due: Instant) -> io::Result<Option<usize>> {
///     // A model waits in its own way.
/// #   socket.set_read_timeout(Some((due - Instant::now()).max(std::time::Duration::from_micros(1))))?;
///     match socket.recv(room) {
///         Ok(bytes) => Ok(Some(bytes)),
///         Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Window {
    run: u64,
    client: u32,
    datagrams: u64,
    /// 0 for none.
    window: u64,
    tries: u64,
    timeout: Duration,
    /// Of all numbers that have been sent, in their order.
    states: Vec<State>,
    /// How many of them are neither answered nor given up.
    open: u64,
    /// What waits for its echo, the first to be due first, and what has been answered meanwhile.
    /// Without a window, nothing does.
    in_flight: VecDeque<InFlight>,
    /// Without a window: take what is there before the next datagram is sent.
    look_first: bool,
    /// The last step to receive was in vain.
    has_looked: bool,
    /// Until when to wait for echoes of what has been given up, at the end.
    until: Option<Instant>,
    datagram: Vec<u8>,
    /// One byte more than a datagram, so that a longer one is seen.
    room: Vec<u8>,
    outcome: Outcome,
}

/// What a client does next.
#[derive(Debug)]
pub enum Step<'a> {
    /// Send this, and step again.
    Send(&'a [u8]),
    /// Take one datagram that is there or comes until this time, and step again. If the time has
    /// passed already, do not wait; but what is there is taken.
    Receive(Instant),
    /// All has come or been given up.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Answered,
    Lost,
    Late,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    number: u32,
    /// How often it has been sent.
    tries: u64,
    due: Instant,
}

impl Window {
    /// The client of this number, counted from 0.
    pub fn new(job: &Job, client: usize) -> Self {
        Self {
            run: job.run,
            client: client as u32,
            datagrams: job.datagrams,
            window: job.window,
            tries: job.tries(),
            timeout: job.timeout(),
            states: Vec::with_capacity(job.datagrams as usize),
            open: 0,
            in_flight: VecDeque::new(),
            look_first: false,
            has_looked: false,
            until: None,
            datagram: vec![0; job.bytes],
            room: vec![0; job.bytes + 1],
            outcome: Outcome {
                clients: 1,
                ..Outcome::default()
            },
        }
    }

    /// What to do next, at this time.
    #[inline]
    pub fn step(&mut self, now: Instant) -> Step<'_> {
        if std::mem::take(&mut self.look_first) {
            return Step::Receive(now);
        }
        while let Some((number, tries)) = self.overdue(now) {
            // On a busy machine, its echo may have come before this could look.
            if !self.has_looked {
                self.has_looked = true;
                return Step::Receive(now);
            }
            self.in_flight.pop_front();
            if tries < self.tries {
                return self.send(number, tries + 1, now);
            }
            self.states[number as usize] = State::Lost;
            self.open -= 1;
            self.outcome.lost += 1;
        }
        let sent = self.states.len() as u64;
        if sent < self.datagrams && (self.window == 0 || self.open < self.window) {
            self.states.push(State::Open);
            self.open += 1;
            self.look_first = self.window == 0;
            return self.send(sent as u32, 1, now);
        }
        if let Some(next) = self.in_flight.front() {
            self.has_looked = true;
            return Step::Receive(next.due);
        }
        if self.silent() == 0 {
            return Step::End;
        }
        let patience = match self.window {
            0 => self.timeout,
            _ => self.timeout.max(PATIENCE),
        };
        let until = *self.until.get_or_insert(now + patience);
        if until > now {
            Step::Receive(until)
        } else {
            Step::End
        }
    }

    /// The first number in flight, and how often it has been sent, if it is due. Those before it
    /// that have been answered are forgotten.
    fn overdue(&mut self, now: Instant) -> Option<(u32, u64)> {
        loop {
            let InFlight { number, tries, due } = *self.in_flight.front()?;
            if self.states[number as usize] == State::Open {
                return (due <= now).then_some((number, tries));
            }
            self.in_flight.pop_front();
        }
    }

    fn send(&mut self, number: u32, tries: u64, now: Instant) -> Step<'_> {
        if self.window > 0 {
            let due = now + self.timeout;
            self.in_flight.push_back(InFlight { number, tries, due });
        }
        self.outcome.tries += 1;
        let (head, rest) = self.datagram.split_at_mut(HEAD_BYTES);
        head.copy_from_slice(&write_head(self.run, self.client, number));
        for (word, right) in rest.chunks_mut(8).zip(words(head)) {
            word.copy_from_slice(&right[..word.len()]);
        }
        Step::Send(&self.datagram)
    }

    /// Numbers that were sent and of which nothing has come.
    fn silent(&self) -> u64 {
        self.open + self.outcome.lost - self.outcome.late
    }

    /// Where a datagram is to be received to.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.room
    }

    /// This many bytes of the room are a datagram that has come.
    #[inline]
    pub fn received(&mut self, bytes: usize) {
        self.has_looked = false;
        // More may be there; and without a window, the end is when nothing more comes.
        if self.window == 0 {
            self.look_first = (self.states.len() as u64) < self.datagrams;
            self.until = None;
        }
        let Some((head, rest)) = self.room[..bytes].split_at_checked(HEAD_BYTES) else {
            self.outcome.wrong += 1;
            return;
        };
        let (run, client, number) = read_head(head);
        if run != self.run {
            self.outcome.stale += 1;
            return;
        }
        let is_echo = client == self.client
            && bytes == self.datagram.len()
            && rest
                .chunks(8)
                .zip(words(head))
                .all(|(word, right)| word == &right[..word.len()]);
        match self.states.get_mut(number as usize) {
            Some(state @ State::Open) if is_echo => {
                *state = State::Answered;
                self.open -= 1;
                self.outcome.answered += 1;
            }
            Some(state @ State::Lost) if is_echo => {
                *state = State::Late;
                self.outcome.late += 1;
            }
            Some(State::Answered | State::Late) if is_echo => self.outcome.copies += 1,
            Some(_) | None => self.outcome.wrong += 1,
        }
    }

    /// What has come of it.
    pub fn outcome(self) -> Outcome {
        Outcome {
            sent: self.states.len() as u64,
            // Without a window, none is given up before.
            lost: self.outcome.lost + self.open,
            ..self.outcome
        }
    }
}

fn write_head(run: u64, client: u32, number: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&run.to_le_bytes());
    head[8..12].copy_from_slice(&client.to_le_bytes());
    head[12..].copy_from_slice(&number.to_le_bytes());
    head
}

/// Run, client and number.
fn read_head(head: &[u8]) -> (u64, u32, u32) {
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
    let run = u64::from(word(0)) | u64::from(word(4)) << 32;
    (run, word(8), word(12))
}

/// What follows a head, eight bytes at a time.
fn words(head: &[u8]) -> impl Iterator<Item = [u8; 8]> + use<> {
    let (run, client, number) = read_head(head);
    let start = splitmix64(run ^ splitmix64(u64::from(client) << 32 | u64::from(number)));
    (0..).map(move |word| splitmix64(start.wrapping_add(word)).to_le_bytes())
}
