//! The messages between a parent and its nodes.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, anyhow};
use async_nats::jetstream::message::PublishMessage;
use http_hyper::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use suite::scan::Found;
use suite::{
    Result, counter, deadlines, exchange, fetch, files, offload, ping_pong, pipeline, spawn,
    thumbnails,
};

use crate::chat_link::ChatTask;
use crate::download::messages::{Ended, Report};
use crate::listed_file::ListedFile;

/// The revision of this build. A parent and a node of different revisions refuse each other.
pub(crate) const REVISION: &str = env!("PACES_REVISION");

/// The subject where a node looks for a parent. These messages are JSON, so that other builds can
/// read them.
pub(crate) const HELLO: &str = "paces.hello";

/// The subject where a parent announces that it needs nodes.
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
    /// Where nodes send their messages to the parent.
    pub(crate) parent: String,
    /// Where the parent announces the end of the session.
    pub(crate) end: String,
    /// Where the parent sends [`RunNotice`](crate::peers::RunNotice)s to units that work with each
    /// other.
    pub(crate) notices: String,
    /// The prefix of the subjects of such units.
    units: String,
    /// The subject of such units' queue, and its stream.
    pub(crate) queue: String,
    pub(crate) queue_stream: String,
    /// The key-value bucket where they keep shared data on the server.
    pub(crate) bucket: String,
    /// The prefix of the subjects of chat rooms, and the stream of all rooms.
    pub(crate) rooms: String,
    pub(crate) rooms_stream: String,
}

impl Subjects {
    pub(crate) fn of(session: &str) -> Self {
        Self {
            stream: format!("paces_{session}"),
            shares: format!("paces.{session}.shares"),
            parent: format!("paces.{session}.parent"),
            end: format!("paces.{session}.end"),
            notices: format!("paces.{session}.notices"),
            units: format!("paces.{session}.unit"),
            queue: format!("paces.{session}.queue"),
            queue_stream: format!("paces_{session}_queue"),
            bucket: format!("paces_{session}"),
            rooms: format!("paces.{session}.rooms"),
            rooms_stream: format!("paces_{session}_rooms"),
        }
    }

    /// The subject for messages to a unit of a run.
    pub(crate) fn unit(&self, run: u64, unit: usize) -> String {
        format!("{}.{run}.{unit}", self.units)
    }
}

/// A node asks a parent for a session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The node's name, which does not change.
    pub(crate) node: String,
    pub(crate) revision: String,
}

/// The parent's answer to a [`Hello`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Welcome {
    /// The node is accepted in this session.
    Session {
        name: String,
        /// How many shares to work on at once.
        slots: usize,
        /// The interval of heartbeats during work, in milliseconds.
        heartbeat_ms: u64,
    },
    /// The parent is a different build.
    Refused { revision: String },
}

/// A part of a job, in a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) id: ShareId,
    pub(crate) task: Task,
}

impl Share {
    /// The message that publishes this share. Its ID makes the server store it only once.
    pub(crate) fn message(&self) -> Result<PublishMessage> {
        let message = PublishMessage::build().message_id(self.id.to_string());
        Ok(message.payload(encode(self)?.into()))
    }
}

/// Identifies an attempt of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShareId {
    pub(crate) run: u64,
    pub(crate) share: usize,
    /// Increases each time the share is published again.
    pub(crate) attempt: u32,
}

/// The format of the `Nats-Msg-Id`, by which the server detects duplicates.
impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.share, self.attempt)
    }
}

/// A node's message to the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) node: String,
    pub(crate) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    /// The node has joined the session, and pulls shares.
    Ready,
    /// The node begins to work on this share.
    Taken(ShareId),
    /// The result of a share. It is sent again until the parent confirms it.
    Answered {
        id: ShareId,
        /// How often the server has delivered the share so far.
        deliveries: u64,
        result: std::result::Result<Answer, String>,
    },
    /// The unit of this share is running, and waits for the units that it works with.
    Waiting(ShareId),
    /// The node needs a piece of the file at index `place` of the list, from byte `offset` on. The
    /// reply is a [`Piece`].
    NeedsPiece { place: usize, offset: u64 },
    /// A report about a file of a download.
    Download(Report),
}

/// The bytes of a piece of a file, or why it could not be read.
pub(crate) type Piece = std::result::Result<Vec<u8>, String>;

/// A summary of a file, or the error.
type Summed<S> = std::result::Result<S, String>;

/// The work of a share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Count the primes in this range.
    Primes(Range<u64>),
    /// Read this URL's body to its end.
    Fetch(String),
    /// Make one blocking call of this job.
    Offload(offload::Job),
    /// Answer with a hash of this number.
    Spawn(u64),
    /// Like `Spawn`, in a tree where units start other units.
    Branch(Branch),
    /// Run the producer with this number.
    Produce(pipeline::Job, usize),
    /// Run a consumer of the queue.
    Consume(pipeline::Job),
    /// Run the operations of this part, each until it is answered, timed out or cancelled.
    Deadlines(deadlines::Part),
    /// Summarize these files.
    Files(Vec<ListedFile>),
    /// Make this image fit a square of `edge` pixels.
    Thumbnail { file: ListedFile, edge: u32 },
    /// Find the open ports among these.
    Scan(ScanTask),
    /// Download the file with this name. The node asks the parent for details.
    Download(String),
    /// Run the station with this number in the ring.
    PingPong(ping_pong::Job, usize),
    /// Run the worker with this number, or the counter's owner.
    Counter(counter::Job, usize),
    /// Serve members of a chat.
    Chat(ChatTask),
    /// Run the writer of the exchange.
    Write(exchange::Job),
    /// Run the reader of the exchange.
    Read,
}

