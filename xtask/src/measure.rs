//! `cargo xtask measure`: the figures of one program, by the means of `compare`.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use compare::resources;
use lab::child::Finished;
use lab::containment::{SAMPLE_EVERY, TreeSampler, contained};
use lab::interrupt::Interrupt;
use lab::process::{self, Limits, Observer};
use lab::progress::print;
use lab::run::{Peaks, Run};
use report::format::{NONE, count, memory, time};
use results::Resources;
use serde::Serialize;
use serde_json::Value;

/// Measures one program: its time while it is not observed, its memory in another run.
///
/// It has no standard input. Its output goes through pipes, as some programs do less
/// without a reader, and is dropped; its standard error is shown if it fails.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often it is run for its times, and as often again for its memory
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Samples its memory when it prints its first line, and only then ends its
    /// standard input: so a program can say when it uses the most
    #[arg(long)]
    hold: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
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
    /// were ended, and their processor time is not in the figures.
    left_behind: usize,
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
    let (runs, peaks, left_behind) = options.run_all(&limits)?;
    let measured = Measured {
        command,
        resources: resources(&runs, &[peaks]),
        left_behind,
    };
    print(&if options.json {
        serde_json::to_string(&measured)?
    } else {
        table(&measured)
    });
    Ok(())
}

impl Options {
    fn run_all(&self, limits: &Limits) -> anyhow::Result<(Vec<Run>, Peaks, usize)> {
        let (mut runs, mut peaks, mut left_behind) = (Vec::new(), Peaks::default(), 0);
        for _ in 0..self.runs {
            let done = contained(|| process::run(&mut self.command(), limits, None))?;
            left_behind = left_behind.max(check(&done, &self.command[0])?);
            runs.push(Run::whole(&done, Value::Null));
        }
        for _ in 0..self.runs {
            let mut sampler = TreeSampler::new();
            let observer = Observer {
                every: SAMPLE_EVERY,
                hold: self.hold,
                observe: &mut |pid, moment| sampler.sample(pid, moment),
            };
            let done = contained(|| process::run(&mut self.command(), limits, Some(observer)))?;
            left_behind = left_behind.max(check(&done, &self.command[0])?);
            peaks.join(&sampler.peaks);
        }
        Ok((runs, peaks, left_behind))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        command
    }
}

/// How many processes it has left behind, if it did not fail.
fn check(done: &Finished, program: &OsString) -> anyhow::Result<usize> {
    if done.status.success() {
        return Ok(done.left_behind);
    }
    let (program, status) = (program.display(), done.status);
    match done.stderr.trim_end() {
        "" => bail!("{program}: {status}, without a word"),
        said => bail!("{program}: {status}\n{said}"),
    }
}

fn table(measured: &Measured) -> String {
    let figures = &measured.resources;
    let or_none = |figure: Option<String>| figure.unwrap_or_else(|| NONE.to_owned());
    let duration = |ns: Option<u64>| or_none(ns.map(|ns| time(ns as f64)));
    let number = |figure: Option<u64>| or_none(figure.map(count));
    let method = match (figures.peak_memory_bytes, &figures.memory_method) {
        (None, Some(why)) => format!(": {why}"),
        _ => " (sum of PSS)".to_owned(),
    };
    let runs = match figures.runs {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    let mut lines = vec![
        measured.command.join(" "),
        format!("  wall       {}", duration(figures.wall_ns)),
        format!(
            "  CPU        {}: {} user, {} system",
            duration(
                figures
                    .user_ns
                    .zip(figures.system_ns)
                    .map(|(user, system)| user + system)
            ),
            duration(figures.user_ns),
            duration(figures.system_ns)
        ),
        format!(
            "  switches   {} voluntary, {} involuntary",
            number(figures.voluntary_switches),
            number(figures.involuntary_switches)
        ),
        format!(
            "  memory     {}{method}",
            or_none(figures.peak_memory_bytes.map(memory))
        ),
        format!(
            "  high water {}, resident in its first process (VmHWM at the last sample)",
            or_none(figures.own_peak_memory_bytes.map(memory))
        ),
        format!("  threads    {}", number(figures.threads)),
        format!("  processes  {}", number(figures.processes)),
        format!("  from {runs} that are not observed, and as many that are"),
    ];
    if measured.left_behind > 0 {
        lines.push(format!(
            "  It left {} of its processes behind: they were ended, and are not in its CPU time.",
            measured.left_behind
        ));
    }
    lines.join("\n")
}
