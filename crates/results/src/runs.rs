//! Stored runs, held against one of them.

use serde::Serialize;

use crate::baseline::{BrokenLimit, broken_limit};
use crate::{Change, Comparison, Judged, Verdict};

/// Stored runs against the first of them, the reference.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedRuns {
    /// The runs, the reference first.
    pub runs: Vec<StoredRun>,
    /// From which ratio on a slower cell is a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_above: Option<f64>,
    /// Every cell that one of the runs has, in the order of the runs.
    pub cells: Vec<CellOfRuns>,
}

/// One of the runs.
#[derive(Debug, Clone, Serialize)]
pub struct StoredRun {
    /// What it is called here: no two runs have one name.
    pub name: String,
    /// When it started.
    pub started: String,
    /// `quick`, `default` or `thorough`.
    pub mode: String,
    /// The commit that it was built from.
    pub revision: String,
    /// The machine's processor, and how many cores the run could use.
    pub machine: String,
    /// Whether it was ended before its end.
    pub interrupted: bool,
    /// What differs from the reference besides the programs: other causes of a difference.
    pub differences: Vec<Change>,
}

/// One model at one job, in every run.
#[derive(Debug, Clone, Serialize)]
pub struct CellOfRuns {
    /// What kind of job.
    pub workload: String,
    /// Preset and variant.
    pub label: String,
    /// The model, or the name of the custom command.
    pub model: String,
    /// One for each run, in their order.
    pub places: Vec<PlaceOfRun>,
}

/// What one run has of a cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlaceOfRun {
    /// Its median time, in nanoseconds.
    pub median_ns: Option<f64>,
    /// The ratio of that time to the reference's. The reference itself has none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// Why another run than the reference has no ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
    /// Whether the reference has a time, and this run has its job and no time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vanished: bool,
}

impl StoredRun {
    /// What there is to know of a run, which is called `name` here.
    pub fn of(name: &str, comparison: &Comparison, differences: Vec<Change>) -> Self {
        let (run, host) = (&comparison.run, &comparison.host);
        Self {
            name: name.to_owned(),
            started: run.started.clone(),
            mode: run.mode.clone(),
            revision: run.revision.clone(),
            machine: format!("{}, {}", host.cpu, host.cores_words()),
            interrupted: run.interrupted,
            differences,
        }
    }
}

impl ComparedRuns {
    /// What came of the cells of one run, by its place among the runs.
    pub fn judged(&self, run: usize) -> impl Iterator<Item = &Judged> {
        let places = self.cells.iter().map(move |cell| &cell.places[run]);
        places.filter_map(|place| place.judged.as_ref())
    }

    /// How many cells of that run have this verdict.
    pub fn number(&self, run: usize, verdict: Verdict) -> usize {
        self.judged(run)
            .filter(|judged| judged.verdict == verdict)
            .count()
    }

    /// Whether a cell of the reference has vanished from a run.
    fn has_vanished(&self, run: usize) -> bool {
        self.cells.iter().any(|cell| cell.places[run].vanished)
    }

    /// Why a run does not keep the limit, if there is one and it does not.
    pub fn broken_limit(&self, run: usize) -> Option<BrokenLimit> {
        let judged: Vec<_> = self.judged(run).collect();
        broken_limit(self.fail_above, judged.into_iter(), self.has_vanished(run))
    }

    /// Whether every run keeps the limit.
    pub fn holds(&self) -> bool {
        (1..self.runs.len()).all(|run| self.broken_limit(run).is_none())
    }
}
