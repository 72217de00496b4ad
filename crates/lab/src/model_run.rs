//! Runs a model's programs once and makes a figure, or a reason, of it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use results::Status;
use runner::bench_spec::{BenchCell, BenchSpec};
use runner::clock::monotonic_ns;
use runner::{Report, UNSUPPORTED, inputs, tree};

use crate::build::Programs;
use crate::case::Case;
use crate::child::Finished;
use crate::criterion_files;
use crate::error::{CellError, last_words};
use crate::executor::{BenchTimes, Executor, RunContext};
use crate::kernel_memory::KernelMemory;
use crate::process::{Moment, Observer, Streams};
use crate::run::{Peaks, Run};

/// Memory is sampled this seldom, as it costs the kernel a walk over all pages: the
/// sample that counts is the one when the job is done.
const MEMORY_EVERY: Duration = Duration::from_millis(25);

/// Threads and processes are counted this often: some live for a moment only.
const COUNT_EVERY: Duration = Duration::from_millis(4);

impl Executor for Programs {
    fn run(
        &self,
        context: &RunContext,
        case: &Case,
        checked: bool,
        timeout: Duration,
    ) -> Result<Run, CellError> {
        let directory = context.directory()?;
        let mut command = runner_command(self, context, case, directory.path());
        if !checked {
            command.arg("--unchecked");
        }
        command.args(["--spawned-at", &monotonic_ns().to_string()]);
        let done = context.child(case, Streams::default(), &mut command, timeout, None)?;
        let report = report(&done)?;
        Run::reported(&done, report).map_err(malformed)
    }

    fn observe(
        &self,
        context: &RunContext,
        case: &Case,
        timeout: Duration,
    ) -> Result<Peaks, CellError> {
        let directory = context.directory()?;
        let mut command = runner_command(self, context, case, directory.path());
        command.args(["--hold", "--unchecked"]);
        let kernel = KernelMemory::before_start();
        let mut peaks = Peaks::default();
        let mut memory_at = Instant::now();
        let mut observe = |pid, moment| {
            let mut pids = tree::descendants(pid, &[]);
            pids.push(pid);
            peaks.count(&pids, kernel);
            if moment == Moment::Line || memory_at.elapsed() >= MEMORY_EVERY {
                memory_at = Instant::now();
                peaks.sample_memory(&pids);
            }
        };
        let observer = Observer {
            every: COUNT_EVERY,
            hold: true,
            observe: &mut observe,
        };
        let done = context.child(
            case,
            Streams::default(),
            &mut command,
            timeout,
            Some(observer),
        )?;
        let report = report(&done)?;
        // Its threads may have come and gone between two samples.
        peaks.threads = peaks.threads.max(report.threads);
        peaks.own_memory = report.peak_memory_bytes;
        Ok(peaks)
    }

    fn bench(
        &self,
        context: &RunContext,
        model: &str,
        case: &Case,
        times: BenchTimes,
        timeout: Duration,
    ) -> Result<Vec<f64>, CellError> {
        let directory = context.directory()?;
        let home = directory.path().join("criterion");
        let spec = BenchSpec {
            cells: vec![BenchCell {
                label: case.label(),
                job: case.job(),
            }],
            origin: context.origin(case).map(str::to_owned),
            inputs: Some(context.inputs.clone()),
            threads: context.threads(case),
            blocking_threads: context.blocking_threads,
        };
        let mut command = Command::new(&self.bench);
        command
            .envs(context.environment.iter().cloned())
            .env("CRITERION_HOME", &home)
            .env("TMPDIR", directory.path())
            .args(["--bench", "--noplot", "--nresamples", "1001"])
            .args(["--sample-size", "10"])
            .arg("--warm-up-time")
            .arg(times.warm_up.as_secs_f64().to_string())
            .arg("--measurement-time")
            .arg(times.sampling.as_secs_f64().to_string());
        spec.set_on(&mut command)
            .map_err(|error| CellError::failed(format!("bench: {error:#}")))?;
        let done = context.child(case, Streams::default(), &mut command, timeout, None)?;
        check_exit(&done)?;
        let workload = case.workload.name();
        let data = criterion_files::directory(&home, workload, model, &case.label());
        if !data.exists() {
            return Err(CellError::failed(
                "its bench ended well, and measured nothing",
            ));
        }
        criterion_files::read(&data).map_err(|error| CellError::failed(format!("bench: {error:#}")))
    }
}

fn runner_command(
    programs: &Programs,
    context: &RunContext,
    case: &Case,
    temporary: &Path,
) -> Command {
    let mut command = Command::new(&programs.runner);
    command
        .envs(context.environment.iter().cloned())
        .env("TMPDIR", temporary)
        .args(["run", case.workload.name(), "--json"])
        .args(["--preset", case.preset.name()])
        .args(["--threads", &context.threads(case).to_string()])
        .args(["--blocking-threads", &context.blocking_threads.to_string()]);
    if case.workload.needs_origin()
        && let Some(origin) = context.origin(case)
    {
        command.args(["--origin", origin]);
    }
    if inputs::to_make(&case.full) > 0 {
        command.arg("--inputs").arg(&context.inputs);
    }
    for setting in case.settings() {
        command.args(["--set", &setting]);
    }
    command
}

/// What a model's program printed, if it succeeded.
fn report(done: &Finished) -> Result<Report, CellError> {
    check_exit(done)?;
    serde_json::from_str(done.stdout.trim()).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> CellError {
    CellError::failed(format!("its line is not as agreed: {error}"))
}

/// Exit codes as the models' programs have them.
fn check_exit(done: &Finished) -> Result<(), CellError> {
    match done.status.code() {
        Some(0) => done.check_left_behind(),
        Some(code) if code == i32::from(UNSUPPORTED) => Err(CellError::Cell(
            Status::Unsupported,
            last_words(&done.stderr),
        )),
        _ if done.stderr.contains("wrong answer:") => Err(CellError::Cell(
            Status::WrongAnswer,
            last_words(&done.stderr),
        )),
        _ => Err(done.failure()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::rusage::Usage;

    fn finished(code: i32, stderr: &str) -> Finished {
        Finished {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: String::new(),
            stderr: stderr.to_owned(),
            wall: Duration::ZERO,
            ended: Instant::now(),
            usage: Usage::default(),
            left_behind: 0,
            lives: false,
        }
    }

    fn status(done: &Finished) -> (Status, String) {
        match check_exit(done) {
            Err(CellError::Cell(status, reason)) => (status, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn exit_codes_become_statuses_and_reasons() {
        assert!(check_exit(&finished(0, "a warning")).is_ok());
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
}
