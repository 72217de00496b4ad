//! What members of a node say, on its way to the stream of all rooms.
//!
//! A batch is one message of the stream: it has all that members of a room on this node have said
//! while the batch before it was on its way. Of each room, one batch of a node is on its way at a
//! time, and it is published until the server confirms it: so batches stay in order, and one that
//! is there twice has the number of the one before it, which nodes have seen.

use std::collections::{HashMap, VecDeque};
use std::error::Error as _;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode};
use chat_room::{Message, Received};
use suite::Result;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio::time::sleep;

use crate::chat_link::{ChatTask, until};
use crate::node::Node;

/// How many batches of a room the stream holds at most. All together, they have no more messages
/// than the log of a room.
const MOST_BATCHES: usize = 16;

/// A batch that is longer takes no further message.
const BATCH_BYTES: usize = 64 * 1024;

/// How long to wait when the stream has no room for a batch: to begin with, and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How many batches of a room the stream holds, of rooms with logs of this length.
pub(crate) fn most_batches(queue: usize) -> usize {
    queue.min(MOST_BATCHES)
}

/// Nothing that is locked can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes what all members of a node say.
pub(crate) struct Publisher {
    jetstream: jetstream::Context,
    connections: watch::Receiver<()>,
    /// What the subject of each room begins with.
    rooms: String,
    /// By which nodes know its batches. No other publisher has the same.
    origin: u64,
    /// How many batches there have been.
    batches: AtomicU64,
    /// Messages of a batch, at most.
    most: usize,
    /// Those of the rooms that have members here.
    outboxes: Mutex<HashMap<u32, Weak<Outbox>>>,
    /// Shared by all that is being said. At the end it is taken away.
    gate: Arc<RwLock<()>>,
    /// Whether nothing is published any more.
    is_over: watch::Receiver<bool>,
    failures: UnboundedSender<anyhow::Error>,
}

impl Publisher {
    /// The one of the node's `consumer`, until it `is_over`. What the server refuses for good is
    /// told to `failures`.
    pub(crate) fn new(
        task: &ChatTask,
        consumer: &str,
        node: &Node,
        is_over: watch::Receiver<bool>,
        failures: UnboundedSender<anyhow::Error>,
    ) -> Result<Self> {
        let digits = consumer.get(..16).context("a consumer's name")?;
        let queue = task.settings.queue;
        Ok(Self {
            jetstream: node.jetstream.clone(),
            connections: node.connections.clone(),
            rooms: task.rooms.clone(),
            origin: u64::from_str_radix(digits, 16).context("a consumer's name")?,
            batches: AtomicU64::new(0),
            most: queue / most_batches(queue),
            outboxes: Mutex::default(),
            gate: Arc::default(),
            is_over,
            failures,
        })
    }

    /// Of this room: the same for all its members, so that their batches stay in order.
    pub(crate) fn outbox(self: &Arc<Self>, room: u32) -> Arc<Outbox> {
        let mut outboxes = lock(&self.outboxes);
        if let Some(outbox) = outboxes.get(&room).and_then(Weak::upgrade) {
            return outbox;
        }
        // Those that are left have no members, and nothing to publish.
        outboxes.retain(|_, outbox| outbox.strong_count() > 0);
        let outbox = Arc::new(Outbox {
            publisher: self.clone(),
            room,
            waiting: Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
        });
        outboxes.insert(room, Arc::downgrade(&outbox));
        outbox
    }

