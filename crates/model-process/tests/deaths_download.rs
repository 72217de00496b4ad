//! Children that are killed while they download, and parents that are killed or interrupted.

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use origin::Origin;
use runner::fixture::Fixture;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use suite::{Job, Outcome, Result, Workload};

use support::{
    Progress, alone, failure, gone, job, run_during, signal, start, survives, until, workers,
    workers_of,
};

#[test]
fn download() -> Result<()> {
    alone(|program| {
        let sets = "images=40 limit=4 delay_ms=20 mbit_per_s=0 image_bytes=16384";
        let mut fixture = Fixture::new(program, None);
        for moment in [1, 4, 15, 30] {
            let into = tempfile::tempdir()?;
            let mut job = job(Workload::Download, sets)?;
            if let Job::Download(job) = &mut job {
                job.into = Some(into.path().to_owned());
            }
            let prepared = fixture.prepare(&job)?;
            let model = start(prepared.job(), program)?;
            let stats = || prepared.origin_stats().context("an origin")?;
            let requests = || Ok(stats()?.requests);
            let requests = Progress::Count(&requests);
            // Every file, and never more requests in flight than the limit.
            let verify = |outcome: &mut Outcome| {
                // Only the file that the dead child had is requested again.
                let requests = stats()?.requests;
                ensure!((40..=41).contains(&requests), "{requests} requests");
                ensure!(parts(into.path())?.is_empty(), "a part is left");
                prepared.verify(outcome).map(drop)
            };
            survives(&model, prepared.job(), &requests, &[moment], &verify)?;
        }
        Ok(())
    })
}

/// A file at the origin that comes slowly the first time, and in no time after.
struct SlowFile {
    origin: Origin,
    list: tempfile::NamedTempFile,
    into: tempfile::TempDir,
}

impl SlowFile {
    const BYTES: usize = 400_000;
    const NAME: &str = "file";

    fn new(program: &str) -> Result<Self> {
        let origin = Origin::spawn(Path::new(program), &["origin"])?;
        let list = tempfile::NamedTempFile::new()?;
        let url = format!("{}/fault/slow-once/token/file", origin.url());
        let bytes = Self::BYTES;
        fs::write(&list, format!("{url}?bytes={bytes}\t{}\n", Self::NAME))?;
        let into = tempfile::tempdir()?;
        Ok(Self { origin, list, into })
    }

    /// Downloads it, for a model of this process.
    fn job(&self, limit: usize) -> Result<Job> {
        let mut job = job(Workload::Download, &format!("limit={limit}"))?;
        if let Job::Download(job) = &mut job {
            job.urls = Some(self.list.path().to_owned());
            job.into = Some(self.into.path().to_owned());
        }
        Ok(job)
    }

    /// The command that downloads it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("download").arg(self.list.path());
        command.arg("--into").arg(self.into.path());
        command.args(["--limit", "3"]);
        command
    }

    /// Waits until some of it is on the disk.
    fn has_begun(&self) -> Result<()> {
        until(|| Ok(parts(self.into.path())?.iter().any(|&bytes| bytes > 0)))
    }

    /// It was requested twice: all of it, and then what was missing.
    fn was_resumed(&self) -> Result<()> {
        let asked = origin::fault_log(self.origin.url(), "token")?;
        let [first, second] = &asked[..] else {
            bail!("{asked:?}")
        };
        ensure!(first.range.is_none(), "{first:?}");
        let from = second.range.as_deref().and_then(|range| {
            let range = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            range.parse::<usize>().ok()
        });
        let from = from.with_context(|| format!("no range: {second:?}"))?;
        ensure!(from >= 32 * 1024, "it went on from {from}");
        ensure!(second.if_range.is_some(), "{second:?}");
        let (sent, rest) = (second.body_bytes_sent, (Self::BYTES - from) as u64);
        ensure!(sent == rest, "{sent} bytes came, and {rest} were missing");
        let file = fs::read(self.into.path().join(Self::NAME))?;
        let right = origin::fault_body(1, Self::BYTES);
        ensure!(
            file == right,
            "the file has {} bytes, or wrong ones",
            file.len()
        );
        ensure!(parts(self.into.path())?.is_empty(), "a part is left");
        Ok(())
    }
}

/// The lengths of the files that are not complete.
fn parts(into: &Path) -> Result<Vec<u64>> {
    let Ok(entries) = fs::read_dir(into.join(transfer::STATE)) else {
        return Ok(Vec::new()); // nothing has begun
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().extension().is_some_and(|it| it == "part") {
            // It may just have got its name.
            parts.extend(entry.metadata().map(|metadata| metadata.len()));
        }
    }
    Ok(parts)
}

/// The workers that have a connection.
fn connected() -> Result<Vec<i32>> {
    let connected = |pid: &i32| {
        let fds = procfs::process::Process::new(*pid).and_then(|process| process.fd());
        let tcp = tcp_inodes(*pid);
        fds.into_iter()
            .flatten()
            .flatten()
            .any(|fd| match fd.target {
                procfs::process::FDTarget::Socket(inode) => tcp.contains(&inode),
                _ => false,
            })
    };
    Ok(workers()?.into_iter().filter(connected).collect())
}

fn tcp_inodes(pid: i32) -> BTreeSet<u64> {
    let tcp = procfs::process::Process::new(pid).and_then(|process| process.tcp());
    tcp.into_iter().flatten().map(|entry| entry.inode).collect()
}

