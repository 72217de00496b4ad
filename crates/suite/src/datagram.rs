//! `datagram`: UDP datagrams go to a server and come back, over loopback.
//!
//! Shows what a small message costs where each is a call of its own, and what a model's timers
//! cost where some are lost. Server and clients are both the model's, in two processes.
//!
//! What goes over a socket is the same for every model:
//!
//! - Each client has a socket of its own, connected to the server, and numbers its datagrams
//!   from 0. All sockets are open before the first datagram is sent.
//! - A client has at most `window` numbers in flight. A number is in flight until its echo has
//!   come, or until it is given up: it is sent again whenever `timeout_ms` have passed, `retries`
//!   times at most. [`Window`] says what to send, and until when to wait for what comes.
//! - The server has one socket, and sends each datagram back to where it came from. It reads it
//!   into a buffer of the job's `bytes`. A datagram that it cannot send back is lost, as on any
//!   network.
//! - No call sends or receives more than one datagram.
//!
//! With `lose`, a relay is between clients and server, which is none of the models. It drops the
//! same datagrams for every model. Without, the kernel still drops a datagram that comes to a
//! socket whose buffer is full. The server's and the relay's buffers have
//! [`RECEIVE_BUFFER_BYTES`] for every model; what is dropped all the same is counted.
//!
//! # Layout
//!
//! | bytes | |
//! |---|---|
//! | 0 to 7 | the run: echoes of an earlier one do not count |
//! | 8 to 11 | the client |
//! | 12 to 15 | its number |
//! | 16 on | bytes that follow from these three |
//!
//! The numbers are little-endian. The relay has this layout too.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer};

mod window;

pub use window::{Step, Window};

/// What the server's and the relay's socket ask for as their receive buffer. The system doubles
/// it, and counts 768 bytes and more for a small datagram: there is room for 128 in flight, even
/// if the system has taken back nothing of what has been read. Every system allows this much.
pub const RECEIVE_BUFFER_BYTES: usize = 212_992;

/// The head of a datagram, which is the least that it can have.
const HEAD_BYTES: usize = 16;

/// The most that a datagram can have over IPv4.
const MOST_BYTES: usize = 65_507;

/// Whether an error of the server's socket tells of an earlier datagram, or of nothing: the next
/// call is as good as ever.
pub fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted};
    matches!(error.kind(), ConnectionRefused | Interrupted)
}

/// How many datagrams there are, and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Clients, each with a socket.
    pub clients: usize,
    /// Datagrams of each client.
    pub datagrams: u64,
    /// Bytes of each datagram.
    pub bytes: usize,
    /// The most datagrams of a client in flight at once; 0 for no window: all are sent without
    /// waiting, and none again.
    pub window: u64,
    /// Of 1,000 datagrams, how many the relay drops on each of both ways; 0 for no relay.
    pub lose: u64,
    /// How long a client waits for an echo before it sends a datagram again or gives it up, in
    /// milliseconds.
    pub timeout_ms: u64,
    /// How often a datagram is sent again at most.
    pub retries: u64,
    /// Where to send to: the server or the relay. Filled in when the job is prepared.
    #[serde(skip)]
    pub address: Option<SocketAddr>,
    /// Differs from run to run. Filled in for each.
    #[serde(skip)]
    pub run: u64,
}

/// What came back; of one client or, [added up](Outcome::all), of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Clients that have come to their end.
    pub clients: u64,
    /// Numbers that were sent, each counted once.
    pub sent: u64,
    /// Those whose echo has come.
    pub answered: u64,
    /// Those that were given up.
    pub lost: u64,
    /// Those among the lost whose echo came later, as the machine was busy.
    pub late: u64,
    /// Datagrams that were sent, with those that were sent again.
    pub tries: u64,
    /// Echoes of what had been answered already.
    pub copies: u64,
    /// Echoes of an earlier run.
    pub stale: u64,
    /// What came and was no echo of this client's datagrams: damaged, or another client's.
    pub wrong: u64,
    /// What others have seen. Filled in when the answer is checked.
    pub seen: Seen,
}

/// What is known of a run from outside the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether the server has answered one more datagram after all others.
    pub healthy: bool,
    /// What the relay has seen, if there is one.
    pub relay: Relayed,
    /// What the kernel has dropped.
    pub dropped: Dropped,
}

/// What the relay has seen of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Datagrams from clients.
    pub requests: u64,
    /// Those of them that it dropped.
    pub lost_requests: u64,
    /// Datagrams from the server.
    pub echoes: u64,
    /// Those of them that it dropped.
    pub lost_echoes: u64,
    /// Datagrams that it sent on twice, on either way.
    pub doubled: u64,
    /// Datagrams that it sent on after a later one.
    pub reordered: u64,
    /// Numbers of which it has sent no echo on to the client.
    pub unanswered: u64,
    /// Its processor time, in nanoseconds: it is no part of the model.
    pub cpu_ns: u64,
}

/// Datagrams that the kernel dropped, as the buffer of the socket that they came to was full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// At the server's socket.
    pub server: u64,
    /// At the relay's.
    pub relay: u64,
    /// At all others of this system, the clients' among them.
    pub others: u64,
}

impl Dropped {
    /// All together.
    pub fn all(&self) -> u64 {
        self.server + self.relay + self.others
    }
}

