//! One comparison under way: tries every cell out, has them measured in
//! [rounds](crate::rounds), judges them, and writes the data of what came of it.

use std::time::{Duration, Instant};

use analysis::baseline::Against;
use analysis::{Rules, crossovers, self_check, verdicts};
use fastrand::Rng;
use lab::background_load::LoadMonitor;
use lab::case::Case;
use lab::error::Interrupted;
use lab::executor::RunContext;
use lab::progress::{Progress, whole_seconds};
use lab::server_ceiling;
use results::{Cell, Comparison, ResultsDir, Sidecars};

use crate::budget::{self, Measured};
use crate::contestants::Contestant;
use crate::experiment::Experiment;
use crate::mode::Mode;
use crate::rounds::Rounds;
use crate::series::Series;
use crate::sweep;

/// One comparison under way.
#[derive(Debug)]
pub struct Session<'a> {
    /// What every run shares.
    pub context: RunContext,
    /// How much time there is, and what for.
    pub mode: Mode,
    /// Reads what others use of the machine.
    pub monitor: LoadMonitor,
    /// When that time began.
    pub began: Instant,
    /// Where it is told what happens.
    pub progress: &'a Progress,
    /// What verdicts depend on.
    pub rules: Rules,
    /// The earlier run that this one is compared with.
    pub against: Option<Against>,
    /// What came of it so far.
    pub comparison: Comparison,
    /// What lies next to its data.
    pub sidecars: Sidecars,
    /// Where both are written.
    pub results: &'a ResultsDir,
}

