//! Runs one program once and makes a figure, or a reason, of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use runner::clock::monotonic_ns;
use runner::scratch::Scratch;
use runner::{inputs, tree};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::{self, Finished, Limits, Moment, Stopped, Usage, Watch};
use crate::contestants::Programs;
use crate::interrupt::Interrupt;
use crate::plan::{Group, Mode};
use crate::results::Status;
use crate::samples;

/// What every run shares.
#[derive(Debug)]
pub struct Lab {
    /// Where an origin listens, if any group needs it: one for each number of
    /// cores that the contestants are kept to.
    pub origins: BTreeMap<Option<usize>, String>,
    /// Where the files are that some jobs read: made once, as the making of them
    /// would be measured with each run.
    pub inputs: PathBuf,
    /// Worker threads of each model, unless it is kept to some cores.
    pub threads: usize,
    /// Blocking calls at once of each model.
    pub blocking_threads: usize,
    /// Every run gets a directory in here, and leaves nothing anywhere else,
    /// even if it is killed.
    pub temporary: Scratch,
    /// Ends it all.
    pub interrupt: Interrupt,
}

/// Someone wants all of this to end.
#[derive(Debug)]
pub struct Interrupted;

/// Why there is no figure.
#[derive(Debug)]
pub enum Trouble {
    /// As [`Interrupted`].
    Interrupted,
    /// The cell says what was wrong; the rest goes on.
    Cell(Status, String),
}

impl Trouble {
    /// A run crashed, hung or could not be started.
    pub fn failed(reason: impl Into<String>) -> Self {
        Trouble::Cell(Status::Failed, reason.into())
    }
}

/// One job in a process of its own, timed from outside.
#[derive(Debug)]
pub struct Run {
    /// From before the process's start to its end.
    pub wall: Duration,
    /// What it and its children used.
    pub usage: Usage,
    /// What it said.
    pub line: Line,
}

impl Run {
    /// That of a program which does not say what its job has taken: then its job
    /// is all that it does.
    pub fn whole(done: &Finished, outcome: Value) -> Self {
        Self {
            wall: done.wall,
            usage: done.usage,
            line: Line {
                elapsed_ns: u64::try_from(done.wall.as_nanos()).unwrap_or(u64::MAX),
                outcome,
                completion_ns: Vec::new(),
                launch_ns: None,
                start_ns: None,
                origin_cpu_ns: None,
                peak_memory_bytes: None,
                threads: None,
            },
        }
    }
}

/// What `model-X run --json` prints, as far as it is used here.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// The job alone.
    pub elapsed_ns: u64,
    /// What it came to, without the completion times.
    pub outcome: Value,
    /// The completion time of each of its items, if they have one.
    #[serde(skip)]
    pub completion_ns: Vec<u64>,
    /// From the process's start to its own first line.
    #[serde(default)]
    pub launch_ns: Option<u64>,
    /// Starting the model.
    #[serde(default)]
    pub start_ns: Option<u64>,
    /// What the origin's processors did for the job.
    #[serde(default)]
    pub origin_cpu_ns: Option<u64>,
    /// The most memory, by the process's own account.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// The most threads, by the process's own account.
    #[serde(default)]
    pub threads: Option<u64>,
}

/// What was seen of a process tree while it did a job.
#[derive(Debug, Default)]
pub struct Sight {
    /// The most memory at once, where the system tells.
    pub memory: Option<u64>,
    /// The most memory, by the process's own account.
    pub own_memory: Option<u64>,
    /// The most threads at once, where the system tells.
    pub threads: Option<u64>,
    /// The most processes at once.
    pub processes: u64,
}

impl Sight {
    /// Counts processes and their threads.
    pub fn count(&mut self, pids: &[u32]) {
        self.processes = self.processes.max(pids.len() as u64);
        self.threads = self.threads.max(tree::threads(pids));
    }

    /// Adds what was seen in another run: the most of either.
    ///
    /// Of a program that does not wait to be looked at, each run shows a part.
    pub fn join(&mut self, other: &Sight) {
        self.memory = self.memory.max(other.memory);
        self.own_memory = self.own_memory.max(other.own_memory);
        self.threads = self.threads.max(other.threads);
        self.processes = self.processes.max(other.processes);
    }

    /// Looks at the memory of processes, all together.
    pub fn weigh(&mut self, pids: &[u32]) {
        self.memory = self.memory.max(tree::pss_bytes(pids));
    }
}

/// Memory is looked at this seldom, as it costs the kernel a walk over all
/// pages: the look that counts is the one when the job is done.
const MEMORY_EVERY: Duration = Duration::from_millis(25);

/// Threads and processes are counted this often: some live for a moment only.
const COUNT_EVERY: Duration = Duration::from_millis(4);

