//! Upstreams: the servers behind a proxy.

use std::net::SocketAddr;

use load::{Shape, UpstreamCounts};

use crate::servers::Server;

/// An upstream at an origin: see [`load::upstream`]. Dropping it ends it there.
#[derive(Debug)]
pub struct Upstream(Server);

impl Upstream {
    /// Has the origin at this URL start one.
    ///
    /// # Errors
    ///
    /// When it may not open as many files, the bodies are too long, or the origin is gone; it
    /// is named.
    pub fn open(origin_url: &str, shape: &Shape) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(shape)?;
        Server::open(origin_url, "upstreams", &body).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Closes all its connections, and gives what it was asked since this was called last.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn counts(&self) -> anyhow::Result<UpstreamCounts> {
        self.0.counts()
    }
}
