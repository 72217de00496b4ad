//! A model's server, in a directory of its own.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use lab::child::{Finished, Process};
use nix::sys::signal::Signal;
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::check::{Wrong, wrong};
use crate::run::GRACE;
use crate::serve::client::{Client, PATIENCE};

/// When the file that most requests are for was changed: long ago, so that its date tells
/// which it is.
const CHANGED: Duration = Duration::from_secs(1_000_000_000);

/// In this century's last year.
const FUTURE: Duration = Duration::from_secs(4_100_000_000);

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Whether it does one thing after the other, and closes after each answer.
    pub(crate) serial: bool,
    /// What is served.
    pub(crate) directory: PathBuf,
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

/// The command that serves a directory.
pub(crate) fn command(program: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("serve").arg(directory);
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

/// Makes a directory with the files that the cases ask for, and what they must not see.
pub(crate) fn make_directory(root: &Path) -> io::Result<PathBuf> {
    let directory = root.join("served");
    fs::create_dir_all(directory.join("sub"))?;
    let at = |name: &str| directory.join(name);
    fs::write(root.join("secret.txt"), "secret")?;
    for (name, content) in [
        ("a.txt", "0123456789"),
        ("empty.txt", ""),
        ("with space.txt", "space"),
        ("100%.txt", "percent"),
        ("ä.html", "umlaut"),
        ("future.txt", "future"),
        ("sub/index.html", "index"),
    ] {
        fs::write(at(name), content)?;
    }
    for (name, changed) in [("a.txt", CHANGED), ("future.txt", FUTURE)] {
        let file = File::options().write(true).open(at(name))?;
        file.set_modified(SystemTime::UNIX_EPOCH + changed)?;
    }
    symlink("a.txt", at("inside.txt"))?;
    symlink("../secret.txt", at("outside.txt"))?;
    symlink("..", at("up"))?;
    mkfifoat(CWD, at("pipe"), Mode::RUSR | Mode::WUSR)?;
    Ok(directory)
}

impl Server {
    /// Starts a program, and waits until it listens.
    pub(crate) fn start(
        command: &mut Command,
        directory: &Path,
        serial: bool,
    ) -> anyhow::Result<Self> {
        let mut process = Process::start(command, Stdio::null())?;
        let line = process.first_line(PATIENCE).unwrap_or_default();
        let address = line
            .strip_prefix(&format!("serving {} at http://", directory.display()))
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
                let says = "serving DIR at http://ADDRESS:PORT/";
                let error = anyhow!("{line:?} instead of `{says}`; {status}; {}", said.trim());
                return Err(error).context("it does not serve");
            }
        };
        Ok(Self {
            process,
            address,
            serial,
            directory: directory.to_owned(),
            ending: Ending::Not,
        })
    }

    pub(crate) fn connect(&self) -> Result<Client, Wrong> {
        Client::connect(self.address)
    }

    /// Asks for a file over a connection of its own.
    pub(crate) fn is_well(&self) -> Result<(), Wrong> {
        let mut client = self.connect()?;
        client.send(b"GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let head = client.head()?;
        let body = client.body(&head)?;
        match head.status == 200 && body == b"0123456789" {
            true => client.closed(),
            false => Err(wrong(
                "an answer with the file",
                format!("{head:?}, {body:?}"),
            )),
        }
    }

    /// Ends it, and tells how it has ended, and what was wrong with that.
    pub(crate) fn end(mut self) -> anyhow::Result<(Finished, Vec<Wrong>)> {
        if self.ending == Ending::Not {
            self.process.kill(Signal::SIGTERM);
        }
        let in_time = self.process.wait(PATIENCE);
        let finished = self.process.end(GRACE)?;
        let mut all = Vec::new();
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
        Ok((finished, all))
    }
}
