//! One contestant at one case, while it is measured.
//!
//! *Cold* is the time from a process's start to the end of its first job. It is the sum
//! of three parts that the model's program reports: from its start to its own first
//! line, starting the model, and the job. What the program does in between to be
//! measured (asking the origin for a list, checking the answer) is in none of them.

use std::time::Duration;

use analysis::completion::completion;
use analysis::latency;
use analysis::server_bound::{self, Observed, OriginAlone};
use analysis::statistics::{median, median_count, median_interval};
use lab::affinity;
use lab::case::Case;
use lab::cpu_quota::{CpuQuota, Periods};
use lab::error::{CellError, Interrupted};
use lab::executor::{Executor, RunContext};
use lab::run::{Peaks, Run};
use lab::stops::AlwaysStopped;
use results::{Cell, Resources, Status, Time};
use serde_json::Value;
use suite::completion::nanoseconds;
use suite::{Workload, chat};

use crate::budget::{self, RunCost};
use crate::contestants::Contestant;
use crate::mode::Mode;
use crate::resources::resources;

/// A cell while it is measured.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    contestant: &'a Contestant,
    /// Once there is one, nothing more is measured.
    error: Option<(Status, String)>,
    /// What a run takes, once one has come to its end.
    cost: Option<RunCost>,
    /// The divisor of its last try, and its job's time.
    tried: Option<(u64, Duration)>,
    /// Whether it was tried at two sizes.
    start_is_known: bool,
    samples: Vec<f64>,
    rounds: Vec<usize>,
    runs: Vec<Run>,
    /// How many of the runs each round gave.
    run_rounds: Vec<usize>,
    /// In which rounds a CPU quota stopped it.
    throttled: Vec<bool>,
    observed: Vec<Peaks>,
    outcome: Option<Value>,
    /// In how many calls something was stopped.
    stops: usize,
}

impl<'a> Series<'a> {
    /// A model that did not build begins with that error.
    pub(crate) fn new(contestant: &'a Contestant) -> Self {
        let error = contestant.executor.as_ref().err();
        Self {
            contestant,
            error: error.map(|why| (Status::Failed, why.clone())),
            cost: None,
            tried: None,
            start_is_known: false,
            samples: Vec::new(),
            rounds: Vec::new(),
            runs: Vec::new(),
            run_rounds: Vec::new(),
            throttled: Vec::new(),
            observed: Vec::new(),
            outcome: None,
            stops: 0,
        }
    }

    pub(crate) fn model(&self) -> &str {
        &self.contestant.model
    }

    /// The model whose programs it runs.
    pub(crate) fn original(&self) -> &str {
        self.contestant.original()
    }

    /// What one run takes; none after an error.
    pub(crate) fn cost(&self) -> Option<RunCost> {
        self.cost.filter(|_| self.error.is_none())
    }

    /// Whether it is a custom command that was tried at one size only: then nothing is known
    /// of its start, which is in its time.
    pub(crate) fn has_unknown_start(&self) -> bool {
        self.cost().is_some() && !self.is_model() && !self.start_is_known
    }

    /// Whether a bench gives its times, if it is a model's.
    pub(crate) fn set_benched(&mut self, benched: bool) {
        let is_model = self.is_model();
        if let Some(cost) = &mut self.cost {
            cost.benched = is_model && benched;
        }
    }

    /// Does the job once, for its answer and its cost. After an error here nothing is
    /// measured.
    pub(crate) fn try_out(
        &mut self,
        context: &RunContext,
        case: &Case,
        timeout: Duration,
    ) -> Result<(), Interrupted> {
        let Some(case) = self.contestant.case(case) else {
            return Ok(());
        };
        let run = self.attempt(context, |executor| {
            executor.run(context, &case, true, timeout)
        })?;
        let Some(run) = run else {
            return Ok(());
        };
        let job = Duration::from_nanos(run.elapsed_ns) + case.job().wait();
        let now = (case.divisor, job);
        let known = self
            .tried
            .and_then(|before| budget::fixed_part(before, now));
        self.start_is_known |= known.is_some();
        self.tried = Some(now);
        self.cost = Some(RunCost {
            job,
            fixed: known.filter(|_| !self.is_model()).unwrap_or_default(),
            around: run.wall.saturating_sub(job),
            benched: self.is_model(),
        });
        self.outcome = Some(run.outcome);
        Ok(())
    }

