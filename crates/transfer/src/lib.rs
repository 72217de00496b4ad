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
//!   is remembered of it, [`answer`] what a head says, [`AttemptError`] what went wrong.
//! - [`Store`] is the directory: who has it, what it holds, how files get their
//!   names. Its calls block; [`Partial`] is a file that is being written.
//! - [`Session`] is one run: it ties these together and counts.
//!
//! **No runtime is linked here, and no HTTP library**: a model brings its own.

pub mod answer;
pub mod journal;
pub mod list;
pub mod name;

mod addresses;
mod attempt_error;
mod body;
mod commit;
mod fs;
mod gzip;
mod key;
mod lock;
mod offered;
mod options;
mod partial;
mod parts;
mod queue;
mod rate;
mod recovery;
mod request;
mod session;
mod source;
mod store;
mod table;
mod tally;
mod tls;
mod transfer;

pub use addresses::{ATTEMPT_DELAY, look_up};
pub use answer::Head;
pub use attempt_error::AttemptError;
pub use body::{Accepted, Body};
pub use fs::DiskError;
pub use key::{Key, Sha};
pub use lock::OpenError;
pub use offered::{Offered, There};
pub use options::Options;
pub use partial::{Finish, Finished, PartLock, Partial};
pub use parts::{Parts, STATE};
pub use queue::{Action, Queue};
pub use rate::Rate;
pub use request::Request;
pub use session::{Fatal, Session};
pub use source::List;
pub use store::{Known, Store};
pub use tally::{Failure, FileProgress, Observer, Tally};
pub use tls::{config as tls_config, config_trusting as tls_config_trusting};
pub use transfer::{Answer, Next, Part, Transfer};
