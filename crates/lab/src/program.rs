//! A program of any kind, run for its figures.

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::child::Finished;
use crate::conditions::Conditions;
use crate::containment::{SAMPLE_EVERY, TreeSampler, contained};
use crate::process::{self, Limits, Observer, Streams};
use crate::progress::log_line;
use crate::run::{Peaks, Run};
use crate::stops::again;

/// What came of a program's runs.
#[derive(Debug, Default)]
pub struct Runs {
    /// Those that nothing observed, for times.
    pub unobserved: Vec<Run>,
    /// The most that was seen in as many others.
    pub peaks: Peaks,
    /// Processes that it started and did not wait for, at most in one run. They were
    /// ended, if they could be, and their processor time is not in the figures.
    pub left_behind: usize,
}

/// How often a program is run.
#[derive(Debug, Clone, Copy)]
pub struct Repetitions {
    /// So often at least.
    pub least: u32,
    /// And until this time is over. Time in which something was stopped does not count.
    pub time: Duration,
}

/// Runs `command`, a program and its arguments, again and again: each time for its time, and
/// once more for its memory. With `hold`, that is sampled when it prints its first line, and
/// its input ends only then.
///
/// # Errors
///
/// When it cannot be started, fails, or takes longer than allowed; and when what its
/// conditions ask for fails.
pub fn run(
    command: &[OsString],
    conditions: &Conditions,
    repetitions: Repetitions,
    hold: bool,
    limits: &Limits,
) -> anyhow::Result<Runs> {
    let runs = all_runs(command, conditions, repetitions, hold, limits);
    if limits.interrupt.came() {
        return runs;
    }
    let cleaned_up = conditions.clean_up(&limits.interrupt);
    let runs = runs?;
    cleaned_up.map(|()| runs)
}

fn all_runs(
    command: &[OsString],
    conditions: &Conditions,
    repetitions: Repetitions,
    hold: bool,
    limits: &Limits,
) -> anyhow::Result<Runs> {
    let mut runs = Runs::default();
    let streams = Streams {
        input: conditions.input.as_deref(),
        drops_output: true,
    };
    let run = |observer: Option<Observer>| {
        conditions.prepare(&limits.interrupt)?;
        let mut new = Command::new(&command[0]);
        new.args(&command[1..]);
        contained(|| process::run_on(None, streams, &mut new, limits, observer))
    };
    let interrupt = &limits.interrupt;
    let name = command[0].display().to_string();
    let (began, stopped) = (Instant::now(), interrupt.stops().lost());
    let is_over = |runs: &Runs| {
        let lost = interrupt.stops().lost() - stopped;
        let enough = runs.unobserved.len() >= repetitions.least as usize;
        enough && began.elapsed().saturating_sub(lost) >= repetitions.time
    };
    while !is_over(&runs) {
        let done = interrupt.unstopped(|| run(None), |_| log_line(&again(&name)));
        let done = done.with_context(|| name.clone())??;
        runs.left_behind = runs.left_behind.max(check(&done, conditions, &command[0])?);
        runs.unobserved.push(Run::whole(&done, Value::Null));
        let mut sampler = TreeSampler::new();
        let observer = Observer {
            every: SAMPLE_EVERY,
            hold,
            observe: &mut |pid, moment| sampler.sample(pid, moment),
        };
        let done = run(Some(observer))?;
        runs.left_behind = runs.left_behind.max(check(&done, conditions, &command[0])?);
        runs.peaks.join(&sampler.peaks);
    }
    Ok(runs)
}

/// How many processes it has left behind, if it did not fail.
fn check(done: &Finished, conditions: &Conditions, program: &OsString) -> anyhow::Result<usize> {
    if conditions.is_success(done) {
        return Ok(done.left_behind);
    }
    let (program, status) = (program.display(), done.status);
    match done.stderr.trim_end() {
        "" => bail!("{program}: {status}, without a word"),
        said => bail!("{program}: {status}\n{said}"),
    }
}
