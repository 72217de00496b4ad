//! What all connections share: an interrupt, and which certificates to trust.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::ClientConfig;

/// What all connections share.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    state: Mutex<State>,
    /// The longest line of any request so far.
    longest_line: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// All that are open, and some that were.
    sockets: Vec<Weak<TcpStream>>,
    interrupted: bool,
    tls: Option<Arc<ClientConfig>>,
}

impl Wire {
    pub(crate) fn begin(&self) {
        self.state().interrupted = false;
    }

    pub(crate) fn interrupt(&self) {
        let mut state = self.state();
        state.interrupted = true;
        for socket in state.sockets.drain(..).filter_map(|it| it.upgrade()) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Says which certificates to trust, with connections that were kept, too.
    pub(crate) fn trust(&self, tls: Arc<ClientConfig>) {
        self.state().tls = Some(tls);
    }

    pub(crate) fn trusts(&self, tls: &Arc<ClientConfig>) -> bool {
        let state = self.state();
        state
            .tls
            .as_ref()
            .is_some_and(|trusted| Arc::ptr_eq(trusted, tls))
    }

    /// Which certificates to trust, if that was said.
    pub(crate) fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.state().tls.clone()
    }

    /// The longest line that any request has had so far.
    pub(crate) fn longest_line(&self) -> usize {
        self.longest_line.load(Ordering::Relaxed)
    }

    /// A request is to be sent that has a line of this many bytes.
    pub(crate) fn expect_line(&self, bytes: usize) {
        self.longest_line.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Has a socket shut down by an interrupt. One that comes too late for that
    /// is refused.
    pub(crate) fn enter(&self, socket: &Arc<TcpStream>) -> io::Result<()> {
        let mut state = self.state();
        if state.interrupted {
            return Err(interrupted());
        }
        if state.sockets.len() == state.sockets.capacity() {
            state.sockets.retain(|it| it.strong_count() > 0);
        }
        state.sockets.push(Arc::downgrade(socket));
        Ok(())
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.state().interrupted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn interrupted() -> io::Error {
    io::Error::other("the run was stopped")
}
