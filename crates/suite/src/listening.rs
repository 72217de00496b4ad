//! Where a server listens, and until when.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::io::Errno;

use crate::Result;
use crate::ending::Ending;

/// After this number of pieces of an answer or a tunnel, a task that has never had to wait lets
/// other tasks go on.
pub const PIECES_IN_A_ROW: usize = 16;

/// How long a server waits that has no room for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a server listens, and until when.
#[derive(Debug)]
pub struct Listening {
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    end: Ending,
}

impl Listening {
    /// To those who connect there.
    ///
    /// # Errors
    ///
    /// When it has no address.
    pub fn new(listener: TcpListener) -> Result<Self> {
        Ok(Self {
            address: listener.local_addr().context("no address to listen at")?,
            listener: Mutex::new(Some(listener)),
            end: Ending::default(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect to. It can be taken once: when it is dropped, what has not been
    /// accepted is turned away.
    ///
    /// # Errors
    ///
    /// When it has been taken before.
    pub fn listener(&self) -> Result<TcpListener> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener
            .take()
            .context("the listener has been taken before")
    }

    /// Begins the end: what has been asked is still answered.
    pub fn close(&self) {
        self.end.begin();
        // For an `accept` that waits; if it cannot be reached, none does.
        drop(TcpStream::connect(self.address));
    }

    /// Whether the end has begun: a connection that was just accepted is then no client's.
    pub fn is_closing(&self) -> bool {
        self.end.has_begun()
    }

    /// Has this done when the end begins, or now if it has.
    pub fn on_close(&self, act: impl FnOnce() + Send + 'static) {
        self.end.on_begin(act);
    }
}

/// How long to wait when there is no room for a connection that would be accepted: out of
/// descriptors or memory, as connections end. None if the listener itself is of no use.
pub fn pause_after(error: &io::Error) -> Option<Duration> {
    match error.kind() {
        // The client was gone before it was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Some(Duration::ZERO),
        io::ErrorKind::OutOfMemory => Some(PAUSE),
        _ => match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS) => Some(PAUSE),
            _ => None,
        },
    }
}
