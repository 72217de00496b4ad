//! What a parent waits for.

use serde::Deserialize;

use crate::protocol::{Answer, ShareId};

/// What other threads tell.
pub(crate) enum Event {
    /// A node of ours has ended.
    Exit { node: String, status: String },
    /// The connection to the server is there, for the first time or again.
    Connected,
    /// A server of ours has ended, for good.
    ServerGone(String),
}

/// What a wait can end with.
pub(crate) enum Happening {
    /// A node pulls shares.
    Ready,
    /// A node works on this.
    Taken { node: String, id: ShareId },
    /// This is there, and waits for the others that it works with.
    Stands(ShareId),
    /// A node has answered.
    Answered {
        node: String,
        id: ShareId,
        deliveries: u64,
        result: std::result::Result<Answer, String>,
    },
    /// A node of ours has ended; another starts in its place.
    Exit { node: String, status: String },
    /// The server does not deliver this message any more: it was never acked.
    GivenUp { sequence: u64 },
    /// The connection has been made again: what the server has may have changed.
    Connected,
    /// The time has come.
    Deadline,
}

/// What the server tells when it gives a message up.
#[derive(Deserialize)]
pub(crate) struct Advisory {
    pub(crate) stream_seq: u64,
}
