//! Which nodes serve members of a chat, and which members each room has. Only the parent sees all
//! members that join a room, so it assigns their numbers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use chat_room::SERVER;
use http_head::LINGER;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::chat_inbox::PAUSE;
use crate::chat_link::{self, ChatTask, Place, Purpose};

pub(crate) struct Directory {
    pub(crate) task: ChatTask,
    jetstream: jetstream::Context,
    /// Nodes that serve members.
    pub(crate) nodes: watch::Sender<Vec<Serving>>,
    rooms: Mutex<HashMap<u32, Members>>,
}

/// A node that serves members.
#[derive(Clone)]
pub(crate) struct Serving {
    /// The name of its consumer, which is unique.
    pub(crate) consumer: String,
    pub(crate) address: SocketAddr,
    pub(crate) members: usize,
    pub(crate) is_gone: watch::Receiver<bool>,
}

/// The members of a room.
#[derive(Default)]
struct Members {
    next: u32,
    present: HashSet<u32>,
}

impl Directory {
    /// Creates a directory without nodes and members.
    pub(crate) fn new(task: ChatTask, jetstream: jetstream::Context) -> Self {
        Self {
            task,
            jetstream,
            nodes: watch::Sender::new(Vec::new()),
            rooms: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, node: Serving) {
        self.nodes.send_modify(|nodes| nodes.push(node));
    }

    pub(crate) fn remove(&self, consumer: &str) {
        self.nodes
            .send_modify(|nodes| nodes.retain(|node| node.consumer != consumer));
    }

    /// Deletes the consumer of a node that is gone, so that the server stops keeping messages for
    /// it.
    pub(crate) async fn release(&self, consumer: &str) {
        loop {
            let stream = &self.task.stream;
            let deleted = self.jetstream.delete_consumer_from_stream(consumer, stream);
            match deleted.await {
                Ok(_) => return,
                Err(error) if is_absent(&error) => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// The sequence number of the stream's last message, or `None` if the server does not answer
    /// for some time.
    pub(crate) async fn last_sequence(&self) -> Option<u64> {
        let deadline = Instant::now() + 6 * LINGER;
        while Instant::now() < deadline {
            let asking = self.jetstream.get_stream(&self.task.stream);
            // A reply that was lost with the connection would be waited for much longer.
            if let Ok(Ok(stream)) = timeout(LINGER, asking).await {
                return Some(stream.cached_info().state.last_sequence);
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Connects a member to the node with the fewest members, or to another if that fails. Waits if
    /// there is no node.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        place: Place,
    ) -> io::Result<(Assigned, TcpStream)> {
        let mut tried = HashSet::new();
        let mut last_error = None;
        loop {
            let node = {
                let nodes = self.nodes.borrow();
                let untried = nodes.iter().filter(|node| !tried.contains(&node.consumer));
                untried.min_by_key(|node| node.members).cloned()
            };
            let Some(node) = node else {
                if let Some(error) = last_error {
                    return Err(error);
                }
                let mut nodes = self.nodes.subscribe();
                let _ = nodes.wait_for(|nodes| !nodes.is_empty()).await;
                continue;
            };
            tried.insert(node.consumer.clone());
            let address = node.address;
            let assigned = Assigned::new(node, self.clone());
            let purpose = Purpose::Member(place);
            match chat_link::connect(address, &self.task.secret, purpose).await {
                Ok(stream) => return Ok((assigned, stream)),
                Err(error) => last_error = Some(error),
            }
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<u32, Members>> {
        // A poisoned lock is safe to use: no code that holds it can panic halfway through a change.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the consumer is already deleted.
fn is_absent(error: &ConsumerError) -> bool {
    let ConsumerErrorKind::JetStream(refusal) = error.kind() else {
        return false;
    };
    let absent = [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];
    absent.contains(&refusal.error_code())
}

/// A member's place in its room. The place is freed when this is dropped.
pub(crate) struct Joined {
    pub(crate) place: Place,
    directory: Arc<Directory>,
}

impl Joined {
    /// Takes the next place of a room. Numbers count from 0 in the order of joining.
    pub(crate) fn new(room: u32, directory: Arc<Directory>) -> Self {
        let mut rooms = directory.rooms();
        let members = rooms.entry(room).or_default();
        let number = loop {
            let number = members.next;
            members.next = (number + 1) % SERVER;
            if members.present.insert(number) {
                break number;
            }
        };
        let place = Place {
            room,
            number,
            members: members.present.len() as u32,
        };
        drop(rooms);
        Self { place, directory }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let Place { room, number, .. } = self.place;
        let mut rooms = self.directory.rooms();
        if let Some(members) = rooms.get_mut(&room) {
            members.present.remove(&number);
            if members.present.is_empty() {
                rooms.remove(&room);
            }
        }
    }
}

/// Counts a member of a node until this is dropped.
pub(crate) struct Assigned {
    node: Serving,
    directory: Arc<Directory>,
}

impl Assigned {
    fn new(node: Serving, directory: Arc<Directory>) -> Self {
        let assigned = Self { node, directory };
        assigned.count(|members| members + 1);
        assigned
    }

    /// Becomes true when the node is gone.
    pub(crate) fn is_gone(&self) -> watch::Receiver<bool> {
        self.node.is_gone.clone()
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        self.directory.nodes.send_modify(|nodes| {
            let mut nodes = nodes.iter_mut();
            // The node may be gone.
            if let Some(node) = nodes.find(|node| node.consumer == self.node.consumer) {
                node.members = change(node.members);
            }
        });
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        self.count(|members| members - 1);
    }
}
