//! Relays: between the two sides of `send`.

use std::net::SocketAddr;

use load::{RelayCounts, RelayShape};

use crate::servers::Server;

/// A relay at an origin: see [`load::relay`]. Dropping it ends it there.
#[derive(Debug)]
pub struct Relay(Server);

impl Relay {
    /// Has the origin at this URL start one.
    ///
    /// # Errors
    ///
    /// When it may not open as many files, or the origin is gone; it is named.
    pub fn open(origin_url: &str, shape: &RelayShape) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(shape)?;
        Server::open(origin_url, "relays", &body).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What has gone over it since this was called last, when all its connections are closed.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn counts(&self) -> anyhow::Result<RelayCounts> {
        self.0.counts()
    }
}
