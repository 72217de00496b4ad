//! One run of a custom command: what it is given, and whether its results are right.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use origin::Stats;
use results::Status;
use runner::fixture::{Fixture, Prepared};
use runner::inputs;
use runner::verify::holds;
use serde_json::Value;
use suite::{Job, Outcome, WrongAnswer, download, fetch};
use tempfile::TempDir;

use crate::case::Case;
use crate::child::Finished;
use crate::command_template::{CustomCommand, Filling, keys};
use crate::containment::{SAMPLE_EVERY, TreeSampler, contained};
use crate::error::CellError;
use crate::executor::{BenchTimes, Executor, RunContext};
use crate::process::Observer;
use crate::run::{Peaks, Run};

impl Executor for CustomCommand {
    /// Its results are checked after its end, so that costs no time, `checked` or
    /// not.
    fn run(
        &self,
        context: &RunContext,
        case: &Case,
        _checked: bool,
        timeout: Duration,
    ) -> Result<Run, CellError> {
        let run = CommandRun::new(self, context, case)?;
        self.conditions.prepare(&context.interrupt)?;
        let mut command = run.command(self);
        let done = contained(|| context.child(case, self.streams(), &mut command, timeout, None))?;
        let (outcome, origin) = run.end(self, &done)?;
        Ok(Run {
            origin_cpu_ns: origin.map(|stats| stats.run_cpu_ns),
            ..Run::whole(&done, outcome)
        })
    }

    fn observe(
        &self,
        context: &RunContext,
        case: &Case,
        timeout: Duration,
    ) -> Result<Peaks, CellError> {
        let run = CommandRun::new(self, context, case)?;
        self.conditions.prepare(&context.interrupt)?;
        let mut command = run.command(self);
        let mut sampler = TreeSampler::new();
        let observer = Observer {
            every: SAMPLE_EVERY,
            hold: false,
            observe: &mut |pid, moment| sampler.sample(pid, moment),
        };
        let done = contained(|| {
            context.child(case, self.streams(), &mut command, timeout, Some(observer))
        })?;
        run.end(self, &done)?;
        Ok(sampler.peaks)
    }

    /// It has none: the times of its runs are its samples.
    fn bench(
        &self,
        _context: &RunContext,
        _model: &str,
        _case: &Case,
        _times: BenchTimes,
        _timeout: Duration,
    ) -> Result<Vec<f64>, CellError> {
        Ok(Vec::new())
    }

    fn command(&self) -> Option<&str> {
        Some(&self.command)
    }

    fn clean_up(&self, context: &RunContext) -> anyhow::Result<()> {
        self.conditions.clean_up(&context.interrupt)
    }
}

/// One run of a custom command, prepared.
struct CommandRun {
    directory: TempDir,
    filling: Filling,
    /// The job at the origin, if it asks one.
    prepared: Option<Prepared>,
}

impl CommandRun {
    fn new(custom: &CustomCommand, context: &RunContext, case: &Case) -> Result<Self, CellError> {
        let run = Self::prepare(
            context.directory()?,
            case.job(),
            context.origin(case),
            context.threads(case),
            &context.inputs,
        );
        run.map_err(|error| CellError::failed(format!("{}: {error:#}", custom.name)))
    }

    fn prepare(
        directory: TempDir,
        mut job: Job,
        origin: Option<&str>,
        threads: usize,
        inputs: &Path,
    ) -> anyhow::Result<Self> {
        let into = directory.path().join("into");
        fs::create_dir(&into).with_context(|| into.display().to_string())?;
        let mut filling = Filling {
            urls: Vec::new(),
            values: keys(&job),
        };
        let mut set = |name: &str, value: &std::ffi::OsStr| {
            filling.values.insert(name.to_owned(), value.to_owned());
        };
        set("into", into.as_os_str());
        set("threads", threads.to_string().as_ref());
        if inputs::to_make(&job) > 0 {
            let own = directory.path().join("dir");
            link_inputs(inputs, &job, &own).with_context(|| own.display().to_string())?;
            set("dir", own.as_os_str());
        }
        let mut prepared = None;
        if let Some(origin) = origin.filter(|_| job.workload().needs_origin()) {
            if let Job::Download(job) = &mut job {
                job.into = Some(into);
            }
            // The program is only for jobs without an origin.
            let ready = Fixture::new("", Some(origin.to_owned())).prepare(&job)?;
            let urls_file = directory.path().join("urls");
            set("origin", origin.as_ref());
            set("urls_file", urls_file.as_os_str());
            filling.urls = urls(ready.job())?;
            let list: String = filling.urls.iter().map(|url| format!("{url}\n")).collect();
            fs::write(&urls_file, list).with_context(|| urls_file.display().to_string())?;
            prepared = Some(ready);
        }
        Ok(Self {
            directory,
            filling,
            prepared,
        })
    }

    fn command(&self, custom: &CustomCommand) -> Command {
        let words = custom.fill(&self.filling);
        let mut command = Command::new(words.first().map_or("".as_ref(), |program| &**program));
        command.args(words.iter().skip(1));
        // What it leaves there goes with the rest.
        command.env("TMPDIR", self.directory.path());
        command
    }

