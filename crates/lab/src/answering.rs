//! Runs of a contestant that answers: see [`protocol`](crate::protocol). Its clock runs from
//! the line that asks it to the line that answers.

use std::fmt::Display;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use results::Status;
use runner::fixture::{Fixture, Prepared};
use serde_json::Value;
use suite::completion::nanoseconds;
use suite::{Job, Outcome, WrongAnswer};
use tempfile::TempDir;

use crate::case::Case;
use crate::child::Finished;
use crate::containment::{SAMPLE_EVERY, TreeSampler, contained};
use crate::conversation::{Conversation, Heard, Over, converse};
use crate::error::CellError;
use crate::executor::{BenchTimes, RunContext, samples_of_answers};
use crate::process::{Moment, Observer};
use crate::protocol::{self, Answer, Purpose, Ready, Task};
use crate::run::{Peaks, Run};

/// How long a program has until it says that it is ready. One that has not by then does not
/// answer.
const LONGEST_START: Duration = Duration::from_secs(10);

/// What a program says of itself; none if it does not answer. It is started for that, and
/// ended.
///
/// # Errors
///
/// When it cannot be started, or says that it is ready in a wrong way.
pub(crate) fn ready(
    context: &RunContext,
    case: &Case,
    command: &mut Command,
) -> Result<Option<Ready>, CellError> {
    let mut said = Ok(None);
    let limits = context.limits(LONGEST_START * 2);
    let ended = contained(|| {
        let talk = |talk: &mut Conversation| {
            if let Heard::Line(line, _) = talk.hear(LONGEST_START)? {
                said = protocol::ready(&line);
            }
            Ok(())
        };
        converse(case.share(), command, &limits, None, talk).map(|((), done)| done)
    });
    match ended {
        Err(CellError::Interrupted) => Err(CellError::Interrupted),
        // How a program ends that was not asked is of no interest yet.
        _ if context.interrupt.came() => Err(CellError::Interrupted),
        _ => said,
    }
}

/// A contestant's job, prepared, and the command that does it.
pub(crate) struct Asked<'a> {
    pub(crate) context: &'a RunContext,
    pub(crate) case: &'a Case,
    pub(crate) command: Command,
    /// Where it may leave files: they go with it.
    pub(crate) _directory: TempDir,
    pub(crate) timeout: Duration,
}

impl Asked<'_> {
    /// One job in a fresh process.
    pub(crate) fn run(mut self, checked: bool) -> Result<Run, CellError> {
        let purpose = if checked {
            Purpose::Check
        } else {
            Purpose::Time
        };
        let mut prepared = self.prepare()?;
        let (ran, done) = self.converse(None, |talk, asking| {
            let begun = asking.begin(talk, &prepared)?;
            Ok((begun, asking.ask(talk, purpose, &mut prepared)?))
        })?;
        let ((launch, start), (elapsed, outcome)) = ran;
        let stats = prepared.origin_stats().transpose()?;
        Ok(Run {
            wall: done.wall,
            usage: done.usage,
            elapsed_ns: nanoseconds(elapsed),
            completion_ns: outcome.completion_ns().to_vec(),
            outcome: serde_json::to_value(outcome.without_completions())
                .context("an outcome as JSON")?,
            launch_ns: Some(nanoseconds(launch)),
            start_ns: Some(nanoseconds(start)),
            origin_cpu_ns: stats.map(|stats| stats.run_cpu_ns),
        })
    }

    /// One job in a fresh process that is observed: when it has answered, most of all.
    pub(crate) fn observe(mut self) -> Result<Peaks, CellError> {
        let mut prepared = self.prepare()?;
        let mut sampler = TreeSampler::new();
        let observer = Observer {
            every: SAMPLE_EVERY,
            hold: false,
            observe: &mut |pid, moment| sampler.sample(pid, moment),
        };
        self.converse(Some(observer), |talk, asking| {
            asking.begin(talk, &prepared)?;
            asking.ask(talk, Purpose::Time, &mut prepared)?;
            talk.observe(Moment::Line);
            Ok(())
        })?;
        Ok(sampler.peaks)
    }

    /// Jobs in one process: samples, in nanoseconds a job.
    pub(crate) fn bench(mut self, times: BenchTimes) -> Result<Vec<f64>, CellError> {
        let mut prepared = self.prepare()?;
        let (samples, _) = self.converse(None, |talk, asking| {
            asking.begin(talk, &prepared)?;
            let (began, mut warm, mut purpose) = (Instant::now(), 0, Purpose::Check);
            while warm == 0 || began.elapsed() < times.warm_up {
                asking.ask(talk, purpose, &mut prepared)?;
                (warm, purpose) = (warm + 1, Purpose::Time);
            }
            // With what is no part of its time: a wait, and the check.
            let job = (began.elapsed() / warm).max(Duration::from_nanos(1));
            let number = samples_of_answers(job);
            let jobs = (times.sampling / number).div_duration_f64(job);
            let jobs = (jobs as u32).max(1);
            let mut samples = Vec::new();
            for _ in 0..number {
                let mut sum = Duration::ZERO;
                for _ in 0..jobs {
                    sum += asking.ask(talk, Purpose::Time, &mut prepared)?.0;
                }
                samples.push(sum.as_nanos() as f64 / f64::from(jobs));
            }
            Ok(samples)
        })?;
        Ok(samples)
    }

    fn prepare(&self) -> Result<Prepared, CellError> {
        let Self { context, case, .. } = self;
        let origin = context.origin(case).map(str::to_owned);
        // Only jobs that it is not asked for start a program.
        let fixture = Fixture::new("", origin)
            .with_inputs(Some(context.inputs.clone()))
            .with_threads(context.threads(case), context.blocking_threads);
        Ok({ fixture }.prepare(&case.job())?)
    }

    fn converse<T>(
        &mut self,
        observer: Option<Observer>,
        talk: impl FnOnce(&mut Conversation, &mut Asking) -> Result<T, Over>,
    ) -> Result<(T, Finished), CellError> {
        let Self {
            context,
            case,
            command,
            timeout,
            ..
        } = self;
        let mut asking = Asking {
            threads: context.threads(case),
            blocking_threads: context.blocking_threads,
            asked: 0,
        };
        let mut talked = None;
        let limits = context.limits(*timeout);
        let done: Result<Finished, CellError> = contained(|| {
            let talk = |conversation: &mut Conversation| talk(conversation, &mut asking);
            let (value, done) = converse(case.share(), command, &limits, observer, talk)?;
            talked = Some(value);
            Ok(done)
        });
        if context.interrupt.came() {
            // It may have come to all processes: what fails from now on says nothing.
            return Err(CellError::Interrupted);
        }
        let done = done?;
        done.check_left_behind()?;
        let talked = talked.context("it has ended well, and said nothing")?;
        Ok((talked, done))
    }
}

