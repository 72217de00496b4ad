//! The programs `send` and `receive`, and the workload.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use file_send::{Error, Outgoing, PIECE_BYTES, Secret};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use suite::{Result, Workload};

use super::{Ended, article, paces};
use crate::file_ends;

/// How `send` and `receive` end when the disk refuses.
const DISK: u8 = 3;
/// A `ulimit -f` counts in these.
const BLOCK_BYTES: usize = 512;

/// Three files over a connection that is cut once.
pub fn send(program: &'static str) -> Result<()> {
    let answers = json!({ "files": 3, "bytes": 3 << 20, "synced": 3, "before": 0 });
    let report = article(program, Workload::Send, &answers)?;
    let relay = &report["outcome"]["relay"];
    ensure!(relay["cuts"] == 1 && relay["flips"] == 0, "{report}");
    Ok(())
}

/// A receiver in a process of its own, and files to send to it.
struct Receiving {
    process: Child,
    address: SocketAddr,
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir().context("a temporary directory")?;
        fs::write(directory.path().join("secret"), SECRET)?;
        Ok(Self(directory))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn received(&self, name: &str) -> PathBuf {
        self.path("into").join(name)
    }

    fn file(&self, name: &str, bytes: usize) -> Result<String> {
        let content: Vec<u8> = (0..bytes).map(|at| (at / 7 % 251) as u8).collect();
        let path = self.path(name);
        fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    /// Sends files with the model's program.
    fn send(&self, program: &str, to: SocketAddr, files: &[&str]) -> Result<Ended> {
        let (to, secret) = (to.to_string(), self.path("secret").display().to_string());
        let with = ["send", "--to", &to, "--secret-file", &secret];
        paces(program, &[&with[..], files].concat())
    }
}

const SECRET: &[u8] = b"what both programs of a test have\n";

fn secret() -> Result<Secret> {
    Secret::new(SECRET.trim_ascii_end()).context("a secret")
}

impl Receiving {
    /// Runs `program receive`, or the same in a shell with this before it.
    fn start(program: &str, place: &Place, at: &str, before: &str) -> Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", &format!("{before} exec \"$@\""), "sh", program])
            .args(["receive", "--listen", at, "--connections", "4", "--into"])
            .arg(place.path("into"))
            .arg("--secret-file")
            .arg(place.path("secret"))
            .stdout(Stdio::piped())
            .spawn()
            .context(program.to_owned())?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line.trim_end().rsplit(' ').next();
        let address = address.and_then(|address| address.parse().ok());
        match address {
            Some(address) => Ok(Self { process, address }),
            None => {
                let status = process.wait()?;
                anyhow::bail!("it printed {line:?} and ended with {status}")
            }
        }
    }

    /// Ctrl-C: it ends with 0.
    fn end(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.process.id().try_into()?).context("a process number")?;
        kill_process(pid, Signal::INT)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the receiver ended with {status}");
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // It fails when it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_same(one: impl AsRef<Path>, other: impl AsRef<Path>) -> Result<()> {
    let (one, other) = (one.as_ref(), other.as_ref());
    let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    ensure!(read(one)? == read(other)?, "{} differs", other.display());
    Ok(())
}

/// Several files, twice; then what cannot be sent, each with its exit code and its reason.
pub fn files_are_sent_and_received(program: &'static str) -> Result<()> {
    let place = Place::new()?;
    let receiving = Receiving::start(program, &place, "127.0.0.1:0", "")?;
    let to = receiving.address;
    let sizes = [("empty", 0), ("small", 5), ("large", 3 * PIECE_BYTES + 1)];
    let files = sizes.map(|(name, bytes)| place.file(name, bytes));
    let files = files.into_iter().collect::<Result<Vec<_>>>()?;
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    for says in ["3 files, ", "3 there already"] {
        let ended = place.send(program, to, &files)?.with(0)?;
        ensure!(ended.stderr.contains(says), "{}", ended.stderr);
        for (name, _) in sizes {
            is_same(place.path(name), place.received(name))?;
        }
    }
    // With the secret in the environment, and from files.
    let ended = Command::new(program)
        .args(["send", "--sendfile", "--quiet", "--to", &to.to_string()])
        .arg(place.file("another", 300_000)?)
        .env(
            "PACES_SECRET",
            std::str::from_utf8(SECRET.trim_ascii_end())?,
        )
        .output()?;
    ensure!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
    is_same(place.path("another"), place.received("another"))?;

    let refused = |ended: Ended, says: &str| -> Result<()> {
        let ended = ended.with(runner::FAILED)?;
        ensure!(ended.stderr.contains(says), "not {says}: {}", ended.stderr);
        Ok(())
    };
    // The others are sent all the same.
    place.file("small", 6)?;
    place.file("new", 7)?;
    let (small, new) = (place.path("small"), place.path("new"));
    let (small, new) = (small.display().to_string(), new.display().to_string());
    let ended = place.send(program, to, &["/no/such", &small, &new, "/proc/self/fd"])?;
    refused(ended, "there is another small already")?;
    is_same(&new, place.received("new"))?;
    ensure!(fs::metadata(place.received("small"))?.len() == 5);

    fs::write(place.path("secret"), "a secret that the receiver has not")?;
    refused(place.send(program, to, &[&new])?, "secrets")?;
    receiving.end()
}