    /// The job's outcome, if the run succeeded; null where it cannot be known. And the
    /// origin's figures, if it asked one.
    fn end(
        &self,
        custom: &CustomCommand,
        done: &Finished,
    ) -> Result<(Value, Option<Stats>), CellError> {
        if !custom.conditions.is_success(done) {
            return Err(done.failure());
        }
        done.check_left_behind()?;
        let (outcome, origin) = self.outcome().map_err(|error| {
            let status = if error.is::<WrongAnswer>() {
                Status::WrongAnswer
            } else {
                Status::Failed
            };
            // The status says that first part.
            let reason = format!("{error:#}");
            let reason = reason.strip_prefix("wrong answer: ").unwrap_or(&reason);
            CellError::Cell(status, reason.to_owned())
        })?;
        let json = serde_json::to_value(outcome);
        let json = json.map_err(|error| CellError::failed(format!("its outcome: {error}")))?;
        Ok((json, origin))
    }

    /// The program does not report its outcome. What it has downloaded is in its
    /// directory; what it has fetched, the origin has counted.
    fn outcome(&self) -> anyhow::Result<(Option<Outcome>, Option<Stats>)> {
        let Some(prepared) = &self.prepared else {
            return Ok((None, None));
        };
        let mut outcome = match prepared.job() {
            Job::Download(job) => {
                let (files, bytes) = holds(job.directory())?;
                let urls = self.filling.urls.len();
                if job.urls.is_some() && files != urls as u64 {
                    return Err(WrongAnswer {
                        what: "files",
                        got: files.to_string(),
                        expected: format!("{urls}, a file for each URL,"),
                    }
                    .into());
                }
                Outcome::Download(download::Outcome {
                    files,
                    bytes,
                    ..download::Outcome::default()
                })
            }
            Job::Fetch(job) => {
                let (Some(stats), Some(all)) = (prepared.origin_stats(), job.expected) else {
                    return Ok((None, None));
                };
                // A URL that is asked for twice is sent twice.
                let (stats, bodies) = (stats?, job.targets.len());
                Outcome::Fetch(fetch::Outcome {
                    bodies,
                    bytes: stats.bytes_sent.min(all.bytes),
                    ..fetch::Outcome::default()
                })
            }
            Job::Counter(_)
            | Job::Pipeline(_)
            | Job::Primes(_)
            | Job::Exchange(_)
            | Job::Offload(_)
            | Job::PingPong(_)
            | Job::Sleepers(_)
            | Job::Spawn(_)
            | Job::Deadlines(_)
            | Job::Echo(_)
            | Job::Datagram(_)
            | Job::Serve(_)
            | Job::Proxy(_)
            | Job::Scan(_)
            | Job::Chat(_)
            | Job::Send(_)
            | Job::Files(_)
            | Job::Thumbnails(_) => return Ok((None, None)),
        };
        let origin = prepared.verify_delivery(&mut outcome)?;
        Ok((Some(outcome), origin))
    }
}

/// Gives a job's files a directory with no others in it: where they were made are
/// those of larger jobs, too.
fn link_inputs(inputs: &Path, job: &Job, own: &Path) -> anyhow::Result<()> {
    fs::create_dir(own)?;
    for file in inputs::list(Some(inputs), job)?.iter() {
        let name = file.file_name().unwrap_or_default();
        fs::hard_link(file, own.join(name)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// All URLs of a job.
fn urls(job: &Job) -> anyhow::Result<Vec<String>> {
    match job {
        Job::Fetch(job) => Ok(job.targets.clone()),
        Job::Download(job) => match &job.urls {
            Some(list) => listed(&read(list)?),
            None => listed(job.list.as_deref().unwrap_or_default()),
        },
        Job::Counter(_)
        | Job::Pipeline(_)
        | Job::Primes(_)
        | Job::Exchange(_)
        | Job::Offload(_)
        | Job::PingPong(_)
        | Job::Sleepers(_)
        | Job::Spawn(_)
        | Job::Deadlines(_)
        | Job::Echo(_)
        | Job::Datagram(_)
        | Job::Serve(_)
        | Job::Proxy(_)
        | Job::Scan(_)
        | Job::Chat(_)
        | Job::Send(_)
        | Job::Files(_)
        | Job::Thumbnails(_) => Ok(Vec::new()),
    }
}

fn read(list: &Path) -> anyhow::Result<String> {
    fs::read_to_string(list).with_context(|| list.display().to_string())
}

/// The URLs of a list, without the names and digests that may follow them.
fn listed(list: &str) -> anyhow::Result<Vec<String>> {
    let mut lines = transfer::list::Lines::new(list.as_bytes());
    let mut urls = Vec::new();
    while let Some(entry) = lines.next()? {
        let entry = entry.map_err(|bad| anyhow::anyhow!("{bad}"))?;
        urls.push(entry.url.to_string());
    }
    Ok(urls)
}