impl Lab {
    /// One job in a fresh process, which nobody looks at meanwhile.
    ///
    /// # Errors
    ///
    /// When it did not end well; if `checked`, with the right answer. The check
    /// can cost more than the job, and would be counted as part of it.
    pub fn run(
        &self,
        programs: &Programs,
        group: &Group,
        checked: bool,
        timeout: Duration,
    ) -> Result<Run, Trouble> {
        let directory = self.directory()?;
        let mut command = self.runner(programs, group, directory.path());
        if !checked {
            command.arg("--unchecked");
        }
        command.args(["--spawned-at", &monotonic_ns().to_string()]);
        let done = self.child(group, &mut command, timeout, None)?;
        Ok(Run {
            wall: done.wall,
            usage: done.usage,
            line: line(&done)?,
        })
    }

    /// One job in a fresh process, looked at: nothing of it is timed.
    ///
    /// # Errors
    ///
    /// As [`Lab::run`].
    pub fn look(
        &self,
        programs: &Programs,
        group: &Group,
        timeout: Duration,
    ) -> Result<Sight, Trouble> {
        let directory = self.directory()?;
        let mut command = self.runner(programs, group, directory.path());
        command.args(["--hold", "--unchecked"]);
        let mut sight = Sight::default();
        let mut memory_at = Instant::now();
        let mut look = |pid, moment| {
            let mut pids = tree::descendants(pid, &[]);
            pids.push(pid);
            sight.count(&pids);
            if moment == Moment::Line || memory_at.elapsed() >= MEMORY_EVERY {
                memory_at = Instant::now();
                sight.weigh(&pids);
            }
        };
        let watch = Watch {
            every: COUNT_EVERY,
            hold: true,
            look: &mut look,
        };
        let done = self.child(group, &mut command, timeout, Some(watch))?;
        let line = line(&done)?;
        // Its threads may have come and gone between two looks.
        sight.threads = sight.threads.max(line.threads);
        sight.own_memory = line.peak_memory_bytes;
        Ok(sight)
    }

    /// One bench process: ten samples, in nanoseconds an iteration.
    ///
    /// # Errors
    ///
    /// When the bench did not come to its end, or left no samples.
    pub fn bench(
        &self,
        programs: &Programs,
        (model, group): (&str, &Group),
        mode: &Mode,
        timeout: Duration,
    ) -> Result<Vec<f64>, Trouble> {
        let directory = self.directory()?;
        let home = directory.path().join("criterion");
        let cell = json!([{
            "workload": group.workload.name(),
            "preset": group.preset.name(),
            "label": group.label(),
            "job": group.job().to_json(),
        }]);
        let mut command = Command::new(&programs.bench);
        command
            .env("CRITERION_HOME", &home)
            .env("TMPDIR", directory.path())
            .env("PACES_CELLS", cell.to_string())
            .env("PACES_INPUTS", &self.inputs)
            .env("PACES_THREADS", self.threads(group).to_string())
            .env("PACES_BLOCKING_THREADS", self.blocking_threads.to_string())
            .args(["--bench", "--noplot", "--nresamples", "1001"])
            .args(["--sample-size", "10"])
            .arg("--warm-up-time")
            .arg(mode.warm_up.as_secs_f64().to_string())
            .arg("--measurement-time")
            .arg(mode.sampling.as_secs_f64().to_string());
        if let Some(origin) = self.origin(group) {
            command.env("PACES_ORIGIN", origin);
        }
        let done = self.child(group, &mut command, timeout, None)?;
        judge(&done)?;
        let group_name = group.workload.name();
        let data = samples::directory(&home, group_name, model, &group.label());
        if !data.exists() {
            return Err(Trouble::failed(
                "its bench ended well, and measured nothing",
            ));
        }
        samples::read(&data).map_err(|error| Trouble::failed(format!("bench: {error:#}")))
    }

    /// Where the origin of a group listens, if there is one.
    pub fn origin(&self, group: &Group) -> Option<&str> {
        self.origins.get(&group.cores).map(String::as_str)
    }

    /// One a core, for models that are kept to some.
    pub(crate) fn threads(&self, group: &Group) -> usize {
        group.cores.unwrap_or(self.threads)
    }

    fn runner(&self, programs: &Programs, group: &Group, temporary: &Path) -> Command {
        let mut command = Command::new(&programs.runner);
        command
            .env("TMPDIR", temporary)
            .args(["run", group.workload.name(), "--json"])
            .args(["--preset", group.preset.name()])
            .args(["--threads", &self.threads(group).to_string()])
            .args(["--blocking-threads", &self.blocking_threads.to_string()]);
        if group.workload.needs_origin()
            && let Some(origin) = self.origin(group)
        {
            command.args(["--origin", origin]);
        }
        if inputs::to_make(&group.full) > 0 {
            command.arg("--inputs").arg(&self.inputs);
        }
        for setting in group.settings() {
            command.args(["--set", &setting]);
        }
        command
    }

