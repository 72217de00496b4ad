//! Which model is faster than which at a job, and which cannot be told apart.

use serde::{Deserialize, Serialize};

use crate::Cell;

/// Fewer rounds than this give no verdict: their own scatter is not known well
/// enough to tell a difference from it.
pub const MIN_ROUNDS: usize = 5;

/// How one time is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Shorter.
    Faster,
    /// Longer.
    Slower,
    /// Not shown to be different, or not by enough to matter.
    #[serde(rename = "no difference")]
    NoDifference,
}

/// What came of a comparison of two times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The one's median by the other's.
    pub ratio: f64,
    /// From here ...
    pub low: f64,
    /// ... to here is its interval: of 95 %, and wider where others were judged
    /// together with it.
    pub high: f64,
    /// What that means.
    pub verdict: Verdict,
}

impl Judged {
    /// The same of the other's time by the one's.
    pub fn reversed(self) -> Self {
        Self {
            ratio: 1.0 / self.ratio,
            low: 1.0 / self.high,
            high: 1.0 / self.low,
            verdict: match self.verdict {
                Verdict::Faster => Verdict::Slower,
                Verdict::Slower => Verdict::Faster,
                Verdict::NoDifference => Verdict::NoDifference,
            },
        }
    }
}

/// The verdicts of one job: what is a section of the tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobVerdicts {
    /// What kind of job.
    pub workload: String,
    /// `article` or `heavy`.
    pub preset: String,
    /// Preset and variant.
    pub label: String,
    /// The rounds that all of its cells took part in.
    pub rounds: usize,
    /// Every model against every other, judged together; none where there were
    /// too few rounds. In a self-check, each model against itself.
    pub pairs: Vec<Pair>,
    /// The models whose rounds disagree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifting: Vec<String>,
}

/// One model held against another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The model whose time is the ratio's numerator; the verdict is about it.
    pub model: String,
    /// The model whose time is its denominator.
    pub other: String,
    /// How the one is to the other.
    #[serde(flatten)]
    pub judged: Judged,
}

impl JobVerdicts {
    /// The ranks of `models`, which are in the order of their medians; of those
    /// that were judged.
    ///
    /// Each shares the rank of the one before it, unless it is not the equal of
    /// the first with that rank: then its rank is its place. So noise lifts no
    /// model above one with a better median.
    pub fn ranks<'a>(&self, models: impl IntoIterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
        let judged = |model: &&str| {
            let mut pairs = self.pairs.iter();
            pairs.any(|pair| pair.model == *model || pair.other == *model)
        };
        let mut ranks: Vec<(usize, &str)> = Vec::new();
        let mut first = (0, "");
        for (place, model) in models.into_iter().filter(judged).enumerate() {
            if !self.ties(first.1, model) {
                first = (place + 1, model);
            }
            ranks.push((first.0, model));
        }
        ranks
    }

    /// What was judged of these two, as the ratio of the one's time to the other's.
    pub fn between(&self, one: &str, other: &str) -> Option<Judged> {
        self.pairs.iter().find_map(|pair| {
            if (&*pair.model, &*pair.other) == (one, other) {
                Some(pair.judged)
            } else if (&*pair.model, &*pair.other) == (other, one) {
                Some(pair.judged.reversed())
            } else {
                None
            }
        })
    }

    /// Whether these two were judged and could not be told apart.
    pub fn ties(&self, one: &str, other: &str) -> bool {
        let judged = self.between(one, other);
        judged.is_some_and(|judged| judged.verdict == Verdict::NoDifference)
    }

    /// Whether the one is faster than the other; open where they were not judged,
    /// or could not be told apart.
    pub fn is_faster(&self, one: &str, other: &str) -> Option<bool> {
        match self.between(one, other)?.verdict {
            Verdict::Faster => Some(true),
            Verdict::Slower => Some(false),
            Verdict::NoDifference => None,
        }
    }

    /// Whether it is of the job that this cell is of.
    pub fn is_of(&self, cell: &Cell) -> bool {
        (&self.workload, &self.label) == (&cell.workload, &cell.label)
    }

    /// Whether this model's rounds disagree.
    pub fn drifts(&self, model: &str) -> bool {
        self.drifting.iter().any(|drifting| drifting == model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::judged;

    #[test]
    fn ties_share_a_rank() {
        let pair = |model: &str, other: &str, ratio| Pair {
            model: model.to_owned(),
            other: other.to_owned(),
            judged: judged(ratio),
        };
        let section = JobVerdicts {
            workload: String::new(),
            preset: String::new(),
            label: String::new(),
            rounds: 5,
            pairs: vec![
                pair("serial", "thread", 1.5),
                pair("serial", "tokio", 1.5),
                pair("thread", "tokio", 1.0),
                pair("smol", "thread", 1.0),
                pair("tokio", "smol", 0.5),
                pair("smol", "serial", 0.5),
            ],
            drifting: vec!["smol".to_owned()],
        };
        // smol is the equal of thread, and not of the first.
        let models = ["tokio", "thread", "process", "smol", "serial"];
        let ranks = [(1, "tokio"), (1, "thread"), (3, "smol"), (4, "serial")];
        assert_eq!(section.ranks(models), ranks);
        // It is the equal of thread still, and no better than serial.
        let models = ["thread", "serial", "smol"];
        let ranks = [(1, "thread"), (2, "serial"), (3, "smol")];
        assert_eq!(section.ranks(models), ranks);
        assert!(section.ties("thread", "tokio") && section.ties("tokio", "thread"));
        assert!(!section.ties("smol", "tokio") && !section.ties("tokio", "process"));
        assert!(section.drifts("smol") && !section.drifts("tokio"));
    }
}