impl Session<'_> {
    /// Compares `contestants` at `cases`, and gives what came of it: as far as it
    /// got, if it was interrupted. Of an empty one nothing is written, so that earlier
    /// results of the same name stay.
    ///
    /// # Errors
    ///
    /// When results cannot be written.
    pub fn run(
        mut self,
        cases: Vec<Case>,
        contestants: &[Contestant],
    ) -> anyhow::Result<Comparison> {
        self.progress
            .line(&self.introduction(cases.len(), contestants));
        let experiment = |case: Case| Experiment {
            series: contestants
                .iter()
                .filter(|contestant| contestant.case(&case).is_some())
                .map(Series::new)
                .collect(),
            runs: 1,
            ceiling: None,
            disturbed: 0,
            case: Case {
                divisor: if self.mode.scale && !case.whole {
                    FIRST_DIVISOR
                } else {
                    1
                },
                ..case
            },
        };
        let mut experiments: Vec<_> = cases.into_iter().map(experiment).collect();
        match self.measure(&mut experiments) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => self.comparison.run.interrupted = true,
            Err(error) => return Err(error),
        }
        self.conclude(&experiments);
        self.comparison.run.took_s = self.began.elapsed().as_secs_f64();
        if !self.comparison.cells.is_empty() {
            self.sidecars.write(self.results)?;
            self.results.write(&self.comparison)?;
        }
        Ok(self.comparison)
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
        let mut rounds = Rounds {
            context: &self.context,
            mode: &self.mode,
            monitor: &mut self.monitor,
            progress: self.progress,
            random: Rng::with_seed(comparison.run.seed),
            began: *began,
        };
        let short = rounds.measure(experiments, |experiments, monitor| {
            if comparison.cells.is_empty() {
                sidecars.write(results)?;
            }
            comparison.cells = experiments.iter().flat_map(Experiment::cells).collect();
            comparison.run.neighbours = Some(monitor.seen.clone());
            comparison.run.took_s = began.elapsed().as_secs_f64();
            results.write(comparison)
        })?;
        for note in short {
            self.note(note);
        }
        Ok(())
    }

    /// Says what the readings of background load are worth, before anything is
    /// measured.
    fn calibrate(&mut self) -> Result<(), Interrupted> {
        self.progress.stage("looking for background load");
        let remark = self
            .monitor
            .try_out(self.mode.budget, &self.context.interrupt)?;
        let said = remark.clone();
        let said = said.unwrap_or_else(|| self.monitor.seen.error_words());
        self.progress.line(&format!("neighbours: {said}"));
        let notes = &mut self.comparison.run.notes;
        notes.extend(remark.map(|remark| format!("neighbours: {remark}")));
        Ok(())
    }

    /// Runs every cell once, for its answer and its pace, and plans with that.
    fn prepare(&mut self, experiments: &mut [Experiment]) -> Result<(), Interrupted> {
        let mut untried: Vec<usize> = (0..experiments.len()).collect();
        let passes = if self.mode.scale { PASSES } else { 1 };
        for pass in 1..=passes {
            for experiment in untried {
                self.try_out(&mut experiments[experiment])?;
            }
            untried = match pass < passes {
                true => self.resize(experiments),
                false => Vec::new(),
            };
        }
        for experiment in experiments {
            if !experiment.paces().is_empty() {
                // What takes longer than that is not worth waiting for.
                let timeout = (self.mode.budget / 20).max(Duration::from_secs(2));
                experiment.ceiling = self.ceiling(&experiment.case, timeout)?;
            }
        }
        Ok(())
    }

    fn try_out(&self, experiment: &mut Experiment) -> Result<(), Interrupted> {
        // Whoever hangs here must not take the whole budget with it.
        let timeout = (self.mode.budget / 8).max(Duration::from_secs(5));
        let case = &experiment.case;
        let title = format!("{}: trying 1/{} of it", case.title(), case.divisor);
        self.progress.stage(&title);
        for series in &mut experiment.series {
            self.progress
                .doing(&format!("{title} · {}", series.model()));
            series.try_out(&self.context, &case.of(series.original()), timeout)?;
        }
        experiment.choose_bench();
        Ok(())
    }

    /// Gives each job the size that fits the time, and says whose has changed.
    fn resize(&self, experiments: &mut [Experiment]) -> Vec<usize> {
        let measured = experiments.iter().map(|experiment| Measured {
            paces: experiment.paces(),
            divisor: experiment.case.divisor,
            whole: experiment.case.whole,
        });
        let measured: Vec<_> = measured.collect();
        let mut divisors = budget::divisors(&measured, self.plannable(), &self.mode);
        let cases: Vec<_> = experiments
            .iter()
            .map(|experiment| &experiment.case)
            .collect();
        sweep::even_out(&cases, &mut divisors);
        let mut changed = Vec::new();
        for (at, (experiment, divisor)) in experiments.iter_mut().zip(divisors).enumerate() {
            if experiment.case.divisor != divisor {
                experiment.case.divisor = divisor;
                changed.push(at);
            }
        }
        changed
    }

    fn ceiling(&mut self, case: &Case, timeout: Duration) -> Result<Option<Duration>, Interrupted> {
        let Some(origin) = self.context.origin(case) else {
            return Ok(None);
        };
        // Who have limits of their own would each have a ceiling of their own.
        if case.own.is_some() {
            return Ok(None);
        }
        let (job, share) = (case.job(), case.share());
        match server_ceiling::measure(origin, &job, share, timeout, &self.context.interrupt) {
            Ok(ceiling) => Ok(ceiling),
            Err(error) if error.is::<Interrupted>() => Err(Interrupted),
            Err(error) => {
                let title = case.title();
                self.note(format!(
                    "{title}: the origin's own time is unknown: {error:#}"
                ));
                Ok(None)
            }
        }
    }

    /// Puts what was measured into the comparison, for good.
    fn conclude(&mut self, experiments: &[Experiment]) {
        self.comparison.cells.clear();
        for experiment in experiments {
            let cells = experiment.cells();
            self.judge(&cells);
            self.comparison.cells.extend(cells);
        }
        let Comparison {
            cells, verdicts, ..
        } = &self.comparison;
        self.comparison.sweeps = crossovers::sweeps(cells, verdicts);
        self.comparison.run.neighbours = Some(self.monitor.seen.clone());
    }

    /// Says what differs in what was just measured, all cells of one job.
    fn judge(&mut self, cells: &[Cell]) {
        let comparison = &mut self.comparison;
        let verdicts = match &mut comparison.self_check {
            Some(check) => self_check::add(check, cells, self.rules),
            None => verdicts::job_verdicts(cells, &verdicts::all_pairs(cells), self.rules),
        };
        comparison.verdicts.extend(verdicts);
        if let (Some(against), Some(baseline)) = (&self.against, &mut comparison.baseline) {
            against.add(cells, self.rules, baseline);
        }
    }

    fn introduction(&self, jobs: usize, contestants: &[Contestant]) -> String {
        let run = &self.comparison.run;
        let names: Vec<_> = contestants.iter().map(|one| &*one.model).collect();
        format!(
            "{}: {jobs} jobs by {}, within {}, seed {}, on {} cores",
            run.name,
            names.join(", "),
            whole_seconds(self.mode.budget),
            run.seed,
            self.comparison.host.cores
        )
    }

    /// Says what did not go as planned, now and in the results.
    fn note(&mut self, note: String) {
        self.progress.line(&note);
        self.comparison.run.notes.push(note);
    }

    fn plannable(&self) -> Duration {
        budget::plannable(self.mode.budget.saturating_sub(self.began.elapsed()))
    }
}

/// A job of unknown length is first tried at this part of its size: in a mode
/// that scales, a full one could take the budget alone.
const FIRST_DIVISOR: u64 = 64;

/// How often a job is tried at most, resized in between: its fixed part makes
/// the first estimate too high, and seldom the second.
const PASSES: u32 = 3;
