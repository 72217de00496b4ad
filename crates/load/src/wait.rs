//! What both loops need: waiting for sockets, to the microsecond; and what they cost.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::{ClockId, clock_gettime};

const MOST_EVENTS: usize = 1_024;

/// Waits for sockets; for this time at most, if one is given.
///
/// `epoll_wait` counts in milliseconds, and rounds up: what is due would be done half of one
/// late on average. `ppoll` counts in nanoseconds, and an epoll can be polled.
pub(crate) fn wait(sockets: &OwnedFd, most: Option<Duration>) -> anyhow::Result<Vec<epoll::Event>> {
    let none = Timespec::default();
    let most = most.and_then(|most| Timespec::try_from(most).ok());
    let mut events = Vec::with_capacity(MOST_EVENTS);
    let first = most.as_ref().map(|_| &none);
    let mut waited = epoll::wait(sockets, spare_capacity(&mut events), first);
    if most.is_some_and(|most| most != none) && waited == Ok(0) {
        let mut sockets_too = [PollFd::new(sockets, PollFlags::IN)];
        waited = poll(&mut sockets_too, most.as_ref())
            .and_then(|_| epoll::wait(sockets, spare_capacity(&mut events), Some(&none)));
    }
    match waited {
        Ok(_) | Err(Errno::INTR) => Ok(events),
        Err(error) => Err(error).context("waiting for sockets"),
    }
}

/// Whether the other side of a connection has neither closed it nor sent anything.
pub(crate) fn is_quiet(connection: &impl AsFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(connection, &mut [0; 1], flags), Err(Errno::AGAIN))
}

/// Waits until the other side of a connection has closed it, and passes over what comes.
pub(crate) fn wait_for_end(mut connection: &TcpStream, until: Instant) -> io::Result<()> {
    connection.set_nonblocking(false)?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut [0; 1024]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The processor time of this thread so far, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let time = Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    );
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
