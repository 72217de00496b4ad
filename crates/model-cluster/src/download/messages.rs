//! What a parent and its nodes say to each other about a download.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use suite::Result;
use transfer::{Next, Options, Transfer};

use crate::protocol::ShareId;

/// How many chunks of a share can be under way that the parent has not confirmed.
pub(crate) const WINDOW: u64 = 4;

/// What a node says of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It has pulled this share, and asks what to do: see [`Begun`].
    Begins {
        id: ShareId,
        /// Which of the node's questions this is: it is asked again until it is answered.
        question: u64,
        /// Whether the node knows what all files of the download have in common.
        knows: bool,
    },
    /// Here are bytes of it, which follow in the message. Where it says where to answer, the node
    /// waits to hear that they are written: see [`Confirmation`].
    Chunk(Chunk),
    /// It is still at work on it.
    Lives(ShareId),
    /// It has sent so many chunks, and has waited long to hear that they are written.
    Waits { id: ShareId, chunks: u64 },
}

/// What bytes of a file are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) id: ShareId,
    /// How many chunks of the share came before.
    pub(crate) number: u64,
    /// Where in the file the bytes belong.
    pub(crate) offset: u64,
    /// With the first of a body: the file as the head of the answer has left it.
    pub(crate) begun: Option<Box<Transfer>>,
}

/// What the parent answers to a node that begins; none if there is nothing to do, as another node
/// has begun before.
pub(crate) type Begun = Option<Box<Assignment>>;

/// A file to download.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// The file, and what is on the disk of it.
    pub(crate) transfer: Box<Transfer>,
    /// For a node that does not know it.
    pub(crate) common: Option<Common>,
    /// How many bytes come in one chunk, at most.
    pub(crate) chunk_bytes: usize,
    /// How many files are in flight.
    pub(crate) sharing: usize,
}

/// What all files of a download have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Common {
    pub(crate) options: Options,
    /// What is in the file with the certificates to trust, which a node need not have.
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

/// What the parent answers to a node that waits; none if it wants no more of the share.
pub(crate) type Confirmation = Option<Confirmed>;

/// Chunks are written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confirmed {
    /// How many of the share, from the first on.
    pub(crate) chunks: u64,
    /// How many files are in flight.
    pub(crate) sharing: usize,
    /// How long to wait with more: the rate is one for all files.
    pub(crate) wait: Duration,
}

/// How a share has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// How many chunks were sent.
    pub(crate) chunks: u64,
    pub(crate) transfer: Box<Transfer>,
    /// How it goes on with the file; none if the node was cut off from the parent.
    pub(crate) next: Option<Next>,
}
