//! One case, put to one model.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use lab::interrupt::Interrupt;

use crate::case::{Act, Case, Do, Run, When};
use crate::check::{Outcome, Wrong, judge, sent};
use crate::process::Program;
use crate::sandbox::Place;
use crate::servers::Origins;

/// What every run has, unless its case says otherwise: patient enough for a busy
/// machine, and quick to try again.
const ARGUMENTS: [(&str, &str); 6] = [
    ("--limit", "4"),
    ("--retries", "2"),
    ("--connect-timeout", "10"),
    ("--idle-timeout", "10"),
    ("--backoff", "0.05"),
    ("--max-backoff", "0.2"),
];
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked at what has happened.
const TICK: Duration = Duration::from_millis(20);

/// What a trial needs.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The servers.
    pub origins: &'a Origins,
    /// Where places are made.
    pub parent: &'a Path,
    /// How to get name spaces of one's own to mount in, if there is a way.
    pub name_spaces: Option<&'a [&'static str]>,
    /// Ends all of it.
    pub interrupt: &'a Interrupt,
}

/// What comes of a trial.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// All is right.
    Pass,
    /// Something is not.
    Fail(Box<Failure>),
    /// It could not be tried, for this reason.
    NotRun(String),
}

/// What went wrong, and where.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was run.
    pub command: String,
    /// What is wrong.
    pub wrong: Vec<Wrong>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Puts a case to a model's program.
pub fn trial(case: &Case, (model, serial): (&str, bool), program: &Path, bench: &Bench) -> Verdict {
    let mounts =
        |act: &Act| matches!(act, Act::Run(Run { around: Some(around), .. }) if around.mounts);
    if bench.name_spaces.is_none() && case.acts.iter().any(mounts) {
        return Verdict::NotRun("nothing can be mounted here (see unshare(1))".to_owned());
    }
    let tried = Place::new(bench.parent, case, model, bench.origins).and_then(|place| {
        let trial = Trial {
            case,
            serial,
            program,
            bench,
            place,
            runs: Cell::new(0),
        };
        trial.acts()
    });
    match tried {
        Ok(None) => Verdict::Pass,
        Ok(Some(failure)) => Verdict::Fail(Box::new(failure)),
        Err(_) if bench.interrupt.came() => Verdict::NotRun("interrupted".to_owned()),
        Err(error) => Verdict::Fail(Box::new(Failure {
            command: "nothing".to_owned(),
            wrong: vec![Wrong {
                expected: "a trial".to_owned(),
                got: format!("{error:#}"),
            }],
            stdout: String::new(),
            stderr: String::new(),
        })),
    }
}

struct Trial<'a> {
    case: &'a Case,
    /// Whether the model does one thing after the other.
    serial: bool,
    program: &'a Path,
    bench: &'a Bench<'a>,
    place: Place<'a>,
    /// How many runs there were.
    runs: Cell<u32>,
}