impl Outcome {
    /// The outcome of all clients together.
    pub fn all(clients: impl IntoIterator<Item = Outcome>) -> Self {
        let none = Outcome::default();
        clients.into_iter().fold(none, |all, client| Outcome {
            clients: all.clients + client.clients,
            sent: all.sent + client.sent,
            answered: all.answered + client.answered,
            lost: all.lost + client.lost,
            late: all.late + client.late,
            tries: all.tries + client.tries,
            copies: all.copies + client.copies,
            stale: all.stale + client.stale,
            wrong: all.wrong + client.wrong,
            seen: all.seen,
        })
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (clients, datagrams, bytes, window) = match preset {
            Preset::Article => (1, 10, 64, 1),
            Preset::Heavy => (16, 2_000, 200, 8),
        };
        Self {
            clients,
            datagrams,
            bytes,
            window,
            lose: 0,
            // A datagram that the kernel drops shows in the time, and does not double it.
            timeout_ms: 100,
            retries: 3,
            address: None,
            run: 0,
        }
    }

    /// Where clients send to.
    ///
    /// # Panics
    ///
    /// If the address is not filled in: preparing a job does that.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a prepared job has a server")
    }

    /// One client, for an error that it is the context of. An error that a socket has is often
    /// that of an earlier datagram, so it names none.
    pub fn named(&self, client: usize) -> String {
        let (number, all, server) = (client + 1, self.clients, self.address());
        format!("client {number} of {all} to {server}")
    }

    /// Datagrams of all clients.
    pub fn datagrams_in_all(&self) -> u64 {
        self.clients as u64 * self.datagrams
    }

    /// How often a datagram is sent at most.
    fn tries(&self) -> u64 {
        if self.window == 0 {
            1
        } else {
            1 + self.retries
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) fn units(&self) -> usize {
        self.clients
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("clients", self.clients as u64, 1, 1_000)?;
        Invalid::unless_within("datagrams", self.datagrams, 1, 1_000_000)?;
        let (least, most) = (HEAD_BYTES as u64, MOST_BYTES as u64);
        Invalid::unless_within("bytes", self.bytes as u64, least, most)?;
        Invalid::unless_within("window", self.window, 0, 10_000)?;
        Invalid::unless_within("lose", self.lose, 0, 1_000)?;
        Invalid::unless_within("timeout_ms", self.timeout_ms, 1, 60_000)?;
        Invalid::unless_within("retries", self.retries, 0, 100)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            datagrams: (self.datagrams / divisor).max(1),
            ..self.clone()
        }
    }

    /// Each number is answered or lost, once, and nothing else came. What is lost without a
    /// trace, the relay or the kernel has dropped.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let Seen { relay, dropped, .. } = outcome.seen;
        let sent = self.datagrams_in_all();
        for (what, got, right) in [
            ("clients", outcome.clients, self.clients as u64),
            ("sent", outcome.sent, sent),
            ("answered + lost", outcome.answered + outcome.lost, sent),
            ("wrong", outcome.wrong, 0),
            ("seen.healthy", outcome.seen.healthy.into(), 1),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        let came = outcome.answered + outcome.late + outcome.copies;
        // Each has one echo, but for what the relay does.
        let can_come =
            (outcome.tries + relay.doubled).saturating_sub(relay.lost_requests + relay.lost_echoes);
        let silent = outcome.lost.saturating_sub(outcome.late);
        // Without a window, other queues of the system are too short for what is sent.
        let can_be_silent = match self.window {
            0 => sent,
            _ => relay.unanswered + dropped.all(),
        };
        for (what, got, least, most) in [
            ("tries", outcome.tries, sent, sent * self.tries()),
            ("late", outcome.late, 0, outcome.lost),
            ("answered + late + copies", came, 0, can_come),
            ("lost and not dropped", silent, 0, can_be_silent),
        ] {
            let right = format!("from {least} to {most}");
            WrongAnswer::unless((least..=most).contains(&got), what, got, right)?;
        }
        let asked = relay.requests >= outcome.answered || self.lose == 0;
        let right = format!("at least {}", outcome.answered);
        WrongAnswer::unless(asked, "seen.relay.requests", relay.requests, right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let Seen { relay, dropped, .. } = outcome.seen;
        let mut text = format!(
            "{} clients sent {} datagrams: {} came back, {} were lost; {:.3?} a datagram",
            outcome.clients,
            outcome.sent,
            outcome.answered,
            outcome.lost,
            elapsed.div_f64(outcome.answered.max(1) as f64)
        );
        if self.lose > 0 {
            text += &format!(
                "\nthe relay dropped {} on the way to the server and {} on the way back; {} were \
                 sent again, and {} came twice",
                relay.lost_requests,
                relay.lost_echoes,
                outcome.tries.saturating_sub(outcome.sent),
                outcome.copies
            );
        }
        if outcome.late > 0 {
            text += &format!(
                "\nas the machine was busy, {} came after they had been given up",
                outcome.late
            );
        }
        if dropped.all() > 0 {
            text += &format!(
                "\nthe kernel dropped {} at the server's socket, {} at the relay's and {} at others",
                dropped.server, dropped.relay, dropped.others
            );
        }
        text
    }
}
