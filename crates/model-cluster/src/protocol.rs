//! Everything that parent and nodes say to each other.

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
    /// Where it tells units that work with each other how they are.
    pub(crate) news: String,
    /// What all subjects of such units begin with.
    units: String,
    /// A queue of such units, and its stream.
    pub(crate) queue: String,
    pub(crate) queue_stream: String,
    /// The bucket of what they keep at the server.
    pub(crate) bucket: String,
    /// What the subjects of chat rooms begin with, and the stream of all rooms.
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
            news: format!("paces.{session}.news"),
            units: format!("paces.{session}.unit"),
            queue: format!("paces.{session}.queue"),
            queue_stream: format!("paces_{session}_queue"),
            bucket: format!("paces_{session}"),
            rooms: format!("paces.{session}.rooms"),
            rooms_stream: format!("paces_{session}_rooms"),
        }
    }

    /// Where a unit of a run is sent what is for it.
    pub(crate) fn unit(&self, run: u64, unit: usize) -> String {
        format!("{}.{run}.{unit}", self.units)
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

impl Share {
    /// The message that it is dealt by: the server has it once.
    pub(crate) fn message(&self) -> Result<PublishMessage> {
        let message = PublishMessage::build().message_id(self.id.to_string());
        Ok(message.payload(encode(self)?.into()))
    }
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
    /// It waits for the others that this works with.
    Stands(ShareId),
    /// It asks for a piece of a file that it does not have: see [`Piece`].
    Wants { place: usize, offset: u64 },
    /// About a file that is downloaded.
    Download(Report),
}

/// A piece of a file, or why there is none.
pub(crate) type Piece = std::result::Result<Vec<u8>, String>;

/// A summary of a file, or what was wrong with it.
type Summed<S> = std::result::Result<S, String>;

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// How many of these are prime?
    Primes(Range<u64>),
    /// Read this URL's body to its end.
    Fetch(String),
    /// Make one of this job's calls.
    Offload(offload::Job),
    /// Answer with this number, mixed.
    Spawn(u64),
    /// The same in a tree, where units start others.
    Branch(Branch),
    /// Be the queue's producer of this number.
    Produce(pipeline::Job, usize),
    /// Be a consumer of the queue.
    Consume(pipeline::Job),
    /// Have this part's operations answered, cut or cancelled.
    Deadlines(deadlines::Part),
    /// What is in these files?
    Files(Vec<ListedFile>),
    /// Make this image fit a square of `edge` pixels.
    Thumbnail { file: ListedFile, edge: u32 },
    /// Which of these ports are open?
    Scan(ScanTask),
    /// Download the file of this name: what to do, the parent says when it is asked.
    Download(String),
    /// Be the ring's station of this number.
    PingPong(ping_pong::Job, usize),
    /// Be the job's worker of this number, or the counter's owner.
    Counter(counter::Job, usize),
    /// Serve members of a chat.
    Chat(ChatTask),
    /// Be the exchange's writer.
    Write(exchange::Job),
    /// Be its reader.
    Read,
}

/// A unit of a tree.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Branch {
    pub(crate) batch: spawn::Batch,
    pub(crate) unit: u64,
    /// The share of the unit that starts it. The parent starts the first.
    pub(crate) starter: Option<usize>,
}

/// A part of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ScanTask {
    pub(crate) host: IpAddr,
    pub(crate) ports: Vec<u16>,
    /// The most attempts under way at once.
    pub(crate) limit: usize,
    /// How long one may take.
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
}

impl Task {
    /// Whether the answer follows from the task, so that a second has to be the same.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Task::Primes(_)
            | Task::Offload(_)
            | Task::Spawn(_)
            | Task::Files(_)
            | Task::Thumbnail { .. } => true,
            // What is asked there is not the same every time.
            Task::Fetch(_) | Task::Scan(_) | Task::Chat(_) | Task::Download(_) => false,
            // All that work together begin again when one is lost.
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

    /// Whether the parent deals it. Another unit deals what it starts.
    pub(crate) fn is_of_parent(&self) -> bool {
        !matches!(self, Task::Branch(branch) if branch.starter.is_some())
    }
}

/// For errors: the share by what it is about.
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

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done, and has no result.
    Done,
    /// A count or a sum.
    Number(u64),
    /// What there was to read under a URL.
    Body(fetch::Body),
    /// The results of the files in these places of the list.
    Files(Vec<(usize, Summed<files::Summary>)>),
    /// The result of the image in this place of the list.
    Thumbnail(usize, Summed<thumbnails::Summary>),
    /// What came of some ports.
    Scan(Found),
    /// How a file has ended, or rests.
    Download(Ended),
    /// What a station of a ring has seen.
    PingPong(ping_pong::Outcome),
    /// What a reader has read.
    Exchange(exchange::Outcome),
    /// What a consumer has processed, and the most messages that it knows the queue to have held.
    Consumed(pipeline::Tally, u64),
    /// What has come of a part of the operations.
    Deadlines(PartEnded),
    /// Not done: a unit that this works with is lost.
    PeerGone,
}

/// What has come of a part of the operations with deadlines.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartEnded {
    pub(crate) tally: deadlines::Tally,
    /// How many have begun.
    pub(crate) begun: u64,
    /// From when the last of these had begun until all of all parts had ended, if all in flight
    /// were cancelled; else 0.
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

/// A value as the bytes of a message.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(postcard::to_stdvec(value)?)
}

/// The value in a message of the same build.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).context("a message that cannot be read")
}

/// The same where bytes follow, which are returned as well.
pub(crate) fn decode_front<T: DeserializeOwned>(bytes: &Bytes) -> Result<(T, Bytes)> {
    let decoded = postcard::take_from_bytes::<T>(bytes);
    let (value, rest) = decoded.context("a message that cannot be read")?;
    Ok((value, bytes.slice_ref(rest)))
}

/// async-nats' errors are boxed.
pub(crate) fn boxed(error: async_nats::Error) -> anyhow::Error {
    anyhow!(error)
}
