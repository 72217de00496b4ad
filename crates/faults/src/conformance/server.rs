//! A model's program that serves.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use lab::child::Process;
use nix::sys::signal::Signal;

use crate::check::{Wrong, wrong};
use crate::conformance::peer::{PATIENCE, Peer};
use crate::run::{Failure, GRACE, shown};

/// How soon Ctrl-C is given again.
const AGAIN: Duration = Duration::from_millis(100);

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Whether it does one thing after the other, and closes after each answer.
    pub(crate) serial: bool,
    pub(crate) ending: Ending,
}

/// Whether a case has ended its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It runs, and is well.
    Not,
    /// It is ending, and its exit code has to be 0.
    Begun,
    /// It was not let end what was in flight.
    Forced,
}

impl Server {
    /// Starts a program, and waits until it says that it does something at an address.
    pub(crate) fn start(command: &mut Command, does: &str, serial: bool) -> anyhow::Result<Self> {
        let mut process = Process::start(command, Stdio::null())?;
        let line = process.first_line(PATIENCE).unwrap_or_default();
        let address = line
            .strip_prefix(&format!("{does} at http://"))
            .and_then(|rest| rest.strip_suffix('/')?.parse().ok());
        let address = match address {
            Some(address) => address,
            None => {
                let ended = process.wait(Duration::ZERO);
                let finished = process.end(Duration::ZERO)?;
                let (status, said) = match ended {
                    true => (finished.status.to_string(), finished.stderr),
                    false => ("it runs".to_owned(), finished.stderr),
                };
                let says = format!("{does} at http://ADDRESS:PORT/");
                let error = anyhow!("{line:?} instead of `{says}`; {status}; {}", said.trim());
                return Err(error).context("it does not serve");
            }
        };
        Ok(Self {
            process,
            address,
            serial,
            ending: Ending::Not,
        })
    }

    pub(crate) fn connect(&self) -> Result<Peer, Wrong> {
        Peer::connect(self.address)
    }

    /// Lets it end, as a case has now done.
    pub(crate) fn begin_end(&mut self) {
        self.process.kill(Signal::SIGTERM);
        self.ending = Ending::Begun;
    }

    /// Ends it as Ctrl-C does that is given again, and waits until it has.
    pub(crate) fn force_end(&mut self) -> Result<(), Wrong> {
        self.ending = Ending::Forced;
        // Two at once may arrive as one.
        for _ in 0..PATIENCE.as_millis() / AGAIN.as_millis() {
            self.process.kill(Signal::SIGINT);
            if self.process.wait(AGAIN) {
                return Ok(());
            }
        }
        Err(wrong("an end after Ctrl-C twice", "it goes on"))
    }

    /// Ends it after a case that came out so, and tells what was wrong with either.
    pub(crate) fn end(
        mut self,
        command: &Command,
        done: Result<(), Wrong>,
    ) -> anyhow::Result<Failure> {
        if self.ending == Ending::Not {
            self.process.kill(Signal::SIGTERM);
        }
        let in_time = self.process.wait(PATIENCE);
        let finished = self.process.end(GRACE)?;
        let mut all: Vec<_> = done.err().into_iter().collect();
        match finished.exit_code() {
            _ if !in_time => all.push(wrong("an end after SIGTERM", "it goes on")),
            _ if self.ending == Ending::Forced => {}
            0 => {}
            code => all.push(wrong("exit code 0 after SIGTERM", code)),
        }
        if finished.left_behind > 0 {
            all.push(wrong("no process left behind", finished.left_behind));
        }
        if finished.stderr.contains("panicked at") {
            all.push(wrong("no panic", "one, on standard error"));
        }
        Ok(Failure {
            command: shown(command),
            wrong: all,
            stdout: finished.stdout,
            stderr: finished.stderr,
        })
    }
}
