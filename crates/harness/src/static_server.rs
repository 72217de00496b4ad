//! A server that gives every request the same answer, for the answers that an
//! origin never gives.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use suite::Result;

/// A client that connects and says nothing does not hold up the others.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct StaticServer {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StaticServer {
    /// Answers with exactly these bytes, and closes the connection.
    pub(crate) fn serve(answer: &'static str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // A client that hangs up is no fault of this server.
                let _ = client.and_then(|client| reply(client, answer));
            }
        });
        Ok(Self {
            address,
            stopping,
            thread: Some(thread),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/canned", self.address)
    }
}

impl Drop for StaticServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // The connection wakes the thread, which then sees that it is over.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn reply(client: TcpStream, answer: &str) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(&client);
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && line.trim_end() != "" {
        line.clear();
    }
    (&client).write_all(answer.as_bytes())
}

/// A URL where no server listens.
pub(crate) fn refusing_url() -> Result<String> {
    Ok(format!("http://{}/refused", refusing_address()?))
}

/// An address where no server listens.
pub(crate) fn refusing_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    Ok(listener.local_addr()?)
}
