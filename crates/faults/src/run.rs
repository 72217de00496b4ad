//! Runs one case with one model.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use lab::child::Process;
use lab::error::Interrupted;
use lab::interrupt::Interrupt;

use crate::case::{Action, Case, Run, Step, When};
use crate::check::{Outcome, Wrong, check, sent};
use crate::sandbox::Sandbox;
use crate::servers::Servers;

/// What every run has, unless its case says otherwise: long timeouts, as the machine
/// may be busy, and short pauses before it tries again.
const ARGUMENTS: [(&str, &str); 6] = [
    ("--limit", "4"),
    ("--retries", "2"),
    ("--connect-timeout", "10"),
    ("--idle-timeout", "10"),
    ("--backoff", "0.05"),
    ("--max-backoff", "0.2"),
];
/// How long a run may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long what a program has started may outlive it: its children notice that their
/// parent is gone, which takes them a moment.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// How often it is checked what has happened.
const TICK: Duration = Duration::from_millis(20);

/// What running a case needs.
#[derive(Debug)]
pub struct Environment<'a> {
    /// The servers.
    pub servers: &'a Servers,
    /// Where sandboxes are made.
    pub parent: &'a Path,
    /// How to get name spaces of one's own to mount in, if there is a way.
    pub name_spaces: Option<&'a [&'static str]>,
    /// Ends all of it.
    pub interrupt: &'a Interrupt,
}

/// How a case came out.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// All is right.
    Pass,
    /// Something is not.
    Fail(Box<Failure>),
    /// It could not be run, for this reason.
    NotRun(String),
}

/// What went wrong, and where.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What was run.
    pub(crate) command: String,
    /// What is wrong.
    pub(crate) wrong: Vec<Wrong>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it printed on standard error.
    pub(crate) stderr: String,
}

/// Runs a case with a model's program.
pub(crate) fn run_case(
    case: &Case,
    (model, serial): (&str, bool),
    program: &Path,
    environment: &Environment,
) -> Verdict {
    let mounts = |step: &Step| match step {
        Step::Run(run) => run.wrapper.is_some_and(|wrapper| wrapper.mounts),
        Step::Setup(_) => false,
    };
    if environment.name_spaces.is_none() && case.steps.iter().any(mounts) {
        return Verdict::NotRun("nothing can be mounted here (see unshare(1))".to_owned());
    }
    let sandbox = Sandbox::new(environment.parent, case, model, environment.servers);
    let done = sandbox.and_then(|sandbox| {
        CaseRun {
            case,
            serial,
            program,
            environment,
            sandbox,
        }
        .steps()
    });
    match done {
        Ok(None) => Verdict::Pass,
        Ok(Some(failure)) => Verdict::Fail(Box::new(failure)),
        Err(_) if environment.interrupt.came() => Verdict::NotRun("interrupted".to_owned()),
        Err(error) => Verdict::Fail(Box::new(Failure {
            command: "nothing".to_owned(),
            wrong: vec![Wrong {
                expected: "a run".to_owned(),
                got: format!("{error:#}"),
            }],
            stdout: String::new(),
            stderr: String::new(),
        })),
    }
}

struct CaseRun<'a> {
    case: &'a Case,
    /// Whether the model does one thing after the other.
    serial: bool,
    program: &'a Path,
    environment: &'a Environment<'a>,
    sandbox: Sandbox<'a>,
}