#[test]
fn another_child_goes_on_where_one_was_killed() -> Result<()> {
    alone(|program| {
        for limit in [1, 3] {
            let slow = SlowFile::new(program)?;
            let job = slow.job(limit)?;
            let model = start(&job, program)?;
            let outcome = run_during(&model, &job, |_| {
                slow.has_begun()?;
                let worker = *connected()?.first().context("no connection")?;
                signal(worker, Signal::KILL)
            })?;
            job.check(&outcome?)?;
            slow.was_resumed()
                .with_context(|| format!("{limit} at once"))?;
        }
        Ok(())
    })
}

#[test]
fn the_next_run_goes_on_where_a_parent_was_killed() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let mut parent = slow.command(program).stderr(Stdio::null()).spawn()?;
        slow.has_begun()?;
        let orphans = workers_of(parent.id())?;
        ensure!(!orphans.is_empty(), "it has no children");
        parent.kill()?;
        parent.wait()?;
        until(|| Ok(orphans.iter().all(gone)))?;
        let left = fs::read_dir(slow.into.path())?.count();
        ensure!(left == 1, "{left} entries, and not just the bookkeeping");

        let output = slow.command(program).output()?;
        ensure!(output.status.success(), "{output:?}");
        slow.was_resumed()
    })
}

/// Whether this process ignores a signal.
fn is_ignored(signal: Signal) -> Result<bool> {
    let ignored = procfs::process::Process::myself()?.status()?.sigign;
    Ok(ignored >> (signal.as_raw() - 1) & 1 == 1)
}

#[test]
fn a_terminal_interrupts_the_parent_alone() -> Result<()> {
    alone(|program| {
        for interrupt in [Signal::INT, Signal::TERM, Signal::HUP] {
            if is_ignored(interrupt)? {
                eprintln!("SKIPPED: {interrupt:?} is ignored here, and so by what is started");
                continue;
            }
            let slow = SlowFile::new(program)?;
            let mut command = slow.command(program);
            command.process_group(0).stderr(Stdio::piped());
            let parent = command.spawn()?;
            slow.has_begun()?;
            let children = workers_of(parent.id())?;
            let group = Pid::from_child(&parent);
            kill_process_group(group, interrupt)?;
            let output = parent.wait_with_output()?;
            ensure!(output.status.code() == Some(130), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(!said.contains("died"), "{said}");
            ensure!(children.iter().all(gone), "a child is left");

            let output = slow.command(program).output()?;
            ensure!(output.status.success(), "{output:?}");
            slow.was_resumed()?;
        }
        Ok(())
    })
}

#[test]
fn a_stop_ends_the_wait_for_the_list() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let mut parent = Command::new(program)
            .args(["download", "-", "--limit", "3", "--into"])
            .arg(slow.into.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = parent.stdin.take().context("its input")?;
        io::copy(&mut File::open(slow.list.path())?, &mut stdin)?;
        slow.has_begun()?;
        let children = workers_of(parent.id())?;
        kill_process(Pid::from_child(&parent), Signal::INT)?;
        // Without the stop it would wait: its input is open.
        let status = parent.wait()?;
        ensure!(status.code() == Some(130), "{status}");
        until(|| Ok(children.iter().all(gone)))?;
        drop(stdin);
        Ok(())
    })
}

#[test]
fn a_file_that_keeps_killing_its_children_fails_alone() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let url = slow.origin.url();
        let others = (0..5).map(|n| format!("{url}/fault/right/{n}/other\n"));
        let list = format!(
            "{url}/fault/stall-body/token/file\n{}",
            others.collect::<String>()
        );
        fs::write(&slow.list, list)?;
        let job = slow.job(3)?;
        let model = start(&job, program)?;
        let outcome = run_during(&model, &job, |is_over| {
            until(|| Ok(fs::read_dir(slow.into.path())?.count() == 6))?;
            let mut deaths = 0;
            until(|| {
                let requests = origin::fault_log(url, "token")?.len();
                if requests > deaths {
                    for worker in connected()? {
                        signal(worker, Signal::KILL)?;
                    }
                    deaths = requests;
                }
                Ok(is_over())
            })
        })?;
        let error = failure(outcome)?;
        let says = "given up after 6 children died of it, the last by signal: 9";
        ensure!(
            error.contains("1 of 6 files") && error.contains(says),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn a_rate_is_that_of_all_children() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let url = slow.origin.url();
        let files = (0..5).map(|n| format!("{url}/fault/right/{n}/{n}?bytes=40000\n"));
        fs::write(&slow.list, files.collect::<String>())?;
        let mut command = slow.command(program);
        let started = Instant::now();
        let output = command.args(["--rate", "200000"]).output()?;
        let took = started.elapsed();
        ensure!(output.status.success(), "{output:?}");
        // At a rate of each child's own it would take half of that.
        ensure!(took > Duration::from_millis(800), "it took {took:?}");
        Ok(())
    })
}

#[test]
fn a_url_that_is_too_long_for_a_message_fails_alone() -> Result<()> {
    alone(|program| {
        let slow = SlowFile::new(program)?;
        let url = slow.origin.url();
        // Each of these becomes nine bytes.
        let long = "\u{2603}".repeat(10_000);
        let list = format!("{url}/{long}\tlong\n{url}/fault/right/token/file?bytes=1000\tgood\n");
        fs::write(&slow.list, list)?;
        let output = slow.command(program).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{said}");
        ensure!(said.contains("too long"), "{said}");
        ensure!(fs::metadata(slow.into.path().join("good"))?.len() == 1000);
        Ok(())
    })
}
