//! A list of a million URLs, in the memory of a list of some thousand.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::interrupt::Interrupt;
use lab::progress::Progress;
use origin::Origin;

use crate::matrix::Model;
use crate::process::{End, Program};

/// How often a program's memory is looked at. Its peak is the kernel's own, so
/// only what it takes at the very end can be missed.
const LOOK: Duration = Duration::from_millis(20);
/// A list that is long enough for all that a program keeps for any list.
pub const SHORTEST: u64 = 10_000;
/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

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
/// (or as near to that as [`SHORTEST`] allows); and again, with nobody there to be
/// asked.
///
/// # Errors
///
/// When one of them fails.
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
            watch(&mut command, &directory, interrupt)
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
            took: first.took,
            peak,
            resumed: second.took,
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
fn watch(
    command: &mut Command,
    directory: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<(End, u64)> {
    let stderr = directory.join("stderr");
    let mut program = Program::start(command, &directory.join("stdout"), &stderr, Stdio::null())?;
    let began = std::time::Instant::now();
    let mut peak = 0;
    while !program.wait(LOOK) {
        ensure!(!interrupt.came(), "interrupted");
        ensure!(
            began.elapsed() < PATIENCE,
            "it takes longer than {PATIENCE:?}"
        );
        peak = high_water_mark(program.pid()).unwrap_or(peak);
    }
    let end = program.end()?;
    let complaint = fs::read_to_string(stderr).unwrap_or_default();
    ensure!(end.exit == 0, "exit {}: {}", end.exit, complaint.trim_end());
    Ok((end, peak))
}

/// The most memory that a process had at one time, if it still has any.
fn high_water_mark(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
