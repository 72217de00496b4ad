//! One comparison: tries every case out, has [rounds](crate::rounds) measured, judges
//! them, and writes the data.

use std::time::{Duration, Instant};

use analysis::baseline::Against;
use analysis::{Rules, crossovers, self_check, verdicts};
use lab::background_load::LoadMonitor;
use lab::case::Case;
use lab::cpu_quota::CpuQuota;
use lab::error::Interrupted;
use lab::executor::RunContext;
use lab::machine;
use lab::progress::{Progress, whole_seconds};
use lab::server_ceiling;
use lab::stops::again;
use results::{Cell, Comparison, ResultsDir, Sidecars};

use crate::budget::{self, MeasuredCosts};
use crate::contestants::Contestant;
use crate::experiment::Experiment;
use crate::mode::Mode;
use crate::rounds::Rounds;
use crate::series::Series;
use crate::sweep;

/// A job of unknown length is first tried at this part of its size: in a mode that
/// scales, a full one could take the budget alone.
const FIRST_DIVISOR: u64 = 64;

/// How often a job is tried at most, resized in between: its fixed part makes the first
/// estimate too high, and seldom the second.
const MAX_TRIES: u32 = 3;

/// One comparison while it runs.
#[derive(Debug)]
pub struct Session<'a> {
    /// What every run shares.
    pub context: RunContext,
    /// How much time there is, and what it is spent on.
    pub mode: Mode,
    /// Reads the background load.
    pub monitor: LoadMonitor,
    /// When the budget began.
    pub began: Instant,
    /// Where the user sees what happens.
    pub progress: &'a Progress,
    /// What verdicts depend on.
    pub rules: Rules,
    /// The earlier run that this one is compared with.
    pub against: Option<&'a Against>,
    /// The results so far.
    pub comparison: &'a mut Comparison,
    /// The files next to the data.
    pub sidecars: &'a Sidecars,
    /// Where both are written.
    pub results: &'a ResultsDir,
}

