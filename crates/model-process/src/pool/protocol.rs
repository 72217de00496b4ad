//! Everything that parent and children say to each other.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use anyhow::{anyhow, bail};
use chat_room::Settings;
use file_send::{Acknowledged, Outgoing, Secret};
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};
use suite::pipeline::{Item, Tally};
use suite::{
    Result, Unsupported, counter, datagram, deadlines, echo, exchange, fetch, files, offload,
    ping_pong, pipeline,
};
use suite::{scan, sleepers, spawn, thumbnails};
use transfer::{DiskError, Finish, Next, Options, Session, Transfer};

/// The longest text in a message. ipc-channel cuts messages over 208 KiB into
/// several, and sending one of these never returns if its receiver dies first.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Makes a text fit into a message.
pub(crate) fn truncate(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
}

/// Which child: its place, and how many children had been started before it, as a
/// child that has died is followed by another in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChildId {
    pub(crate) unit: usize,
    pub(crate) number: u64,
}

/// A child's first message: where it can be welcomed.
pub(crate) type Hello = IpcSender<Welcome>;

/// What a child needs to begin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) id: ChildId,
    pub(crate) tasks: IpcReceiver<Task>,
    pub(crate) mailbox: IpcSender<Message>,
}

/// What arrives at the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// From a child, or about it.
    Child(ChildId, ChildEvent),
    /// From another thread of the parent: there is something to do.
    Wake,
}

impl Message {
    pub(crate) fn is_of(&self, child: ChildId) -> bool {
        matches!(self, Message::Child(id, _) if *id == child)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChildEvent {
    Answer(Answer),
    /// What went wrong in the task; this, too, is an answer.
    Failure(String),
    /// The process has ended. This is its last message.
    Exit,
}

/// What the parent can ask. Every task is answered, once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Be one of this job's workers.
    Counter(counter::Job),
    Pipeline(PipelineTask),
    /// How many of these are prime?
    Primes(Range<u64>),
    Exchange(ExchangeTask),
    /// Read this URL's body to its end.
    Fetch(String),
    /// Make one of this job's calls.
    Offload(offload::Job),
    Download(DownloadTask),
    PingPong(PingPongTask),
    /// Sleep as long as this job says, which began at this time.
    Sleepers(sleepers::Job, u64),
    /// Answer with this number, mixed, and end.
    Spawn(SpawnTask),
    Deadlines(DeadlinesTask),
    Echo(EchoTask),
    Datagram(DatagramTask),
    Serve(ServeTask),
    Proxy(ProxyTask),
    Scan(ScanTask),
    Chat(ChatTask),
    Send(SendTask),
    Receive(ReceiveTask),
    /// Do a piece of CPU work, and end if it is the last task.
    Burn {
        is_last: bool,
    },
    Files(FilesTask),
    Thumbnails(ThumbnailTask),
}

/// What travels in one message from a producer to a consumer.
pub(crate) type Batch = Vec<Item>;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PipelineTask {
    /// Send items to the first consumers that are known already, this many, and
    /// to these.
    Connect(usize, Vec<IpcSender<Batch>>),
    /// Be the job's producer of this number.
    Produce(pipeline::Job, usize),
    /// Be a consumer of what arrives here.
    Consume(pipeline::Job, IpcReceiver<Batch>),
}

/// Which of the two to be. `None` is the end marker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ExchangeTask {
    Write(exchange::Job, IpcSender<Option<exchange::Message>>),
    Read(IpcReceiver<Option<exchange::Message>>),
}

/// Be the ring's station of this number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PingPongTask {
    pub(crate) job: ping_pong::Job,
    pub(crate) unit: usize,
    pub(crate) tokens: IpcReceiver<u64>,
    pub(crate) next: IpcSender<u64>,
}

/// Be the unit of this number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpawnTask {
    pub(crate) unit: u64,
    pub(crate) batch: spawn::Batch,
    /// Where to answer, if not where every task is answered.
    pub(crate) replies: Option<IpcSender<u64>>,
}

/// Do operations over the connection of this number. The address is the job's, which is sent
/// without it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeadlinesTask {
    pub(crate) job: deadlines::Job,
    pub(crate) slot: u64,
    pub(crate) address: SocketAddr,
}

/// Which end of a connection to be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum EchoTask {
    /// Be the client of this number. The address is the job's, which is sent
    /// without it.
    Talk(echo::Job, usize, SocketAddr),
    /// Be the server of one client after the other, until one hangs up too early.
    Serve(echo::Job),
}

/// Which end to be of what datagrams go between.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DatagramTask {
    /// Be the client of this number. Address and run are the job's, which is sent without them.
    Talk {
        job: datagram::Job,
        client: usize,
        address: SocketAddr,
        run: u64,
    },
    /// Send datagrams of this number of bytes back over the socket in the slot, until an empty one comes.
    Serve { bytes: usize },
}

/// Serve a directory over the listener in the slot, until that is shut down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServeTask {
    /// Its path, which need not be text.
    pub(crate) directory: OsString,
    /// How long to wait for a client.
    pub(crate) patience: Duration,
}

/// Pass requests on for clients of the listener in the slot, until that is shut down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProxyTask {
    /// Where requests may go: `HOST:PORT` each; if there are none, this machine itself.
    pub(crate) allowed: Vec<String>,
    /// How long to wait for a client, and for an upstream.
    pub(crate) patience: [Duration; 2],
    /// Whether a connection to an upstream is used again.
    pub(crate) reuse: bool,
}

