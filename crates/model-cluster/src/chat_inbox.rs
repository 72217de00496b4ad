//! Receives what members of all nodes say from the stream of all rooms, for one node.
//!
//! All nodes put the same batches into their logs, in the order of the stream. The stream keeps a
//! batch until all nodes have acked it. So if rooms wait for members, a member that does not read
//! delays the senders.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{ErrorCode, Message};
use chat_room::Rooms;
use futures_lite::StreamExt;
use suite::Result;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::chat_link::ChatTask;
use crate::chat_outbox::Batch;
use crate::node::Node;
use crate::protocol;
use crate::session::PATIENCE;
use crate::since::Since;

/// The ack timeout of the server, in heartbeats of the node.
pub(crate) const BEATS: u32 = 3;

/// How often the server sends a heartbeat when it has nothing to deliver.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The pause before a failed operation is retried.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The node has missed messages. It disconnects its members and starts again.
#[derive(Debug)]
pub(crate) struct CutOff(pub(crate) &'static str);

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for CutOff {}

pub(crate) struct Inbox {
    consumer: PullConsumer,
    connections: watch::Receiver<()>,
    rooms: Rooms,
    /// The sequence number of the next message.
    next: u64,
    /// Later messages that have arrived early. The next one will be delivered again, because the
    /// connection was down.
    early: BTreeMap<u64, Message>,
    is_missing: Since,
    is_silent: Since,
    /// Batches that their rooms cannot take yet, because the rooms wait for members.
    waiting: HashMap<u32, VecDeque<Delivered>>,
    /// The number of the last batch of each origin in each room.
    last: HashMap<u32, HashMap<u64, u64>>,
}

/// A batch that waits for its room.
struct Delivered {
    sequence: u64,
    messages: VecDeque<chat_room::Message>,
    acker: Acker,
}

impl Inbox {
    /// Makes a consumer with this name. The server delivers to it everything that is said from now
    /// on.
    pub(crate) async fn open(
        task: &ChatTask,
        name: &str,
        rooms: &Rooms,
        node: &Node,
    ) -> Result<Self> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::Explicit,
            ack_wait: BEATS * node.heartbeat,
            max_ack_pending: -1,
            memory_storage: task.in_memory,
            ..pull::Config::default()
        };
        let consumer = node
            .jetstream
            .create_consumer_on_stream(config, &task.stream);
        let consumer = consumer.await.map_err(refused)?;
        Ok(Self {
            next: consumer.cached_info().delivered.stream_sequence + 1,
            consumer,
            connections: node.connections.clone(),
            rooms: rooms.clone(),
            early: BTreeMap::new(),
            is_missing: Since::new(PATIENCE),
            is_silent: Since::new(PATIENCE),
            waiting: HashMap::new(),
            last: HashMap::new(),
        })
    }

    /// Puts delivered batches into the rooms, up to the sequence number `last` of the stream.
    pub(crate) async fn put_all(&mut self, mut last: watch::Receiver<u64>) -> Result<()> {
        let mut connections = self.connections.clone();
        loop {
            let messages = self.consumer.stream().heartbeat(HEARTBEAT).messages();
            let mut messages = messages.await.context("what is said in the chat")?;
            loop {
                if self.next > *last.borrow() && self.waiting.is_empty() {
                    return Ok(());
                }
                tokio::select! {
                    message = messages.next() => match message {
                        Some(Ok(message)) => self.deliver(message).await?,
                        Some(Err(_)) | None => break,
                    },
                    put = poll_fn(|context| self.poll_waiting(context)) => {
                        for acker in put {
                            ack(&acker).await;
                        }
                    }
                    // The server may have lost messages.
                    _ = connections.changed() => self.look().await?,
                    _ = last.changed() => {}
                }
            }
            self.look().await?;
            sleep(PAUSE).await;
        }
    }

    /// Checks whether the server still has the consumer.
    async fn look(&mut self) -> Result<()> {
        let is_silent = match self.consumer.get_info().await {
            Ok(_) => false,
            Err(error) => match error.kind() {
                ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => {
                    bail!(CutOff("the NATS server delivers nothing to it any more"))
                }
                _ => true,
            },
        };
        if self.is_silent.is_too_long(is_silent) {
            bail!(CutOff("the NATS server does not answer"));
        }
        Ok(())
    }

    /// Puts a message of the stream into its room, after all messages before it.
    async fn deliver(&mut self, message: Message) -> Result<()> {
        let sequence = message.info().map_err(protocol::boxed)?.stream_sequence;
        if sequence < self.next {
            // A repeated delivery: its ack was lost, or has not been sent yet.
            let is_it = |delivered: &Delivered| delivered.sequence == sequence;
            if !self.waiting.values().flatten().any(is_it) {
                ack(&message.split().1).await;
            }
            return Ok(());
        }
        self.early.insert(sequence, message);
        while let Some(message) = self.early.remove(&self.next) {
            let sequence = self.next;
            self.next += 1;
            self.is_missing.ends();
            if let Some(acker) = self.put(sequence, message)? {
                ack(&acker).await;
            }
        }
        // The server delivers unacked messages again, so this check is repeated.
        if self.is_missing.is_too_long(!self.early.is_empty()) {
            bail!(CutOff("the NATS server does not deliver a message again"));
        }
        Ok(())
    }

    /// Puts the next message into its room. Returns what to ack, or `None` if the room cannot take
    /// the message yet.
    fn put(&mut self, sequence: u64, message: Message) -> Result<Option<Acker>> {
        let (message, acker) = message.split();
        let batch = Batch::decode(&message.payload);
        let batch = batch.context("a message of the chat that cannot be read")?;
        let Batch {
            room,
            origin,
            number,
            mut messages,
        } = batch;
        let last = self.last.entry(room).or_default().entry(origin);
        let last = last.or_default();
        if number <= *last {
            // A duplicate: it was published again because the first confirmation was lost.
            return Ok(Some(acker));
        }
        *last = number;
        let mut waits = self.waiting.contains_key(&room);
        if !waits {
            let mut context = Context::from_waker(Waker::noop());
            match self.rooms.poll_relay(&mut context, room, &mut messages) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => drop(self.last.remove(&room)),
                Poll::Pending => waits = true,
            }
        }
        if !waits {
            return Ok(Some(acker));
        }
        self.waiting.entry(room).or_default().push_back(Delivered {
            sequence,
            messages,
            acker,
        });
        Ok(None)
    }

    /// Puts waiting batches into their rooms, as far as the rooms can take them. Returns what to
    /// ack, when there is any.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Vec<Acker>> {
        let Self {
            rooms,
            waiting,
            last,
            ..
        } = self;
        let mut put = Vec::new();
        waiting.retain(|&room, batches| {
            while let Some(first) = batches.front_mut() {
                match rooms.poll_relay(context, room, &mut first.messages) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => drop(last.remove(&room)),
                    Poll::Pending => return true,
                }
                put.extend(batches.pop_front().map(|first| first.acker));
            }
            false
        });
        match put.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(put),
        }
    }
}

/// Sends an ack. If it is lost, the message is delivered again.
async fn ack(acker: &Acker) {
    let _ = acker.ack().await;
}

/// The error for a consumer that could not be made.
fn refused(error: ConsumerError) -> anyhow::Error {
    match error.kind() {
        ConsumerErrorKind::JetStream(refusal)
            if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            anyhow!("the NATS server has lost what was said")
        }
        ConsumerErrorKind::JetStream(_) => {
            anyhow::Error::new(error).context("a consumer of the NATS server")
        }
        // The connection is down, or the server is not ready.
        _ => CutOff("the NATS server does not answer").into(),
    }
}
