//! One contestant at one job, while it is measured.
//!
//! *Cold* is what a job takes from a process's start to the end of its first job:
//! the sum of three parts that the model's program tells of, from when it was
//! started to its own first line, starting the model, and the job. What the program
//! does in between to be measured (it asks the origin for a list, and checks the
//! answer) is in none of them.

use std::time::Duration;

use analysis::completion::completion;
use analysis::server_bound::{self, Observed, OriginAlone};
use analysis::statistics::{median, median_count, median_interval};
use lab::affinity;
use lab::case::Case;
use lab::error::{CellError, Interrupted};
use lab::executor::{Executor, RunContext};
use lab::run::{Peaks, Run};
use results::{Cell, Resources, Status, Time};
use serde_json::Value;
use suite::completion::nanoseconds;

use crate::budget::RunCost;
use crate::contestants::Contestant;
use crate::mode::Mode;
use crate::resources::resources;

/// A cell while it is measured.
#[derive(Debug)]
pub struct Series<'a> {
    contestant: &'a Contestant,
    trouble: Option<(Status, String)>,
    pub(crate) pace: Option<RunCost>,
    samples: Vec<f64>,
    rounds: Vec<usize>,
    runs: Vec<Run>,
    /// How many of the runs each round gave.
    run_rounds: Vec<usize>,
    observed: Vec<Peaks>,
    outcome: Option<Value>,
}

impl<'a> Series<'a> {
    /// Nothing is known yet, unless the model did not build.
    pub fn new(contestant: &'a Contestant) -> Self {
        let trouble = contestant.executor.as_ref().err();
        Self {
            contestant,
            trouble: trouble.map(|why| (Status::Failed, why.clone())),
            pace: None,
            samples: Vec::new(),
            rounds: Vec::new(),
            runs: Vec::new(),
            run_rounds: Vec::new(),
            observed: Vec::new(),
            outcome: None,
        }
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.contestant.model
    }

    /// The model whose jobs it does.
    pub fn original(&self) -> &str {
        self.contestant.original()
    }

    /// What one run takes, of those that have got through one.
    pub fn pace(&self) -> Option<RunCost> {
        self.pace.filter(|_| self.trouble.is_none())
    }

    /// Does the job once, for its answer and its pace. Nothing is measured of
    /// who does not get through this.
    ///
    /// # Errors
    ///
    /// Only when interrupted: trouble with the cell is the cell's.
    pub fn try_out(
        &mut self,
        context: &RunContext,
        group: &Case,
        timeout: Duration,
    ) -> Result<(), Interrupted> {
        let Some(group) = self.contestant.case(group) else {
            return Ok(());
        };
        let Some(run) = self.run(context, &group, true, timeout)? else {
            return Ok(());
        };
        let job = Duration::from_nanos(run.elapsed_ns);
        self.pace = Some(RunCost {
            job,
            around: run.wall.saturating_sub(job),
            benched: self.is_model(),
        });
        self.outcome = Some(run.outcome);
        Ok(())
    }

    /// One round's part of this cell.
    pub(crate) fn round(
        &mut self,
        context: &RunContext,
        group: &Case,
        mode: &Mode,
        runs: u32,
        number: u32,
    ) -> Result<(), Interrupted> {
        let (Some(pace), Some(group)) = (self.pace(), self.contestant.case(group)) else {
            return Ok(());
        };
        let group = &*group;
        let patience = pace.patience(mode);
        let model = self.contestant.original();
        let bench = self.attempt(|executor| {
            if !pace.benched {
                // Its samples are the times of its runs: see below.
                return Ok(Vec::new());
            }
            executor.bench(context, model, group, mode.bench_times(), patience.bench)
        })?;
        let first = self.runs.len();
        for _ in 0..runs + u32::from(!pace.benched) {
            if let Some(run) = self.run(context, group, false, patience.run)? {
                self.outcome = Some(run.outcome.clone());
                self.runs.push(run);
            }
        }
        self.run_rounds.push(self.runs.len() - first);
        let jobs = self.runs[first..].iter().map(|run| run.elapsed_ns);
        let samples = match pace.benched {
            true => bench.unwrap_or_default(),
            false => jobs.map(|ns| ns as f64).collect(),
        };
        if !samples.is_empty() {
            self.rounds.push(samples.len());
            self.samples.extend(samples);
        }
        // One that does not wait to be looked at has to be looked at more often.
        let hasty = !self.is_model();
        if (number < mode.memory_runs || hasty)
            && let Some(peaks) =
                self.attempt(|executor| executor.observe(context, group, patience.run))?
        {
            self.observed.push(peaks);
        }
        Ok(())
    }

