//! The crash test: downloads that are killed again and again, and lose nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::Context;
use lab::child::Process;
use lab::error::Interrupted;
use lab::interrupt::Interrupt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use origin::{File, Run, Shape};
use runner::tree;

use crate::matrix::Model;
use crate::run::GRACE;
use crate::sandbox::{partial_files, sha256};

/// What is downloaded: 25 MB, which take ten seconds.
const SHAPE: Shape = Shape {
    images: 200,
    image_bytes: 0,
    delay_ms: 0,
    mbit_per_s: 20,
};
/// At once; but `serial` does one thing at a time.
const LIMIT: u64 = 20;
/// What a kill may cost for each file in flight.
const ALLOWANCE: u64 = 64 * 1024;
/// The time to the next kill, in milliseconds.
const PAUSE: std::ops::Range<u64> = 150..1000;
/// How long a download may take that is not killed any more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How one model's downloads survived.
#[derive(Debug)]
pub struct Report {
    /// The model.
    pub model: String,
    /// How often it, or a child of it, was killed.
    pub kills: u64,
    /// Those of them that took a child alone.
    pub children: u64,
    /// How many whole downloads there were.
    pub downloads: u64,
    /// Bytes of their files.
    pub payload: u64,
    /// Bytes that the origin has sent.
    pub sent: u64,
    /// Bytes that the kills may have cost.
    pub allowance: u64,
    /// How long it took.
    pub took: Duration,
    /// What went wrong.
    pub wrong: Vec<String>,
}

impl fmt::Display for Report {
    /// In a line; and what is wrong.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        write!(
            formatter,
            "{:9} {}  {} kills ({} of a child alone), {} downloads of {:.1} MiB, {:.2} MiB more sent \
         ({:.1} allowed), {:.0} s",
            self.model,
            if self.wrong.is_empty() {
                "pass"
            } else {
                "FAIL"
            },
            self.kills,
            self.children,
            self.downloads,
            mib(self.payload / self.downloads.max(1)),
            mib(self.sent) - mib(self.payload),
            mib(self.allowance),
            self.took.as_secs_f64()
        )?;
        for wrong in &self.wrong {
            write!(formatter, "\n    {wrong}")?;
        }
        Ok(())
    }
}

/// Kills each model `kills` times, all models at once: each has a link of its own.
pub fn run(
    models: &[Model],
    kills: u64,
    seed: u64,
    origin: &str,
    parent: &Path,
    interrupt: &Interrupt,
) -> Vec<Report> {
    let one = |number: usize, model: &Model| {
        let began = Instant::now();
        let mut report = Report {
            model: model.name.clone(),
            kills: 0,
            children: 0,
            downloads: 0,
            payload: 0,
            sent: 0,
            allowance: 0,
            took: Duration::ZERO,
            wrong: Vec::new(),
        };
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
        while report.wrong.is_empty() && (report.kills < kills || report.downloads == 0) {
            let directory = parent.join(format!("{}-{}", model.name, report.downloads));
            let done = download(
                model,
                kills,
                &mut random,
                origin,
                &directory,
                interrupt,
                &mut report,
            );
            if let Err(error) = done {
                report.wrong.push(format!("{error:#}"));
            }
        }
        report.took = began.elapsed();
        report
    };
    thread::scope(|scope| {
        let one = &one;
        let all: Vec<_> = models
            .iter()
            .enumerate()
            .map(|(number, model)| scope.spawn(move || one(number, model)))
            .collect();
        all.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}

/// One download, killed until it is complete or has been killed often enough; then it
/// may end.
fn download(
    model: &Model,
    kills: u64,
    random: &mut fastrand::Rng,
    origin: &str,
    directory: &Path,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let run = Run::open(origin, &SHAPE)?;
    let files = run.files()?;
    fs::create_dir_all(directory)?;
    let list = directory.join("list");
    let urls: String = files.iter().map(|file| format!("{}\n", file.url)).collect();
    fs::write(&list, urls)?;
    let into = directory.join("files");
    let path = model.program.as_ref().context("it does not build")?;
    let start = || {
        let mut command = Command::new(path);
        command.arg("download").arg(&list).arg("--into").arg(&into);
        command.args(["--quiet", "--limit", &LIMIT.to_string()]);
        Process::start(&mut command, Stdio::null())
    };
    let mut killed = Vec::new();
    let mut process = start()?;
    let pause = |report: &Report, random: &mut fastrand::Rng| {
        if report.kills < kills {
            Duration::from_millis(random.u64(PAUSE))
        } else {
            TIMEOUT
        }
    };
    while !process.wait(pause(report, random)) {
        if interrupt.came() {
            return Err(Interrupted.into());
        }
        anyhow::ensure!(report.kills < kills, "it does not come to its end");
        report.kills += 1;
        let children = tree::descendants(process.pid(), &[]);
        if !children.is_empty() && random.bool() {
            let child = children[random.usize(..children.len())];
            let _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL);
            report.children += 1;
            report.allowance += ALLOWANCE;
            continue;
        }
        let left = SHAPE.images.saturating_sub(named(&into) as u64);
        let in_flight = left.min(if model.serial { 1 } else { LIMIT });
        report.allowance += ALLOWANCE * in_flight;
        process.kill(Signal::SIGKILL);
        anyhow::ensure!(process.wait(TIMEOUT), "SIGKILL does not end it");
        killed.push(std::mem::replace(&mut process, start()?));
    }
    let last = process.end(GRACE)?;
    report.downloads += 1;
    report.sent += run.stats()?.bytes_sent;
    let payload: u64 = files.iter().map(|file| file.bytes).sum();
    report.payload += payload;
    let wrong = &mut report.wrong;
    if last.exit_code() != 0 {
        let stderr = last.stderr.trim_end();
        wrong.push(format!("exit {}: {stderr}", last.exit_code()));
    }
    for killed in killed {
        let left = killed.end(GRACE)?.left_behind;
        if left > 0 {
            wrong.push(format!("{left} processes outlived the one that was killed"));
        }
    }
    if last.left_behind > 0 {
        let left = last.left_behind;
        wrong.push(format!("{left} processes were left at the end"));
    }
    wrong.extend(differences(&into, &files)?);
    if report.sent > report.payload + report.allowance {
        wrong.push(format!(
            "the origin has sent {} bytes more than the files have, and {} are allowed",
            report.sent - report.payload,
            report.allowance
        ));
    }
    Ok(())
}

/// How many files have their names.
fn named(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_file()).count()
}

/// What is not as it should be in the directory.
fn differences(directory: &Path, files: &[File]) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in files {
        match fs::read(directory.join(&file.name)) {
            Ok(bytes) if sha256(&bytes) == file.sha256 => {}
            Ok(bytes) => wrong.push(format!(
                "{} has other bytes: {} of {}",
                file.name,
                bytes.len(),
                file.bytes
            )),
            Err(error) => wrong.push(format!("{}: {error}", file.name)),
        }
    }
    let there = named(directory);
    if there != files.len() {
        wrong.push(format!("{there} files are there, and not {}", files.len()));
    }
    let parts = partial_files(directory).len();
    if parts > 0 {
        wrong.push(format!("{parts} partial files are left"));
    }
    Ok(wrong)
}
