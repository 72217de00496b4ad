//! A parent and its nodes, from the model's start to its end: the stream of shares, and one place
//! to wait for all events.

pub(crate) mod silence;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Message, Subscriber};
use futures_lite::StreamExt;
use suite::{Result, Setup, Workload};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection::{Access, random_hex};
use crate::happening::{Advisory, Download, Event, Happening};
use crate::listed_file;
use crate::nodes::Nodes;
use crate::options::{Options, Storage};
use crate::places::Places;
use crate::protocol::{
    self, CONSUMER, HELLO, Hello, Piece, REVISION, Said, Subjects, WANTED, Welcome, What,
};
use crate::server::Server;

/// How many nodes may die of a share before the job fails, and how often the server delivers a
/// share.
pub(crate) const MAX_DEATHS: u32 = 5;

/// How long nodes may take to connect, and a server to come back.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server keeps the messages of a parent that was killed.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The time limit for cleaning up at the end.
const LONGEST_CLOSING: Duration = Duration::from_secs(1);

pub(crate) struct Session {
    name: String,
    pub(crate) subjects: Subjects,
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) storage: Storage,
    pub(crate) ack_wait: Duration,
    /// Assigns slots to nodes.
    places: Places,
    /// Nodes that pull shares, and when each last sent a message.
    ready: BTreeMap<String, Instant>,
    /// The number of own nodes that have died since a node was last ready.
    failed_starts: u32,
    /// The last problem with a node that could not be used.
    trouble: Option<String>,
    hellos: Subscriber,
    said: Subscriber,
    advisories: Subscriber,
    events: UnboundedReceiver<Event>,
    /// Sends events to `events`.
    pub(crate) waker: UnboundedSender<Event>,
    /// Files that nodes may request.
    files: Arc<[PathBuf]>,
    /// The number of jobs that have begun.
    runs: u64,
    /// Whether shares of an earlier job may still be in the stream.
    has_leftovers: bool,
    // In this order: nodes end before the server does.
    nodes: Option<Nodes>,
    _server: Option<Server>,
}

impl Session {
    /// Starts a server and nodes, or connects to existing ones. `nodes` is the number of nodes, or
    /// 0 to use the options; `units` is the number of shares that are worked on at once.
    pub(crate) async fn open(setup: &Setup, nodes: usize, units: usize) -> Result<Self> {
        let options = Options::chosen();
        let wanted = options.nodes(nodes, setup.threads)?;
        let units = match setup.workload {
            // `units` counts the cores of this machine, but each node needs at least one slot.
            Workload::Files | Workload::Thumbnails | Workload::Scan => units.max(wanted),
            _ => units,
        };
        // A node without a slot would have nothing to do.
        let wanted = wanted.min(units);
        let cores = options.node_cpus()?;
        let (tell, mut events) = mpsc::unbounded_channel();
        let (server, access) = match options.cluster() {
            Some(url) => (None, Access::given(url, options.secrets())?),
            None => {
                let tell = tell.clone();
                let gone = move |why| drop(tell.send(Event::ServerGone(why)));
                let server = Server::start(&setup.program, gone)?;
                let access = server.access.clone();
                (Some(server), access)
            }
        };
        let connected = {
            let tell = tell.clone();
            move || drop(tell.send(Event::Connected))
        };
        let client = access.connect("paces", connected).await?;
        let name = random_hex()?;
        let subjects = Subjects::of(&name);
        let advisories = format!(
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{}.{CONSUMER}",
            subjects.stream
        );
        let nodes = server.as_ref().map(|server| {
            let token_file = server.token_file();
            Nodes::new(&setup.program, &access.url, token_file, cores, tell.clone())
        });
        // Skip the event of the first connection.
        while !matches!(events.recv().await, None | Some(Event::Connected)) {}
        let mut session = Self {
            hellos: client.subscribe(HELLO).await?,
            said: client.subscribe(subjects.parent.clone()).await?,
            advisories: client.subscribe(advisories).await?,
            jetstream: jetstream::new(client.clone()),
            client,
            name,
            subjects,
            storage: options.storage(),
            ack_wait: options.ack_wait(),
            files: Arc::default(),
            places: Places::new(wanted, units),
            ready: BTreeMap::new(),
            failed_starts: 0,
            trouble: None,
            events,
            waker: tell,
            runs: 0,
            has_leftovers: false,
            nodes,
            _server: server,
        };
        let opening = async {
            session.stream().await?;
            session.gather().await
        };
        if let Err(error) = opening.await {
            // Otherwise its stream would stay at a server that is not ours.
            session.close().await;
            return Err(error);
        }
        Ok(session)
    }

