//! The nodes on this machine: processes of this very program, started and ended by the parent.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use suite::Result;
use tokio::sync::mpsc::UnboundedSender;

use crate::happening::Event;
use crate::node_cpus;

/// All of them. They end when this is dropped, and when this process is killed.
pub(crate) struct Nodes {
    program: PathBuf,
    url: String,
    token_file: PathBuf,
    /// To how many cores' time each is held, if any.
    cores: Option<f64>,
    events: UnboundedSender<Event>,
    running: Vec<Node>,
    /// How many there have ever been: each has a name of its own.
    started: u64,
}

struct Node {
    name: String,
    /// Unlike its number, this can never come to mean another process.
    process: OwnedFd,
    /// Waits for its end.
    keeper: JoinHandle<()>,
}

impl Nodes {
    /// Starts none yet, and holds each to the time of so many `cores`. The `events` are told of
    /// each that ends.
    pub(crate) fn new(
        program: &Path,
        url: &str,
        token_file: &Path,
        cores: Option<f64>,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            program: program.to_owned(),
            url: url.to_owned(),
            token_file: token_file.to_owned(),
            cores,
            events,
            running: Vec::new(),
            started: 0,
        }
    }

    /// Starts another.
    pub(crate) fn start(&mut self) -> Result<()> {
        let name = format!("{}-{}", process::id(), self.started);
        self.started += 1;
        let mut command = Command::new(&self.program);
        command
            .args(["node", "--own", "--name", &name, "--server", &self.url])
            .arg("--token-file")
            .arg(&self.token_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // What a terminal sends is for the parent.
            .process_group(0);
        let (report, started) = mpsc::channel();
        let (events, cores) = (self.events.clone(), self.cores);
        let node = name.clone();
        let keeper = thread::Builder::new()
            .name(format!("keeper of {name}"))
            .spawn(move || keep(command, node, cores, &report, &events))?;
        let starting = || format!("starting {}", self.program.display());
        let process = started.recv().with_context(starting)?;
        self.running.push(Node {
            name,
            process: process.with_context(starting)?,
            keeper,
        });
        Ok(())
    }

    /// How many there are, as far as is known here.
    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Whether this node is one of them that has not ended, as far as is known here.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.running.iter().any(|node| node.name == name)
    }

    /// Forgets one whose end has been told. Whether it was one of these.
    pub(crate) fn forget(&mut self, name: &str) -> bool {
        let place = self.running.iter().position(|node| node.name == name);
        let Some(place) = place else { return false };
        // Its keeper has told of the end with the last that it did.
        let _ = self.running.swap_remove(place).keeper.join();
        true
    }

    /// Ends all, whatever they are doing, and waits for that.
    pub(crate) fn end(&mut self) {
        for node in &self.running {
            // It fails only if it is dead already.
            let _ = pidfd_send_signal(&node.process, Signal::KILL);
        }
        for node in self.running.drain(..) {
            let _ = node.keeper.join();
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a node and waits for its end, on a thread of its own: the kernel ties the node's death
/// signal to the thread that started it, so that thread has to stay.
fn keep(
    mut command: Command,
    node: String,
    cores: Option<f64>,
    report: &mpsc::Sender<io::Result<OwnedFd>>,
    events: &UnboundedSender<Event>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return drop(report.send(Err(error))),
    };
    let mut held = Ok(());
    match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        Ok(process) => {
            let own = process.try_clone();
            // The thread that starts this node waits for it.
            let _ = report.send(Ok(process));
            if let Some(cores) = cores {
                held = own
                    .map_err(Into::into)
                    .and_then(|own| node_cpus::hold(&child, &own, cores));
            }
        }
        Err(error) => {
            // It is not dead, as it has not been waited for.
            let _ = child.kill();
            let _ = report.send(Err(error.into()));
        }
    }
    if held.is_err() {
        // As fast as it can be, it would stand for another machine.
        let _ = child.kill();
    }
    let status = match (child.wait(), held) {
        (Ok(status), Ok(())) => status.to_string(),
        (Ok(_), Err(error)) => format!("not being held to its cores: {error:#}"),
        (Err(error), _) => format!("an unknown cause: {error}"),
    };
    // The parent is gone only when it needs no nodes any more.
    let _ = events.send(Event::Exit { node, status });
}