impl Trial<'_> {
    /// Does one thing after the other, until something is wrong.
    fn acts(&self) -> anyhow::Result<Option<Failure>> {
        for act in &self.case.acts {
            match act {
                Act::Plant(plant) => self.place.plant(*plant)?,
                Act::Run(run) => {
                    if let Some(failure) = self.run(run)? {
                        return Ok(Some(failure));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Runs it, and judges what came of it.
    fn run(&self, run: &Run) -> anyhow::Result<Option<Failure>> {
        let number = self.runs.replace(self.runs.get() + 1);
        let file = |what: &str| self.place.own().join(format!("{what}-{number}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let asked_before = self.place.log()?.len();
        let mut command = self.command(run)?;
        let stdin = match run.by_stdin {
            true => Stdio::piped(),
            false => Stdio::null(),
        };
        let mut program = Program::start(&mut command, &stdout, &stderr, stdin)?;
        let mut meanwhile = self.meanwhile(run, &mut program, asked_before)?;
        let ended = meanwhile.failure.is_none() && self.wait(&mut program, PATIENCE)?;
        // What it had to wait for has been.
        drop(meanwhile.stdin.take());
        let end = program.end()?;
        if meanwhile.failure.is_some() {
            return Ok(meanwhile.failure);
        }
        let read = |path| {
            let bytes = fs::read(path).context("what it printed")?;
            anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let outcome = Outcome {
            end: ended.then_some(end),
            stopped_in: meanwhile
                .signalled
                .map(|at| end.at.saturating_duration_since(at)),
            stdout: read(stdout)?,
            stderr: read(stderr)?,
            log: self.place.log()?.split_off(asked_before),
        };
        let mut wrong = judge(run, &outcome, &self.place, self.serial)?;
        wrong.extend(meanwhile.wrong);
        Ok((!wrong.is_empty()).then(|| Failure {
            command: shown(&command),
            wrong,
            stdout: outcome.stdout,
            stderr: outcome.stderr,
        }))
    }

    fn command(&self, run: &Run) -> anyhow::Result<Command> {
        let list = self.place.list();
        let mut arguments: Vec<(&str, String)> = Vec::new();
        let always = ARGUMENTS.map(|(flag, value)| (flag, value.to_owned()));
        for (flag, value) in always
            .iter()
            .chain(&self.case.arguments)
            .chain(&run.arguments)
        {
            arguments.retain(|(other, _)| other != flag);
            arguments.push((flag, self.place.expand(value)?));
        }
        let mut words = Vec::new();
        if let Some(around) = run.around {
            if around.mounts {
                words.extend(self.bench.name_spaces.unwrap_or_default());
            }
            words.extend(["sh", "-c", around.script, "sh"]);
        }
        let mut words = words
            .into_iter()
            .map(OsStr::new)
            .chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).arg("download");
        match run.by_stdin {
            true => command.arg("-"),
            false => command.arg(list),
        };
        command
            .arg("--into")
            .arg(self.place.directory())
            .arg("--json");
        for (flag, value) in arguments {
            command.args([flag, &value]);
        }
        command.env("DIR", self.place.directory());
        Ok(command)
    }

    /// Does what a run says is done while it runs.
    fn meanwhile(
        &self,
        run: &Run,
        program: &mut Program,
        asked_before: usize,
    ) -> anyhow::Result<Meanwhile> {
        let mut done = Meanwhile {
            stdin: program.take_stdin(),
            ..Meanwhile::default()
        };
        for (when, what) in &run.meanwhile {
            if !self.comes(*when, program, asked_before)? {
                done.wrong.push(Wrong {
                    expected: format!("it runs until {when:?}"),
                    got: "it ended, or nothing came of it".to_owned(),
                });
                break;
            }
            match what {
                Do::Signal(signal) => {
                    done.signalled = Some(Instant::now());
                    program.signal(*signal);
                }
                Do::SignalAll(signal) => {
                    done.signalled = Some(Instant::now());
                    program.signal_all(*signal);
                }
                Do::Say(text) => {
                    let text = self.place.expand(text)?;
                    if let Some(stdin) = &mut done.stdin {
                        // If it does not listen, what it does will be wrong.
                        let _ = stdin.write_all(text.as_bytes());
                    }
                }
                Do::Close => drop(done.stdin.take()),
                Do::Beside(other) => done.failure = self.run(other)?,
            }
        }
        Ok(done)
    }

    /// Waits until the time for something has come; false if it never will.
    fn comes(
        &self,
        when: When,
        program: &mut Program,
        asked_before: usize,
    ) -> anyhow::Result<bool> {
        let since = Instant::now();
        loop {
            let log = || anyhow::Ok(self.place.log()?.split_off(asked_before));
            let has_come = match when {
                When::Now => true,
                When::After(seconds) => since.elapsed().as_secs_f64() >= seconds,
                When::Asked(number) => log()?.len() >= number,
                When::Sent(bytes) => sent(&log()?) >= bytes,
            };
            if has_come {
                return Ok(true);
            }
            if since.elapsed() > PATIENCE || self.wait(program, TICK)? {
                return Ok(false);
            }
        }
    }

    /// Waits for a program's end; says whether it came.
    fn wait(&self, program: &mut Program, patience: Duration) -> anyhow::Result<bool> {
        let since = Instant::now();
        loop {
            anyhow::ensure!(!self.bench.interrupt.came(), "interrupted");
            let left = patience.saturating_sub(since.elapsed());
            if program.wait(left.min(Duration::from_millis(100))) {
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
    /// What another run beside it came to.
    failure: Option<Failure>,
    /// What did not come about.
    wrong: Vec<Wrong>,
}

/// A command line that can be pasted.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,".contains(c);
            match word.chars().all(plain) && !word.is_empty() {
                true => word.into_owned(),
                false => format!("'{}'", word.replace('\'', r"'\''")),
            }
        })
        .collect();
    words.join(" ")
}
