//! Who says what in chat rooms, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
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

impl fmt::Display for RoomsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_nanos;
        let per_s = self.deliveries as f64 / (self.elapsed_ns.max(1) as f64 / 1e9);
        writeln!(
            f,
            "{} messages delivered to {} members in {:.1?}, {per_s:.0} a second; {} dropped",
            self.deliveries,
            self.members,
            time(self.elapsed_ns),
            self.dropped,
        )?;
        let Latency { p50, p99, max, .. } = self.latency;
        writeln!(
            f,
            "latency from when they were due: p50 {:.1?}, p99 {:.1?}, max {:.1?}; {} sent late by \
             the generator, which was busy for {:.1?}",
            time(p50),
            time(p99),
            time(max),
            self.late,
            time(self.cpu_ns),
        )?;
        writeln!(
            f,
            "slow members: {} delivered, {} dropped, {} of them cut",
            self.slow_deliveries, self.slow_dropped, self.slow_cut
        )?;
        if !self.healthy {
            writeln!(f, "error: two more members could not chat")?;
        }
        for (kind, count) in &self.errors {
            writeln!(f, "error: {count} times {kind}")?;
        }
        Ok(())
    }
}