impl Session<'_> {
    /// Compares `contestants` at `cases` and puts the results into the comparison: after
    /// an interruption, those so far. Without any cell nothing is written, so earlier
    /// results of the same name stay. Returns whether all that has to be done after the
    /// last run was done.
    ///
    /// # Errors
    ///
    /// When results cannot be written.
    pub fn run(mut self, cases: Vec<Case>, contestants: &[Contestant]) -> anyhow::Result<bool> {
        self.progress
            .line(&self.introduction(cases.len(), contestants));
        let scale = self.mode.scale;
        let clock_reading_ns = self.comparison.host.clock_reading_ns;
        let mut experiments: Vec<_> = cases
            .into_iter()
            .map(|mut case| {
                case.divisor = if scale && !case.whole {
                    FIRST_DIVISOR.min(case.full.most_divisor())
                } else {
                    1
                };
                Experiment::new(case, contestants, clock_reading_ns)
            })
            .collect();
        let quota = self.context.quota.clone();
        for note in machine::notes(&self.comparison.host, quota.as_ref()) {
            self.note(note);
        }
        let before = quota.as_ref().and_then(CpuQuota::periods);
        match self.measure(&mut experiments) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => self.comparison.run.interrupted = true,
            Err(error) => return Err(error),
        }
        let mut cleaned_up = true;
        if !self.context.interrupt.came() {
            for one in contestants {
                let executor = one.executor.as_ref().ok();
                if let Some(Err(error)) = executor.map(|executor| executor.clean_up(&self.context))
                {
                    self.note(format!("{}: {error:#}", one.model));
                    cleaned_up = false;
                }
            }
        }
        let after = quota.as_ref().and_then(CpuQuota::periods);
        if let Some((before, after)) = before.zip(after) {
            self.note(after.since(before).words());
        }
        self.conclude(&experiments);
        self.comparison.run.took_s = self.began.elapsed().as_secs_f64();
        if !self.comparison.cells.is_empty() {
            self.sidecars.write(self.results)?;
            self.results.write(self.comparison)?;
        }
        Ok(cleaned_up)
    }

    fn measure(&mut self, experiments: &mut [Experiment]) -> anyhow::Result<()> {
        self.calibrate()?;
        self.prepare(experiments)?;
        let Self {
            comparison,
            sidecars,
            results,
            began,
            ..
        } = self;
        let mut rounds = Rounds::new(
            &self.context,
            &self.mode,
            &mut self.monitor,
            self.progress,
            self.rules,
            *began,
        );
        let notes = rounds.measure(experiments, |experiments, monitor| {
            if comparison.cells.is_empty() {
                sidecars.write(results)?;
            }
            comparison.cells = experiments.iter().flat_map(Experiment::cells).collect();
            comparison.run.background_load = Some(monitor.seen.clone());
            comparison.run.took_s = began.elapsed().as_secs_f64();
            results.write(comparison)
        })?;
        for note in notes {
            self.note(note);
        }
        Ok(())
    }

    /// Measures how exact the readings of background load are, before anything else.
    fn calibrate(&mut self) -> Result<(), Interrupted> {
        self.progress.stage("looking for background load");
        let remark = self
            .monitor
            .try_out(self.mode.budget, &self.context.interrupt)?;
        match remark {
            Some(remark) => self.note(format!("background load: {remark}")),
            None => {
                let error = self.monitor.seen.error_words();
                self.progress.line(&format!("background load: {error}"));
            }
        }
        Ok(())
    }

    /// Runs every series once, for its answer and its cost, and sizes the jobs by that.
    fn prepare(&mut self, experiments: &mut [Experiment]) -> Result<(), Interrupted> {
        let mut untried: Vec<usize> = (0..experiments.len()).collect();
        let tries = if self.mode.scale { MAX_TRIES } else { 1 };
        for attempt in 1..=tries {
            for (at, &index) in untried.iter().enumerate() {
                let counted = format!("job {} of {}", at + 1, untried.len());
                self.try_out(&mut experiments[index], &counted)?;
            }
            untried = if attempt < tries {
                self.resize(experiments)
            } else {
                Vec::new()
            };
        }
        for experiment in experiments {
            if !experiment.run_costs().is_empty() {
                // Beyond this, the figure is not worth the time.
                let timeout = (self.mode.budget / 20).max(Duration::from_secs(2));
                experiment.ceiling = self.ceiling(&experiment.case, timeout)?;
            }
        }
        Ok(())
    }

    fn try_out(&mut self, experiment: &mut Experiment, counted: &str) -> Result<(), Interrupted> {
        // A hung process must not use up the budget.
        let timeout = (self.mode.budget / 8).max(Duration::from_secs(5));
        let case = &experiment.case;
        let title = format!("trying {counted}, 1/{} of {}", case.divisor, case.title());
        for series in &mut experiment.series {
            self.progress
                .doing(&format!("{title} · {}", series.model()));
            let case = case.of(series.original());
            let interrupt = &self.context.interrupt;
            let before = interrupt.stops().lost();
            let known = series.checkpoint();
            let tried = interrupt.unstopped_with(
                series,
                |series| series.try_out(&self.context, &case, timeout),
                |series, _| {
                    series.forget_stopped(&known);
                    let what = format!("{title} · {}", series.model());
                    self.progress.line(&again(&what));
                },
            );
            tried.unwrap_or_else(|_| {
                series.fail_if_stopped(&known);
                Ok(())
            })?;
            self.began += interrupt.stops().lost() - before;
        }
        experiment.choose_bench();
        Ok(())
    }

    /// Gives each job the size that fits the time. Returns the indices of those whose
    /// size has changed.
    fn resize(&self, experiments: &mut [Experiment]) -> Vec<usize> {
        let measured: Vec<_> = experiments
            .iter()
            .map(|experiment| MeasuredCosts {
                costs: experiment.run_costs(),
                divisor: experiment.case.divisor,
                most: match experiment.case.whole {
                    true => 1,
                    false => experiment.case.full.most_divisor(),
                },
            })
            .collect();
        let left = self.mode.budget.saturating_sub(self.began.elapsed());
        let mut divisors = budget::divisors(&measured, budget::plannable(left), &self.mode);
        for (experiment, divisor) in experiments.iter().zip(&mut divisors) {
            let size = experiment.case.divisor;
            let mut series = experiment.series.iter();
            if *divisor == size && size > 1 && series.any(Series::has_unknown_start) {
                *divisor = size / 2;
            }
        }
        let cases: Vec<_> = experiments
            .iter()
            .map(|experiment| &experiment.case)
            .collect();
        sweep::even_out(&cases, &mut divisors);
        let mut changed = Vec::new();
        for (index, (experiment, divisor)) in experiments.iter_mut().zip(divisors).enumerate() {
            if experiment.case.divisor != divisor {
                experiment.case.divisor = divisor;
                changed.push(index);
            }
        }
        changed
    }

    fn ceiling(&mut self, case: &Case, timeout: Duration) -> Result<Option<Duration>, Interrupted> {
        let Some(origin) = self.context.origin(case) else {
            return Ok(None);
        };
        // With a limit of its own, each model would have a ceiling of its own.
        if case.own.is_some() {
            return Ok(None);
        }
        let title = case.title();
        self.progress
            .doing(&format!("measuring the origin alone at {title}"));
        let (job, share) = (case.job(), case.share());
        let interrupt = &self.context.interrupt;
        let measured = interrupt.unstopped(
            || server_ceiling::measure(origin, &job, share, timeout, interrupt),
            |_| {
                self.progress
                    .line(&again(&format!("{title} · the origin alone")))
            },
        );
        match measured.map_err(anyhow::Error::from).flatten() {
            Ok(ceiling) => Ok(ceiling),
            Err(error) if error.is::<Interrupted>() => Err(Interrupted),
            Err(error) => {
                self.note(format!(
                    "{title}: the origin's own time is unknown: {error:#}"
                ));
                Ok(None)
            }
        }
    }

    /// Puts what was measured into the comparison, with verdicts and sweeps.
    fn conclude(&mut self, experiments: &[Experiment]) {
        self.comparison.cells.clear();
        for experiment in experiments {
            let cells = experiment.cells();
            self.judge(&cells);
            self.comparison.cells.extend(cells);
        }
        let comparison = &mut *self.comparison;
        if let Some((against, mut baseline)) = self.against.zip(comparison.baseline.take()) {
            // What an interrupted run has not reached has not vanished.
            if !comparison.run.interrupted {
                against.finish(comparison, &mut baseline);
            }
            comparison.baseline = Some(baseline);
        }
        let Comparison {
            cells, verdicts, ..
        } = &*self.comparison;
        self.comparison.sweeps = crossovers::sweeps(cells, verdicts);
        self.comparison.run.background_load = Some(self.monitor.seen.clone());
    }

    /// Tests the differences between `cells`, all of one case.
    fn judge(&mut self, cells: &[Cell]) {
        let comparison = &mut *self.comparison;
        let verdicts = match &mut comparison.self_check {
            Some(check) => self_check::add(check, cells, self.rules),
            None => verdicts::job_verdicts(cells, &verdicts::all_pairs(cells), self.rules),
        };
        comparison.verdicts.extend(verdicts);
        if let (Some(against), Some(baseline)) = (self.against, &mut comparison.baseline) {
            against.add(cells, self.rules, baseline);
        }
    }

    fn introduction(&self, jobs: usize, contestants: &[Contestant]) -> String {
        let run = &self.comparison.run;
        let names: Vec<_> = contestants.iter().map(|one| &*one.model).collect();
        format!(
            "{}: {jobs} jobs by {}, within {}, seed {}, on {}",
            run.name,
            names.join(", "),
            whole_seconds(self.mode.budget),
            run.seed,
            self.comparison.host.cores_words()
        )
    }

    /// Shows what did not go as planned, and adds it to the results.
    fn note(&mut self, note: String) {
        self.progress.line(&note);
        self.comparison.run.notes.push(note);
    }
}
