//! An echo server that gets it wrong, for what a model's own never does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use suite::Result;
use suite::echo::Job;

/// What is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EchoFault {
    /// It closes each connection at once.
    HangsUp,
    /// It closes each in the middle of the last message.
    StopsShort,
    /// It changes the last byte over each.
    ChangesAByte,
    /// It sends back one byte more.
    AddsAByte,
}

pub(crate) struct FaultyEchoServer {
    pub address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FaultyEchoServer {
    /// Serves the clients of such jobs.
    pub(crate) fn serve(fault: EchoFault, job: &Job) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let bytes = job.bytes_each();
        let thread = thread::spawn(move || {
            thread::scope(|scope| {
                for client in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // A client that gives up is no fault of this server.
                    scope.spawn(move || client.and_then(|client| echo(fault, bytes, &client)));
                }
            });
        });
        Ok(Self {
            address,
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for FaultyEchoServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // The connection wakes the thread, which then sees that it is over.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn echo(fault: EchoFault, bytes: u64, mut client: &TcpStream) -> io::Result<()> {
    if let EchoFault::HangsUp = fault {
        return Ok(());
    }
    io::copy(&mut client.take(bytes - 1), &mut client)?;
    let mut last = [0];
    client.read_exact(&mut last)?;
    match fault {
        EchoFault::HangsUp | EchoFault::StopsShort => Ok(()),
        EchoFault::ChangesAByte => client.write_all(&[last[0] ^ 1]),
        EchoFault::AddsAByte => client.write_all(&[last[0], b'!']),
    }
}
