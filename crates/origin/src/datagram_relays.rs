//! Relays: what is between clients and server of `datagram`.

use std::net::SocketAddr;

use load::{DatagramRelayCounts, DatagramRelayShape};

use crate::servers::Server;

/// A relay at an origin: see [`load::datagram_relay`]. Dropping it ends it there.
#[derive(Debug)]
pub struct DatagramRelay(Server);

impl DatagramRelay {
    /// Has the origin at this URL start one.
    ///
    /// # Errors
    ///
    /// When it has no port, or the origin is gone; it is named.
    pub fn open(origin_url: &str, shape: &DatagramRelayShape) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(shape)?;
        Server::open(origin_url, "datagram-relays", &body).map(Self)
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What went through it during the last run, since this was called last.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn counts(&self) -> anyhow::Result<DatagramRelayCounts> {
        self.0.counts()
    }
}
