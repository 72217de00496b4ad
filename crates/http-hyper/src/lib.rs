//! hyper, as the downloads of the asynchronous models speak it: HTTP/1.1, one
//! request at a time, in the terms of the crate `transfer`.
//!
//! **No runtime is linked here.** A model connects to an address, and makes hyper's
//! I/O traits of its stream; timers are its own, too. No task is spawned: the task that awaits an
//! answer moves the bytes of its connection meanwhile.
//!
//! A connection is closed by dropping its [`Connection`] or [`Response`]. It is to be
//! kept for another request by [`Idle::keep`], which drops those that are not fit
//! for one.

mod bounded;
mod connect;
mod connection;
mod deadline;
mod errors;
mod futures_stream;
mod idle;
mod turn;

pub use connect::connect;
pub use connection::{Connection, Response, handshake};
pub use deadline::Deadline;
pub use futures_stream::FuturesStream;
pub use hyper::body::Bytes;
pub use idle::Idle;

use url::Url;

/// Where to connect to. The host is also the name that a certificate has to be
/// for; of an IPv6 address it is without the brackets.
pub fn host_and_port(url: &Url) -> (&str, u16) {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    (host.trim_matches(['[', ']']), port)
}