/// The questions to one process.
struct Asking {
    threads: usize,
    blocking_threads: usize,
    asked: u64,
}

impl Asking {
    /// Waits until the program is ready, and has it prepare: how long both took.
    fn begin(
        &mut self,
        talk: &mut Conversation,
        prepared: &Prepared,
    ) -> Result<(Duration, Duration), Over> {
        let (line, at) = match talk.hear(LONGEST_START)? {
            Heard::Line(line, at) => (line, at),
            Heard::Nothing => return Err(failed("it is not ready after ten seconds")),
        };
        let Some(ready) = protocol::ready(&line)? else {
            return Err(failed("this time, its first line is not that it is ready"));
        };
        let launch = at - talk.started();
        let start = match ready.prepares {
            true => self.exchange(talk, Purpose::Prepare, prepared.job())?.0,
            false => Duration::ZERO,
        };
        Ok((launch, start))
    }

    /// Has it do the job, and checks its answer.
    fn ask(
        &mut self,
        talk: &mut Conversation,
        purpose: Purpose,
        prepared: &mut Prepared,
    ) -> Result<(Duration, Outcome), Over> {
        let mut over = None;
        let ran = prepared.run_by(|job| {
            let answered = self
                .exchange(talk, purpose, job)
                .and_then(|(time, outcome)| {
                    let outcome = job.workload().outcome_from_json(outcome);
                    Ok((time, outcome.map_err(malformed)?))
                });
            answered.map_err(|why| {
                over = Some(why);
                anyhow!("it has not answered")
            })
        });
        if let Some(over) = over {
            return Err(over);
        }
        let (elapsed, mut outcome) = ran?;
        // Completion times are welcome, and not asked for.
        let checked = if outcome.completion_ns().is_empty() {
            prepared.verify_delivery(&mut outcome)
        } else {
            prepared.verify(&mut outcome)
        };
        checked.map_err(|error| match error.downcast::<WrongAnswer>() {
            Ok(wrong) => {
                let reason = wrong.to_string();
                let reason = reason.strip_prefix("wrong answer: ").unwrap_or(&reason);
                CellError::Cell(Status::WrongAnswer, reason.to_owned())
            }
            Err(error) => error.into(),
        })?;
        Ok((elapsed, outcome))
    }

    fn exchange(
        &mut self,
        talk: &mut Conversation,
        purpose: Purpose,
        job: &Job,
    ) -> Result<(Duration, Value), Over> {
        self.asked += 1;
        let (threads, blocking_threads) = (self.threads, self.blocking_threads);
        let task = Task::new(self.asked, purpose, job, threads, blocking_threads)?;
        let mut line = serde_json::to_string(&task).context("a job as JSON")?;
        line.push('\n');
        talk.expect_silence()?;
        let asked = Instant::now();
        talk.say(&line)?;
        let (line, at) = match talk.hear(Duration::MAX)? {
            Heard::Line(line, at) => (line, at),
            Heard::Nothing => return Err(failed("it has not answered")),
        };
        let (id, answer) = protocol::answer(&line).map_err(malformed)?;
        if id != self.asked {
            let asked = self.asked;
            return Err(failed(&format!(
                "it answers job {id}, and was asked job {asked}"
            )));
        }
        match answer {
            Answer::Outcome(outcome) => Ok((at - asked, outcome)),
            Answer::Unsupported(why) => Err(CellError::Cell(Status::Unsupported, why).into()),
            Answer::Error(why) => Err(failed(&why)),
        }
    }
}

fn malformed(why: impl Display) -> Over {
    failed(&format!("its answer: {why}"))
}

fn failed(why: &str) -> Over {
    CellError::failed(why).into()
}