impl CaseRun<'_> {
    /// Does one step after the other, until something is wrong.
    fn steps(&self) -> anyhow::Result<Option<Failure>> {
        for step in &self.case.steps {
            match step {
                Step::Setup(setup) => self.sandbox.setup(*setup)?,
                Step::Run(run) => {
                    if let Some(failure) = self.run(run)? {
                        return Ok(Some(failure));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Runs it, and checks the outcome.
    fn run(&self, run: &Run) -> anyhow::Result<Option<Failure>> {
        let asked_before = self.sandbox.log()?.len();
        let mut command = self.command(run)?;
        let stdin = if run.by_stdin {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut process = Process::start(&mut command, stdin)?;
        let mut meanwhile = self.meanwhile(run, &mut process, asked_before)?;
        let ended = meanwhile.failure.is_none() && self.wait(&mut process, TIMEOUT)?;
        // What it had to wait for has been.
        drop(meanwhile.stdin.take());
        let finished = process.end(GRACE)?;
        if meanwhile.failure.is_some() {
            return Ok(meanwhile.failure);
        }
        let outcome = Outcome {
            stopped_in: meanwhile
                .signalled
                .map(|at| finished.ended.saturating_duration_since(at)),
            finished,
            timed_out: !ended,
            log: self.sandbox.log()?.split_off(asked_before),
        };
        let mut wrong = check(run, &outcome, &self.sandbox, self.serial)?;
        wrong.extend(meanwhile.wrong);
        Ok((!wrong.is_empty()).then(|| Failure {
            command: shown(&command),
            wrong,
            stdout: outcome.finished.stdout,
            stderr: outcome.finished.stderr,
        }))
    }

    fn command(&self, run: &Run) -> anyhow::Result<Command> {
        let mut arguments: Vec<(&str, String)> = Vec::new();
        let always = ARGUMENTS.map(|(flag, value)| (flag, value.to_owned()));
        for (flag, value) in always.iter().chain(&self.case.arguments) {
            arguments.retain(|(other, _)| other != flag);
            arguments.push((flag, self.sandbox.expand(value)?));
        }
        let mut words = Vec::new();
        if let Some(wrapper) = run.wrapper {
            if wrapper.mounts {
                words.extend(self.environment.name_spaces.unwrap_or_default());
            }
            words.extend(["sh", "-c", wrapper.script, "sh"]);
        }
        let mut words = words
            .into_iter()
            .map(OsStr::new)
            .chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).arg("download");
        if run.by_stdin {
            command.arg("-");
        } else {
            command.arg(self.sandbox.list());
        }
        command
            .arg("--into")
            .arg(self.sandbox.directory())
            .arg("--json");
        for (flag, value) in arguments {
            command.args([flag, &value]);
        }
        command.env("DIR", self.sandbox.directory());
        Ok(command)
    }

    /// Does what is to be done while it runs.
    fn meanwhile(
        &self,
        run: &Run,
        process: &mut Process,
        asked_before: usize,
    ) -> anyhow::Result<Meanwhile> {
        let mut done = Meanwhile {
            stdin: process.take_stdin(),
            ..Meanwhile::default()
        };
        for (when, what) in &run.meanwhile {
            if !self.comes(*when, process, asked_before)? {
                done.wrong.push(Wrong {
                    expected: format!("it runs until {when:?}"),
                    got: "it ended, or that did not happen".to_owned(),
                });
                break;
            }
            match what {
                Action::Signal(signal) => {
                    done.signalled = Some(Instant::now());
                    process.kill(*signal);
                }
                Action::SignalAll(signal) => {
                    done.signalled = Some(Instant::now());
                    process.kill_group(*signal);
                }
                Action::Say(text) => {
                    let text = self.sandbox.expand(text)?;
                    if let Some(stdin) = &mut done.stdin {
                        // If it does not listen, what it does will be wrong.
                        let _ = stdin.write_all(text.as_bytes());
                    }
                }
                Action::Close => drop(done.stdin.take()),
                Action::Concurrently(other) => done.failure = self.run(other)?,
            }
        }
        Ok(done)
    }

    /// Waits until the time for something has come; false if it never will.
    fn comes(
        &self,
        when: When,
        process: &mut Process,
        asked_before: usize,
    ) -> anyhow::Result<bool> {
        let since = Instant::now();
        loop {
            let log = || anyhow::Ok(self.sandbox.log()?.split_off(asked_before));
            let has_come = match when {
                When::Now => true,
                When::After(seconds) => since.elapsed().as_secs_f64() >= seconds,
                When::Asked(number) => log()?.len() >= number,
                When::Sent(bytes) => sent(&log()?) >= bytes,
                When::There(name) => self.sandbox.directory().join(name).exists(),
            };
            if has_come {
                return Ok(true);
            }
            if since.elapsed() > TIMEOUT || self.wait(process, TICK)? {
                return Ok(false);
            }
        }
    }

    /// Waits for its end, at most so long; returns whether it came.
    fn wait(&self, process: &mut Process, timeout: Duration) -> anyhow::Result<bool> {
        let since = Instant::now();
        loop {
            if self.environment.interrupt.came() {
                return Err(Interrupted.into());
            }
            let left = timeout.saturating_sub(since.elapsed());
            if process.wait(left.min(Duration::from_millis(100))) {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}

/// What was done while a program ran.
#[derive(Debug, Default)]
struct Meanwhile {
    /// Its standard input, if that has not ended yet.
    stdin: Option<ChildStdin>,
    /// When it got its last signal.
    signalled: Option<Instant>,
    /// How another run at the same time failed.
    failure: Option<Failure>,
    /// What did not happen.
    wrong: Vec<Wrong>,
}

/// A command line that can be pasted.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,".contains(c);
            if word.chars().all(plain) && !word.is_empty() {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    words.join(" ")
}
