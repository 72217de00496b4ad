//! Who says what in chat rooms, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::Latency;

/// Who says what to whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoomsPlan {
    /// The server.
    pub address: SocketAddr,
    /// Rooms.
    pub rooms: usize,
    /// Members of each.
    pub members: usize,
    /// Those of them that send: the first ones.
    pub senders: usize,
    /// Messages that each of these sends.
    pub messages: u64,
    /// Bytes of each.
    pub bytes: usize,
    /// Members of each room that read nothing until all others have everything: the last ones.
    pub slow: usize,
    /// After this time without any message to the others, they read all the same: for a server
    /// that waits for them.
    pub pause: Option<Duration>,
    /// Messages of a room that are on their way at once.
    pub window: u64,
    /// How many messages are due in a second, over all senders in turn; none for a closed loop.
    pub rate_per_s: Option<f64>,
    /// What the times are drawn from, at which they are due.
    pub seed: u64,
    /// How long to wait for a connection or a message.
    pub timeout: Duration,
}

/// What the members of rooms have got.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomsReport {
    /// Members that had joined before the first message was sent.
    pub members: u64,
    /// Messages that came right to members that read.
    pub deliveries: u64,
    /// Messages that were dropped for these, as gaps say.
    pub dropped: u64,
    /// Messages that came right to slow members.
    pub slow_deliveries: u64,
    /// Messages that were dropped for these.
    pub slow_dropped: u64,
    /// Slow members whose connection the server has closed.
    pub slow_cut: u64,
    /// What was wrong, by kind. The first that is wrong for a member that reads ends it all.
    pub errors: BTreeMap<String, u64>,
    /// Whether two members more got each other's messages, after all others.
    pub healthy: bool,
    /// From when all had joined until those that read had everything, in nanoseconds.
    pub elapsed_ns: u64,
    /// When the last message was due, in nanoseconds from then; none in a closed loop.
    pub due_ns: Option<u64>,
    /// How long messages to members that read took, from when they were due.
    pub latency: Latency,
    /// Messages that the generator sent more than 1 ms later than it could have.
    pub late: u64,
    /// Its own processor time until then, in nanoseconds.
    pub cpu_ns: u64,
}
