//! Sends what the members on this node say to the stream of all rooms.
//!
//! A batch is one message of the stream. It contains everything that the members of a room on this
//! node said while the previous batch was being published. A node publishes one batch per room at a
//! time, and repeats it until the server confirms it, so batches stay in order. A batch that was
//! stored twice has the same number both times, so nodes can skip the second.

use std::collections::{HashMap, VecDeque};
use std::error::Error as _;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode};
use chat_room::{Message, Received};
use suite::Result;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio::time::{Instant, sleep};

use crate::chat_inbox::{BEATS, CutOff};
use crate::chat_link::{self, ChatTask, until};
use crate::node::Node;

/// The maximum number of batches per room in the stream. Together they contain no more messages
/// than the log of a room.
const MOST_BATCHES: usize = 16;

/// The size, in bytes, from which a batch takes no further message.
const BATCH_BYTES: usize = 64 * 1024;

/// The first and the longest pause when the stream has no room for a batch.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The number of batches per room that the stream holds, for rooms with logs of `queue` messages.
pub(crate) fn most_batches(queue: usize) -> usize {
    queue.min(MOST_BATCHES)
}

/// A poisoned lock is safe to use: no code that holds it can panic halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes the messages of all members on a node.
pub(crate) struct Publisher {
    jetstream: jetstream::Context,
    connections: watch::Receiver<()>,
    /// The prefix of the subject of each room.
    rooms: String,
    /// Identifies the batches of this publisher. Every publisher has a different one.
    origin: u64,
    /// The number of batches so far.
    batches: AtomicU64,
    /// The maximum number of messages per batch.
    most: usize,
    /// The outboxes of the rooms that have members here.
    outboxes: Mutex<HashMap<u32, Weak<Outbox>>>,
    /// Read-locked while messages are being published. `drain` takes the write lock at the end.
    gate: Arc<RwLock<()>>,
    /// Becomes true when nothing more is to be published.
    is_over: watch::Receiver<bool>,
    /// When this node last told the parent that it is alive, and how long ago that may be.
    last_alive: Mutex<Instant>,
    longest_pause: Duration,
    failures: UnboundedSender<anyhow::Error>,
}

impl Publisher {
    /// Creates the publisher of the node with this `consumer`. It stops when `is_over`. Permanent
    /// refusals by the server are sent to `failures`, and [`CutOff`] if the parent may have given
    /// up this node.
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
            last_alive: Mutex::new(Instant::now()),
            longest_pause: chat_link::LONGEST_PAUSE * BEATS * node.heartbeat,
            failures,
        })
    }

    /// Returns the outbox of this room. All its members share one, so that their batches stay in
    /// order.
    pub(crate) fn outbox(self: &Arc<Self>, room: u32) -> Arc<Outbox> {
        let mut outboxes = lock(&self.outboxes);
        if let Some(outbox) = outboxes.get(&room).and_then(Weak::upgrade) {
            return outbox;
        }
        // The others have no members, and nothing left to publish.
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

    /// Waits until everything that was said is in the stream. No more messages are accepted while
    /// the returned guard exists.
    pub(crate) async fn drain(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// Allows publishing for some more time, because the parent is about to be told that this node
    /// is alive.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.check_pause()?;
        *lock(&self.last_alive) = Instant::now();
        Ok(())
    }

    /// Checks that the parent cannot have given up this node. It may have if this process was
    /// stopped; what its members said before they were cut must not reach others much later.
    fn check_pause(&self) -> Result<()> {
        let is_in_time = lock(&self.last_alive).elapsed() <= self.longest_pause;
        let text = "it was stopped, and the parent may have given it up";
        ensure!(is_in_time, CutOff(text));
        Ok(())
    }

    /// Publishes a batch until the server confirms it, or `is_over`.
    ///
    /// After a batch that was given up, no later one is published: members would miss some messages
    /// and receive the next.
    async fn publish(&self, batch: &Batch) {
        let message = PublishMessage::build().payload(batch.encode().into());
        let subject = format!("{}.{}", self.rooms, batch.room);
        let mut connections = self.connections.clone();
        let mut pause = SHORTEST_PAUSE;
        loop {
            if *self.is_over.borrow() {
                return;
            }
            if let Err(cut_off) = self.check_pause() {
                return drop(self.failures.send(cut_off));
            }
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
                // The batch may already be stored. Nodes recognize a duplicate by its number.
                _ = connections.changed() => continue,
                () = until(self.is_over.clone()) => return,
            };
            if is_refused(&error) {
                let error = anyhow::Error::new(error).context("what was said in the chat");
                // Sending fails only if the node no longer serves.
                return drop(self.failures.send(error));
            }
            tokio::select! {
                () = sleep(pause) => pause = LONGEST_PAUSE.min(2 * pause),
                () = until(self.is_over.clone()) => return,
            }
        }
    }
}

/// Whether the server refuses a batch permanently, for a reason other than a full stream. A missing
/// stream may come back with the server; the inbox detects a stream that is lost for good.
fn is_refused(error: &PublishError) -> bool {
    let refusal = error.source();
    let refusal = refusal.and_then(|refusal| refusal.downcast_ref::<jetstream::Error>());
    let is_full = refusal.is_some_and(|refusal| {
        refusal.error_code() == ErrorCode::STREAM_STORE_FAILED
            // A full disk has the same error code.
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

/// Messages of a room's members on this node that are not in the stream yet.
pub(crate) struct Outbox {
    publisher: Arc<Publisher>,
    room: u32,
    waiting: Mutex<VecDeque<Message>>,
    /// Held by the task that publishes; the other tasks wait.
    publishing: tokio::sync::Mutex<()>,
}

impl Outbox {
    /// Publishes all complete messages received from the member with this number, and waits until
    /// they are in the stream.
    ///
    /// # Errors
    ///
    /// If the client sent something invalid. Its complete messages before that were published.
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
            // A separate task: it continues when this member is disconnected, because other
            // members' messages may be in the same batch.
            let published = tokio::spawn(async move {
                outbox.publish_all().await;
                drop(passed);
            });
            published.await.map_err(io::Error::other)?;
        }
        listens
    }

    /// Publishes all waiting messages, including those of other members. Messages that arrive
    /// meanwhile go into the next batch.
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

/// Messages of a room that are published together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) room: u32,
    /// The publisher's identifier.
    pub(crate) origin: u64,
    /// Increases with each batch of a room and an origin.
    pub(crate) number: u64,
    pub(crate) messages: VecDeque<Message>,
}

impl Batch {
    /// Encodes room, origin and number, then each message with its sender and length.
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

    /// Returns `None` if these bytes are not a batch.
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
            assert!(
                (1..=queue).contains(&(batches * (queue / batches))),
                "{queue}"
            );
        }
    }
}
