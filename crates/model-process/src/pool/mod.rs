//! The pool of children, and what parent and children say to each other.
//!
//! | file | holds |
//! |---|---|
//! | `protocol.rs` | every message |
//! | `child.rs` | the parent's side of one child: its start and its end |
//! | `children.rs` | all of them; joint work, which starts again when one dies |
//! | `mailbox.rs` | the one channel on which every answer and every death arrives |
//! | `chunks.rs` | work in chunks: what a dead child had is given to another |
//! | `fd_passing.rs` | how an open file gets to children that run already |
//! | `limits.rs` | how many children there can be |
//! | `context.rs` | what a child has, beyond its task |

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
pub(crate) use self::limits::MAX_DEATHS;
pub(crate) use self::mailbox::Waker;
pub(crate) use self::protocol::{Answer, Task};
