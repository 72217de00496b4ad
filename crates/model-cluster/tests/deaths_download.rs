//! What a download survives when a node or the server is lost: all files have the right bytes,
//! and what was written of them before is not asked for again.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use origin::{File, Origin, Run, Shape};
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use std::os::unix::process::ExitStatusExt;
use suite::Result;
use support::{
    Ended, PROGRAM, Running, Server, children, has_server, node, parent, program, signal,
    wait_until,
};
use tempfile::TempDir;

/// Four large files, which take some seconds together.
const SHAPE: Shape = Shape {
    images: 4,
    image_bytes: 3_000_000,
    delay_ms: 0,
    mbit_per_s: 32,
};

/// The number of bytes that a file may lose: those in transit to the parent or to a node.
const ALLOWANCE: u64 = 1_000_000;

/// Each test needs the processors: a node that gets none for a second counts as silent.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test with a timeout, if there is a server program.
fn with_server(test: fn(&'static str) -> Result<()>) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match has_server() {
        true => harness::with_timeout(test, PROGRAM),
        false => Ok(()),
    }
}

/// The files of an origin, all of which are downloaded at once.
struct Download {
    run: Run,
    files: Vec<File>,
    directory: TempDir,
    _origin: Origin,
}

impl Download {
    fn new() -> Result<Self> {
        let origin = Origin::spawn(Path::new(PROGRAM), &["origin"])?;
        let run = Run::open(origin.url(), &SHAPE)?;
        let files = run.files()?;
        let directory = tempfile::tempdir()?;
        let urls: String = files.iter().map(|file| format!("{}\n", file.url)).collect();
        fs::write(directory.path().join("list"), urls)?;
        Ok(Self {
            run,
            files,
            directory,
            _origin: origin,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn args(&self) -> Vec<String> {
        let list = self.path("list").display().to_string();
        let into = self.path("into").display().to_string();
        let limit = self.files.len().to_string();
        let args = ["download", &list, "--into", &into, "--limit", &limit];
        args.map(str::to_owned).to_vec()
    }

    /// A parent with two nodes of its own.
    fn own(&self) -> Result<Running> {
        let mut command = program(&self.args());
        Ok(Running(command.args(["--nodes", "2"]).spawn()?))
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Waits until about half of every file has come.
    fn wait_until_midway(&self) -> Result<()> {
        wait_until("half of it is sent", || {
            let sent = self.run.stats()?.bytes_sent;
            Ok((sent >= self.bytes() / 2).then_some(()))
        })
    }

    /// Checks that the program succeeded, and that every file has the right content.
    fn was_right(&self, ended: &Ended) -> Result<()> {
        ensure!(ended.status.success(), "{ended:?}");
        for file in &self.files {
            let path = self.path("into").join(&file.name);
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            let digest = Sha256::digest(&bytes);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            ensure!(digest == file.sha256, "{}: other bytes", file.name);
        }
        Ok(())
    }

    /// Checks that at most `lost` files lost bytes that had to be sent again.
    fn was_continued(&self, lost: u64) -> Result<()> {
        let sent = self.run.stats()?.bytes_sent;
        let most = self.bytes() + lost * ALLOWANCE;
        ensure!(sent <= most, "{sent} bytes were sent, and {most} at most");
        Ok(())
    }
}

#[test]
fn a_node_of_the_parent_is_killed() -> Result<()> {
    with_server(|_| {
        let download = Download::new()?;
        let parent = download.own()?;
        download.wait_until_midway()?;
        let node = children(parent.pid(), "--own")?.pop();
        signal(node.context("no node")?, Signal::KILL)?;
        let ended = parent.end()?;
        download.was_right(&ended)?;
        ensure!(ended.stderr.contains("a node died by"), "{ended:?}");
        // It had two, unless one was whole already. Each was asked for once more.
        let lost = ended.losses("published again") as u64;
        ensure!((1..=2).contains(&lost), "{ended:?}");
        let requests = download.run.stats()?.requests;
        ensure!(requests == SHAPE.images + lost, "{requests}: {ended:?}");
        download.was_continued(lost)?;
        Ok(())
    })
}

#[test]
fn a_node_is_stopped_and_goes_on_when_another_has_its_files() -> Result<()> {
    with_server(|_| {
        let download = Download::new()?;
        let server = Server::start()?;
        let stops = node(&server, "stops", &[])?;
        let _works = node(&server, "works", &[])?;
        let parent = parent(&server, 2, &download.args(), &[])?;
        download.wait_until_midway()?;
        stops.signal(Signal::STOP)?;
        wait_until("another node asks for the rest", || {
            Ok((download.run.stats()?.requests > 4).then_some(()))
        })?;
        // It sends what has come meanwhile, which is of no use any more.
        stops.signal(Signal::CONT)?;
        let ended = parent.end()?;
        download.was_right(&ended)?;
        ensure!(ended.losses("published again") >= 1, "{ended:?}");
        Ok(())
    })
}

/// Runs a download with a node that kills itself at this point, and another node.
fn killed_at(point: &str) -> Result<Ended> {
    let download = Download::new()?;
    let server = Server::start()?;
    let dies = node(&server, "dies", &["--die-at", point])?;
    let _works = node(&server, "works", &[])?;
    let ended = parent(&server, 2, &download.args(), &[])?.end()?;
    download.was_right(&ended)?;
    let died = dies.end()?;
    let signal = died.status.signal();
    ensure!(signal == Some(Signal::KILL.as_raw()), "{died:?}");
    Ok(ended)
}

#[test]
fn a_node_is_killed_before_it_begins() -> Result<()> {
    with_server(|_| {
        let ended = killed_at("before-work")?;
        ensure!(ended.losses("delivered again") >= 1, "{ended:?}");
        Ok(())
    })
}

#[test]
fn a_node_is_killed_when_it_has_begun() -> Result<()> {
    with_server(|_| {
        let ended = killed_at("after-ack")?;
        ensure!(ended.losses("published again") >= 1, "{ended:?}");
        Ok(())
    })
}

/// The server is killed in the middle, and started again.
fn restarted(storage: &str) -> Result<()> {
    let download = Download::new()?;
    let mut server = Server::start()?;
    let _one = node(&server, "one", &[])?;
    let _other = node(&server, "other", &[])?;
    let more = ["--cluster-storage", storage];
    let parent = parent(&server, 2, &download.args(), &more)?;
    download.wait_until_midway()?;
    server.restart()?;
    let ended = parent.end()?;
    download.was_right(&ended)?;
    download.was_continued(4)
}

#[test]
fn a_server_is_restarted_on_its_store() -> Result<()> {
    with_server(|_| restarted("disk"))
}

#[test]
fn a_server_is_restarted_without_what_it_had_in_memory() -> Result<()> {
    with_server(|_| restarted("memory"))
}

#[test]
fn the_server_of_the_parent_is_killed() -> Result<()> {
    with_server(|_| {
        let download = Download::new()?;
        let parent = download.own()?;
        download.wait_until_midway()?;
        for server in children(parent.pid(), "nats-server")? {
            signal(server, Signal::KILL)?;
        }
        let ended = parent.end()?;
        download.was_right(&ended)?;
        download.was_continued(4)
    })
}

#[test]
fn an_interrupt_ends_the_requests_and_the_next_run_goes_on() -> Result<()> {
    with_server(|_| {
        let download = Download::new()?;
        let server = Server::start()?;
        let _one = node(&server, "one", &[])?;
        let _other = node(&server, "other", &[])?;
        let first = parent(&server, 2, &download.args(), &[])?;
        download.wait_until_midway()?;
        first.signal(Signal::INT)?;
        let ended = first.end()?;
        ensure!(ended.status.code() == Some(130), "{ended:?}");
        let second = parent(&server, 2, &download.args(), &[])?.end()?;
        download.was_right(&second)?;
        // The requests of the first would have brought all the rest again.
        download.was_continued(4)
    })
}
