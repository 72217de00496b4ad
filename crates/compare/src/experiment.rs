//! One group, measured: all models in every round, in a new order each time.

use std::time::Duration;

use analysis::server_bound::OriginAlone;
use lab::case::Case;
use lab::error::Interrupted;
use lab::executor::RunContext;
use results::Cell;

use crate::budget::{self, RoundEstimate, RunCost};
use crate::mode::Mode;
use crate::series::{Checkpoint, Series};

/// A job that takes this long has no bench.
const LONG: Duration = Duration::from_millis(250);

/// A group while it is measured: one job, and an series for each model.
#[derive(Debug)]
pub struct Experiment<'a> {
    /// The job.
    pub case: Case,
    /// The models, in the order asked for.
    pub series: Vec<Series<'a>>,
    /// Runs a model and round.
    pub runs: u32,
    /// How long the origin alone takes for the job's requests.
    pub ceiling: Option<Duration>,
    /// Rounds that others disturbed, and that stand all the same.
    pub disturbed: u32,
}

impl Experiment<'_> {
    /// The paces of those that got through their first run.
    pub fn paces(&self) -> Vec<RunCost> {
        self.series.iter().filter_map(Series::pace).collect()
    }

    /// Where even the fastest model takes a quarter of a second, a bench's ten jobs a
    /// round would be most of a comparison, and its warming up would change nothing.
    /// Then times are those of fresh processes' jobs: for all models of the group, as
    /// the first job on a started model is not quite any other.
    pub fn choose_bench(&mut self) {
        let long = self.paces().iter().all(|pace| pace.job >= LONG);
        for series in &mut self.series {
            let model = series.is_model();
            if let Some(pace) = &mut series.pace {
                pace.benched = model && !long;
            }
        }
    }

    /// What it will do: nothing more, if nobody takes part.
    pub fn estimate(&self, mode: &Mode) -> RoundEstimate {
        let paces = self.paces();
        RoundEstimate {
            done: if paces.is_empty() {
                mode.most_rounds
            } else {
                0
            },
            round: budget::round(&paces, mode),
        }
    }

    /// One round: each series's part of it, in a new order. Calls `doing` with the
    /// model before each.
    ///
    /// # Errors
    ///
    /// When interrupted: what was measured until then stays.
    pub fn round(
        &mut self,
        context: &RunContext,
        mode: &Mode,
        random: &mut fastrand::Rng,
        number: u32,
        mut doing: impl FnMut(&str),
    ) -> Result<(), Interrupted> {
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        random.shuffle(&mut order);
        for place in order {
            let series = &mut self.series[place];
            doing(series.model());
            let group = self.case.of(series.original());
            series.round(context, &group, mode, self.runs, number)?;
        }
        Ok(())
    }

    /// How much has been measured of each series so far.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.series.iter().map(Series::checkpoint).collect()
    }

    /// Drops what was measured between two moments.
    pub fn rollback(&mut self, from: &[Checkpoint], to: &[Checkpoint]) {
        for (series, (from, to)) in self.series.iter_mut().zip(from.iter().zip(to)) {
            series.rollback(from, to);
        }
    }

    /// What has come of it so far.
    pub fn cells(&self) -> Vec<Cell> {
        let medians = self.series.iter().filter_map(Series::median);
        let origin = OriginAlone::new(self.ceiling, medians);
        let cell = |series: &Series| {
            let group = self.case.of(series.original());
            let mut cell = series.cell(&group, origin)?;
            let rounds = cell.time.as_ref().map_or(0, |time| time.rounds.len());
            cell.disturbed = self.disturbed.min(rounds as u32);
            Some(cell)
        };
        self.series.iter().filter_map(cell).collect()
    }
}
