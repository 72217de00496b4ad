//! `cargo xtask measure`: the figures of one program, by the means of `compare`.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use compare::resources;
use lab::cpu_quota::CpuQuota;
use lab::interrupt::Interrupt;
use lab::process::Limits;
use lab::program::Repetitions;
use lab::progress::{self, print};
use lab::{host, machine, process, program};
use report::terminal;
use results::Resources;
use serde::Serialize;

use crate::conditions;

/// Measures one program: its time while it is not observed, its memory in another run.
///
/// It has no standard input unless --input gives it one. Its output goes through pipes, as
/// some programs do less without a reader, and is dropped; its standard error is shown if it
/// fails.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often it is run for its times, and as often again for its memory
    #[arg(
        long,
        alias = "rounds",
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    runs: u32,
    /// Runs it until this time is over, and at least once for each of both
    #[arg(
        long,
        value_name = "SECONDS",
        conflicts_with = "runs",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    time: Option<u32>,
    /// Samples its memory when it prints its first line, and only then ends its
    /// standard input: so a program can say when it uses the most
    #[arg(long, conflicts_with = "input")]
    hold: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    conditions: conditions::Options,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What `--json` prints: the figures have the names that they have in a cell of
/// `comparison.json`.
#[derive(Debug, Serialize)]
struct Measured {
    command: Vec<String>,
    #[serde(flatten)]
    resources: Resources,
    /// Processes that it started and did not wait for, at most in one run. They
    /// were ended, if they could be, and their processor time is not in the figures.
    left_behind: usize,
    /// How many cores' time a CPU quota gave it, if there was one.
    quota: Option<f64>,
    /// In how many of the quota's periods something was busy meanwhile.
    periods: Option<u64>,
    /// In how many of these the quota stopped it.
    throttled_periods: Option<u64>,
}

/// Measures.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    process::adopt_orphans()?;
    let limits = Limits {
        timeout: Duration::MAX,
        interrupt: Interrupt::install().context("cannot take signals")?,
    };
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let command: Vec<String> = options.command.iter().map(text).collect();
    let quota = CpuQuota::find();
    for note in machine::notes(&host::host(), quota.as_ref()) {
        progress::log_line(&note);
    }
    let periods = || quota.as_ref().and_then(CpuQuota::periods);
    let before = periods();
    let runs = program::run(
        &options.command,
        &options.conditions.conditions()?,
        Repetitions {
            least: options.runs,
            time: Duration::from_secs(options.time.unwrap_or_default().into()),
        },
        options.hold,
        &limits,
    )?;
    let reached = before.zip(periods());
    let reached = reached.map(|(before, after)| after.since(before));
    if let Some(reached) = reached {
        progress::log_line(&reached.words());
    }
    let measured = Measured {
        command,
        resources: resources(&runs.unobserved, &[runs.peaks]),
        left_behind: runs.left_behind,
        quota: quota.as_ref().map(|quota| quota.cores),
        periods: reached.map(|reached| reached.all),
        throttled_periods: reached.map(|reached| reached.throttled),
    };
    print(&if options.json {
        serde_json::to_string(&measured)?
    } else {
        let command = measured.command.join(" ");
        terminal::resources(&command, &measured.resources, measured.left_behind)
    });
    Ok(())
}
