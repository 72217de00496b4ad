//! Unit: child process, one a core, which polls all its attempts. Shares: the states of ports, in
//! shared memory. Ends: every child has answered; or the scan is stopped, and the children are
//! killed.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use suite::Result;
use suite::scan::{Attempt, Came, Found, Scan, Service, hang_up};

use crate::pool::protocol::ScanTask;
use crate::pool::{Answer, Children, Event, MAX_DEATHS, Task, WorkerContext};
use crate::shm::scanned::MOST_CHILDREN;

pub fn run(service: &Service, children: &mut Children, cores: usize) -> Result<()> {
    let units = cores.min(service.most_at_once()).min(MOST_CHILDREN);
    children.drain_events();
    children.ensure_started(units)?;
    let scanned = children.memory.scanned()?;
    scanned.begin(&service.ports);
    let waker = children.waker();
    service.on_stop(move || waker.wake());
    let worked = work_all(service, units, children);
    // Those of a scan that was stopped, or that has failed.
    children.kill_busy();
    service.add(scanned.found());
    worked
}

fn work_all(service: &Service, units: usize, children: &mut Children) -> Result<()> {
    let task = |unit| {
        Task::Scan(ScanTask {
            host: service.host,
            limit: service.limit / units + usize::from(unit < service.limit % units),
            timeout: service.timeout,
            retries: service.retries,
        })
    };
    for unit in 0..units {
        children.send(unit, task(unit))?;
    }
    let (mut working, mut deaths) = (units, 0);
    while working > 0 && !service.is_stopped() {
        match children.next_event(None)? {
            Some(Event::Answer(_, answer)) => match answer? {
                Answer::Scan(found) => {
                    service.add(found);
                    working -= 1;
                }
                other => return Err(other.unexpected()),
            },
            Some(Event::Death(unit, true)) => {
                deaths += 1;
                if deaths > MAX_DEATHS {
                    let last = &children.last_exit;
                    bail!("given up after {deaths} children died of it, the last by {last}");
                }
                // What it had found is in shared memory.
                service.restarted();
                children.start_missing(unit..unit + 1)?;
                children.send(unit, task(unit))?;
            }
            Some(Event::Death(_, false) | Event::Wake) | None => {}
        }
    }
    Ok(())
}

/// An attempt that is under way.
struct Waiting {
    attempt: Attempt,
    socket: OwnedFd,
    due: Instant,
}

pub(crate) fn perform(task: ScanTask, context: &WorkerContext) -> Result<Answer> {
    let scanned = context.memory.scanned()?;
    let ports = scanned.take(context.unit);
    let mut scan = Scan::of(task.host, ports, task.limit, task.retries);
    let mut rest = Found::default();
    let mut waiting = Vec::new();
    loop {
        while let Some(attempt) = scan.next_attempt() {
            match begin(attempt.address()) {
                Ok(socket) => waiting.push(Waiting {
                    attempt,
                    socket,
                    due: Instant::now() + task.timeout,
                }),
                Err(error) => scan.came(attempt, Came::of(Err(error))),
            }
        }
        let found = scan.take_found();
        scanned.add(&found);
        rest.add(Found {
            failed: found.failed,
            most_at_once: found.most_at_once,
            lowered: found.lowered,
            ..Found::default()
        });
        if waiting.is_empty() {
            return Ok(Answer::Scan(rest));
        }
        let came = |attempt, connected| scan.came(attempt, Came::of(connected));
        waiting = wait(waiting, came).context("waiting for connections")?;
    }
}

/// Begins to connect.
fn begin(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Waits until an attempt has come to its end; those that have not, in the order in which they
/// are due.
fn wait(
    waiting: Vec<Waiting>,
    mut came: impl FnMut(Attempt, io::Result<SocketAddr>),
) -> io::Result<Vec<Waiting>> {
    // Before the sockets are looked at: one that was connected in time is not given up.
    let now = Instant::now();
    let mut fds: Vec<_> = waiting
        .iter()
        .map(|waiting| PollFd::new(&waiting.socket, PollFlags::OUT))
        .collect();
    let left = waiting[0].due.saturating_duration_since(now);
    let left = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(&mut fds, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    let mut still_waiting = Vec::new();
    for (waiting, is_ready) in waiting.into_iter().zip(ready) {
        if is_ready {
            came(waiting.attempt, end(waiting.socket));
        } else if waiting.due <= now {
            drop(waiting.socket);
            came(waiting.attempt, Err(ErrorKind::TimedOut.into()));
        } else {
            still_waiting.push(waiting);
        }
    }
    Ok(still_waiting)
}

/// The local address of a connection, which is closed again, or why there is none.
fn end(socket: OwnedFd) -> io::Result<SocketAddr> {
    socket_error(&socket)??;
    hang_up(socket)
}
