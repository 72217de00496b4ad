//! Files between two machines, over one TCP connection or several: what arrives is complete.
//!
//! The length proves the count, a digest the content; that the receiver has both is for the
//! receiver to say, and only after it has synced the file. [`Sender`] and [`Receiver`] are the
//! two ends of a connection as state machines: they say what to read and write, and what to do
//! where calls may block, and do no I/O themselves. [`Inbox`] is the directory of the receiver;
//! its files are those of the crate `transfer`.
//!
//! The protocol is described in the README of this crate.

mod error;
mod frame;
mod inbox;
mod link;
mod message;
mod outgoing;
mod receiver;
mod send_work;
mod sender;

use serde::{Deserialize, Serialize};

pub use error::Error;
pub use frame::{MOST_BODY, VERSION};
pub use inbox::Inbox;
pub use link::Secret;
pub use outgoing::{Acknowledged, Next, Outgoing};
pub use receiver::{ReceiveStep, ReceiveWork, ReceiveWorked, Receiver};
pub use send_work::{SendWork, SendWorked};
pub use sender::{Range, SendStep, Sender};

/// Files are read and written in pieces of this size.
pub const PIECE_BYTES: usize = 256 * 1024;

/// How bytes come from a file into a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// They are read, and written.
    Copy,
    /// The system takes them from the file.
    SendFile,
}
