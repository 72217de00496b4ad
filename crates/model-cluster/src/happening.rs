//! What a parent waits for.

use async_nats::Subject;
use http_hyper::Bytes;
use serde::Deserialize;

use crate::download::messages::Report;
use crate::protocol::{Answer, ShareId};

/// What other threads tell.
pub(crate) enum Event {
    /// A node of ours has ended.
    Exit { node: String, status: String },
    /// The connection to the server is there, for the first time or again.
    Connected,
    /// A thread of the parent has something for the one that waits.
    Wake,
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
    /// There is something for a download.
    Download(Download),
    /// The time has come.
    Deadline,
}

impl Happening {
    /// A node has said something of a file.
    pub(crate) fn said(node: String, report: Report, bytes: Bytes, reply: Option<Subject>) -> Self {
        Happening::Download(Download::Said {
            node,
            report,
            bytes,
            reply,
        })
    }
}

/// What a parent waits for that downloads.
pub(crate) enum Download {
    /// A node says this of a file, with bytes of it, and perhaps where to answer.
    Said {
        node: String,
        report: Report,
        bytes: Bytes,
        reply: Option<Subject>,
    },
    /// A thread of the parent has done something.
    Wake,
}

/// What the server tells when it gives a message up.
#[derive(Deserialize)]
pub(crate) struct Advisory {
    pub(crate) stream_seq: u64,
}
