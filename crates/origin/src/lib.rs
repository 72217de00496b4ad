//! The origin: the local HTTP server that downloads are measured against.
//!
//! It is an instrument, so it stays out of what it measures: a process of its own,
//! on standard threads, which favors none of the runtimes under study. It serves
//! real JPEG images from memory with a delay a request and one link rate over all
//! connections, and counts what it is asked for. On request it speaks TLS, and it
//! misbehaves on purpose.
//!
//! - [`serve()`] is the server; the `origin` program and every model's binary run it.
//! - [`Origin`] starts such a process, and ends it when dropped.
//! - [`Run`] is one run at an origin, with its own delay, link and counters.
//! - [`FAULTS`] are the ways in which it misbehaves on request, to test clients
//!   with; [`fault_log`] tells what those asked.
//! - [`Load`] has it ask a server for files: see the crate `load`.
//! - [`Members`] are members of chat rooms in it.
//! - [`Responder`] has it answer after a time, and count what it was asked at once.
//! - [`DatagramRelay`] has it drop, double and reorder datagrams, and count them.
//! - [`Upstream`] has it serve what a proxy asks for, and count what is wrong in that.
//! - [`Host`] has it hold ports that a scan finds open, filtered or closed.
//! - [`Relay`] has it pass connections on, cut them and flip bits.
//! - [`ceiling()`] measures the instrument itself.
//!
//! ```no_run
//! use std::path::Path;
//!
//! let origin = origin::Origin::spawn(Path::new("target/release/origin"), &[])?;
//! let shape = origin::Shape { images: 100, mbit_per_s: 100, ..Default::default() };
//! let run = origin::Run::open(origin.url(), &shape)?;
//! for file in run.files()? {
//!     println!("{} has {} bytes", file.url, file.bytes);
//! }
//! println!("{} requests", run.stats()?.requests);
//! # anyhow::Ok(())
//! ```

mod api;
mod ceiling;
mod client;
mod conditions;
mod datagram_relays;
mod faults;
mod hosts;
mod images;
mod kinds;
mod link;
mod loads;
mod process;
mod refusal;
mod relays;
mod request;
mod responders;
mod response;
mod run;
mod runs;
mod serve;
mod servers;
mod tls;
mod upstreams;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use api::{
    DELAY_BODY_BYTES, FaultRequest, File, MAX_DELAY_MS, MAX_IMAGES, MAX_MBIT_PER_S, Shape, Stats,
    delay_body,
};
pub use ceiling::ceiling;
pub use datagram_relays::DatagramRelay;
pub use faults::{FAULTS, Fault, fault_body, fault_gzip, fault_log};
pub use hosts::Host;
pub use load::{HostCounts, HostShape, splitmix64, waiting_for};
pub use loads::{Load, Members};
pub use process::Origin;
pub use relays::Relay;
pub use responders::Responder;
pub use run::Run;
pub use serve::{ServeArgs, serve};
pub use upstreams::Upstream;

/// How the origin names itself in every answer, and a client knows it.
const SERVER: &str = "paces-origin";

/// Locks `mutex`. No data here is ever left half changed, so what a thread that
/// panicked has left behind is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
