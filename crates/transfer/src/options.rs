//! What a download may cost and how patient it is.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a download behaves. The same for every model, and sent to children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The most requests in flight at once.
    pub limit: usize,
    /// The most of them to one host; none for no other limit than `limit`.
    pub per_host: Option<usize>,
    /// The most bytes of bodies a second, over all files.
    pub rate: Option<u64>,
    /// How often a file is tried again.
    pub retries: u32,
    /// The longest a connection may take to stand, TLS included.
    pub connect_timeout: Duration,
    /// The longest wait for a byte, the first one included.
    pub idle_timeout: Duration,
    /// The fewest bytes of a body a second; 0 for no such minimum.
    pub min_rate: u64,
    /// The time over which `min_rate` is judged.
    pub min_rate_window: Duration,
    /// The wait before the first retry; each further one is twice as long.
    pub backoff: Duration,
    /// The longest wait before a retry that the server has not asked for.
    pub backoff_most: Duration,
    /// The longest wait that a server can ask for (`Retry-After`).
    pub retry_after_most: Duration,
    /// The most redirects that a file may take.
    pub max_redirects: u32,
    /// The most bytes that a file may have.
    pub max_size: Option<u64>,
    /// Headers to send: to the host of the listed URL, and to no other.
    pub headers: Vec<(String, String)>,
    /// What to call ourselves.
    pub user_agent: String,
    /// Certificates (PEM) to trust instead of the built-in roots.
    pub cacert: Option<PathBuf>,
    /// What the jitter of waits is drawn from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: 20,
            per_host: None,
            rate: None,
            retries: 4,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            min_rate: 500,
            min_rate_window: Duration::from_secs(3),
            backoff: Duration::from_millis(250),
            backoff_most: Duration::from_secs(5),
            retry_after_most: Duration::from_secs(60),
            max_redirects: 10,
            max_size: None,
            headers: Vec::new(),
            user_agent: concat!("paces/", env!("CARGO_PKG_VERSION")).to_owned(),
            cacert: None,
            seed: 0,
        }
    }
}
