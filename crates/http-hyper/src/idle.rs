//! Connections that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use transfer::Request;
use url::Url;

use crate::{Connection, Response};

/// Connections that wait for their next request, the longest-waiting first, by
/// scheme, host and port.
pub struct Idle {
    connections: Mutex<Vec<Connection>>,
    most: usize,
}

impl Idle {
    /// Room for `most`: with many hosts, the longest-waiting ones are closed.
    pub fn new(most: usize) -> Self {
        Self {
            connections: Mutex::default(),
            most,
        }
    }

    /// One that a request can be sent over, if there is one and it takes one that
    /// was kept.
    pub async fn take_for(&self, request: &Request) -> Option<Connection> {
        match request.fresh {
            true => None,
            false => self.take(&request.url).await,
        }
    }

    /// One that a request for this URL can be sent over, if there is one. It
    /// still stands, and nothing has come over it that was not asked for.
    pub async fn take(&self, url: &Url) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut connections = self.lock();
                // The last one used is the likeliest to be open still.
                let at = connections.iter().rposition(|one| one.goes_to(url))?;
                connections.remove(at)
            };
            if connection.ready().await {
                return Some(connection);
            }
        }
    }

    /// Keeps an answer's connection for another request, if it is fit for one: the
    /// answer was read to the end, and neither side has said that it closes.
    pub fn keep(&self, response: Response) {
        let Some(connection) = response.into_connection() else {
            return;
        };
        let mut connections = self.lock();
        connections.push(connection);
        if connections.len() > self.most {
            connections.remove(0);
        }
    }

    /// Closes those over TLS: which certificates to trust is a download's own, and
    /// a later one may trust others.
    pub fn clear_secure(&self) {
        self.lock().retain(|connection| !connection.is_secure());
    }

    /// Closes all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
