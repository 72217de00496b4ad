//! The programs `serve`, `proxy` and `chat`, and the workloads.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use suite::generator::PATIENCE;
use suite::{Result, Workload};

use super::{article, paces};

/// More than the buffers of two sockets hold.
const LARGE: usize = 32 << 20;

/// A hundred requests over ten connections.
pub fn serve(program: &'static str) -> Result<()> {
    let answers =
        json!({ "requests": 100, "connections": 10, "errors": {}, "healthy": true, "reopened": 0 });
    // With one connection at a time, each is closed after its answer.
    let answers = match program.ends_with("model-serial") {
        true => json!({ "requests": 100, "connections": 10, "errors": {}, "reopened": 90 }),
        false => answers,
    };
    article(program, Workload::Serve, &answers)?;
    Ok(())
}

/// Twenty requests over five connections.
pub fn proxy(program: &'static str) -> Result<()> {
    let answers = json!({ "requests": 20, "connections": 5, "errors": {}, "healthy": true });
    article(program, Workload::Proxy, &answers)?;
    Ok(())
}

/// Ten members of a room, of which each sends twenty messages; a member that reads nothing, which
/// costs the server no more memory than it may; and lines, as netcat speaks them.
pub fn chat(program: &'static str) -> Result<()> {
    if program.ends_with("model-serial") {
        let refused = paces(program, &["run", "chat", "--json"])?;
        return refused.with(runner::UNSUPPORTED)?.says("one connection");
    }
    let answers = json!({ "members": 10, "deliveries": 1800, "errors": {}, "healthy": true });
    article(program, Workload::Chat, &answers)?;
    for policy in ["policy=drop", "policy=disconnect"] {
        let slow = [
            "members=3",
            "slow=1",
            "bytes=65536",
            "messages=600",
            "queue=16",
            policy,
        ];
        let sets = slow.into_iter().flat_map(|set| ["--set", set]);
        let args: Vec<_> = ["run", "chat", "--json"].into_iter().chain(sets).collect();
        let report = paces(program, &args)?.with(0)?.report()?;
        ensure!(report["outcome"]["grown_bytes"].is_u64(), "{report}");
    }

    let args = [
        "chat",
        "--lines",
        "--listen",
        "127.0.0.1:0",
        "--connections",
        "4",
    ];
    let mut serving = Process::start(program, &args)?;
    let mut first = Lines::open(serving.connect()?)?;
    first.is_told("* you are 0, members: 1\n")?;
    let mut second = Lines::open(serving.connect()?)?;
    second.is_told("* you are 1, members: 2\n")?;
    first
        .stream
        .write_all(b"hello\r\n\r\nan escape \x1b[2J\n")?;
    second.is_told("0: hello\n")?;
    second.is_told("0: an escape \u{fffd}[2J\n")?;
    // A last line without an end.
    second.stream.write_all(b"bye")?;
    second.stream.shutdown(Shutdown::Write)?;
    first.is_told("1: bye\n")?;
    serving.interrupt()?;
    first.is_told("")?;
    second.is_told("")?;
    let status = serving.child.wait()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// A client that speaks lines.
struct Lines {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Lines {
    fn open(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let lines = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, lines })
    }

    /// The next line has to be this; an empty one is the end.
    fn is_told(&mut self, right: &str) -> Result<()> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        ensure!(line == right, "{line:?}, not {right:?}");
        Ok(())
    }
}

/// Exit code 1, and the directory or the address.
pub(super) fn failures_are_named(program: &'static str) -> Result<()> {
    let args = ["serve", "/no/such", "--listen", "127.0.0.1:0"];
    paces(program, &args)?
        .with(runner::FAILED)?
        .says("/no/such")?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    let address = taken.local_addr()?.to_string();
    let args = ["serve", ".", "--listen", &address];
    paces(program, &args)?
        .with(runner::FAILED)?
        .says(&address)?;
    let args = ["proxy", "--listen", &address];
    paces(program, &args)?
        .with(runner::FAILED)?
        .says(&address)?;
    let args = ["chat", "--listen", &address];
    paces(program, &args)?.with(runner::FAILED)?.says(&address)
}

