//! Responders: what the operations of `deadlines` wait for.

use std::net::SocketAddr;

use load::Counts;

use crate::servers::Server;

/// A responder at an origin: see [`load::respond`]. Dropping it ends it there.
#[derive(Debug)]
pub struct Responder(Server);

impl Responder {
    /// Has the origin at this URL start one for at most this number of connections at once.
    ///
    /// # Errors
    ///
    /// When it may not open as many files, or the origin is gone; it is named.
    pub fn open(origin_url: &str, connections: u64) -> anyhow::Result<Self> {
        let body = connections.to_string();
        Server::open(origin_url, "responders", body.as_bytes()).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What it was asked since this was called last, when all its connections are closed.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn counts(&self) -> anyhow::Result<Counts> {
        self.0.counts()
    }
}
