//! The pool of children: `child.rs` starts one, `children.rs` has all of them,
//! `chunks.rs` gives them work, and `protocol.rs` has every message.

mod child;
mod children;
mod chunks;
mod context;
pub(crate) mod fd_passing;
mod limits;
mod mailbox;
pub(crate) mod protocol;

pub(crate) use self::children::{Children, Event};
pub(crate) use self::chunks::Chunks;
pub(crate) use self::context::WorkerContext;
pub(crate) use self::limits::{MAX_DEATHS, check_supported};
pub(crate) use self::mailbox::Waker;
pub(crate) use self::protocol::{Answer, Task};
