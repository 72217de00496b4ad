//! Unit: thread, one for each attempt that may be under way. Shares: the scan. Ends: nothing is
//! left to try, and the scope joins.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use suite::Result;
use suite::scan::{Service, hang_up};

pub fn run(service: &Service) -> Result<()> {
    let units = service.most_at_once();
    crate::check_units(units)?;
    thread::scope(|scope| {
        let workers: Result<Vec<_>> = (0..units)
            .map(|_| crate::spawn_small(scope, || work(service)))
            .collect();
        if workers.is_err() {
            service.stop();
        }
        workers?.into_iter().for_each(crate::join);
        Ok(())
    })
}

fn work(service: &Service) {
    while let Some(attempt) = service.next() {
        let connected = try_connect(attempt.address(), service.timeout);
        service.came(attempt, connected);
    }
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
