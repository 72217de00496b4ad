//! Unit: none. Shares: nothing. Ends: the last port has its state.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use suite::scan::{Job, Outcome, Service, hang_up};
use suite::{Result, Unsupported};

/// More than this would be a wait, and no job.
const LONGEST: Duration = Duration::from_secs(1);

pub fn job(job: &Job) -> Result<Outcome> {
    let wait = job.ideal_wait(1);
    if wait > LONGEST {
        let text = format!("one port after the other: filtered ones would take {wait:.1?}");
        return Err(Unsupported(text).into());
    }
    let service = job.service();
    run(&service)?;
    Ok(service.outcome())
}

pub fn run(service: &Service) -> Result<()> {
    while let Some(attempt) = service.next() {
        let connected = try_connect(attempt.address(), service.timeout);
        service.came(attempt, connected);
    }
    Ok(())
}

/// The local address of a connection, which is closed again.
fn try_connect(address: SocketAddr, timeout: Duration) -> io::Result<SocketAddr> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // It limits a connect that blocks, too: `TcpStream::connect_timeout` would make three more
    // system calls a port.
    set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
    match retry_on_intr(|| connect(&socket, &address)) {
        Ok(()) => hang_up(socket),
        Err(Errno::INPROGRESS | Errno::ALREADY) => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error.into()),
    }
}
