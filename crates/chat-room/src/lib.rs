//! A chat room, without sockets, timers or threads: what a client has sent, who gets it, and what
//! becomes of a member that does not read. Six models serve rooms with it, and bring the rest.
//!
//! - [`Received`] is what a client has sent: frames, or lines.
//! - [`Rooms`] are the rooms that have members.
//! - A [`Seat`] is a member's place in one: it puts what the member says, and takes what the
//!   others say.
//!
//! A room keeps each message once, in a log that all its members read, each from its own place.
//! No member is more than [`queue`](Settings::queue) messages behind: what happens to one that
//! would be is the [`Policy`].
//!
//! For one connection a server does this:
//!
//! 1. It reads until [`Received::join`] says which room, and [joins](Rooms::join) it.
//! 2. It reads, and has the seat [put](Seat::poll_put) what has come. That is pending when the
//!    policy is to wait and the log is full: the client is not read from meanwhile. When the
//!    client has ended, the seat [leaves](Seat::leave).
//! 3. At the same time it [takes](Seat::poll_take) what there is for the member, all of it at
//!    once, and writes it. When it takes nothing more, the connection is to be closed.
//! 4. Also at the same time it waits for the seat to be [cut](Seat::poll_cut): then it closes the
//!    connection, even if it waits to write. A server that can write no more
//!    [cuts](Seat::cut) the seat itself.
//!
//! All of these are polled with a [`Waker`](std::task::Waker), as futures are: that of a task,
//! or one that unparks a thread. No lock is held when it is woken. A member is woken for a message
//! only if it waited for one: one that is busy writing finds the message when it takes again.
//!
//! A room can have members on several machines. Something else then brings what is said to all of
//! them, in the same order. Each machine has a log of its own for the members that are there: they
//! [join](Rooms::join_as) with numbers that are given elsewhere, what they say is
//! [taken](Received::message) and not put, and what comes from all machines is
//! [relayed](Rooms::poll_relay) to them.
//!
//! A frame, in either direction, is 16 bytes and a payload. All numbers are big endian:
//!
//! | bytes | |
//! |---|---|
//! | 0–3 | the payload's length: at most [`MOST_BYTES`] |
//! | 4–7 | the sender: a member's number in its room |
//! | 8–15 | the sequence: a number that its sender chooses |
//!
//! The first frame from a client joins: its sender is the room's number, and it has no payload.
//! The first frame to a client says that it has joined: its sender is the member's own number,
//! which the client sends from then on, and its sequence is how many members there are with it.
//! Numbers count from 0 in the order of joining, and no two members have the same.
//! A frame whose sender is [`SERVER`] is a gap: its sequence is how many messages the member has
//! not got, between the frames before and after it. All others are messages, as their senders
//! have sent them.

mod received;
mod room;
mod rooms;

pub use received::{HEADER_BYTES, MOST_BYTES, Received, Refusal, SERVER};
pub use room::Message;
pub use rooms::{Rooms, Seat};

use serde::{Deserialize, Serialize};

/// How rooms work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What goes over connections.
    pub format: Format,
    /// What happens when a member is as far behind as it may be.
    pub policy: Policy,
    /// How many messages a member may be behind: 1 or more.
    pub queue: usize,
}

/// What goes over connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Frames.
    Frames,
    /// Lines of text, for programs such as netcat. All members are in room 0, and a member is in
    /// it from the beginning. A line is a message; the others get it as `NUMBER: TEXT`. What
    /// the server says itself begins with `* `.
    Lines,
}

/// What happens when a room has a message for a member that is as far behind as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The sender waits, and with it the room.
    Wait,
    /// The oldest message that it has not taken is dropped for it, and it gets a gap instead.
    Drop,
    /// Its connection is closed.
    Disconnect,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 3] = [Policy::Wait, Policy::Drop, Policy::Disconnect];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Wait => "wait",
            Policy::Drop => "drop",
            Policy::Disconnect => "disconnect",
        }
    }
}
