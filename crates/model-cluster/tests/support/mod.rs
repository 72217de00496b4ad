//! A server, nodes and parents, started as a user would start them.

#![allow(dead_code)] // each test program needs a part of it

pub mod network;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anyhow::{Context, bail, ensure};
use procfs::process::all_processes;
use rustix::process::{Pid, Signal, kill_process};
use suite::Result;
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_model-cluster");

/// The token, which must not appear in any log, command line or result.
pub const TOKEN: &str = "a-token-that-is-never-printed";

/// How long something may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(45);

/// Shares of some hundredths of a second each, this many numbers in all.
pub fn primes(numbers: u64) -> Vec<String> {
    let start = 1_000_000_000_000_u64;
    let sets = [
        format!("start={start}"),
        format!("end={}", start + numbers),
        "workers=2".to_owned(),
    ];
    let sets = sets.into_iter().flat_map(|set| ["--set".to_owned(), set]);
    ["run".to_owned(), "primes".to_owned()]
        .into_iter()
        .chain(sets)
        .collect()
}

/// Whether there is a server to test with; says so where there is none.
pub fn has_server() -> bool {
    let found = nats_server().is_some();
    if !found {
        eprintln!("SKIPPED: no nats-server (Debian: apt-get install nats-server)");
    }
    found
}

fn nats_server() -> Option<PathBuf> {
    if let Some(path) = env::var_os("PACES_NATS_SERVER") {
        return Some(path.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .collect();
    let programs = directories
        .iter()
        .map(|directory| directory.join("nats-server"));
    programs.into_iter().find(|program| program.is_file())
}

/// A server that the model has not started.
pub struct Server {
    directory: TempDir,
    process: Running,
    host: String,
    pub port: u16,
    tls: Option<[PathBuf; 2]>,
    /// The words that run its command line, and that of parents, in another namespace.
    enter: Vec<String>,
}

impl Server {
    pub fn start() -> Result<Self> {
        Self::with(None)
    }

    /// One that speaks TLS with this certificate and this key.
    pub fn with(tls: Option<[PathBuf; 2]>) -> Result<Self> {
        Self::at(&[], "localhost", tls)
    }

    /// One that listens there, where `enter` has its command line run.
    pub fn at(enter: &[String], host: &str, tls: Option<[PathBuf; 2]>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (process, port) = listen(enter, host, directory.path(), tls.as_ref(), -1)?;
        Ok(Self {
            directory,
            process,
            host: host.to_owned(),
            port,
            tls,
            enter: enter.to_vec(),
        })
    }

    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.host, self.port)
    }

    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Kills it, and starts it again over the same store.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let (port, directory) = (i32::from(self.port), self.directory.path());
        let tls = self.tls.as_ref();
        (self.process, _) = listen(&self.enter, &self.host, directory, tls, port)?;
        Ok(())
    }
}

fn listen(
    enter: &[String],
    host: &str,
    directory: &Path,
    tls: Option<&[PathBuf; 2]>,
    port: i32,
) -> Result<(Running, u16)> {
    let configuration = directory.join("configuration");
    let mut text = format!(
        "host: {host}\nport: {port}\nauthorization {{ token: \"{TOKEN}\" }}\n\
         jetstream {{ store_dir: \"{}\" }}\n",
        directory.display()
    );
    if let Some([certificate, key]) = tls {
        let (certificate, key) = (certificate.display(), key.display());
        text += &format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}\n");
    }
    fs::write(&configuration, text)?;
    let mut child = command_at(enter, nats_server().context("no nats-server")?)
        .arg("--config")
        .arg(configuration)
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(child.stderr.take().context("its log")?).lines();
    let process = Running(child);
    let mut port = None;
    for line in log.by_ref() {
        let line = line?;
        if let Some((_, after)) = line.split_once("client connections on ") {
            let (_, number) = after.rsplit_once(':').context("a port")?;
            port = Some(number.trim().parse()?);
        }
        if line.contains("Server is ready") {
            // Nothing reads it any more, and it must not stop for that.
            thread::spawn(move || log.for_each(drop));
            return Ok((process, port.context("it listens nowhere")?));
        }
    }
    bail!("the server has ended")
}