/// A unit of a tree.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Branch {
    pub(crate) batch: spawn::Batch,
    pub(crate) unit: u64,
    /// The share of the unit that starts it; `None` for the first unit, which the parent starts.
    pub(crate) starter: Option<usize>,
}

/// A part of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ScanTask {
    pub(crate) host: IpAddr,
    pub(crate) ports: Vec<u16>,
    /// The maximum number of connection attempts at once.
    pub(crate) limit: usize,
    /// The timeout of one attempt.
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
}

impl Task {
    /// Whether the task always has the same answer, so that a second answer must equal the first.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Task::Primes(_)
            | Task::Offload(_)
            | Task::Spawn(_)
            | Task::Files(_)
            | Task::Thumbnail { .. } => true,
            // These depend on servers or clients, which can change.
            Task::Fetch(_) | Task::Scan(_) | Task::Chat(_) | Task::Download(_) => false,
            // Units that work together all begin again when one is lost.
            Task::PingPong(..)
            | Task::Counter(..)
            | Task::Write(_)
            | Task::Read
            | Task::Branch(_)
            | Task::Produce(..)
            | Task::Consume(_)
            | Task::Deadlines(_) => false,
        }
    }

    /// Whether the parent publishes it. In a tree, units publish the shares of the units that they
    /// start.
    pub(crate) fn is_of_parent(&self) -> bool {
        !matches!(self, Task::Branch(branch) if branch.starter.is_some())
    }
}

/// Describes the share in error messages.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Primes(range) => write!(f, "primes in {range:?}"),
            Task::Fetch(name) | Task::Download(name) => f.write_str(name),
            Task::Offload(job) => write!(f, "a call of {:?}", job.call()),
            Task::Spawn(unit) => write!(f, "unit {unit}"),
            Task::Branch(branch) => write!(f, "unit {}", branch.unit),
            Task::Produce(_, producer) => write!(f, "producer {producer}"),
            Task::Consume(_) => f.write_str("a consumer"),
            Task::Deadlines(part) => write!(f, "slots {:?}", part.slots()),
            Task::Files(files) => {
                let paths: Vec<_> = files.iter().map(ListedFile::path).collect();
                write!(f, "{paths:?}")
            }
            Task::Thumbnail { file, .. } => file.path().display().fmt(f),
            Task::PingPong(_, unit) => write!(f, "station {unit}"),
            Task::Counter(_, unit) => write!(f, "worker {unit}"),
            Task::Chat(_) => f.write_str("members of a chat"),
            Task::Write(_) => f.write_str("the writer"),
            Task::Read => f.write_str("the reader"),
            Task::Scan(scan) => write!(f, "{} ports of {}", scan.ports.len(), scan.host),
        }
    }
}

/// A node's answer to a task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The task is done, and has no result.
    Done,
    /// A count or a sum.
    Number(u64),
    /// The length and checksum of the body at a URL.
    Body(fetch::Body),
    /// The results of the files in these places of the list.
    Files(Vec<(usize, Summed<files::Summary>)>),
    /// The result of the image in this place of the list.
    Thumbnail(usize, Summed<thumbnails::Summary>),
    /// The states of the scanned ports.
    Scan(Found),
    /// How a node's work on a file has ended.
    Download(Ended),
    /// The outcome of a station of the ring.
    PingPong(ping_pong::Outcome),
    /// The outcome of the reader.
    Exchange(exchange::Outcome),
    /// A consumer's tally, and the largest number of messages that it has seen in the queue.
    Consumed(pipeline::Tally, u64),
    /// The outcome of a part of the operations.
    Deadlines(PartEnded),
    /// Not done: a unit that this one works with is lost.
    PeerGone,
    /// Not done together with others, and not to be repeated alone: the cause.
    Lost(String),
}

/// The outcome of a part of the operations with deadlines.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartEnded {
    pub(crate) tally: deadlines::Tally,
    /// The number of operations that have begun.
    pub(crate) begun: u64,
    /// The time from the start of the last of these operations until all operations of all parts
    /// had ended, in nanoseconds, if those in flight were cancelled; otherwise 0.
    pub(crate) cancel_ns: u64,
}

impl Answer {
    pub(crate) fn number(self) -> Result<u64> {
        match self {
            Answer::Number(number) => Ok(number),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn unexpected(self) -> anyhow::Error {
        anyhow!("a node did not answer what it was asked: {self:?}")
    }
}

/// Encodes a value as the payload of a message.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(postcard::to_stdvec(value)?)
}

/// Decodes the payload of a message from the same build.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).context("a message that cannot be read")
}

/// Like [`decode`], for a value that is followed by other bytes. Returns both.
pub(crate) fn decode_front<T: DeserializeOwned>(bytes: &Bytes) -> Result<(T, Bytes)> {
    let decoded = postcard::take_from_bytes::<T>(bytes);
    let (value, rest) = decoded.context("a message that cannot be read")?;
    Ok((value, bytes.slice_ref(rest)))
}

/// Converts a boxed error of async-nats.
pub(crate) fn boxed(error: async_nats::Error) -> anyhow::Error {
    anyhow!(error)
}
