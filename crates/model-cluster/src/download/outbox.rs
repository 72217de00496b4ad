//! The chunks in which a node sends the bytes of a file. Only some of them can be under way that
//! the parent has not written: if its disk is slow, so is the node.

use std::fmt;
use std::mem;
use std::time::Duration;

use anyhow::bail;
use async_nats::{Message, StatusCode, Subscriber};
use futures_lite::StreamExt;
use suite::Result;
use tokio::time::{Instant, sleep, timeout};
use transfer::Transfer;

use super::messages::{Assignment, Chunk, Confirmation, Report, WINDOW};
use crate::node::Node;
use crate::protocol::{self, ShareId, What};

/// How long bytes wait for others to be sent with: what a slow server has sent is soon on the
/// disk.
const LONGEST_DELAY: Duration = Duration::from_millis(50);

/// How long a node waits for a confirmation before it asks for one: it may be lost, or a chunk.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// Why no more is to be sent.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The parent wants no more of the share.
    Unwanted,
    /// The parent could not be reached, and may not have all that was sent.
    CutOff,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gone::Unwanted => "the parent wants no more of it",
            Gone::CutOff => "the parent cannot be reached",
        })
    }
}

impl std::error::Error for Gone {}

/// What is sent of a share.
pub(crate) struct Outbox<'a> {
    node: &'a Node,
    id: ShareId,
    chunk_bytes: usize,
    /// The next message: what is said of a chunk, and as many of its bytes as have come.
    message: Vec<u8>,
    /// How many these are.
    bytes: usize,
    /// When they are sent, however few they are.
    due: Option<Instant>,
    /// Where in the file the next byte belongs.
    position: u64,
    /// Chunks that were sent, and those of them that the parent has written.
    sent: u64,
    written: u64,
    /// Where the parent says so; none before it is asked to.
    inbox: Option<(String, Subscriber)>,
    /// How many files are in flight, as the parent has said last.
    sharing: usize,
    /// How long to wait with more: the rate is one for all files.
    wait: Duration,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(node: &'a Node, id: ShareId, assignment: &Assignment) -> Self {
        // The other half is for what is said of a chunk.
        let most = node.client.max_payload() / 2;
        Self {
            node,
            id,
            chunk_bytes: assignment.chunk_bytes.min(most),
            message: Vec::new(),
            bytes: 0,
            due: None,
            position: 0,
            sent: 0,
            written: 0,
            inbox: None,
            sharing: assignment.sharing,
            wait: Duration::ZERO,
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn sharing(&self) -> usize {
        self.sharing
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// When there are bytes that have waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Begins a body, whose first byte belongs there.
    pub(crate) fn begin(&mut self, transfer: &Transfer, offset: u64) -> Result<()> {
        self.position = offset;
        self.open(Some(Box::new(transfer.clone())))
    }

    /// Begins a chunk.
    fn open(&mut self, begun: Option<Box<Transfer>>) -> Result<()> {
        self.message = self.say(Report::Chunk(Chunk {
            id: self.id,
            number: self.sent,
            offset: self.position,
            begun,
        }))?;
        Ok(())
    }

    fn say(&self, report: Report) -> Result<Vec<u8>> {
        protocol::encode(&self.node.says(What::Download(report)))
    }

    /// Adds bytes of the body. Chunks that are full are sent.
    pub(crate) async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.bytes >= self.chunk_bytes {
                self.send().await?;
            }
            if self.message.is_empty() {
                self.open(None)?;
                // Much has come, so much may follow.
                self.message.reserve_exact(self.chunk_bytes);
            }
            let room = self.chunk_bytes - self.bytes;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.message.extend_from_slice(now);
            self.bytes += now.len();
            self.position += now.len() as u64;
            if self.due.is_none() {
                self.due = Some(Instant::now() + LONGEST_DELAY);
            }
            bytes = later;
        }
        Ok(())
    }

    /// Sends what there is, when few enough chunks are under way.
    pub(crate) async fn send(&mut self) -> Result<()> {
        if self.message.is_empty() {
            return Ok(());
        }
        self.wait_for(WINDOW - 1).await?;
        let inbox = self.inbox().await?;
        self.publish(Some(inbox)).await
    }

    /// Sends what there is, and waits until all is written, and as long as the rate asks for.
    pub(crate) async fn send_and_wait(&mut self) -> Result<()> {
        self.send().await?;
        self.wait_for(0).await?;
        sleep(mem::take(&mut self.wait)).await;
        Ok(())
    }

    /// Sends what a body ends with. If no other body follows, the parent confirms nothing: it
    /// will be told that this was all.
    pub(crate) async fn end(&mut self, goes_on: bool) -> Result<()> {
        if goes_on || self.message.is_empty() {
            return self.send().await;
        }
        self.publish(None).await
    }

    async fn publish(&mut self, inbox: Option<String>) -> Result<()> {
        let message = mem::take(&mut self.message);
        self.bytes = 0;
        self.due = None;
        self.sent += 1;
        publish(self.node, inbox, message).await
    }

    /// Where the parent is to answer.
    async fn inbox(&mut self) -> Result<String> {
        if let Some((inbox, _)) = &self.inbox {
            return Ok(inbox.clone());
        }
        let inbox = self.node.client.new_inbox();
        let confirmations = self.node.client.subscribe(inbox.clone()).await?;
        self.inbox = Some((inbox.clone(), confirmations));
        Ok(inbox)
    }

    /// Waits until no more than so many chunks are under way.
    async fn wait_for(&mut self, most: u64) -> Result<()> {
        while self.sent - self.written > most {
            let Some((inbox, confirmations)) = &mut self.inbox else {
                // The parent was not asked to confirm any.
                return Ok(());
            };
            let inbox = inbox.clone();
            let heard = timeout(LONGEST_SILENCE, confirmations.next()).await;
            match heard {
                Ok(Some(message)) => self.hear(&message)?,
                Ok(None) => bail!(Gone::CutOff),
                Err(_) => {
                    let waits = self.say(Report::Waits {
                        id: self.id,
                        chunks: self.sent,
                    })?;
                    publish(self.node, Some(inbox), waits).await?;
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, message: &Message) -> Result<()> {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            bail!(Gone::CutOff);
        }
        let confirmation: Confirmation = protocol::decode(&message.payload)?;
        let Some(confirmed) = confirmation else {
            bail!(Gone::Unwanted);
        };
        self.written = self.written.max(confirmed.chunks);
        self.sharing = confirmed.sharing;
        self.wait += confirmed.wait;
        Ok(())
    }
}

/// Sends a message to the parent, with the inbox for its answer if it is to have one.
async fn publish(node: &Node, inbox: Option<String>, message: Vec<u8>) -> Result<()> {
    let (client, parent) = (&node.client, node.subjects.parent.clone());
    let message = message.into();
    match inbox {
        Some(inbox) => client.publish_with_reply(parent, inbox, message).await?,
        None => client.publish(parent, message).await?,
    }
    Ok(())
}
