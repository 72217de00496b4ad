//! `chat`: rooms whose members send each other messages.
//!
//! Shows what a message to many costs: deliveries a second, their latency at a rate, and what a
//! member that does not read does to the others and to the server's memory. It waits for
//! two things for each member at once, and all members of a room share its log.
//!
//! The server is the model's. Members are neutral: connections of the load generator, in a
//! process of its own, which checks each message that comes. Frames, the log of a room, and what
//! becomes of a member that does not read are shared (`chat_room`); accepting, reading, writing,
//! waiting and the end are the model's.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
pub use chat_room::Policy;
use chat_room::{Format, HEADER_BYTES, MOST_BYTES, Settings};
use rustix::net::sockopt::set_socket_send_buffer_size;
use serde::{Deserialize, Serialize};

use crate::generator::Counted;
use crate::listening::Listening;
use crate::{Invalid, Latency, Preset, Result, WrongAnswer};

/// What the kernel may hold of what was sent to a member: as much again is its own. With half of
/// it, a sender waits for acknowledgements that are held back for 40 ms.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The most that the kernel can hold for a member that reads nothing, on both sides of its
/// connection, and of another where a front passes it on. A member to which more is sent is behind.
const KERNEL_BYTES: u64 = 512 * 1024;

/// What a server may take for itself, whatever goes through it.
const SERVER_BYTES: u64 = 32 << 20;
/// And for a member: stacks and buffers.
const MEMBER_BYTES: u64 = 256 << 10;

/// How many members in how many rooms say how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Rooms.
    pub rooms: usize,
    /// Members of each room.
    pub members: usize,
    /// Members of each room that send; 0 for all that read.
    pub senders: usize,
    /// Messages that each of these sends.
    pub messages: u64,
    /// Bytes of each message.
    pub bytes: usize,
    /// Members of each room that send nothing, and read nothing until all others have
    /// everything; or, if the room waits for them, until it has stood still for a
    /// [while](PAUSE).
    pub slow: usize,
    /// Messages that a member may be behind. Half as many are on their way in a room at most:
    /// with as many of its own, a member that reads is never further behind, however busy the
    /// machine is.
    pub queue: usize,
    /// What becomes of a member that would be further behind.
    pub policy: Policy,
    /// Messages that are due in a second, over all rooms; 0 for a closed loop, in which a room
    /// goes on when all that read have what was sent first.
    pub rate: u64,
    /// Switches off the look at the server's memory while the job is timed.
    #[serde(skip)]
    pub unwatched: bool,
    /// What to serve for one run. Filled in when the job is run.
    #[serde(skip)]
    pub service: Option<Arc<Service>>,
}

/// For how long a room that waits for its slow members stands still until they read.
pub const PAUSE: Duration = Duration::from_millis(100);

/// What came of it, as its members see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Members that had joined before the first message was sent.
    pub members: u64,
    /// Messages that came right to members that read.
    pub deliveries: u64,
    /// Those that were dropped for them.
    pub dropped: u64,
    /// Messages that came right to slow members.
    pub slow_deliveries: u64,
    /// Those that were dropped for them.
    pub slow_dropped: u64,
    /// Slow members that were cut.
    pub slow_cut: u64,
    /// What was wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Whether two more members could join a room, and one got what the other said.
    pub healthy: bool,
    /// By how many bytes the server's memory had grown when all was sent and slow members had
    /// not read; none if it was not looked at.
    pub grown_bytes: Option<u64>,
    /// From when all had joined until those that read had everything, in nanoseconds.
    pub load_ns: u64,
    /// When the last message was due, from then; 0 in a closed loop.
    pub due_ns: u64,
    /// Of that time, the generator's own processor time.
    pub generator_cpu_ns: u64,
    /// Messages that the generator sent late by its own fault.
    pub late: u64,
    /// From when a message was due until a member that reads had it.
    pub latency: Latency,
}