    /// Its part of one round: a bench, `runs` unobserved runs, and in some rounds an
    /// observed one. Without a bench, the times of the runs are the samples.
    pub(crate) fn round(
        &mut self,
        context: &RunContext,
        case: &Case,
        mode: &Mode,
        runs: u32,
        number: u32,
    ) -> Result<(), Interrupted> {
        let (Some(cost), Some(case)) = (self.cost(), self.contestant.case(case)) else {
            return Ok(());
        };
        let timeouts = cost.timeouts(mode);
        // The quota stops this process too, so when it runs the count is up to date.
        let periods = || context.quota.as_ref().and_then(CpuQuota::periods);
        let before = periods();
        let model = self.contestant.original();
        let mut samples = Vec::new();
        if cost.benched {
            let times = mode.bench_times();
            samples = self
                .attempt(context, |executor| {
                    executor.bench(context, model, &case, times, timeouts.bench)
                })?
                .unwrap_or_default();
        }
        let first = self.runs.len();
        for _ in 0..runs + u32::from(!cost.benched) {
            let run = self.attempt(context, |executor| {
                executor.run(context, &case, false, timeouts.run)
            })?;
            if let Some(run) = run {
                self.outcome = Some(run.outcome.clone());
                self.runs.push(run);
            }
        }
        self.run_rounds.push(self.runs.len() - first);
        let reached = |(before, after): (Periods, Periods)| after.since(before).throttled > 0;
        self.throttled
            .push(before.zip(periods()).is_some_and(reached));
        if !cost.benched {
            let runs = self.runs[first..].iter();
            samples = runs.map(|run| run.elapsed_ns as f64).collect();
        }
        if !samples.is_empty() {
            self.rounds.push(samples.len());
            self.samples.extend(samples);
        }
        // A custom command is not held for an observation, so one can miss its peak.
        if (number < mode.memory_runs || !self.is_model())
            && let Some(peaks) = self.attempt(context, |executor| {
                executor.observe(context, &case, timeouts.run)
            })?
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
            tried: self.tried,
            start_is_known: self.start_is_known,
            failed: self.error.is_some(),
            stops: self.stops,
        }
    }

    /// Removes what a run with a stop has given: the stop may have made it fail, and its time
    /// is too long to plan with.
    pub(crate) fn forget_stopped(&mut self, from: &Checkpoint) {
        if !from.failed {
            self.error = None;
        }
        self.tried = from.tried;
        self.start_is_known = from.start_is_known;
    }

    /// Gives it up if something was stopped in one of its calls.
    pub(crate) fn fail_if_stopped(&mut self, from: &Checkpoint) {
        if self.stops > from.stops {
            self.error = Some((Status::Failed, AlwaysStopped.to_string()));
        }
    }

    /// Drops what was measured between two checkpoints.
    pub(crate) fn rollback(&mut self, from: &Checkpoint, to: &Checkpoint) {
        self.samples.drain(from.samples..to.samples);
        self.rounds.drain(from.rounds..to.rounds);
        self.run_rounds.drain(from.run_rounds..to.run_rounds);
        self.throttled.drain(from.run_rounds..to.run_rounds);
        self.runs.drain(from.runs..to.runs);
        self.observed.drain(from.observed..to.observed);
    }

    /// What was observed. Of a custom command, each observation shows a part: together
    /// they count as one, with the most of all.
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

    /// The command line, of a custom command.
    fn command(&self) -> Option<&str> {
        self.contestant.executor.as_ref().ok()?.command()
    }

    fn is_model(&self) -> bool {
        self.command().is_none()
    }

    /// Calls the contestant's executor, unless there was an error, and records one.
    fn attempt<T>(
        &mut self,
        context: &RunContext,
        call: impl FnOnce(&dyn Executor) -> Result<T, CellError>,
    ) -> Result<Option<T>, Interrupted> {
        let (None, Ok(executor)) = (&self.error, &self.contestant.executor) else {
            return Ok(None);
        };
        let stops = context.interrupt.stops();
        let before = stops.so_far();
        let done = call(&**executor);
        self.stops += usize::from(stops.so_far().has_stops_since(before));
        match done {
            Ok(done) => Ok(Some(done)),
            Err(CellError::Interrupted) => Err(Interrupted),
            Err(CellError::Cell(status, reason)) => {
                self.error = Some((status, reason));
                Ok(None)
            }
        }
    }

    /// The median of its time so far; none after an error.
    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.samples).filter(|_| self.error.is_none())
    }

    /// Its cell so far; none if it has neither samples nor an error.
    pub(crate) fn cell(&self, case: &Case, origin: OriginAlone) -> Option<Cell> {
        let job = self.contestant.case(case)?.job();
        let from_runs = self.cost.is_some_and(|cost| !cost.benched);
        let (status, reason, time) = match &self.error {
            Some((status, reason)) => (*status, Some(reason.clone()), None),
            None => (Status::Ok, None, Some(time(&self.samples, &self.rounds)?)),
        };
        // Half a measurement would look like a whole one.
        let runs = if status == Status::Ok {
            &*self.runs
        } else {
            &[]
        };
        let bound = time.as_ref().and_then(|time| {
            let served = self
                .runs
                .iter()
                .filter_map(|run| Some((run.elapsed_ns, run.origin_cpu_ns?)));
            let observed = Observed {
                job_ns: time.median_ns,
                floor_ns: origin.floor_ns,
                busy: server_bound::busy(served, affinity::of_origin(case.cores)),
            };
            server_bound::server_bound(&job, self.outcome.as_ref(), &observed)
        });
        Some(Cell {
            workload: case.workload.name().to_owned(),
            preset: case.preset.name().to_owned(),
            variant: case.variant_name().map(str::to_owned),
            point: case.point.clone(),
            cores: case.cores,
            label: case.label(),
            model: self.contestant.model.clone(),
            command: self.command().map(str::to_owned),
            job: job.to_json(),
            status,
            reason,
            scaled: case.divisor > 1,
            divisor: case.divisor,
            time,
            from_runs,
            mostly_clock: false,
            cold: cold_time(runs, &self.run_rounds),
            start_ns: start_ns(runs),
            completion: completion(runs.iter().map(|run| &*run.completion_ns)),
            latency: latency::latency(&counted(case.workload, runs)),
            resources: if status == Status::Ok {
                resources(runs, &self.peaks())
            } else {
                Resources::default()
            },
            outcome: self.outcome.clone().filter(|outcome| !outcome.is_null()),
            disturbed: 0,
            throttled: self.throttled.iter().filter(|reached| **reached).count() as u32,
            origin_ceiling_ns: origin.ceiling.map(nanoseconds),
            origin_cpu_ns: median_count(runs.iter().filter_map(|run| run.origin_cpu_ns)),
            origin_bound: bound.is_some(),
            origin_bound_by: bound,
        })
    }
}

