//! Both ends of `datagram` in the plainest way: a client, and servers that get it wrong.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use suite::Result;
use suite::datagram::{Job, Outcome, Step, Window};

/// A socket for this client.
pub(crate) fn client(job: &Job, client: usize) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).with_context(|| job.named(client))?;
    socket.connect(job.address())?;
    Ok(socket)
}

/// Has this client do its part, and hands over each datagram that comes.
pub(crate) fn talk(
    job: &Job,
    client: usize,
    socket: &UdpSocket,
    mut take: impl FnMut(&mut Window, usize),
) -> io::Result<Outcome> {
    let mut window = Window::new(job, client);
    loop {
        match window.step(Instant::now()) {
            Step::Send(datagram) => {
                socket.send(datagram)?;
            }
            Step::Receive(due) => {
                let most = due.saturating_duration_since(Instant::now());
                // 0 would be without end.
                socket.set_read_timeout(Some(most.max(Duration::from_micros(1))))?;
                match socket.recv(window.room()) {
                    Ok(bytes) => take(&mut window, bytes),
                    Err(error) if is_timeout(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Step::End => return Ok(window.outcome()),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers nothing.
    Silent,
    /// It changes the last byte.
    ChangesAByte,
    /// It leaves the last byte out.
    StopsShort,
    /// It adds a byte.
    AddsAByte,
    /// It answers with an empty datagram.
    Empty,
    /// It answers with another client's datagram.
    AnotherClient,
    /// It answers a number that was not sent.
    AnotherNumber,
    /// It answers once more, and first, with the datagram of another run. That is no fault of the
    /// client's network, and no echo either.
    AnotherRun,
}

/// A server on a free port, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn with(fault: Fault) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
        let address = socket.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            let mut room = vec![0; 65_536];
            while let Ok((bytes, from)) = socket.recv_from(&mut room) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // A client that gives up is no fault of this server.
                let _ = answer(fault, &socket, &room[..bytes], from);
            }
        });
        Ok(Self {
            address,
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // The datagram wakes the thread, which then sees that it is over. A buffer that has no
        // room for it has others to wake it.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let woken = socket.and_then(|socket| socket.send_to(&[], self.address));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn answer(fault: Fault, socket: &UdpSocket, asked: &[u8], from: SocketAddr) -> io::Result<usize> {
    let mut answer = asked.to_vec();
    let last = answer.len().saturating_sub(1);
    match fault {
        Fault::Silent => return Ok(0),
        Fault::ChangesAByte => answer[last] ^= 1,
        Fault::StopsShort => answer.truncate(last),
        Fault::AddsAByte => answer.push(b'!'),
        Fault::Empty => answer.clear(),
        Fault::AnotherClient => answer[8] ^= 1,
        Fault::AnotherNumber => answer[14] ^= 1,
        Fault::AnotherRun => {
            answer[0] ^= 1;
            socket.send_to(&answer, from)?;
            answer[0] ^= 1;
        }
    }
    socket.send_to(&answer, from)
}
