//! A scan of a host's TCP ports: which port is tried next, and what state each is in.
//!
//! It opens no socket and reads no clock. [`Scan::next_attempt`] says what to try, [`Scan::came`] is told
//! what came of it; connecting, waiting, giving up in time and sharing the scan are the caller's.
//!
//! ```
//! use std::net::{IpAddr, Ipv4Addr, TcpStream};
//! use std::time::Duration;
//! use port_scan::{Came, Scan};
//!
//! let host = IpAddr::from(Ipv4Addr::LOCALHOST);
//! let mut scan = Scan::new(host, &"1-3".parse()?, 1, 0);
//! while let Some(attempt) = scan.next_attempt() {
//!     let stream = TcpStream::connect_timeout(&attempt.address(), Duration::from_secs(1));
//!     scan.came(attempt, Came::of(stream.and_then(|stream| stream.local_addr())));
//! }
//! assert_eq!(scan.found().ports(), 3);
//! # Ok::<(), port_scan::Malformed>(())
//! ```

mod ports;
mod scan;

pub use ports::{Malformed, Ports};
pub use scan::{Attempt, Came, Failure, Found, Scan};
