//! The scale test: a list of a million URLs takes no more memory than one of some
//! thousand.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::child::Finished;
use lab::interrupt::Interrupt;
use lab::process::{self, Limits, Observer};
use lab::progress::Progress;
use origin::Origin;
use runner::tree;

use crate::matrix::Model;

/// How often a program's memory is sampled. The peak is the kernel's own, so only what
/// it takes at the very end can be missed.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
/// A list that is long enough for all that a program keeps for any list.
pub const SHORTEST: u64 = 10_000;
/// How long one run may take.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// What a list of some length took.
#[derive(Debug)]
pub struct Figures {
    /// URLs in the list.
    pub urls: u64,
    /// How long it took to download them.
    pub took: Duration,
    /// The most memory that the program had, in bytes (`VmHWM`).
    pub peak: u64,
    /// How long it took to see that all of them are there.
    pub resumed: Duration,
    /// The most memory then.
    pub resumed_peak: u64,
}

/// Downloads two lists of tiny files, one a hundred times as long as the other
/// (or as near to that as [`SHORTEST`] allows); and again, without a server.
pub fn run(
    model: &Model,
    urls: u64,
    origin: &Path,
    parent: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) -> anyhow::Result<[Figures; 2]> {
    let one = |urls: u64| {
        let directory = parent.join(format!("{}-{urls}", model.name));
        fs::create_dir_all(&directory)?;
        let (list, into) = (directory.join("list"), directory.join("files"));
        let server = Origin::spawn(origin, &[])?;
        write_list(&list, server.url(), urls)?;
        let path = model.program.as_ref().context("it does not build")?;
        let run = |what: &str| {
            progress.stage(&format!("{what} {urls} URLs in {}", model.name));
            let mut command = Command::new(path);
            command.arg("download").arg(&list).arg("--into").arg(&into);
            command.args(["--quiet", "--limit", "100"]);
            run_sampled(&mut command, interrupt)
        };
        let (first, peak) = run("downloading")?;
        let there = fs::read_dir(&into)?.count() as u64;
        ensure!(
            there == urls + 1,
            "{there} names are in the directory, and not {urls} and one"
        );
        drop(server);
        let (second, resumed_peak) = run("resuming")?;
        fs::remove_dir_all(&directory)?;
        Ok(Figures {
            urls,
            took: first.wall,
            peak,
            resumed: second.wall,
            resumed_peak,
        })
    };
    Ok([one((urls / 100).max(SHORTEST).min(urls))?, one(urls)?])
}

fn write_list(path: &Path, origin: &str, urls: u64) -> anyhow::Result<()> {
    let mut list = std::io::BufWriter::new(fs::File::create(path)?);
    for number in 0..urls {
        writeln!(list, "{origin}/tiny/{number:07}.txt")?;
    }
    list.flush()?;
    Ok(())
}

/// Runs a program to its end; returns that, and the most memory it had.
fn run_sampled(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<(Finished, u64)> {
    let limits = Limits {
        timeout: TIMEOUT,
        interrupt: interrupt.clone(),
    };
    let mut peak = None;
    let observer = Observer {
        every: SAMPLE_EVERY,
        hold: false,
        observe: &mut |pid, _| peak = peak.max(tree::peak_resident_bytes(pid)),
    };
    let done = process::run(command, &limits, Some(observer))?;
    let code = done.exit_code();
    ensure!(code == 0, "exit {code}: {}", done.stderr.trim_end());
    Ok((done, peak.unwrap_or_default()))
}
