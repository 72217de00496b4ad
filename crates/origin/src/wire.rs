//! A connection to a client, whether plain or under TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long a client may take to end a connection after its last answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a client may take to read what it is sent before a reset.
const PATIENCE_TO_RESET: Duration = Duration::from_secs(10);

/// A connection to a client.
pub(crate) trait Wire: Read + Write {
    /// The socket beneath.
    fn socket(&self) -> &TcpStream;

    /// Says that nothing more will be written. Best effort: the client may be gone.
    fn finish(&mut self);

    /// Reads until the client is done or gone, or is silent for as long as the
    /// socket's read timeout. What it says is of no interest.
    fn drain(&mut self) {
        let mut unread = [0; 8 * 1024];
        while matches!(self.read(&mut unread), Ok(1..)) {}
    }
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn finish(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Ends a connection so that the client can read the last answer: closing while
/// bytes of its are unread would reset the connection, and the answer could be lost.
pub(crate) fn linger(mut wire: impl Wire) {
    let since = Instant::now();
    wire.finish();
    let _ = wire.socket().set_read_timeout(Some(PATIENCE));
    let mut unread = [0; 8 * 1024];
    while since.elapsed() < PATIENCE && matches!(wire.read(&mut unread), Ok(1..)) {}
}

/// Ends a connection by resetting it, once the client's kernel has all that was
/// written: a reset throws away what has not been sent.
pub(crate) fn reset(wire: impl Wire) {
    let since = Instant::now();
    while since.elapsed() < PATIENCE_TO_RESET && unacknowledged(wire.socket()) > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    // Closing a socket that may not linger at all resets its connection.
    let _ = rustix::net::sockopt::set_socket_linger(wire.socket(), Some(Duration::ZERO));
}

/// Bytes that were written to `socket` and not yet acknowledged, as far as that
/// can be known. (There is a system call for it, but no safe one in Rust.)
fn unacknowledged(socket: &TcpStream) -> u64 {
    let (Ok(local), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else {
        return 0;
    };
    // Number, local address:port, remote address:port, state, unacknowledged:unread;
    // all in hexadecimal.
    let queued = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let mut port = || u16::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok();
        if (port()?, port()?) != (local.port(), peer.port()) {
            return None;
        }
        u64::from_str_radix(fields.nth(1)?.split_once(':')?.0, 16).ok()
    };
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    table.lines().find_map(queued).unwrap_or(0)
}
