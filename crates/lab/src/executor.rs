//! What can be run and measured, and what every run shares.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use results::Python;
use runner::scratch::Scratch;
use tempfile::TempDir;

use crate::case::Case;
use crate::child::Finished;
use crate::cpu_quota::CpuQuota;
use crate::error::CellError;
use crate::interrupt::Interrupt;
use crate::process::{self, Limits, Observer, Streams};
use crate::run::{Peaks, Run};

/// Something that does jobs and can be measured: a model's programs, or a custom
/// command.
pub trait Executor: Debug {
    /// Does one job in a fresh process, which is not observed meanwhile. If
    /// `checked`, its answer has to be right; the check can cost more than the job,
    /// and would be counted as part of it.
    fn run(
        &self,
        context: &RunContext,
        case: &Case,
        checked: bool,
        timeout: Duration,
    ) -> Result<Run, CellError>;

    /// Does one job in a fresh process that is observed: nothing of it is timed.
    fn observe(
        &self,
        context: &RunContext,
        case: &Case,
        timeout: Duration,
    ) -> Result<Peaks, CellError>;

    /// Runs one bench process of `model`: samples, in nanoseconds an iteration.
    fn bench(
        &self,
        context: &RunContext,
        model: &str,
        case: &Case,
        times: BenchTimes,
        timeout: Duration,
    ) -> Result<Vec<f64>, CellError>;

    /// The command line, of a custom command.
    fn command(&self) -> Option<&str> {
        None
    }

    /// The interpreter and the model, of a contestant in Python.
    fn python(&self) -> Option<&Python> {
        None
    }

    /// Whether it tells what its jobs alone have taken, and has a bench, as far as is known. The
    /// times of a custom command that does not are those of whole processes.
    fn answers(&self) -> bool {
        true
    }

    /// Does what has to be done after the last run.
    ///
    /// # Errors
    ///
    /// When that fails.
    fn clean_up(&self, _context: &RunContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// How long a bench process takes.
#[derive(Debug, Clone, Copy)]
pub struct BenchTimes {
    /// To warm up, or one job.
    pub warm_up: Duration,
    /// For its ten samples, or more if ten jobs take more.
    pub sampling: Duration,
}

/// Samples of one bench: Criterion's minimum.
pub const SAMPLES: u32 = 10;

/// Samples of one bench of a contestant that answers, whose job takes this long: fewer than ten
/// where these would take more than a second, as one that is slow would leave the models no time.
pub fn samples_of_answers(job: Duration) -> u32 {
    const LONGEST: Duration = Duration::from_secs(1);
    let fit = LONGEST.div_duration_f64(job.max(Duration::from_nanos(1)));
    (fit as u32).clamp(2, SAMPLES)
}

/// What every run shares.
#[derive(Debug)]
pub struct RunContext {
    /// Where an origin listens, if any case needs it: one for each number of
    /// cores that the contestants are kept to.
    pub origins: BTreeMap<Option<usize>, String>,
    /// Where the files are that some jobs read: made once, as the making of them
    /// would be measured with each run.
    pub inputs: PathBuf,
    /// Worker threads of each model, unless it is kept to some cores.
    pub threads: usize,
    /// Blocking calls at once of each model.
    pub blocking_threads: usize,
    /// Variables that are set for models' programs, in addition to those that are set here.
    pub environment: Vec<(&'static str, String)>,
    /// Every run gets a directory in here, and leaves nothing anywhere else,
    /// even if it is killed.
    pub temporary: Scratch,
    /// The quota of CPU time that holds, if any does.
    pub quota: Option<CpuQuota>,
    /// Ends it all.
    pub interrupt: Interrupt,
}

impl RunContext {
    /// Where the origin of a case listens, if there is one.
    pub fn origin(&self, case: &Case) -> Option<&str> {
        self.origins.get(&case.cores).map(String::as_str)
    }

    /// One a core, for models that are kept to some.
    pub(crate) fn threads(&self, case: &Case) -> usize {
        case.cores.unwrap_or(self.threads)
    }

    /// An empty directory for one run.
    pub(crate) fn directory(&self) -> Result<TempDir, CellError> {
        let directory = tempfile::tempdir_in(self.temporary.path())
            .context("cannot make a temporary directory")?;
        Ok(directory)
    }

    /// The limits of a run that may take this long.
    pub(crate) fn limits(&self, timeout: Duration) -> Limits {
        Limits {
            timeout,
            interrupt: self.interrupt.clone(),
        }
    }

    /// One program, to its end.
    pub(crate) fn child(
        &self,
        case: &Case,
        streams: Streams,
        command: &mut Command,
        timeout: Duration,
        observer: Option<Observer>,
    ) -> Result<Finished, CellError> {
        let limits = self.limits(timeout);
        let done = process::run_on(case.share(), streams, command, &limits, observer);
        if self.interrupt.came() {
            // It may have come to all processes: what fails from now on says nothing
            // about a model.
            return Err(CellError::Interrupted);
        }
        Ok(done?)
    }
}
