//! Events that a parent waits for.

use async_nats::Subject;
use http_hyper::Bytes;
use serde::Deserialize;

use crate::download::messages::Report;
use crate::protocol::{Answer, ShareId};

/// Events from other threads of the parent.
pub(crate) enum Event {
    /// A node that this parent started has ended.
    Exit { node: String, status: String },
    /// The connection to the server was made, for the first time or again.
    Connected,
    /// A thread of the parent has finished something, and wakes the waiting thread.
    Wake,
    /// The server that this parent started has ended and will not be restarted.
    ServerGone(String),
}

/// What [`Session::next`](crate::session::Session::next) returns.
pub(crate) enum Happening {
    /// A node is ready and pulls shares.
    Ready,
    /// A node has begun to work on this share.
    Taken { node: String, id: ShareId },
    /// The unit of this share is running, and waits for the units that it works with.
    Waiting(ShareId),
    /// A node has answered a share.
    Answered {
        node: String,
        id: ShareId,
        deliveries: u64,
        result: std::result::Result<Answer, String>,
    },
    /// A node that this parent started has ended; another is started in its place.
    Exit { node: String, status: String },
    /// The server has stopped delivering this message: it was delivered too often without an ack.
    GivenUp { sequence: u64 },
    /// The connection was made again. The server may have lost data meanwhile.
    Connected,
    /// Something for a download.
    Download(Download),
    /// The deadline has passed.
    Deadline,
}

impl Happening {
    /// A node's report about a file.
    pub(crate) fn said(node: String, report: Report, bytes: Bytes, reply: Option<Subject>) -> Self {
        Happening::Download(Download::Said {
            node,
            report,
            bytes,
            reply,
        })
    }
}

/// Events of a download.
pub(crate) enum Download {
    /// A node's report about a file, with bytes of the file, and a reply subject if it expects an
    /// answer.
    Said {
        node: String,
        report: Report,
        bytes: Bytes,
        reply: Option<Subject>,
    },
    /// A thread of the parent has finished a disk operation or read a part of the list.
    Wake,
}

/// The server's notice that it has stopped delivering a message.
#[derive(Deserialize)]
pub(crate) struct Advisory {
    pub(crate) stream_seq: u64,
}
