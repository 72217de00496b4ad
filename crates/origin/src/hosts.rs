//! Hosts: what `scan` scans the ports of.

use std::net::IpAddr;

use load::{HostCounts, HostShape};

use crate::servers::Server;

/// A host at an origin: see [`load::host()`]. Dropping it ends it there.
#[derive(Debug)]
pub struct Host(Server);

impl Host {
    /// Has the origin at this URL be one.
    ///
    /// # Errors
    ///
    /// When it may not open as many files, or the origin is gone; it is named.
    pub fn open(origin_url: &str, shape: &HostShape) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(shape)?;
        Server::open(origin_url, "hosts", &body).map(Self)
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.0.address().ip()
    }

    /// What it has, and what was asked of it since this was called last.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn counts(&self) -> anyhow::Result<HostCounts> {
        self.0.counts()
    }
}