    /// Returns the stream of shares, and makes it if necessary.
    pub(crate) async fn stream(&self) -> Result<Stream> {
        let stream = self.jetstream.create_stream(Config {
            name: self.subjects.stream.clone(),
            subjects: vec![self.subjects.shares.clone()],
            retention: RetentionPolicy::WorkQueue,
            storage: self.storage.into(),
            max_age: LONGEST_WAIT,
            ..Config::default()
        });
        let stream = stream.await.context("a stream of the NATS server")?;
        let consumer = stream.create_consumer(pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            max_deliver: i64::from(MAX_DEATHS),
            max_ack_pending: -1,
            // Each slot has one pull request open, and maybe another from a connection that broke.
            max_waiting: 2 * self.units().max(256) as i64,
            memory_storage: self.storage == Storage::Memory,
            ..pull::Config::default()
        });
        consumer.await.context("a consumer of the NATS server")?;
        Ok(stream)
    }

    /// The number of shares that are worked on at once.
    pub(crate) fn units(&self) -> usize {
        self.places.units()
    }

    /// Allows nodes to request these files, and no others.
    pub(crate) fn offer(&mut self, files: &Arc<[PathBuf]>) {
        self.files = files.clone();
    }

    /// The number of the current job.
    pub(crate) fn run(&self) -> u64 {
        self.runs
    }

    /// Begins a job when all nodes are ready. Returns its number. From now on, messages of units of
    /// earlier jobs are ignored.
    pub(crate) async fn begin(&mut self) -> Result<u64> {
        self.runs += 1;
        if self.has_leftovers {
            self.stream().await?.purge().await?;
            self.has_leftovers = false;
        }
        self.gather().await?;
        // Between two jobs the parent reads no messages.
        self.reset_silence();
        Ok(self.runs)
    }

    /// Notes that a job has ended and may have left shares in the stream. If it `failed`, nodes may
    /// still work on them, so own nodes are ended.
    pub(crate) fn leave(&mut self, failed: bool) {
        self.has_leftovers = true;
        if let Some(nodes) = self.nodes.as_mut().filter(|_| failed) {
            nodes.end();
            self.ready.clear();
            self.places.free_all();
        }
    }

    /// Waits until all nodes are ready.
    async fn gather(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let wanted = self.places.nodes();
        if let Some(nodes) = &mut self.nodes {
            for _ in nodes.count()..wanted {
                nodes.start()?;
            }
        }
        if self.ready.len() < wanted {
            self.client.publish(WANTED, "".into()).await?;
        }
        while self.ready.len() < wanted {
            if let Happening::Deadline = self.next(deadline).await? {
                let ready = self.ready.len();
                let trouble = self.trouble.take();
                bail!(
                    "{ready} of {wanted} nodes have come within {PATIENCE:?}{}",
                    trouble.map_or_else(String::new, |trouble| format!("; {trouble}"))
                );
            }
        }
        Ok(())
    }

    /// Whether this is an own node that has ended.
    pub(crate) fn is_dead(&self, node: &str) -> bool {
        let is_ours = node.starts_with(&format!("{}-", std::process::id()));
        is_ours && self.nodes.as_ref().is_some_and(|nodes| !nodes.has(node))
    }

    /// Whether this node has sent a message recently. With `None`, whether enough nodes have.
    pub(crate) fn is_ready(&self, node: Option<&str>) -> bool {
        match node {
            Some(node) => self.ready.contains_key(node),
            // An own node that has ended is replaced.
            None => self.nodes.is_some() || self.ready.len() >= self.places.nodes(),
        }
    }

    /// Waits for the next event, until `deadline`.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Happening> {
        loop {
            tokio::select! {
                Some(message) = self.said.next() => {
                    if let Some(happening) = self.heard(message).await? {
                        return Ok(happening);
                    }
                }
                Some(event) = self.events.recv() => match event {
                    Event::Connected => return Ok(Happening::Connected),
                    Event::Wake => return Ok(Happening::Download(Download::Wake)),
                    Event::ServerGone(why) => bail!(why),
                    Event::Exit { node, status } => {
                        if self.replace(&node, &status)? {
                            return Ok(Happening::Exit { node, status });
                        }
                    }
                },
                Some(message) = self.hellos.next() => self.welcome(&message).await?,
                Some(message) = self.advisories.next() => {
                    let Advisory { stream_seq } = serde_json::from_slice(&message.payload)?;
                    return Ok(Happening::GivenUp { sequence: stream_seq });
                }
                () = sleep_until(deadline) => return Ok(Happening::Deadline),
            }
        }
    }

    /// Handles and confirms a node's message. Returns the event, if it is one.
    async fn heard(&mut self, message: Message) -> Result<Option<Happening>> {
        let (Said { node, what }, rest) = protocol::decode_front(&message.payload)?;
        if let What::Download(report) = what {
            return Ok(Some(Happening::said(node, report, rest, message.reply)));
        }
        if let Some(reply) = message.reply {
            let answer = match what {
                What::NeedsPiece { place, offset } => protocol::encode(&self.piece(place, offset))?,
                _ => Vec::new(),
            };
            self.client.publish(reply, answer.into()).await?;
        }
        Ok(Some(match what {
            What::NeedsPiece { .. } | What::Download(_) => return Ok(None),
            What::Ready if self.is_dead(&node) => return Ok(None),
            What::Ready => {
                self.failed_starts = 0;
                self.ready.insert(node, Instant::now());
                Happening::Ready
            }
            What::Taken(id) => Happening::Taken { node, id },
            What::Waiting(id) => self.unit_waiting(id).await?,
            What::Answered {
                id,
                deliveries,
                result,
            } => Happening::Answered {
                node,
                id,
                deliveries,
                result,
            },
        }))
    }

    fn piece(&self, place: usize, offset: u64) -> Piece {
        let path = self.files.get(place);
        let path = path.ok_or("there is no such file in the list")?;
        listed_file::piece(path, offset).map_err(|error| error.to_string())
    }

    /// Accepts a node, or refuses it.
    async fn welcome(&mut self, message: &Message) -> Result<()> {
        let hello = serde_json::from_slice(&message.payload);
        let Some((Hello { node, revision }, reply)) = hello.ok().zip(message.reply.clone()) else {
            return Ok(());
        };
        if self.is_dead(&node) {
            // It asked before it was ended, and would take a place.
            return Ok(());
        }
        let answer = if revision != REVISION {
            let trouble = format!(
                "node {node} is of revision {revision}, and this program of {REVISION}: refused"
            );
            eprintln!("{trouble}");
            self.trouble = Some(trouble);
            Welcome::Refused {
                revision: REVISION.to_owned(),
            }
        } else if let Some(slots) = self
            .places
            .give(&node, Instant::now(), |node| self.ready.contains_key(node))
        {
            Welcome::Session {
                name: self.name.clone(),
                slots,
                heartbeat_ms: self.ack_wait.as_millis() as u64 / 3,
            }
        } else {
            // No free place: another parent may accept it.
            return Ok(());
        };
        let answer = serde_json::to_vec(&answer)?;
        Ok(self.client.publish(reply, answer.into()).await?)
    }

    /// Replaces a node that has ended. Returns whether it was an own node that this parent did not
    /// end itself.
    fn replace(&mut self, node: &str, status: &str) -> Result<bool> {
        let Some(nodes) = &mut self.nodes else {
            return Ok(false);
        };
        if !nodes.forget(node) {
            return Ok(false);
        }
        self.places.free(node);
        if self.ready.remove(node).is_none() {
            self.failed_starts += 1;
        }
        if self.failed_starts > MAX_DEATHS {
            bail!("nodes keep dying before they can be given work, the last by {status}");
        }
        nodes.start()?;
        Ok(true)
    }

    /// Tells nodes that were started by hand that the session has ended.
    pub(crate) async fn close(&mut self) {
        if self.nodes.is_some() {
            return;
        }
        let closing = async {
            let end = self.subjects.end.clone();
            self.client.publish(end, "".into()).await?;
            let bucket = format!("KV_{}", self.subjects.bucket);
            for stream in [
                &self.subjects.stream,
                &self.subjects.queue_stream,
                &self.subjects.rooms_stream,
                &bucket,
            ] {
                // Not every session has all of these streams.
                let _ = self.jetstream.delete_stream(stream).await;
            }
            anyhow::Ok(())
        };
        // If this fails, nodes notice the end themselves, and the server deletes old messages after
        // a time.
        let _ = timeout(LONGEST_CLOSING, closing).await;
    }
}