/// What rooms are served, and until when: for one run of a job, or for the program `chat`.
#[derive(Debug)]
pub struct Service {
    /// Where, and until when.
    pub listening: Arc<Listening>,
    /// How rooms work: for [`Rooms::new`](chat_room::Rooms::new).
    pub settings: Settings,
    /// The most members at once. More wait until one of them ends, in the system's queue.
    pub connections: usize,
    /// How long a client may take to join, and a member to take a piece of what is written
    /// to it.
    pub patience: Duration,
}

impl Outcome {
    /// Its deliveries as the load generator counts requests.
    pub fn counted(&self) -> Counted {
        Counted {
            requests: self.deliveries,
            errors: self.errors.clone(),
            connections: self.members,
            healthy: self.healthy,
            load_ns: self.load_ns,
            due_ns: self.due_ns,
            generator_cpu_ns: self.generator_cpu_ns,
            late: self.late,
            latency: self.latency,
            ..Counted::default()
        }
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Service {}

impl Service {
    /// Rooms for those who connect to `listener`.
    ///
    /// # Errors
    ///
    /// When the listener has no address.
    pub fn new(
        listener: TcpListener,
        settings: Settings,
        connections: usize,
        patience: Duration,
    ) -> Result<Self> {
        // Connections that it accepts have the same. By itself the kernel takes megabytes for a
        // member that does not read, and the policy has nothing to decide until then.
        set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES).context("the send buffer")?;
        Ok(Self {
            listening: Arc::new(Listening::new(listener)?),
            settings,
            connections,
            patience,
        })
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (rooms, members, messages, bytes) = match preset {
            Preset::Article => (1, 10, 20, 64),
            Preset::Heavy => (4, 16, 100, 128),
        };
        Self {
            rooms,
            members,
            senders: 0,
            messages,
            bytes,
            slow: 0,
            queue: 128,
            policy: Policy::Wait,
            rate: 0,
            unwatched: false,
            service: None,
        }
    }

    /// What to serve.
    ///
    /// # Panics
    ///
    /// If it is not filled in: running a prepared job does that.
    pub fn service(&self) -> &Arc<Service> {
        self.service.as_ref().expect("a prepared job has a service")
    }

    /// How the rooms work.
    pub fn settings(&self) -> Settings {
        Settings {
            format: Format::Frames,
            policy: self.policy,
            queue: self.queue,
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.rooms * self.members
    }

    /// Sockets that the server has open at once at most: also those of the two members after
    /// all others.
    pub fn sockets(&self) -> usize {
        self.units() + 2
    }

    /// Members of a room that read.
    fn readers(&self) -> usize {
        self.members - self.slow
    }

    /// Members of a room that send: the first of those that read.
    pub fn sending(&self) -> usize {
        match self.senders {
            0 => self.readers(),
            senders => senders,
        }
    }

    /// Messages of a room that are on their way at most.
    pub fn window(&self) -> u64 {
        (self.queue as u64 / 2).max(1)
    }

    pub(crate) fn validate(&self) -> std::result::Result<(), Invalid> {
        Invalid::unless_within("rooms", self.rooms as u64, 1, 1_000)?;
        Invalid::unless_within("members", self.members as u64, 1, 10_000)?;
        let all = self.units() as u64;
        let allowed = "has to be fewer: 10000 members in all at most";
        Invalid::unless(all <= 10_000, "rooms", self.rooms, allowed)?;
        let slow = self.members as u64 - 1;
        Invalid::unless_within("slow", self.slow as u64, 0, slow)?;
        Invalid::unless_within("senders", self.senders as u64, 0, self.readers() as u64)?;
        Invalid::unless_within("messages", self.messages, 1, 1_000_000)?;
        Invalid::unless_within("bytes", self.bytes as u64, 0, MOST_BYTES as u64)?;
        Invalid::unless_within("queue", self.queue as u64, 1, 1_000_000)?;
        Invalid::unless_within("rate", self.rate, 0, 1_000_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            messages: (self.messages / divisor).max(1),
            ..self.clone()
        }
    }

    /// Messages that are for the members that read, all together.
    fn for_readers(&self) -> u64 {
        let (readers, senders) = (self.readers() as u64, self.sending() as u64);
        // Of each message, its sender is not one of them.
        self.rooms as u64 * senders * self.messages * (readers - 1)
    }

    /// Messages that are for one slow member.
    fn for_a_slow_one(&self) -> u64 {
        self.sending() as u64 * self.messages
    }

    /// Bytes that slow members have not read when all is sent, in all rooms.
    pub fn unread_bytes(&self) -> u64 {
        let message = (self.bytes + HEADER_BYTES) as u64;
        (self.rooms * self.slow) as u64 * self.for_a_slow_one() * message
    }

    /// Bytes that the logs of all rooms hold at most.
    pub fn kept_bytes(&self) -> u64 {
        (self.rooms * self.queue * (self.bytes + HEADER_BYTES)) as u64
    }

    /// Whether more is sent to a slow member than a room and the kernel can hold for it.
    fn is_too_much(&self) -> bool {
        let message = (self.bytes + HEADER_BYTES) as u64;
        let held = self.queue as u64 * message + KERNEL_BYTES;
        self.slow > 0 && self.for_a_slow_one() * message > held
    }

    /// The most that the server's memory may grow by.
    fn most_growth(&self) -> u64 {
        // As if no two members shared a message.
        let message = (self.bytes + HEADER_BYTES) as u64 + 64;
        let members = self.units() as u64;
        SERVER_BYTES + members * (MEMBER_BYTES + self.queue as u64 * message)
    }

    /// Every member that reads has each message of every other of its room once, in each
    /// sender's order, and none is its own: what breaks that is an error of the generator. Slow
    /// members have, in the end, what the policy leaves them; the server's memory has not grown
    /// by what it had to keep for them; and it answers afterwards.
    pub fn check(&self, outcome: &Outcome) -> std::result::Result<(), WrongAnswer> {
        let errors: Vec<_> = outcome
            .errors
            .iter()
            .map(|(kind, count)| format!("{count} times {kind}"))
            .collect();
        WrongAnswer::unless(errors.is_empty(), "errors", errors.join(", "), "none")?;
        let slow = (self.rooms * self.slow) as u64;
        let all = slow * self.for_a_slow_one();
        for (what, got, right) in [
            ("members", outcome.members, self.units() as u64),
            ("dropped", outcome.dropped, 0),
            ("deliveries", outcome.deliveries, self.for_readers()),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        if let Some(grown) = outcome.grown_bytes {
            let most = self.most_growth();
            WrongAnswer::unless(
                grown <= most,
                "grown_bytes",
                grown,
                format!("at most {most}"),
            )?;
        }
        let is_too_much = self.is_too_much();
        let (got, dropped, cut) = (
            outcome.slow_deliveries,
            outcome.slow_dropped,
            outcome.slow_cut,
        );
        let may_drop = self.policy == Policy::Drop && slow > 0;
        let is_right = if is_too_much && may_drop {
            dropped > 0
        } else {
            may_drop || dropped == 0
        };
        let right = if may_drop { "1 or more" } else { "0" };
        WrongAnswer::unless(is_right, "slow_dropped", dropped, right)?;
        let (least, most) = match self.policy {
            Policy::Disconnect if is_too_much => (slow, slow),
            Policy::Disconnect => (0, slow),
            Policy::Wait | Policy::Drop => (0, 0),
        };
        let is_right = (least..=most).contains(&cut);
        WrongAnswer::unless(is_right, "slow_cut", cut, format!("{least} to {most}"))?;
        // Those that were cut may have got a part.
        let is_right = match cut {
            0 => got + dropped == all,
            _ => got <= all,
        };
        WrongAnswer::unless(is_right, "slow_deliveries", got, all - dropped.min(all))?;
        WrongAnswer::unless(outcome.healthy, "healthy", outcome.healthy, true)?;
        let Latency { p50, max, .. } = outcome.latency;
        let has_some = outcome.deliveries > 0;
        let times = (p50 > 0) == has_some && p50 <= max && max <= outcome.load_ns;
        let right = format!("from 0 to {} ns", outcome.load_ns);
        WrongAnswer::unless(times, "latency", format!("{:?}", outcome.latency), right)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        let per_s = outcome.deliveries as f64 / (outcome.load_ns.max(1) as f64 / 1e9);
        let mut text = format!(
            "{} messages delivered to {} members, {per_s:.0} a second; {}",
            outcome.deliveries, outcome.members, outcome.latency
        );
        if self.slow > 0 {
            text += &format!(
                "; to slow members {} delivered, {} dropped; {} of them cut",
                outcome.slow_deliveries, outcome.slow_dropped, outcome.slow_cut
            );
        }
        if let Some(grown) = outcome.grown_bytes.filter(|_| self.slow > 0) {
            text += &format!(
                "; {:.1} MiB more for all",
                grown as f64 / f64::from(1 << 20)
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a job of one room with two slow members, if too much is sent to them.
    fn job(policy: Policy) -> Job {
        Job {
            rooms: 1,
            members: 6,
            slow: 2,
            policy,
            messages: 1_000,
            bytes: 1_024,
            ..Job::preset(Preset::Article)
        }
    }

    fn right(job: &Job) -> Outcome {
        let all = job.rooms as u64 * job.slow as u64 * job.for_a_slow_one();
        let (slow_deliveries, slow_dropped, slow_cut) = match job.policy {
            Policy::Wait => (all, 0, 0),
            Policy::Drop => (all - 10, 10, 0),
            Policy::Disconnect => (10, 0, job.slow as u64),
        };
        Outcome {
            members: job.units() as u64,
            deliveries: job.for_readers(),
            slow_deliveries,
            slow_dropped,
            slow_cut,
            healthy: true,
            grown_bytes: Some(1 << 20),
            load_ns: 100,
            latency: Latency {
                p50: 1,
                p90: 1,
                p99: 2,
                p999: 2,
                max: 100,
            },
            ..Outcome::default()
        }
    }

    #[test]
    fn what_a_policy_does_not_allow_is_found() {
        let [wait, drop, cut] = Policy::ALL.map(job);
        for job in [&wait, &drop, &cut] {
            assert!(job.is_too_much());
            job.check(&right(job)).expect("right");
        }
        type Change = fn(&mut Outcome);
        let wrong: [(&Job, &str, Change); 14] = [
            (&wait, "errors", |of| {
                of.errors = BTreeMap::from([("another payload".to_owned(), 1)])
            }),
            (&wait, "members", |of| of.members -= 1),
            (&wait, "deliveries", |of| of.deliveries -= 1),
            (&wait, "deliveries", |of| of.deliveries += 1),
            (&drop, "dropped", |of| of.dropped = 1),
            (&wait, "slow_dropped", |of| {
                of.slow_dropped = 1;
                of.slow_deliveries -= 1;
            }),
            (&drop, "slow_dropped", |of| {
                of.slow_deliveries += of.slow_dropped;
                of.slow_dropped = 0;
            }),
            (&drop, "slow_deliveries", |of| of.slow_deliveries -= 1),
            (&wait, "slow_deliveries", |of| of.slow_deliveries -= 1),
            (&drop, "slow_cut", |of| of.slow_cut = 1),
            (&cut, "slow_cut", |of| of.slow_cut = 1),
            (&drop, "grown_bytes", |of| of.grown_bytes = Some(1 << 27)),
            (&wait, "healthy", |of| of.healthy = false),
            (&wait, "latency", |of| of.latency.max = of.load_ns + 1),
        ];
        for (job, what, change) in wrong {
            let mut outcome = right(job);
            change(&mut outcome);
            assert_eq!(job.check(&outcome).expect_err(what).what, what);
        }
    }
}
