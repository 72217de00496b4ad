//! Servers of the crate `load` in the origin's process, where their work is nothing of what is
//! measured. Each is a thread that prints its address, and then its counts when it is asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::exchange;
use crate::run::read;
use crate::{lock, refusal::Refusal};

/// How long a server may take: a responder's clients have ten seconds to close their
/// connections.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for closing one: nothing depends on it.
const PATIENCE_TO_CLOSE: Duration = Duration::from_secs(1);

/// The servers of one kind that are open.
#[derive(Debug)]
pub(crate) struct Servers {
    /// What one of them is called.
    name: &'static str,
    last: AtomicU64,
    open: Mutex<HashMap<u64, Running>>,
}

/// The other ends of a server's input and output. It ends with its input.
#[derive(Debug)]
struct Running {
    name: &'static str,
    commands: UnixStream,
    lines: BufReader<UnixStream>,
}

/// A new server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    id: u64,
    address: SocketAddr,
}

impl Servers {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            last: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }

    /// Starts one, which is given its input and its output.
    pub(crate) fn open(
        &self,
        serve: impl FnOnce(UnixStream, UnixStream) -> anyhow::Result<()> + Send + 'static,
    ) -> Result<Opened, Refusal> {
        let (running, address) = Running::start(self.name, serve).map_err(broken)?;
        let id = self.last.fetch_add(1, Relaxed) + 1;
        lock(&self.open).insert(id, running);
        Ok(Opened { id, address })
    }

    /// What it was asked since this was called last.
    pub(crate) fn counts(&self, id: &str) -> Result<serde_json::Value, Refusal> {
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
        taken.ok_or_else(|| Refusal::new(404, format!("there is no such {}", self.name)))
    }
}

fn broken(error: anyhow::Error) -> Refusal {
    Refusal::new(502, format!("{error:#}"))
}

impl Running {
    fn start(
        name: &'static str,
        serve: impl FnOnce(UnixStream, UnixStream) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let (commands, input) = UnixStream::pair().context("a server's input")?;
        let (output, lines) = UnixStream::pair().context("a server's output")?;
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread
            .spawn(move || serve(input, output))
            .context("cannot start a thread")?;
        let mut running = Self {
            name,
            commands,
            lines: BufReader::new(lines),
        };
        match running.line() {
            Ok(address) => Ok((running, address.parse().context("a server's address")?)),
            Err(ended) => match thread.join() {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => Err(ended),
                Err(_) => Err(anyhow!("the {name} has panicked")),
            },
        }
    }

    fn counts(&mut self) -> anyhow::Result<serde_json::Value> {
        let name = self.name;
        writeln!(self.commands, "counts").with_context(|| format!("the {name} has ended"))?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("the {name} said {line}"))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line)?;
        ensure!(read > 0, "the {} has ended", self.name);
        Ok(line.trim_end().to_owned())
    }
}

/// A server at an origin, as its client sees it. Dropping it ends it there.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    address: SocketAddr,
}

impl Server {
    /// Has the origin at this URL start one of the kind at this path.
    pub(crate) fn open(origin_url: &str, kind: &str, body: &[u8]) -> anyhow::Result<Self> {
        let all = format!("{}/{kind}", origin_url.trim_end_matches('/'));
        let Opened { id, address } = read(&all, &exchange("POST", &all, body, PATIENCE)?)?;
        let url = format!("{all}/{id}");
        Ok(Self { url, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counts<C: DeserializeOwned>(&self) -> anyhow::Result<C> {
        read(&self.url, &exchange("POST", &self.url, &[], PATIENCE)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: an origin that is gone has ended it too.
        let _ = exchange("DELETE", &self.url, &[], PATIENCE_TO_CLOSE);
    }
}