/// Senders that hang up, lie and are killed are no end of a receiver, nor of what it has.
pub fn a_receiver_goes_on_after_senders_and_kills(program: &'static str) -> Result<()> {
    let place = Place::new()?;
    let receiving = Receiving::start(program, &place, "127.0.0.1:0", "")?;
    let to = receiving.address;
    for said in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 3000]] {
        let mut stream = std::net::TcpStream::connect(to)?;
        std::io::Write::write_all(&mut stream, said)?;
    }
    let small = PathBuf::from(place.file("small", 10)?);
    for name in ["../small", ".small", "in/small"] {
        let file = Outgoing::new(0, small.clone(), name.to_owned());
        let (_, ended) = file_ends::send(to, &secret()?, file, |_| true)?;
        let is_refused = matches!(ended, Err(Error::Refused(_)));
        ensure!(is_refused, "{name}: {ended:?}");
    }
    ensure!(!place.path("small2").exists() && !place.received(".small").exists());

    // In the middle of a file, the receiver is killed. What it has is kept.
    let large = PathBuf::from(place.file("large", 8 * PIECE_BYTES)?);
    let file = Outgoing::new(0, large.clone(), "large".to_owned());
    let sent = 4 * PIECE_BYTES as u64;
    let until = Instant::now() + Duration::from_secs(20);
    let state = place.path("into").join(transfer::STATE);
    let kept = || -> u64 {
        let parts = fs::read_dir(&state).into_iter().flatten().flatten();
        let parts = parts.filter(|part| part.path().extension().is_some_and(|end| end == "part"));
        let sizes = parts.filter_map(|part| part.metadata().ok().map(|data| data.len()));
        sizes.sum()
    };
    let (file, ended) = file_ends::send(to, &secret()?, file, |meter| {
        if meter.load(Relaxed) < sent {
            return true;
        }
        while kept() < sent - PIECE_BYTES as u64 && Instant::now() < until {
            std::thread::yield_now();
        }
        false
    })?;
    ensure!(ended.is_err(), "{ended:?}");
    let (at, before) = (to.to_string(), kept());
    drop(receiving);
    ensure!(before >= sent - PIECE_BYTES as u64, "only {before} bytes");

    let receiving = Receiving::start(program, &place, &at, "")?;
    let before = file.sent;
    let (file, ended) = file_ends::send(to, &secret()?, file, |_| true)?;
    ended.context("after the kill")?;
    let again = file.sent - before;
    let most = 8 * PIECE_BYTES as u64 - (sent - PIECE_BYTES as u64);
    ensure!(again <= most, "{again} bytes were sent after the kill");
    is_same(&large, place.received("large"))?;
    let small = small.display().to_string();
    place.send(program, to, &[&small])?.with(0)?;
    receiving.end()
}

/// Exit code 3 at the sender, with the receiver's reason; and the receiver goes on.
pub fn a_full_disk_is_said_to_both(program: &'static str) -> Result<()> {
    let place = Place::new()?;
    let limit = format!("ulimit -f {};", 4 * PIECE_BYTES / BLOCK_BYTES);
    let receiving = Receiving::start(program, &place, "127.0.0.1:0", &limit)?;
    let to = receiving.address;
    let large = place.file("large", 8 * PIECE_BYTES)?;
    let ended = place.send(program, to, &[&large])?.with(DISK)?;
    let says = "the receiver's disk: ";
    ensure!(ended.stderr.contains(says), "{}", ended.stderr);
    ensure!(!place.received("large").exists());
    let small = place.file("small", 10)?;
    place.send(program, to, &[&small])?.with(0)?;
    is_same(&small, place.received("small"))?;
    receiving.end()
}