    /// How much has been measured of it so far.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            samples: self.samples.len(),
            rounds: self.rounds.len(),
            run_rounds: self.run_rounds.len(),
            runs: self.runs.len(),
            observed: self.observed.len(),
        }
    }

    /// Drops what was measured between two marks.
    pub(crate) fn rollback(&mut self, from: &Checkpoint, to: &Checkpoint) {
        self.samples.drain(from.samples..to.samples);
        self.rounds.drain(from.rounds..to.rounds);
        self.run_rounds.drain(from.run_rounds..to.run_rounds);
        self.runs.drain(from.runs..to.runs);
        self.observed.drain(from.observed..to.observed);
    }

    /// What was seen of it. Of a program that does not wait to be looked at, each
    /// look shows a part: they count as one, with the most of all.
    fn peaks(&self) -> Vec<Peaks> {
        let mut observed = self.observed.clone();
        if !self.is_model()
            && let [first, others @ ..] = &mut observed[..]
        {
            others.iter().for_each(|other| first.join(other));
            observed.truncate(1);
        }
        observed
    }

    /// One job in a fresh process.
    fn run(
        &mut self,
        context: &RunContext,
        group: &Case,
        checked: bool,
        timeout: Duration,
    ) -> Result<Option<Run>, Interrupted> {
        self.attempt(|executor| executor.run(context, group, checked, timeout))
    }

    /// The command line, of a custom command.
    fn command(&self) -> Option<&str> {
        self.contestant.executor.as_ref().ok()?.command()
    }

    /// Whether it is a model's, and no custom command's.
    pub(crate) fn is_model(&self) -> bool {
        self.command().is_none()
    }

    /// Does something with the contestant's programs, unless it is in trouble, and
    /// takes note if that is what comes of it.
    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&dyn Executor) -> Result<T, CellError>,
    ) -> Result<Option<T>, Interrupted> {
        let (None, Ok(executor)) = (&self.trouble, &self.contestant.executor) else {
            return Ok(None);
        };
        match act(&**executor) {
            Ok(done) => Ok(Some(done)),
            Err(CellError::Interrupted) => Err(Interrupted),
            Err(CellError::Cell(status, reason)) => {
                self.trouble = Some((status, reason));
                Ok(None)
            }
        }
    }

    /// The median of its time so far, unless it is in trouble.
    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.samples).filter(|_| self.trouble.is_none())
    }

    /// What came of it; nothing if it was neither measured nor in trouble.
    pub(crate) fn cell(&self, group: &Case, origin: OriginAlone) -> Option<Cell> {
        let resources = resources(&self.runs, &self.peaks());
        let command = self.command().map(str::to_owned);
        let job = self.contestant.case(group)?.job();
        let from_runs = self.pace.is_some_and(|pace| !pace.benched);
        let cold = cold_time(&self.runs, &self.run_rounds);
        let start_ns = start_ns(&self.runs);
        let items = self.runs.iter().map(|run| &*run.completion_ns);
        let completion = completion(items);
        let origin_cpu_ns = median_count(self.runs.iter().filter_map(|run| run.origin_cpu_ns));
        let (status, reason, time) = match &self.trouble {
            Some((status, reason)) => (*status, Some(reason.clone()), None),
            None => (Status::Ok, None, Some(time(&self.samples, &self.rounds)?)),
        };
        let ok = status == Status::Ok;
        let bound = time.as_ref().and_then(|time| {
            let served = self.runs.iter();
            let served = served.filter_map(|run| Some((run.elapsed_ns, run.origin_cpu_ns?)));
            let observed = Observed {
                job_ns: time.median_ns,
                floor_ns: origin.floor_ns,
                busy: server_bound::busy(served, affinity::of_origin(group.cores)),
            };
            server_bound::server_bound(&job, self.outcome.as_ref(), &observed)
        });
        Some(Cell {
            workload: group.workload.name().to_owned(),
            preset: group.preset.name().to_owned(),
            variant: group.variant_name().map(str::to_owned),
            point: group.point.clone(),
            cores: group.cores,
            label: group.label(),
            model: self.contestant.model.clone(),
            command,
            job: job.to_json(),
            status,
            reason,
            scaled: group.divisor > 1,
            divisor: group.divisor,
            time,
            from_runs,
            cold: cold.filter(|_| ok),
            start_ns: start_ns.filter(|_| ok),
            completion: completion.filter(|_| ok),
            resources: match status {
                Status::Ok => resources,
                // Half a measurement would look like a whole one.
                _ => Resources::default(),
            },
            outcome: self.outcome.clone().filter(|outcome| !outcome.is_null()),
            disturbed: 0,
            origin_ceiling_ns: origin.ceiling.map(nanoseconds),
            origin_cpu_ns: origin_cpu_ns.filter(|_| ok),
            origin_bound: bound.is_some(),
            origin_bound_by: bound,
        })
    }
}

