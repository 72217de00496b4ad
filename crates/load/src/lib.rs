//! The load generator: it sends HTTP requests over many connections, and counts what each
//! took **from when it was due**.
//!
//! In a *closed loop* each connection sends its next request when the answer to the last one
//! is there. A server that stops for 100 ms is then asked nothing for 100 ms, and one request
//! a connection shows it. In an *open loop* requests are due at times that do not wait for
//! answers, as those of many independent users: a Poisson process. Requests that were due
//! while the server stopped have the time of the stop in their latency.
//!
//! It is one thread with one epoll, and uses none of the runtimes that are measured. Requests
//! that it could not send in time are counted apart from the server's: [`Report::late`].
//!
//! - [`Plan`] is what to ask, over how many connections, how often.
//! - [`run`] does it; [`Report`] is what came of it.
//! - [`ceiling`] measures the generator itself.
//! - [`respond`] is the other side of jobs whose requests have a deadline.
//! - [`upstream()`] is the other side of a proxy.
//! - [`datagram_relay()`] drops datagrams on their way.
//! - [`host()`] is what ports are scanned of.
//! - [`Talk`] are the members of chat rooms, as a [`RoomsPlan`] says; a [`RoomsReport`] is what
//!   came of it.
//! - [`relay()`] is between two sides, cuts connections and flips bits.

mod answer;
mod asked;
mod ceiling;
mod clients;
mod connection;
mod content;
mod datagram_relay;
mod host;
mod limits;
mod member;
mod pacer;
mod plan;
mod relay;
mod report;
mod responder;
mod rooms;
mod rooms_plan;
mod run;
mod schedule;
mod sockets;
mod timers;
mod upstream;
mod wait;

pub use ceiling::{Stall, ceiling, serve_fixed};
pub use content::{FILES, content, splitmix64};
pub use datagram_relay::{DatagramRelayCounts, DatagramRelayShape, datagram_relay};
pub use host::{HostCounts, HostShape, host};
pub use limits::allow_open_files;
pub use plan::{Expected, Mode, Plan, Via};
pub use relay::{RelayCounts, RelayShape, relay};
pub use report::{Latency, Report};
pub use responder::{Counts, NEVER, respond, value};
pub use rooms::Talk;
pub use rooms_plan::{RoomsPlan, RoomsReport};
pub use run::{Open, run};
pub use sockets::waiting_for;
pub use upstream::{MOST_BYTES, Shape, UpstreamCounts, upstream};