    /// An empty directory for one run.
    pub(crate) fn directory(&self) -> Result<TempDir, Trouble> {
        tempfile::tempdir_in(self.temporary.path())
            .context("cannot make a temporary directory")
            .map_err(|error| Trouble::failed(format!("{error:#}")))
    }

    /// One program, to its end.
    pub(crate) fn child(
        &self,
        group: &Group,
        command: &mut Command,
        timeout: Duration,
        watch: Option<Watch>,
    ) -> Result<Finished, Trouble> {
        let limits = Limits {
            timeout,
            interrupt: self.interrupt.clone(),
        };
        let done = child::run_on(group.share(), command, &limits, watch);
        if self.interrupt.came() {
            // A signal to all of a terminal's programs may have hit the origin
            // too: what fails from now on is nobody's fault.
            return Err(Trouble::Interrupted);
        }
        done.map_err(|stopped| match stopped {
            Stopped::Interrupted => Trouble::Interrupted,
            Stopped::Overtime(limit) => Trouble::failed(format!(
                "it was ended when it had not finished after {:.0} s",
                limit.as_secs_f64()
            )),
            Stopped::Failed(error) => Trouble::failed(format!("{error:#}")),
        })
    }
}

/// What a runner said, if all went well.
fn line(done: &Finished) -> Result<Line, Trouble> {
    judge(done)?;
    let parse = || -> serde_json::Result<Line> {
        let mut line: Line = serde_json::from_str(done.stdout.trim())?;
        let outcome = line.outcome.as_object_mut();
        if let Some(times) = outcome.and_then(|outcome| outcome.shift_remove("completion_ns")) {
            line.completion_ns = serde_json::from_value(times)?;
        }
        Ok(line)
    };
    parse().map_err(|error| Trouble::failed(format!("its line is not as agreed: {error}")))
}

/// Exit codes as the models' programs have them.
fn judge(done: &Finished) -> Result<(), Trouble> {
    let said = || last_words(&done.stderr);
    match done.status.code() {
        Some(0) if done.left_behind > 0 => Err(Trouble::failed(format!(
            "it left {} of its processes behind",
            done.left_behind
        ))),
        Some(0) => Ok(()),
        Some(4) => Err(Trouble::Cell(Status::Unsupported, said())),
        _ if done.stderr.contains("wrong answer:") => {
            Err(Trouble::Cell(Status::WrongAnswer, said()))
        }
        _ => Err(Trouble::failed(match said() {
            said if said.is_empty() => format!("{}, without a word", done.status),
            said => format!("{}: {said}", done.status),
        })),
    }
}

/// The last line that says something, made fit for a table.
pub fn last_words(stderr: &str) -> String {
    const LONGEST: usize = 300;
    let mut lines = stderr.lines().map(str::trim);
    // Rust's own advice after a panic is not the reason for it.
    let telling = |line: &&str| !line.is_empty() && !line.starts_with("note: run with");
    let last = lines.rfind(telling).unwrap_or_default();
    let printable = last.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut words: String = printable.take(LONGEST).collect();
    if last.chars().count() > LONGEST {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn finished(code: i32, stderr: &str) -> Finished {
        Finished {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: String::new(),
            stderr: stderr.to_owned(),
            wall: Duration::ZERO,
            usage: Usage::default(),
            left_behind: 0,
        }
    }

    fn status(done: &Finished) -> (Status, String) {
        match judge(done) {
            Err(Trouble::Cell(status, reason)) => (status, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn exit_codes_become_statuses_and_reasons() {
        assert!(judge(&finished(0, "a warning")).is_ok());
        let (code, reason) = status(&finished(4, "not 10,000 processes\n"));
        assert_eq!(code, Status::Unsupported);
        assert_eq!(reason, "not 10,000 processes");
        let wrong = "Error: wrong answer: count is 47, and 39 is right";
        assert_eq!(status(&finished(1, wrong)).0, Status::WrongAnswer);
        let panicked = "thread 'main' panicked at x.rs:1:\nboom\nnote: run with `RUST_BACKTRACE=1`";
        let (code, reason) = status(&finished(101, panicked));
        assert_eq!(code, Status::Failed);
        assert!(reason.ends_with("101: boom"), "{reason}");
        assert!(status(&finished(1, "")).1.contains("without a word"));
        let left = Finished {
            left_behind: 2,
            ..finished(0, "")
        };
        assert!(status(&left).1.contains("2 of its processes"));
    }

    #[test]
    fn last_words_fit_a_table() {
        assert_eq!(last_words("a\n\x1b[31mb\x07\n\n"), " [31mb ");
        assert!(last_words(&"x".repeat(1000)).chars().count() <= 301);
        assert_eq!(last_words(""), "");
    }
}
