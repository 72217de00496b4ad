//! A program of any kind, run for its figures.

use std::ffi::OsString;
use std::process::Command;

use anyhow::bail;
use serde_json::Value;

use crate::child::Finished;
use crate::containment::{SAMPLE_EVERY, TreeSampler, contained};
use crate::process::{self, Limits, Observer};
use crate::progress::log_line;
use crate::run::{Peaks, Run};

/// What came of a program's runs.
#[derive(Debug, Default)]
pub struct Runs {
    /// Those that nothing observed, for times.
    pub unobserved: Vec<Run>,
    /// The most that was seen in as many others.
    pub peaks: Peaks,
    /// Processes that it started and did not wait for, at most in one run. They were
    /// ended, and their processor time is not in the figures.
    pub left_behind: usize,
}

/// Runs `command`, a program and its arguments, `times` times for its times and as
/// often again for its memory. With `hold`, that is sampled when it prints its first
/// line, and its input ends only then.
///
/// # Errors
///
/// When it cannot be started, fails, or takes longer than allowed.
pub fn run(command: &[OsString], times: u32, hold: bool, limits: &Limits) -> anyhow::Result<Runs> {
    let mut runs = Runs::default();
    let new = || {
        let mut new = Command::new(&command[0]);
        new.args(&command[1..]);
        new
    };
    let stops = limits.interrupt.stops();
    let again = |_: &mut (), _| log_line("something was stopped meanwhile: it is run again");
    for _ in 0..times {
        let run = |_: &mut ()| contained(|| process::run(&mut new(), limits, None));
        let done = stops.unstopped(&mut (), run, again)?;
        runs.left_behind = runs.left_behind.max(check(&done, &command[0])?);
        runs.unobserved.push(Run::whole(&done, Value::Null));
    }
    for _ in 0..times {
        let mut sampler = TreeSampler::new();
        let observer = Observer {
            every: SAMPLE_EVERY,
            hold,
            observe: &mut |pid, moment| sampler.sample(pid, moment),
        };
        let done = contained(|| process::run(&mut new(), limits, Some(observer)))?;
        runs.left_behind = runs.left_behind.max(check(&done, &command[0])?);
        runs.peaks.join(&sampler.peaks);
    }
    Ok(runs)
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