/// A process that is killed when this is dropped.
pub struct Running(pub Child);

impl Running {
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    pub fn signal(&self, which: Signal) -> Result<()> {
        signal(self.pid(), which)
    }

    /// Waits for its end: how that was, and what it has printed.
    pub fn end(mut self) -> Result<Ended> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let reader = thread::spawn(move || all_of(stderr));
        let stdout = all_of(stdout)?;
        let stderr = reader.join().expect("it only reads")?;
        let status = self.0.wait()?;
        Ok(Ended {
            status,
            stdout,
            stderr,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn all_of(output: Option<impl Read>) -> io::Result<String> {
    let mut text = String::new();
    if let Some(mut output) = output {
        output.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// How a process has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Checks that the program succeeded: it checks its own answer.
    pub fn was_right(&self) -> Result<()> {
        ensure!(
            self.status.success() && self.stdout.contains("primes in"),
            "{self:?}"
        );
        Ok(())
    }

    /// How many shares this has happened to, by the line that is printed then.
    pub fn losses(&self, what: &str) -> usize {
        let before = self.stderr.split(what).next().unwrap_or_default();
        let number = before.trim_end().rsplit(' ').next().unwrap_or_default();
        let said = self.stderr.contains(what);
        number.parse().unwrap_or(0) * usize::from(said)
    }
}

/// A command, run in another namespace if `enter` has words.
fn command_at(enter: &[String], program: impl AsRef<OsStr>) -> Command {
    let Some((first, words)) = enter.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

/// A command of the program, with the token and what it prints kept.
pub fn program(args: &[String]) -> Command {
    program_at(&[], args)
}

/// The same in another namespace.
fn program_at(enter: &[String], args: &[String]) -> Command {
    let mut command = command_at(enter, PROGRAM);
    command
        .args(args)
        .env("PACES_NATS_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A parent of nodes that were started by hand.
pub fn parent(server: &Server, nodes: usize, job: &[String], more: &[&str]) -> Result<Running> {
    Ok(Running(parent_command(server, nodes, job, more).spawn()?))
}

fn parent_command(server: &Server, nodes: usize, job: &[String], more: &[&str]) -> Command {
    let mut command = program_at(&server.enter, job);
    command.args(["--cluster", &server.url()]);
    command.args(["--nodes", &nodes.to_string()]).args(more);
    if !more.contains(&"--ack-wait") {
        command.args(["--ack-wait", "1"]);
    }
    command
}

/// A node that is started by hand.
pub fn node(server: &Server, name: &str, more: &[&str]) -> Result<Running> {
    node_at(&[], server, name, more)
}

/// The same in another namespace.
fn node_at(enter: &[String], server: &Server, name: &str, more: &[&str]) -> Result<Running> {
    let mut command = program_at(enter, &["node".to_owned()]);
    command
        .args(["--server", &server.url(), "--name", name])
        .args(more);
    Ok(Running(command.spawn()?))
}

pub fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a process number")?;
    Ok(kill_process(pid, signal)?)
}

/// The children of a process whose command line has this word.
pub fn children(parent: i32, word: &str) -> Result<Vec<i32>> {
    let mut children = Vec::new();
    for process in all_processes()?.flatten() {
        // Either fails for a process that has just gone.
        let (Ok(stat), Ok(args)) = (process.stat(), process.cmdline()) else {
            continue;
        };
        if stat.ppid == parent && args.iter().any(|arg| arg.ends_with(word)) {
            children.push(process.pid());
        }
    }
    Ok(children)
}

/// A process's time on a processor, in hundredths of a second.
pub fn ticks(pid: i32) -> u64 {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.map_or(0, |stat| stat.utime + stat.stime)
}

/// Whether a process has ended.
pub fn is_gone(pid: i32) -> bool {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.map_or(true, |stat| stat.state == 'Z')
}

/// Polls `look` until it returns a value.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look()? {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("not within {PATIENCE:?}: {what}")
}

/// Waits until a node works: nothing else takes that much CPU time.
pub fn wait_until_busy(pid: i32) -> Result<()> {
    let before = ticks(pid);
    wait_until("a node works", || {
        Ok((ticks(pid) > before + 10).then_some(()))
    })
}
