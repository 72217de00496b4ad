//! One case while it is measured: all contestants in every round, each time in a new
//! order.

use std::time::Duration;

use analysis::server_bound::OriginAlone;
use lab::case::Case;
use lab::error::Interrupted;
use lab::executor::RunContext;
use results::Cell;

use crate::budget::{self, Part, RoundEstimate, RunCost};
use crate::contestants::Contestant;
use crate::mode::Mode;
use crate::series::{Checkpoint, Series};

/// A job that takes this long has no bench.
const LONG: Duration = Duration::from_millis(250);

/// One case while it is measured, with a series for each contestant.
#[derive(Debug)]
pub(crate) struct Experiment<'a> {
    pub(crate) case: Case,
    /// In the order of the contestants.
    pub(crate) series: Vec<Series<'a>>,
    /// Unobserved runs of each series in a round.
    pub(crate) runs: u32,
    /// How long the origin alone takes for the job's requests.
    pub(crate) ceiling: Option<Duration>,
    /// What it takes to read the clock before and after a job, in nanoseconds.
    clock_reading_ns: Option<f64>,
    /// Rounds with background load that were kept.
    pub(crate) noisy: u32,
}

impl<'a> Experiment<'a> {
    /// With the contestants that take part in `case`.
    pub(crate) fn new(
        case: Case,
        contestants: &'a [Contestant],
        clock_reading_ns: Option<f64>,
    ) -> Self {
        Self {
            series: contestants
                .iter()
                .filter(|contestant| contestant.case(&case).is_some())
                .map(Series::new)
                .collect(),
            runs: 1,
            ceiling: None,
            clock_reading_ns,
            noisy: 0,
            case,
        }
    }

    /// The run costs of the series that got through their first run.
    pub(crate) fn run_costs(&self) -> Vec<RunCost> {
        self.series.iter().filter_map(Series::cost).collect()
    }

    /// Where even the fastest model takes a quarter of a second, a bench's ten jobs a
    /// round would be most of a comparison, and its warm-up would change nothing. Then
    /// times are those of jobs in fresh processes: for all models of the case, as the
    /// first job of a process differs from later ones.
    pub(crate) fn choose_bench(&mut self) {
        let long = self.run_costs().iter().all(|cost| cost.job >= LONG);
        for series in &mut self.series {
            series.set_benched(!long);
        }
    }

    /// What its rounds cost; all of them are done if no series takes part.
    pub(crate) fn estimate(&self, mode: &Mode) -> RoundEstimate {
        let costs = self.run_costs();
        let Case {
            point,
            variant,
            own,
            ..
        } = &self.case;
        let part = if point.is_some() {
            Part::Sweep
        } else if variant.is_some() || own.is_some() {
            Part::Variant
        } else {
            Part::Job
        };
        RoundEstimate {
            part,
            done: if costs.is_empty() {
                mode.most_rounds
            } else {
                0
            },
            round: budget::round_cost(&costs, mode),
            width: None,
        }
    }

    /// One round: each series's part of it, in a new order. Calls `doing` with the
    /// model before each. After an interruption, what was measured until then stays.
    pub(crate) fn round(
        &mut self,
        context: &RunContext,
        mode: &Mode,
        random: &mut fastrand::Rng,
        number: u32,
        mut doing: impl FnMut(&str),
    ) -> Result<(), Interrupted> {
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        random.shuffle(&mut order);
        for index in order {
            let series = &mut self.series[index];
            doing(series.model());
            let case = self.case.of(series.original());
            series.round(context, &case, mode, self.runs, number)?;
        }
        Ok(())
    }

    /// How much has been measured of each series so far.
    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        self.series.iter().map(Series::checkpoint).collect()
    }

    /// Drops what was measured between two checkpoints.
    pub(crate) fn rollback(&mut self, from: &[Checkpoint], to: &[Checkpoint]) {
        for (series, (from, to)) in self.series.iter_mut().zip(from.iter().zip(to)) {
            series.rollback(from, to);
        }
    }

    /// Removes what a round with a stop has given.
    pub(crate) fn forget_stopped(&mut self, from: &[Checkpoint]) {
        let all = self.checkpoints();
        self.rollback(from, &all);
        for (series, from) in self.series.iter_mut().zip(from) {
            series.forget_stopped(from);
        }
    }

    /// Gives the series up in which something was stopped.
    pub(crate) fn fail_stopped(&mut self, from: &[Checkpoint]) {
        for (series, from) in self.series.iter_mut().zip(from) {
            series.fail_if_stopped(from);
        }
    }

    /// The cells of what was measured so far.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let medians = self.series.iter().filter_map(Series::median);
        let origin = OriginAlone::new(self.ceiling, medians);
        let cell = |series: &Series| {
            let case = self.case.of(series.original());
            let mut cell = series.cell(&case, origin)?;
            let rounds = cell.time.as_ref().map_or(0, |time| time.rounds.len());
            cell.disturbed = self.noisy.min(rounds as u32);
            let times = cell.time.as_ref().zip(self.clock_reading_ns);
            cell.mostly_clock = times.is_some_and(|(time, reading)| time.is_mostly_clock(reading));
            Some(cell)
        };
        self.series.iter().filter_map(cell).collect()
    }
}
