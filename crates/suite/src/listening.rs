//! Where a server listens, and until when.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::io::Errno;

use crate::Result;

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
    closing: AtomicBool,
    at_close: Mutex<AtClose>,
}

/// What is to be done when the end begins; none when it has begun.
struct AtClose(Option<Vec<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for AtClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtClose")
            .field(&self.0.as_ref().map(Vec::len))
            .finish()
    }
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
            closing: AtomicBool::new(false),
            at_close: Mutex::new(AtClose(Some(Vec::new()))),
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
        self.closing.store(true, Release);
        let mut at_close = self.at_close.lock().unwrap_or_else(PoisonError::into_inner);
        for act in at_close.0.take().into_iter().flatten() {
            act();
        }
        // For an `accept` that waits; if it cannot be reached, none does.
        drop(TcpStream::connect(self.address));
    }

    /// Whether the end has begun: a connection that was just accepted is then no client's.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    /// Has this done when the end begins, or now if it has.
    pub fn on_close(&self, act: impl FnOnce() + Send + 'static) {
        let mut at_close = self.at_close.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut at_close.0 {
            Some(acts) => acts.push(Box::new(act)),
            None => act(),
        }
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