/// Scan ports, as long as there are any in the shared memory that no child has taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScanTask {
    pub(crate) host: IpAddr,
    /// The most attempts under way at once.
    pub(crate) limit: usize,
    /// How long one may take.
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
}

/// How to serve rooms.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChatTask {
    /// Take the socket in the slot: connections come through it.
    Take,
    /// Serve the rooms that these clients join, until there are no more.
    Serve {
        /// How rooms work.
        settings: Settings,
        /// How long to wait for a client.
        patience: Duration,
    },
}

/// Be the sender of files, one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SendTask {
    /// Send this one.
    File(SendSetup, Box<Outgoing>),
    /// Tell the receiver that there will be no other.
    Bye,
}

/// What a child needs to send a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendSetup {
    pub(crate) address: SocketAddr,
    pub(crate) secret: Secret,
    pub(crate) path: file_send::Path,
    pub(crate) patience: Duration,
}

/// What has come of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendAnswer {
    pub(crate) file: Outgoing,
    pub(crate) result: std::result::Result<Acknowledged, file_send::Error>,
    /// Whether the connection stays for the next file.
    pub(crate) is_connected: bool,
}

/// Receive files from senders at the listener in the slot, until that is shut down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReceiveTask {
    /// The path of the directory, which need not be text.
    pub(crate) directory: OsString,
    pub(crate) syncs: bool,
    pub(crate) secret: Secret,
    /// How long to wait for a sender.
    pub(crate) patience: Duration,
}

/// What is in the files in these places of the list?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FilesTask {
    pub(crate) first: usize,
    /// Their paths, which need not be text.
    pub(crate) paths: Vec<OsString>,
}

/// Make the image in this place of the list fit a square of `edge` pixels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ThumbnailTask {
    pub(crate) file: usize,
    /// Its path, which need not be text.
    pub(crate) path: OsString,
    pub(crate) edge: u32,
}

/// Download this file, as far as that is possible now.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DownloadTask {
    /// With a child's first file.
    pub(crate) setup: Option<Box<DownloadSetup>>,
    pub(crate) transfer: Box<Transfer>,
    /// Its number, if it was sent while the child had another file.
    pub(crate) queued: Option<u64>,
}

/// What all files of a download have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DownloadSetup {
    /// Its path, which need not be text.
    pub(crate) directory: OsString,
    pub(crate) options: Options,
}

impl DownloadSetup {
    pub(crate) fn from_session(session: &Session) -> Result<Self> {
        let options = session.options.clone();
        let bytes: usize = options
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes + options.user_agent.len() > MAX_TEXT_BYTES {
            bail!(Unsupported(format!(
                "headers of {bytes} bytes: at most {MAX_TEXT_BYTES} are sent to a child"
            )));
        }
        let directory = session.parts().path().into();
        Ok(Self { directory, options })
    }
}

/// A summary of a file, or what was wrong with it.
type Summed<S> = std::result::Result<S, String>;

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The task is done, and has no result.
    Done,
    /// A count or a sum: primes, bytes, items.
    Number(u64),
    /// What there was to read under a URL.
    Body(fetch::Body),
    /// What a pipeline's consumer has processed.
    Pipeline(Tally),
    /// What a reader has read.
    Exchange(exchange::Outcome),
    /// How far a file has come.
    Download(Box<DownloadAnswer>),
    /// What a station of a ring has seen.
    PingPong(ping_pong::Outcome),
    /// What has come of the operations over a connection.
    Deadlines(deadlines::Tally),
    /// What came back over a connection.
    Echo(echo::Outcome),
    /// What has come of a client's datagrams.
    Datagram(datagram::Outcome),
    /// What there is to tell of a scan that is not in shared memory.
    Scan(scan::Found),
    /// What has come of a file that was to be sent.
    Send(Box<SendAnswer>),
    /// The results of the files from this place of the list on.
    Files(usize, Vec<Summed<files::Summary>>),
    /// The result of the image in this place of the list.
    Thumbnail(usize, Summed<thumbnails::Summary>),
    /// Not done: the child at the other end of a channel is gone. Its exit is
    /// reported separately.
    PeerGone,
}

impl Answer {
    pub(crate) fn number(self) -> Result<u64> {
        match self {
            Answer::Number(number) => Ok(number),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn body(self) -> Result<fetch::Body> {
        match self {
            Answer::Body(body) => Ok(body),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn unexpected(self) -> anyhow::Error {
        anyhow!("a child did not answer what it was asked: {self:?}")
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DownloadAnswer {
    /// Every byte is there.
    Finished(Finish),
    /// Bytes are missing. What happens next is [`Next`].
    Unfinished(Box<Transfer>, Next),
    /// The disk has refused.
    Refused(Refusal),
    /// The parent had withdrawn the task.
    Withdrawn,
}

/// A [`DiskError`], in a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    path: OsString,
    errno: Option<i32>,
    text: String,
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        Self {
            path: error.path.into(),
            errno: error.source.raw_os_error(),
            text: error.source.to_string(),
        }
    }
}

impl From<Refusal> for DiskError {
    fn from(refusal: Refusal) -> Self {
        let source = match refusal.errno {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::other(refusal.text),
        };
        Self {
            path: refusal.path.into(),
            source,
        }
    }
}
