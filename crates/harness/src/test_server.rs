//! Servers that get it wrong, as neither an origin nor a model's own echo server
//! ever does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use suite::Result;
use suite::echo::Job;

/// How long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wrong with an echo.
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

/// What is wrong with a responder, after the gate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DeadlinesFault {
    /// It closes each connection at once, and has no gate.
    HangsUp,
    /// It closes each in the middle of an answer.
    StopsShort,
    /// It answers an operation that was not asked.
    AnswersAnother,
    /// Its answers have another value.
    ChangesTheValue,
}

/// A server on a free port, until it is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Answers every request with exactly these bytes, and closes the connection.
    pub(crate) fn with_answer(answer: &'static str) -> Result<Self> {
        Self::start(move |client| reply(client, answer))
    }

    /// Serves the clients of such jobs, wrongly.
    pub(crate) fn with_echo(fault: EchoFault, job: &Job) -> Result<Self> {
        let bytes = job.bytes_each();
        Self::start(move |client| echo(fault, bytes, client))
    }

    /// Answers such operations, wrongly.
    pub(crate) fn with_deadlines(fault: DeadlinesFault) -> Result<Self> {
        Self::start(move |client| deadlines(fault, client))
    }

    fn start(serve: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            thread::scope(|scope| {
                for client in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // A client that gives up is no fault of this server.
                    scope.spawn(|| client.and_then(|client| serve(&client)));
                }
            });
        });
        Ok(Self {
            address,
            stopping,
            thread: Some(thread),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/static", self.address)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // The connection wakes the thread, which then sees that it is over.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn reply(mut client: &TcpStream, answer: &str) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(client);
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && line.trim_end() != "" {
        line.clear();
    }
    client.write_all(answer.as_bytes())
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

fn deadlines(fault: DeadlinesFault, mut client: &TcpStream) -> io::Result<()> {
    if let DeadlinesFault::HangsUp = fault {
        return Ok(());
    }
    let mut frame = [0; 16];
    client.read_exact(&mut frame)?; // the gate
    client.write_all(&[0; 16])?;
    loop {
        client.read_exact(&mut frame)?;
        let mut answer = frame; // which is no value
        match fault {
            DeadlinesFault::HangsUp | DeadlinesFault::StopsShort => {
                return client.write_all(&answer[..7]);
            }
            DeadlinesFault::AnswersAnother => answer[7] = 1,
            DeadlinesFault::ChangesTheValue => {}
        }
        client.write_all(&answer)?;
    }
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