/// How much has been measured of a series, by the lengths of its lists, and what was known
/// of it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    samples: usize,
    rounds: usize,
    run_rounds: usize,
    runs: usize,
    observed: usize,
    tried: Option<(u64, Duration)>,
    start_is_known: bool,
    failed: bool,
    stops: usize,
}

/// The cold times of fresh processes, with how many each round has. None if one of
/// them does not report its start, as custom commands do not.
fn cold_time(runs: &[Run], rounds: &[usize]) -> Option<Time> {
    let cold = |run: &Run| Some((start(run)? + run.elapsed_ns) as f64);
    let samples: Vec<f64> = runs.iter().map(cold).collect::<Option<_>>()?;
    let rounds: Vec<_> = rounds.iter().copied().filter(|&runs| runs > 0).collect();
    time(&samples, &rounds)
}

/// What the load generator has counted in the runs of a server; none of other jobs.
fn counted(workload: Workload, runs: &[Run]) -> Vec<latency::Run> {
    let outcomes = runs.iter().map(|run| run.outcome.clone());
    // A custom command's outcome is none.
    match workload {
        Workload::Serve | Workload::Proxy => outcomes
            .filter_map(|outcome| serde_json::from_value(outcome).ok())
            .collect(),
        Workload::Chat => outcomes
            .filter_map(|outcome| serde_json::from_value::<chat::Outcome>(outcome).ok())
            .map(|outcome| outcome.counted().into())
            .collect(),
        _ => Vec::new(),
    }
}

/// The median time until the job can begin.
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
    use lab::rusage::Usage;

    use super::*;

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
    fn without_a_reported_start_there_is_no_cold_time() {
        let runs = [run(Some(1), 100), run(None, 100)];
        assert_eq!(cold_time(&runs, &[2]), None);
        assert_eq!(start_ns(&runs), None);
        assert_eq!(cold_time(&[], &[]), None);
    }
}
