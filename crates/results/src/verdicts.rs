//! Which model is faster than which at a job, which take the same time, and of which
//! that cannot be told.

use serde::{Deserialize, Serialize};

use crate::Cell;

/// Fewer rounds than this give no verdict: their own scatter is not known well
/// enough to tell a difference from it.
pub const MIN_ROUNDS: usize = 5;

/// Times are equivalent if their ratio is less than this part above 1, or below 1 by as
/// much the other way round, unless another margin is set.
pub const EQUIVALENCE: f64 = 0.1;

/// How one time is to another.
///
/// What is shown is decided by the interval of their ratio alone: see [`Verdict::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Shown to be shorter.
    Faster,
    /// Shown to be longer.
    Slower,
    /// Not shown to be different, and shown to be equivalent.
    #[serde(rename = "no difference")]
    NoDifference,
    /// Neither is shown: the interval is too wide.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

impl Verdict {
    /// By the interval of the ratio. A difference that is shown is one, however small.
    /// Otherwise, an interval within [1 / (1 + `equivalence`), 1 + `equivalence`] shows
    /// that there is no difference that matters (D. Schuirmann, *A Comparison of the Two
    /// One-Sided Tests Procedure and the Power Approach*, 1987).
    pub fn of(low: f64, high: f64, equivalence: f64) -> Self {
        let margin = 1.0 + equivalence;
        if high < 1.0 {
            Self::Faster
        } else if low > 1.0 {
            Self::Slower
        } else if 1.0 / margin <= low && high <= margin {
            Self::NoDifference
        } else {
            Self::CannotTell
        }
    }

    /// Whether the times are shown to be different.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::Faster | Self::Slower)
    }
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
                same => same,
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
    /// that were judged. Models of one rank stay in that order.
    ///
    /// A model's rank is one more than the number of models that are shown to be faster.
    /// So it does not depend on any order of comparing. A model that little is known of
    /// has a good rank: whether it deserves it is for [`JobVerdicts::best`] to say.
    pub fn ranks<'a>(&self, models: impl IntoIterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
        let judged = |model: &&str| {
            let mut pairs = self.pairs.iter();
            pairs.any(|pair| pair.model == *model || pair.other == *model)
        };
        let models: Vec<&str> = models.into_iter().filter(judged).collect();
        let rank = |model: &str| {
            let faster = |other: &&&str| self.is_faster(other, model) == Some(true);
            1 + models.iter().filter(faster).count()
        };
        let mut ranks: Vec<_> = models.iter().map(|&model| (rank(model), model)).collect();
        ranks.sort_by_key(|&(rank, _)| rank);
        ranks
    }

    /// The best of `ranks`: those of rank 1 of whom it is known how they are to every
    /// other one of rank 1. None, where that cannot be told.
    pub fn best<'a>(&self, ranks: &[(usize, &'a str)]) -> Vec<&'a str> {
        let first = || ranks.iter().filter(|(rank, _)| *rank == 1);
        let unknown = |one: &str, other: &str| {
            one != other
                && self
                    .verdict(one, other)
                    .is_none_or(|verdict| verdict == Verdict::CannotTell)
        };
        let best = first().filter(|(_, one)| !first().any(|(_, other)| unknown(one, other)));
        best.map(|&(_, model)| model).collect()
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

    /// How the one's time is to the other's, if they were judged.
    pub fn verdict(&self, one: &str, other: &str) -> Option<Verdict> {
        Some(self.between(one, other)?.verdict)
    }

    /// Whether the one is faster than the other; open where they were not judged, or no
    /// difference was shown.
    pub fn is_faster(&self, one: &str, other: &str) -> Option<bool> {
        let verdict = self.verdict(one, other)?;
        verdict
            .is_difference()
            .then_some(verdict == Verdict::Faster)
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
    fn an_interval_shows_a_difference_or_none_or_nothing() {
        use Verdict::{CannotTell, Faster, NoDifference, Slower};
        for (low, high, verdict) in [
            (0.5, 0.999, Faster),
            (1.001, 1.002, Slower),
            (0.95, 1.0, NoDifference),
            (0.92, 1.08, NoDifference),
            (0.9, 1.05, CannotTell),
            (0.95, 1.11, CannotTell),
            (0.2, 5.0, CannotTell),
        ] {
            let of = |low, high| Verdict::of(low, high, EQUIVALENCE);
            assert_eq!(of(low, high), verdict, "{low} {high}");
            let judged = Judged {
                ratio: 1.0,
                low,
                high,
                verdict,
            };
            let reversed = judged.reversed();
            assert_eq!(of(reversed.low, reversed.high), reversed.verdict);
        }
    }

    #[test]
    fn a_rank_is_the_number_of_models_shown_to_be_faster_and_one() {
        let pair = |model: &str, other: &str, ratio| Pair {
            model: model.to_owned(),
            other: other.to_owned(),
            judged: judged(ratio),
        };
        let mut section = JobVerdicts {
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
        let ranks = [(1, "tokio"), (1, "thread"), (2, "smol"), (4, "serial")];
        assert_eq!(section.ranks(models), ranks);
        assert_eq!(section.best(&ranks), ["tokio", "thread"]);
        // In whatever order they come.
        let mut backwards = section.ranks(models.into_iter().rev());
        backwards.sort_by_key(|(_, model)| models.iter().position(|known| known == model));
        assert_eq!(backwards, ranks);
        // Of two that no model is shown to beat, and that cannot be told apart, neither is
        // the best.
        section.pairs[2].judged.verdict = Verdict::CannotTell;
        assert_eq!(section.ranks(models), ranks);
        assert_eq!(section.best(&ranks), [""; 0]);
        assert!(section.drifts("smol") && !section.drifts("tokio"));
    }
}