    /// Waits until all that was said is in the stream. As long as there is what this gives, nothing
    /// more is said.
    pub(crate) async fn drain(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// Publishes a batch until the server confirms it, or it is over.
    async fn publish(&self, batch: &Batch) {
        let message = PublishMessage::build().payload(batch.encode().into());
        let subject = format!("{}.{}", self.rooms, batch.room);
        let mut connections = self.connections.clone();
        let mut pause = SHORTEST_PAUSE;
        loop {
            connections.mark_unchanged();
            let publishing = async {
                let (subject, message) = (subject.clone(), message.clone());
                self.jetstream.send_publish(subject, message).await?.await
            };
            let error = tokio::select! {
                published = publishing => match published {
                    Ok(_) => return,
                    Err(error) => error,
                },
                // Whether it is there cannot be told: nodes that have it see that by its number.
                _ = connections.changed() => continue,
                () = until(self.is_over.clone()) => return,
            };
            if is_refused(&error) {
                let error = anyhow::Error::new(error).context("what was said in the chat");
                // It fails when the node serves no longer.
                return drop(self.failures.send(error));
            }
            tokio::select! {
                () = sleep(pause) => pause = LONGEST_PAUSE.min(2 * pause),
                () = until(self.is_over.clone()) => return,
            }
        }
    }
}

/// Whether the server does not take a batch for another reason than that the stream has no room
/// for it. A stream that is not there may come back with the server: who listens to it finds out.
fn is_refused(error: &PublishError) -> bool {
    let refusal = error.source();
    let refusal = refusal.and_then(|refusal| refusal.downcast_ref::<jetstream::Error>());
    let is_full = refusal.is_some_and(|refusal| {
        refusal.error_code() == ErrorCode::STREAM_STORE_FAILED
            // The server's disk may be full, too.
            && refusal.to_string().starts_with("maximum messages per subject exceeded")
    });
    let may_come = matches!(
        error.kind(),
        PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::StreamNotFound
            | PublishErrorKind::MaxAckPending
    );
    !is_full && !may_come
}

/// What members of a room on this node have said, and what is not in the stream yet.
pub(crate) struct Outbox {
    publisher: Arc<Publisher>,
    room: u32,
    waiting: Mutex<VecDeque<Message>>,
    /// Held by what publishes: then the rest waits.
    publishing: tokio::sync::Mutex<()>,
}

impl Outbox {
    /// Says all that has come whole from the member with this number, and waits until it is in the
    /// stream.
    ///
    /// # Errors
    ///
    /// When the client is not to be listened to any more. What came whole before has been said.
    pub(crate) async fn say(
        self: &Arc<Self>,
        number: u32,
        received: &mut Received,
    ) -> io::Result<()> {
        let passed = self.publisher.gate.clone().read_owned().await;
        let (mut has_said, mut listens) = (false, Ok(()));
        while let Some(message) = received.message(number) {
            match message {
                Ok(bytes) => {
                    let sender = number;
                    lock(&self.waiting).push_back(Message { sender, bytes });
                    has_said = true;
                }
                Err(refusal) => {
                    listens = Err(io::Error::other(refusal));
                    break;
                }
            }
        }
        if has_said {
            let outbox = self.clone();
            // A task of its own: it goes on if this member is cut, and others wait for theirs.
            let published = tokio::spawn(async move {
                outbox.publish_all().await;
                drop(passed);
            });
            published.await.map_err(io::Error::other)?;
        }
        listens
    }

    /// Publishes what waits, also for others. What they say meanwhile goes with the next batch.
    async fn publish_all(&self) {
        let _alone = self.publishing.lock().await;
        while let Some(batch) = self.next_batch() {
            self.publisher.publish(&batch).await;
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        let mut waiting = lock(&self.waiting);
        let mut bytes = 0;
        let fits = |message: &&Message| {
            let has_room = bytes < BATCH_BYTES;
            bytes += message.bytes.len();
            has_room
        };
        let some = waiting.iter().take(self.publisher.most);
        let some = some.take_while(fits).count();
        let messages: VecDeque<_> = waiting.drain(..some).collect();
        (!messages.is_empty()).then(|| Batch {
            room: self.room,
            origin: self.publisher.origin,
            number: self.publisher.batches.fetch_add(1, Relaxed) + 1,
            messages,
        })
    }
}

/// Messages of a room that travel together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) room: u32,
    /// Who has published it.
    pub(crate) origin: u64,
    /// It grows from batch to batch of a room and an origin.
    pub(crate) number: u64,
    pub(crate) messages: VecDeque<Message>,
}

impl Batch {
    /// Room, origin and number; then each message after its sender and its length.
    fn encode(&self) -> Vec<u8> {
        let lengths = self.messages.iter().map(|message| 8 + message.bytes.len());
        let mut bytes = Vec::with_capacity(20 + lengths.sum::<usize>());
        bytes.extend_from_slice(&self.room.to_be_bytes());
        bytes.extend_from_slice(&self.origin.to_be_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        for message in &self.messages {
            bytes.extend_from_slice(&message.sender.to_be_bytes());
            bytes.extend_from_slice(&(message.bytes.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&message.bytes);
        }
        bytes
    }

    /// None if this is no batch.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (room, rest) = bytes.split_first_chunk()?;
        let (origin, rest) = rest.split_first_chunk()?;
        let (number, mut rest) = rest.split_first_chunk()?;
        let mut messages = VecDeque::new();
        while !rest.is_empty() {
            let (sender, after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first_chunk()?;
            let length = u32::from_be_bytes(*length) as usize;
            let (bytes, after) = after.split_at_checked(length)?;
            messages.push_back(Message {
                sender: u32::from_be_bytes(*sender),
                bytes: bytes.into(),
            });
            rest = after;
        }
        Some(Self {
            room: u32::from_be_bytes(*room),
            origin: u64::from_be_bytes(*origin),
            number: u64::from_be_bytes(*number),
            messages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_the_same_after_its_way() {
        let messages: [(u32, &[u8]); 3] = [(0, b"one"), (u32::MAX - 1, b""), (0, &[7; 70_000])];
        let messages = messages.map(|(sender, bytes)| Message {
            sender,
            bytes: bytes.into(),
        });
        let batch = Batch {
            room: 3,
            origin: u64::MAX,
            number: 1,
            messages: messages.into(),
        };
        let bytes = batch.encode();
        assert_eq!(Batch::decode(&bytes), Some(batch));
        assert_eq!(Batch::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Batch::decode(&bytes[..19]), None);
    }

    #[test]
    fn the_stream_holds_no_more_messages_than_a_log() {
        for queue in [1, 2, 15, 16, 17, 31, 128, 1_000_000] {
            let batches = most_batches(queue);
            assert!((1..=queue).contains(&(batches * (queue / batches))), "{queue}");
        }
    }
}
