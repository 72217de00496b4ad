//! What to ask, and how.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to ask, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// What is asked for, one after the other, and then again.
    pub paths: Vec<(String, Option<Expected>)>,
    /// Connections that requests go over.
    pub connections: usize,
    /// Connections that are open, and over which nothing goes.
    pub idle: usize,
    /// How many requests.
    pub requests: u64,
    /// How many of them are due in a second, in an open loop; none for a closed loop.
    pub rate_per_s: Option<f64>,
    /// What the times are drawn from, at which they are due.
    pub seed: u64,
    /// How long to wait for an answer, or a connection.
    pub timeout: Duration,
    /// What is between, if not nothing.
    pub via: Option<Via>,
}

/// A proxy, and what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// Where it listens.
    pub proxy: SocketAddr,
    /// How the server is reached through it.
    pub mode: Mode,
}

/// How a server is reached through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The proxy is sent the requests. Idle connections say nothing.
    Forward,
    /// Each connection, idle ones too, begins with a CONNECT. It stands when that has been
    /// answered 200.
    Connect,
}

/// The body that a path has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its length, in bytes.
    pub bytes: u64,
    /// Its CRC-32.
    pub crc32: u32,
}

impl Expected {
    /// This body.
    pub fn of(body: &[u8]) -> Self {
        Self {
            bytes: body.len() as u64,
            crc32: crc32fast::hash(body),
        }
    }
}
