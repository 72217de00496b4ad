//! Everything about a download that is not a model's own.
//!
//! Six models download files, each with its own units, queue, timers and HTTP
//! library. What they decide is the same, because it is decided here:
//!
//! - [`Transfer`] is one file on its way: what to ask, what an answer means,
//!   where its bytes go, whether and when to try again. It does no I/O and looks
//!   at no clock. [`Queue`] says which file is next, and when, and sleeps on
//!   nothing.
//! - [`list`] reads the list, [`name`] says what a file is called, [`journal`] what
//!   is remembered of it, [`answer`] what a head says, [`Trouble`] what went wrong.
//! - [`Store`] is the directory: who has it, what it holds, how files get their
//!   names. Its calls block; [`Partial`] is a file that is being written.
//! - [`Session`] is one run: it ties these together and counts.
//!
//! **No runtime is linked here, and no HTTP library**: a model brings its own.

pub mod answer;
pub mod journal;
pub mod list;
pub mod name;

mod key;
mod options;
mod parts;
mod queue;
mod rate;
mod session;
mod store;
mod table;
mod tls;
mod transfer;
mod trouble;

pub use answer::Head;
pub use key::{Key, Sha};
pub use options::Options;
pub use parts::{DiskError, Finish, Finished, Partial, Parts, STATE};
pub use queue::{Queue, Turn};
pub use rate::Rate;
pub use session::{Failure, Fatal, Gauge, List, Observer, Session, Silent, Tally};
pub use store::{Known, OpenError, Store};
pub use tls::config as tls_config;
pub use transfer::{Answer, Body, Next, Part, Request, Take, Transfer};
pub use trouble::Trouble;
