//! Responders in the origin's process, where their work is nothing of what is measured.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use load::Counts;
use serde::{Deserialize, Serialize};

use crate::client::exchange;
use crate::run::read;
use crate::{lock, refusal::Refusal};

/// How long a responder may take: its clients have ten seconds to close their connections.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for closing one: nothing depends on it.
const PATIENCE_TO_CLOSE: Duration = Duration::from_secs(1);

/// The responders that are open, each in a thread of its own.
#[derive(Debug, Default)]
pub(crate) struct Responders {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Running>>,
}

/// The other ends of a responder's input and output. It ends with its input.
#[derive(Debug)]
struct Running {
    commands: UnixStream,
    lines: BufReader<UnixStream>,
}

/// A new responder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    id: u64,
    address: SocketAddr,
}

impl Responders {
    /// Starts one for at most this number of connections at once.
    pub(crate) fn open(&self, connections: usize) -> Result<Opened, Refusal> {
        let (running, address) = Running::start(connections).map_err(broken)?;
        let id = self.last.fetch_add(1, Relaxed) + 1;
        lock(&self.open).insert(id, running);
        Ok(Opened { id, address })
    }

    /// What it was asked since it was asked last, when all its connections are closed.
    pub(crate) fn counts(&self, id: &str) -> Result<Counts, Refusal> {
        let (id, mut running) = self.take(id)?;
        let counts = running.counts().map_err(broken)?;
        lock(&self.open).insert(id, running);
        Ok(counts)
    }

    /// Ends one.
    pub(crate) fn close(&self, id: &str) -> Result<(), Refusal> {
        self.take(id).map(drop)
    }

    fn take(&self, id: &str) -> Result<(u64, Running), Refusal> {
        let taken = id
            .parse()
            .ok()
            .and_then(|id| Some((id, lock(&self.open).remove(&id)?)));
        taken.ok_or_else(|| Refusal::new(404, "there is no such responder".to_owned()))
    }
}

fn broken(error: anyhow::Error) -> Refusal {
    Refusal::new(502, format!("{error:#}"))
}

impl Running {
    fn start(connections: usize) -> anyhow::Result<(Self, SocketAddr)> {
        let (commands, input) = UnixStream::pair().context("a responder's input")?;
        let (output, lines) = UnixStream::pair().context("a responder's output")?;
        let respond = move || load::respond(connections, input, output);
        let thread = thread::Builder::new().name("responder".to_owned());
        let thread = thread.spawn(respond).context("cannot start a thread")?;
        let mut running = Self {
            commands,
            lines: BufReader::new(lines),
        };
        match running.line() {
            Ok(address) => Ok((running, address.parse().context("a responder's address")?)),
            Err(ended) => match thread.join() {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => Err(ended),
                Err(_) => Err(anyhow!("the responder has panicked")),
            },
        }
    }

    fn counts(&mut self) -> anyhow::Result<Counts> {
        writeln!(self.commands, "counts").context("the responder has ended")?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("the responder said {line}"))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line)?;
        ensure!(read > 0, "the responder has ended");
        Ok(line.trim_end().to_owned())
    }
}

/// A responder at an origin: see [`load::respond`]. Dropping it ends it there.
#[derive(Debug)]
pub struct Responder {
    url: String,
    address: SocketAddr,
}

impl Responder {
    /// Has the origin at this URL start one for at most this number of connections at once.
    ///
    /// # Errors
    ///
    /// When it may not open as many files, or the origin is gone; it is named.
    pub fn open(origin_url: &str, connections: u64) -> anyhow::Result<Self> {
        let responders = format!("{}/responders", origin_url.trim_end_matches('/'));
        let body = connections.to_string();
        let answer = exchange("POST", &responders, body.as_bytes(), PATIENCE)?;
        let Opened { id, address } = read(&responders, &answer)?;
        let url = format!("{responders}/{id}");
        Ok(Self { url, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked since this was called last, when all its connections are closed.
    ///
    /// # Errors
    ///
    /// When the origin is gone; it is named.
    pub fn counts(&self) -> anyhow::Result<Counts> {
        read(&self.url, &exchange("POST", &self.url, &[], PATIENCE)?)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // Best effort: an origin that is gone has ended it too.
        let _ = exchange("DELETE", &self.url, &[], PATIENCE_TO_CLOSE);
    }
}
