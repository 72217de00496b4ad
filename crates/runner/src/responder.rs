//! `responder`: the other end of the workload `deadlines`, in a process of its own that is
//! none of the models. What it does is in the crate `load`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use suite::Result;
use suite::deadlines::Seen;

use crate::cli::ResponderArgs;
use crate::server_process::ServerProcess;

/// Answers until standard input ends, and prints the address first.
pub(crate) fn respond(args: &ResponderArgs) -> Result<()> {
    load::respond(args.connections, io::stdin(), io::stdout())
}

/// A responder in a process of its own. Dropping it ends the process and waits for its end.
#[derive(Debug)]
pub struct Responder(ServerProcess);

impl Responder {
    /// Runs `program responder`, for so many connections at once.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not print its address in time.
    pub fn spawn(program: &Path, connections: u64) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["responder", "--connections", &connections.to_string()]);
        ServerProcess::spawn(command).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// What it has seen since it was asked last, when all connections have been closed.
    pub fn seen(&mut self) -> Result<Seen> {
        let line = self.0.ask("seen")?;
        let counts: load::Counts =
            serde_json::from_str(&line).with_context(|| format!("the responder said {line}"))?;
        Ok(Seen {
            connections: counts.connections,
            requests: counts.requests,
            most_at_once: counts.most_at_once,
            open: counts.open,
            cpu_ns: counts.cpu_ns,
        })
    }

    /// Ends it and waits for its end.
    pub fn end(self) -> Result<()> {
        self.0.end()
    }
}