/// A server in a process of its own.
struct Process {
    child: Child,
    /// The last word of what it has printed.
    address: String,
}

impl Process {
    fn start(program: &str, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        let child = command.args(args).stdout(Stdio::piped()).spawn();
        let mut process = Self {
            child: child.context(program.to_owned())?,
            address: String::new(),
        };
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line
            .trim_end()
            .rsplit([' ', '/'])
            .find(|word| !word.is_empty());
        process.address = address.context("no address")?.to_owned();
        Ok(process)
    }

    fn connect(&self) -> Result<TcpStream> {
        TcpStream::connect(&self.address).with_context(|| self.address.clone())
    }

    /// As Ctrl-C does.
    fn interrupt(&self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().try_into()?).context("a process number")?;
        Ok(kill_process(pid, Signal::INT)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file server, with a client whose answer is under way.
struct Serving {
    process: Process,
    client: TcpStream,
    _directory: tempfile::TempDir,
}

impl Serving {
    fn start(program: &str) -> Result<Self> {
        let directory = tempfile::tempdir().context("a temporary directory")?;
        File::create(directory.path().join("large"))?.set_len(LARGE as u64)?;
        let path = directory
            .path()
            .to_str()
            .context("a path that is no text")?;
        let args = [
            "serve",
            path,
            "--listen",
            "127.0.0.1:0",
            "--connections",
            "4",
        ];
        let process = Process::start(program, &args)?;
        let mut client = process.connect()?;
        client.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        client.read_exact(&mut [0; 1])?;
        Ok(Self {
            process,
            client,
            _directory: directory,
        })
    }
}

/// Ctrl-C: the answer under way becomes whole, and the exit code is 0.
pub fn a_server_answers_before_it_ends(program: &'static str) -> Result<()> {
    let mut serving = Serving::start(program)?;
    serving.process.interrupt()?;
    let mut rest = Vec::new();
    serving.client.read_to_end(&mut rest)?;
    ensure!(rest.len() > LARGE, "only {} bytes", rest.len());
    let status = serving.process.child.wait()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// Ctrl-C again: it ends, although a client has not read its answer.
pub fn a_server_that_is_told_twice_ends_at_once(program: &'static str) -> Result<()> {
    let mut serving = Serving::start(program)?;
    let status = loop {
        if let Some(status) = serving.process.child.try_wait()? {
            break status;
        }
        // Two that come at once are one.
        serving.process.interrupt()?;
        std::thread::yield_now();
    };
    let right = Some(i32::from(runner::INTERRUPTED));
    ensure!(status.code() == right, "it ended with {status}");
    Ok(())
}

/// A model serves 300 connections at once, or says with exit code 4 that it does not.
pub fn a_server_has_only_so_many_connections(program: &'static str) -> Result<()> {
    let directory = tempfile::tempdir().context("a temporary directory")?;
    fs::write(directory.path().join("small"), "small")?;
    let mut process = Command::new(program)
        .arg("serve")
        .arg(directory.path())
        .args(["--listen", "127.0.0.1:0", "--connections", "300"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(program.to_owned())?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().context("a pipe")?).read_line(&mut line)?;
    if line.starts_with("serving ") {
        let pid = Pid::from_raw(process.id().try_into()?).context("a process number")?;
        kill_process(pid, Signal::INT)?;
    }
    let output = process.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (code, says) = match line.is_empty() {
        true => (runner::UNSUPPORTED, "300"),
        false => (0, ""),
    };
    ensure!(
        output.status.code() == Some(code.into()) && said.contains(says),
        "it ended with {}: {said}",
        output.status
    );
    // Only children are too few.
    let refuses = program.ends_with("model-process");
    ensure!(refuses == line.is_empty(), "it said {line}{said}");
    Ok(())
}
