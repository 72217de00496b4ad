//! Everything that parent and nodes say to each other.

use std::fmt;
use std::ops::Range;

use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use suite::Result;

/// What was built: parent and nodes of other revisions refuse each other.
pub(crate) const REVISION: &str = env!("PACES_REVISION");

/// Where a node asks for a parent. What is said here is JSON, which other builds understand.
pub(crate) const HELLO: &str = "paces.hello";

/// Where a parent says that it needs nodes.
pub(crate) const WANTED: &str = "paces.wanted";

/// The consumer that all nodes of a session pull from.
pub(crate) const CONSUMER: &str = "nodes";

/// The subjects of a session.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    /// The stream's name.
    pub(crate) stream: String,
    /// Where shares are published.
    pub(crate) shares: String,
    /// Where nodes say what they have to say to the parent.
    pub(crate) parent: String,
    /// Where the parent says that the session has ended.
    pub(crate) end: String,
}

impl Subjects {
    pub(crate) fn of(session: &str) -> Self {
        Self {
            stream: format!("paces_{session}"),
            shares: format!("paces.{session}.shares"),
            parent: format!("paces.{session}.parent"),
            end: format!("paces.{session}.end"),
        }
    }
}

/// A node asks to be taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Its own, for all its life.
    pub(crate) node: String,
    pub(crate) revision: String,
}

/// What the parent answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Welcome {
    /// Be a node of this session.
    Session {
        name: String,
        /// How many shares to work on at once.
        slots: usize,
        /// How often to say that a share is being worked on, in milliseconds.
        heartbeat_ms: u64,
    },
    /// The parent is of another build.
    Refused { revision: String },
}

/// A part of a job, in a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) id: ShareId,
    pub(crate) task: Task,
}

/// Which share: of which of the session's jobs, and for the how many-th time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShareId {
    pub(crate) run: u64,
    pub(crate) share: usize,
    /// It grows when the share is published again.
    pub(crate) attempt: u32,
}

/// As the `Nats-Msg-Id`, by which the server refuses what it has already.
impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.share, self.attempt)
    }
}

/// What a node says to the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) node: String,
    pub(crate) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    /// It has found the session, and pulls.
    Ready,
    /// It begins to work on this.
    Taken(ShareId),
    /// This is what has come of it. It is said until the parent has heard it.
    Answered {
        id: ShareId,
        /// How often the server has delivered it by now.
        deliveries: u64,
        result: std::result::Result<Answer, String>,
    },
}

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// How many of these are prime?
    Primes(Range<u64>),
}

/// For errors: the share by what it is about.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Primes(range) => write!(f, "primes in {range:?}"),
        }
    }
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A count or a sum.
    Number(u64),
}

impl Answer {
    pub(crate) fn number(self) -> Result<u64> {
        match self {
            Answer::Number(number) => Ok(number),
        }
    }
}

/// A value as the bytes of a message.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(postcard::to_stdvec(value)?)
}

/// The value in a message of the same build.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).context("a message that cannot be read")
}

/// async-nats' errors are boxed.
pub(crate) fn boxed(error: async_nats::Error) -> anyhow::Error {
    anyhow!(error)
}
