//! What has changed since an earlier run.

use serde::{Deserialize, Serialize};

use crate::Judged;
use crate::runs::within;

/// What has changed since an earlier run, in the data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Baseline {
    /// The earlier run.
    pub name: String,
    /// The commit that it was built from.
    pub revision: String,
    /// From which ratio on a slower cell is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_above: Option<f64>,
    /// What it was measured or built with that has changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Change>,
    /// What else may be behind a difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Every cell of both runs, the models of a job judged together.
    pub cells: Vec<Compared>,
    /// Cells that could not be compared, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Cells that had a time in the earlier run, and have none in this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vanished: Vec<String>,
}

/// Something that was one thing and is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What.
    pub what: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// One cell of this run, held against the same one of the earlier run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// What kind of job.
    pub workload: String,
    /// `article` or `heavy`.
    pub preset: String,
    /// Preset and variant.
    pub label: String,
    /// The model.
    pub model: String,
    /// This run's time by the earlier one's.
    #[serde(flatten)]
    pub judged: Judged,
}

impl Baseline {
    /// Whether no cell is slower than it may be, and none has vanished. A limit that
    /// nothing could be held to is not kept.
    pub fn holds(&self) -> bool {
        let all_there = !self.cells.is_empty() && self.vanished.is_empty();
        self.fail_above.is_none() || all_there && self.keeps_limit()
    }

    /// Whether no cell is slower than it may be.
    pub fn keeps_limit(&self) -> bool {
        let limit = self.fail_above.unwrap_or(f64::INFINITY);
        within(limit, self.cells.iter().map(|cell| &cell.judged))
    }
}
