//! The messages between a parent and its nodes about a download.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use suite::Result;
use transfer::{Next, Options, Transfer};

use crate::protocol::ShareId;

/// The maximum number of unconfirmed chunks per share.
pub(crate) const WINDOW: u64 = 4;

/// A node's report about a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The node has pulled this share, and asks what to do. The reply is a [`Begun`].
    Begins {
        id: ShareId,
        /// The number of this question, to recognize repetitions.
        question: u64,
        /// Whether the node already has the [`Common`] data of the download.
        knows: bool,
    },
    /// Bytes of the file, which follow in the message. If there is a reply subject, the node waits
    /// for a [`Confirmation`].
    Chunk(Chunk),
    /// The node is still working on this share.
    InProgress(ShareId),
    /// The node has sent `chunks` chunks, and has waited long for a [`Confirmation`].
    Waits { id: ShareId, chunks: u64 },
}

/// The header of a chunk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) id: ShareId,
    /// The number of earlier chunks of the share.
    pub(crate) number: u64,
    /// The offset of the bytes in the file.
    pub(crate) offset: u64,
    /// In the first chunk of a body: the state of the file after the response head.
    pub(crate) begun: Option<Box<Transfer>>,
}

/// The parent's reply to [`Report::Begins`]; `None` if there is nothing to do, because another node
/// has already begun.
pub(crate) type Begun = Option<Box<Assignment>>;

/// A file to download. It has no `Debug`, because of [`Common`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// The file, and how much of it is on the disk.
    pub(crate) transfer: Box<Transfer>,
    /// `None` if the node already has it.
    pub(crate) common: Option<Common>,
    /// The maximum size of a chunk, in bytes.
    pub(crate) chunk_bytes: usize,
    /// The number of files in flight.
    pub(crate) sharing: usize,
}

/// Data that all files of a download share. It has no `Debug`: request headers may contain secrets,
/// which must not be printed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Common {
    pub(crate) options: Options,
    /// The content of the file with trusted certificates, which nodes need not have.
    pub(crate) authorities: Option<Vec<u8>>,
}

impl Common {
    pub(crate) fn of(options: &Options) -> Result<Self> {
        let authorities = match &options.cacert {
            Some(path) => Some(fs::read(path).with_context(|| path.display().to_string())?),
            None => None,
        };
        let options = Options {
            cacert: None,
            ..options.clone()
        };
        Ok(Self {
            options,
            authorities,
        })
    }
}

/// The parent's reply to a waiting node; `None` if this attempt of the share is no longer valid.
pub(crate) type Confirmation = Option<Confirmed>;

/// Confirms that chunks are written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confirmed {
    /// The number of chunks of the share that are on the disk.
    pub(crate) chunks: u64,
    /// The number of files in flight.
    pub(crate) sharing: usize,
    /// How long to wait before sending more: all files share one rate limit.
    pub(crate) wait: Duration,
}

/// The end of a node's work on a share.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The number of chunks that were sent.
    pub(crate) chunks: u64,
    pub(crate) transfer: Box<Transfer>,
    /// How the file continues; `None` if the node was cut off from the parent.
    pub(crate) next: Option<Next>,
}
