//! What has changed since an earlier run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Judged, Verdict};

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
    /// Whether the limit is kept, if there is one.
    pub fn holds(&self) -> bool {
        self.broken_limit().is_none()
    }

    /// Why the limit is not kept, if there is one and it is not.
    pub fn broken_limit(&self) -> Option<BrokenLimit> {
        let judged = self.cells.iter().map(|cell| &cell.judged);
        broken_limit(self.fail_above, judged, !self.vanished.is_empty())
    }
}

/// Why a limit on the cells that are slower is not kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BrokenLimit {
    /// Nothing could be held to it.
    NothingCompared,
    /// A cell is shown to be slower by more than this.
    Slower(f64),
    /// A cell has no time any more.
    Vanished,
}

impl fmt::Display for BrokenLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingCompared => {
                f.write_str("nothing could be compared, so the limit is not kept")
            }
            Self::Slower(limit) => write!(f, "slower than {limit} times, which is the limit"),
            Self::Vanished => f.write_str("cells have vanished, so the limit is not kept"),
        }
    }
}

/// Why `limit` is not kept by what was `judged`, if there is one and it is not.
pub(crate) fn broken_limit<'a>(
    limit: Option<f64>,
    judged: impl Iterator<Item = &'a Judged> + Clone,
    vanished: bool,
) -> Option<BrokenLimit> {
    let limit = limit?;
    let is_slower = |judged: &Judged| judged.verdict == Verdict::Slower && judged.ratio > limit;
    if judged.clone().next().is_none() {
        Some(BrokenLimit::NothingCompared)
    } else if judged.clone().any(is_slower) {
        Some(BrokenLimit::Slower(limit))
    } else {
        vanished.then_some(BrokenLimit::Vanished)
    }
}
