//! Sends the bytes of a file to the parent in chunks. The number of chunks that the parent has not
//! written is limited, so a slow disk slows down the node.

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

/// How long bytes wait for others to fill a chunk. It is short, so that bytes from a slow server
/// are soon on the disk.
const LONGEST_DELAY: Duration = Duration::from_millis(50);

/// How long a node waits for a confirmation before it asks for one, because the confirmation or a
/// chunk may be lost.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// Why the node must stop sending.
#[derive(Debug)]
pub(crate) enum Gone {
    /// This attempt of the share is no longer valid.
    Unwanted,
    /// The parent could not be reached, and may not have received everything.
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

/// The sending side of a share.
pub(crate) struct Outbox<'a> {
    node: &'a Node,
    id: ShareId,
    chunk_bytes: usize,
    /// The next message: the header of a chunk, and the bytes that have arrived.
    message: Vec<u8>,
    /// The number of these bytes.
    bytes: usize,
    /// When they are sent, even if the chunk is not full.
    due: Option<Instant>,
    /// The offset of the next byte in the file.
    position: u64,
    /// The number of chunks that were sent, and that the parent has written.
    sent: u64,
    written: u64,
    /// The reply subject for confirmations; `None` before the first request for one.
    inbox: Option<(String, Subscriber)>,
    /// The number of files in flight, as last reported by the parent.
    sharing: usize,
    /// How long to wait before sending more: all files share one rate limit.
    wait: Duration,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(node: &'a Node, id: ShareId, assignment: &Assignment) -> Self {
        // The other half is for the header of the chunk.
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

    /// When waiting bytes are to be sent.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Begins a body whose first byte has this offset in the file.
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

    /// Adds bytes of the body, and sends full chunks.
    pub(crate) async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.bytes >= self.chunk_bytes {
                self.send().await?;
            }
            if self.message.is_empty() {
                self.open(None)?;
                // More bytes probably follow, so reserve the whole chunk.
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

    /// Sends the current chunk, as soon as there is room in the window.
    pub(crate) async fn send(&mut self) -> Result<()> {
        if self.message.is_empty() {
            return Ok(());
        }
        self.wait_for(WINDOW - 1).await?;
        let inbox = self.inbox().await?;
        self.publish(Some(inbox)).await
    }

    /// Sends the current chunk, waits until all chunks are written, and as long as the rate limit
    /// requires.
    pub(crate) async fn send_and_wait(&mut self) -> Result<()> {
        self.send().await?;
        self.wait_for(0).await?;
        sleep(mem::take(&mut self.wait)).await;
        Ok(())
    }

    /// Sends the last chunk of a body. If no other body follows, no confirmation is needed: the
    /// answer to the share follows.
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

    /// Returns the reply subject, and subscribes to it the first time.
    async fn inbox(&mut self) -> Result<String> {
        if let Some((inbox, _)) = &self.inbox {
            return Ok(inbox.clone());
        }
        let inbox = self.node.client.new_inbox();
        let confirmations = self.node.client.subscribe(inbox.clone()).await?;
        self.inbox = Some((inbox.clone(), confirmations));
        Ok(inbox)
    }

    /// Waits until at most `most` chunks are unconfirmed.
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

/// Sends a message to the parent, with a reply subject if it expects an answer.
async fn publish(node: &Node, inbox: Option<String>, message: Vec<u8>) -> Result<()> {
    let (client, parent) = (&node.client, node.subjects.parent.clone());
    let message = message.into();
    match inbox {
        Some(inbox) => client.publish_with_reply(parent, inbox, message).await?,
        None => client.publish(parent, message).await?,
    }
    Ok(())
}
