//! What the servers share: who is accepted, what is asked next, and how a connection ends.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use anyhow::Context;
use http_head::{Head, Heads, LINGER, Wrong};
use suite::Result;
use suite::listening::{Listening, pause_after};

/// Gives each client a thread, until the end begins. Then the listener is closed: or clients
/// that are not accepted would wait for the others.
pub fn accept_all<'scope>(
    scope: &'scope Scope<'scope, '_>,
    listening: &Listening,
    most: usize,
    open: &Arc<Open>,
    converse: impl Fn(&Client) -> io::Result<()> + Copy + Send + 'scope,
) -> Result<()> {
    let listener = listening.listener()?;
    for number in 0.. {
        open.wait_for_place(most);
        let accepted = listener.accept();
        if listening.is_closing() {
            break;
        }
        match accepted {
            Ok((stream, _)) => {
                let client = open.enter(number, stream);
                // What breaks is the client's to tell; so is a thread that cannot be had, as
                // its connection is closed.
                let _ = crate::spawn_small(scope, move || converse(&client));
            }
            Err(error) => match pause_after(&error) {
                Some(pause) => thread::sleep(pause),
                None => return Err(error).context("accepting a connection"),
            },
        }
    }
    Ok(())
}

/// The connections that are open.
#[derive(Default)]
pub struct Open {
    is_closed: AtomicBool,
    are_tunnels_cut: AtomicBool,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    changed: Condvar,
}

struct Connection {
    stream: TcpStream,
    /// Whether a request is under way: then it may read on when the end has begun.
    is_busy: AtomicBool,
    /// The other side, if it is a tunnel.
    tunnel: OnceLock<Arc<TcpStream>>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are fewer than this many, or the end begins.
    fn wait_for_place(&self, most: usize) {
        let is_full = |connections: &mut HashMap<_, _>| {
            connections.len() >= most && !self.is_closed.load(SeqCst)
        };
        drop(self.changed.wait_while(self.lock(), is_full));
    }

    /// Waits until then; whether the end begins before.
    pub fn is_closed_by(&self, then: Instant) -> bool {
        let left = then.saturating_duration_since(Instant::now());
        let is_open = |_: &mut _| !self.is_closed.load(SeqCst);
        drop(self.changed.wait_timeout_while(self.lock(), left, is_open));
        self.is_closed.load(SeqCst)
    }

    /// Waits until then; whether all connections end before.
    pub fn are_ended_by(&self, then: Instant) -> bool {
        let left = then.saturating_duration_since(Instant::now());
        let is_open = |connections: &mut HashMap<_, _>| !connections.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), left, is_open);
        let (connections, _) = waited.unwrap_or_else(PoisonError::into_inner);
        connections.is_empty()
    }

    /// A connection is open as long as what this returns.
    fn enter(self: &Arc<Self>, number: u64, stream: TcpStream) -> Client {
        let connection = Arc::new(Connection {
            stream,
            is_busy: AtomicBool::new(false),
            tunnel: OnceLock::new(),
        });
        let mut connections = self.lock();
        // The end may have begun since it was accepted.
        if self.is_closed.load(SeqCst) {
            connection.end();
        }
        connections.insert(number, connection.clone());
        drop(connections);
        Client {
            connection,
            open: self.clone(),
            number,
        }
    }

    /// The end begins: a thread that waits for a request sees the end of what it reads.
    pub fn close(&self) {
        let connections = self.lock();
        self.is_closed.store(true, SeqCst);
        for connection in connections.values() {
            if !connection.is_busy.load(SeqCst) {
                connection.end();
            }
        }
        self.changed.notify_all();
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for connection in self.lock().values() {
            connection.cut();
        }
    }

    /// Cuts the tunnels; there will be no other.
    pub fn cut_tunnels(&self) {
        let connections = self.lock();
        self.are_tunnels_cut.store(true, SeqCst);
        for connection in connections.values() {
            if let Some(upstream) = connection.tunnel.get() {
                connection.cut();
                // It fails when the other end is gone.
                let _ = upstream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Connection {
    fn end(&self) {
        // It fails when the client is gone.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends reads and writes, also those that wait.
    fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        self.cut();
    }
}

/// A client's connection.
pub struct Client {
    connection: Arc<Connection>,
    open: Arc<Open>,
    number: u64,
}

impl Client {
    pub fn stream(&self) -> &TcpStream {
        &self.connection.stream
    }

    /// From now on, what comes from either side goes to the other, unless tunnels have been cut;
    /// whether they have not.
    pub fn begin_tunnel(&self, upstream: &Arc<TcpStream>) -> bool {
        let _connections = self.open.lock();
        // There is no other: nothing else is done over this connection any more.
        let _ = self.connection.tunnel.set(upstream.clone());
        !self.open.are_tunnels_cut.load(SeqCst)
    }

    /// What cuts the connection when it is woken.
    pub fn cut_waker(&self) -> Waker {
        self.connection.clone().into()
    }

    /// The next request, or what is wrong with it; none when there will be no other.
    pub fn next<H: Head>(
        &self,
        requests: &mut Heads<H>,
        patience: Duration,
    ) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
        self.wait(|| self.read(requests, patience))
    }

    /// Waits for the client in a way that ends when the end begins, too.
    pub fn wait<T>(&self, wait: impl FnOnce() -> T) -> T {
        let is_busy = &self.connection.is_busy;
        // Either the end sees that this waits, or this sees that the end has begun.
        is_busy.store(false, SeqCst);
        if self.open.is_closed.load(SeqCst) {
            self.connection.end();
        }
        let waited = wait();
        is_busy.store(true, SeqCst);
        waited
    }

    fn read<H: Head>(
        &self,
        requests: &mut Heads<H>,
        patience: Duration,
    ) -> io::Result<Option<std::result::Result<H::Whole, H::Refusal>>> {
        let mut stream = self.stream();
        let until = Instant::now() + patience;
        let late = |requests: &Heads<H>| requests.has_begun().then_some(Err(Wrong::Late.into()));
        let (mut has_read, mut is_shortened) = (false, false);
        loop {
            if let Some(next) = requests.next() {
                if is_shortened {
                    stream.set_read_timeout(Some(patience))?;
                }
                return Ok(Some(next));
            }
            if has_read {
                // Or a client that sends a byte now and then would never be cut.
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(late(requests));
                }
                stream.set_read_timeout(Some(left))?;
                is_shortened = true;
            }
            match stream.read(requests.room()) {
                Ok(0) => return Ok(None),
                Ok(read) => requests.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(late(requests)),
                Err(error) => return Err(error),
            }
            has_read = true;
        }
    }

    /// Lets the client read the answer before the connection is gone: what it sends meanwhile
    /// is passed over.
    pub fn linger(&self) -> io::Result<()> {
        let mut stream = self.stream();
        stream.shutdown(Shutdown::Write)?;
        let until = Instant::now() + LINGER;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            stream.set_read_timeout(Some(left))?;
            if stream.read(&mut [0; 1024])? == 0 {
                return Ok(());
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
        self.open.changed.notify_all();
    }
}
