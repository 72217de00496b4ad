//! The nodes on this machine: processes of this program, started and ended by the parent.

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

/// All nodes that this parent started. They end when this is dropped, and when this process is
/// killed.
pub(crate) struct Nodes {
    program: PathBuf,
    url: String,
    token_file: PathBuf,
    /// The CPU time limit of each node, in cores; `None` for no limit.
    cores: Option<f64>,
    events: UnboundedSender<Event>,
    running: Vec<Node>,
    /// The number of nodes started so far, for unique names.
    started: u64,
}

struct Node {
    name: String,
    /// A pidfd: unlike a process ID, it can never refer to another process.
    process: OwnedFd,
    /// The thread that started the process and waits for its end.
    supervisor: JoinHandle<()>,
}

impl Nodes {
    /// Creates an empty set of nodes, each limited to the CPU time of `cores` cores. The end of
    /// each node is sent to `events`.
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

    /// Starts another node.
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
            // Signals from the terminal, such as Ctrl-C, are for the parent only.
            .process_group(0);
        let (report, started) = mpsc::channel();
        let (events, cores) = (self.events.clone(), self.cores);
        let node = name.clone();
        let supervisor = thread::Builder::new()
            .name(format!("node {name}"))
            .spawn(move || supervise(command, node, cores, &report, &events))?;
        let starting = || format!("starting {}", self.program.display());
        let process = started.recv().with_context(starting)?;
        self.running.push(Node {
            name,
            process: process.with_context(starting)?,
            supervisor,
        });
        Ok(())
    }

    /// The number of nodes whose end has not been noticed.
    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Whether this is one of these nodes and its end has not been noticed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.running.iter().any(|node| node.name == name)
    }

    /// Removes a node whose end was reported. Returns whether it was one of these.
    pub(crate) fn forget(&mut self, name: &str) -> bool {
        let place = self.running.iter().position(|node| node.name == name);
        let Some(place) = place else { return false };
        // The supervisor thread sends the event as its last action, so this does not block.
        let _ = self.running.swap_remove(place).supervisor.join();
        true
    }

    /// Kills all nodes, and waits until they have ended.
    pub(crate) fn end(&mut self) {
        for node in &self.running {
            // It fails only if the process has already ended.
            let _ = pidfd_send_signal(&node.process, Signal::KILL);
        }
        for node in self.running.drain(..) {
            let _ = node.supervisor.join();
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a node and waits for its end, on a separate thread. The kernel ties the node's
/// parent-death signal to the thread that started it, so that thread has to keep running.
fn supervise(
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
            // `Nodes::start` waits for this.
            let _ = report.send(Ok(process));
            if let Some(cores) = cores {
                held = own
                    .map_err(Into::into)
                    .and_then(|own| node_cpus::hold(&child, &own, cores));
            }
        }
        Err(error) => {
            // The process ID is still valid, because the child has not been waited for.
            let _ = child.kill();
            let _ = report.send(Err(error.into()));
        }
    }
    if held.is_err() {
        // Without its limit, the node would not represent a slower machine.
        let _ = child.kill();
    }
    let status = match (child.wait(), held) {
        (Ok(status), Ok(())) => status.to_string(),
        (Ok(_), Err(error)) => format!("not being held to its cores: {error:#}"),
        (Err(error), _) => format!("an unknown cause: {error}"),
    };
    // It fails only if the parent no longer needs nodes.
    let _ = events.send(Event::Exit { node, status });
}