/// How much has been measured of an entry, by the lengths of its lists.
#[derive(Debug)]
pub struct Checkpoint {
    samples: usize,
    rounds: usize,
    run_rounds: usize,
    runs: usize,
    observed: usize,
}

/// The cold times of fresh processes, so many of each round; none if one of them
/// does not tell, as no contestant from outside does.
fn cold_time(runs: &[Run], rounds: &[usize]) -> Option<Time> {
    let cold = |run: &Run| Some((start(run)? + run.elapsed_ns) as f64);
    let samples: Vec<f64> = runs.iter().map(cold).collect::<Option<_>>()?;
    let rounds = rounds.iter().copied().filter(|&runs| runs > 0);
    time(&samples, &rounds.collect::<Vec<_>>())
}

/// The median of what it takes until the job can begin.
fn start_ns(runs: &[Run]) -> Option<u64> {
    let starts: Vec<u64> = runs.iter().map(start).collect::<Option<_>>()?;
    median_count(starts)
}

fn start(run: &Run) -> Option<u64> {
    Some(run.launch_ns? + run.start_ns?)
}

/// Samples and their median.
fn time(samples: &[f64], rounds: &[usize]) -> Option<Time> {
    let (low_ns, high_ns) = median_interval(samples)?;
    Some(Time {
        median_ns: median(samples)?,
        low_ns,
        high_ns,
        samples_ns: samples.to_owned(),
        rounds: rounds.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use lab::rusage::Usage;

    fn run(launch_ns: Option<u64>, elapsed_ns: u64) -> Run {
        Run {
            wall: Duration::from_secs(1),
            usage: Usage::default(),
            elapsed_ns,
            outcome: Value::Null,
            completion_ns: Vec::new(),
            launch_ns,
            start_ns: Some(20),
            origin_cpu_ns: None,
        }
    }

    #[test]
    fn cold_is_launch_and_start_and_job_by_rounds() {
        let runs = [run(Some(1), 100), run(Some(3), 300), run(Some(2), 200)];
        let cold = cold_time(&runs, &[2, 0, 1]).expect("three runs");
        assert_eq!(cold.samples_ns, [121.0, 323.0, 222.0]);
        assert_eq!(cold.rounds, [2, 1]);
        assert_eq!(
            (cold.low_ns, cold.median_ns, cold.high_ns),
            (121.0, 222.0, 323.0)
        );
        assert_eq!(start_ns(&runs), Some(22));
    }

    #[test]
    fn who_does_not_tell_has_no_cold_time() {
        let runs = [run(Some(1), 100), run(None, 100)];
        assert_eq!(cold_time(&runs, &[2]), None);
        assert_eq!(start_ns(&runs), None);
        assert_eq!(cold_time(&[], &[]), None);
    }
}
