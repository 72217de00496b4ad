//! Who is faster than whom at a job, and who cannot be told apart.

use serde::{Deserialize, Serialize};

use crate::judge::{self, Judged, LEAST_ROUNDS, Rounds, Rules, Verdict};
use crate::results::Cell;
use crate::statistics::{median, rounds_agree};

/// The verdicts of one job: what is a section of the tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Section {
    /// What kind of job.
    pub workload: String,
    /// Whose numbers.
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
    /// Whose time is the ratio's numerator, and whom the verdict is about.
    pub model: String,
    /// Whose is its denominator.
    pub other: String,
    /// How the one is to the other.
    #[serde(flatten)]
    pub judged: Judged,
}

impl Section {
    /// Judges `pairs` of `cells`, by their indices, together. `None` where nobody
    /// has a time.
    pub fn of(cells: &[Cell], pairs: &[(usize, usize)], rules: Rules) -> Option<Self> {
        let first = cells.first()?;
        let timed = timed(cells);
        let drifting = timed.iter().filter(|(_, rounds)| drifts(rounds));
        Some(Self {
            workload: first.workload.clone(),
            preset: first.preset.clone(),
            label: first.label.clone(),
            rounds: timed.first().map(|(_, rounds)| rounds.len())?,
            pairs: judged_pairs(cells, pairs, rules),
            drifting: drifting.map(|&(at, _)| cells[at].model.clone()).collect(),
        })
    }

    /// The ranks of `models`, which are in the order of their medians; of those
    /// that were judged.
    ///
    /// Each shares the rank of the one before it, unless it is not the equal of
    /// the first with that rank: then its rank is its place. So noise lifts nobody
    /// above whoever has the better median.
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

    /// Whether these two were judged and could not be told apart.
    pub fn ties(&self, one: &str, other: &str) -> bool {
        let both = |pair: &Pair| [(one, other), (other, one)].contains(&(&pair.model, &pair.other));
        let mut pairs = self.pairs.iter();
        pairs.any(|pair| both(pair) && pair.judged.verdict == Verdict::NoDifference)
    }

    /// Whether the one is faster than the other; open where they were not judged,
    /// or could not be told apart.
    pub fn is_faster(&self, one: &str, other: &str) -> Option<bool> {
        self.pairs.iter().find_map(|pair| {
            let straight = match (&*pair.model, &*pair.other) {
                names if names == (one, other) => true,
                names if names == (other, one) => false,
                _ => return None,
            };
            match pair.judged.verdict {
                Verdict::Faster => Some(straight),
                Verdict::Slower => Some(!straight),
                Verdict::NoDifference => None,
            }
        })
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

/// Every model's cell against each one after it. A contestant from outside is
/// none of them: its time is another one, with its start.
pub fn all_pairs(cells: &[Cell]) -> Vec<(usize, usize)> {
    let models = || (0..cells.len()).filter(|&at| cells[at].command.is_none());
    let after = |one| {
        let others = models().filter(move |&other| other > one);
        others.map(move |other| (one, other))
    };
    models().flat_map(after).collect()
}

/// Judges `pairs` of `cells`, by their indices, together, as far as both have a
/// time; none where there were too few rounds.
pub fn judged_pairs(cells: &[Cell], pairs: &[(usize, usize)], rules: Rules) -> Vec<Pair> {
    let timed = timed(cells);
    if timed.iter().any(|(_, rounds)| rounds.len() < LEAST_ROUNDS) {
        return Vec::new();
    }
    let place = |cell: usize| timed.iter().position(|&(at, _)| at == cell);
    let pairs = pairs.iter();
    let pairs: Vec<_> = pairs
        .filter_map(|&(one, other)| place(one).zip(place(other)))
        .collect();
    let rounds: Vec<_> = timed.iter().map(|(_, rounds)| rounds.clone()).collect();
    let estimates = judge::side_by_side(&rounds, &pairs, rules.seed);
    let judged = judge::judge(&estimates, rules.least);
    let model = |place: usize| cells[timed[place].0].model.clone();
    let pair = |(judged, &(one, other)): (Judged, &(usize, usize))| Pair {
        model: model(one),
        other: model(other),
        judged,
    };
    judged.into_iter().zip(&pairs).map(pair).collect()
}

/// The rounds of those cells that have a time, as far as all of them got: who
/// ends a comparison ends it in the middle of a round.
fn timed(cells: &[Cell]) -> Vec<(usize, Rounds<'_>)> {
    let cells = cells.iter().enumerate();
    let mut timed: Vec<_> = cells
        .filter_map(|(at, cell)| Some((at, judge::rounds(cell.time.as_ref()?)?)))
        .collect();
    let common = timed.iter().map(|(_, rounds)| rounds.len()).min();
    for (_, rounds) in &mut timed {
        rounds.truncate(common.unwrap_or(0));
    }
    timed
}

/// A test that calls rounds different which are not, does so this often.
const CHANCE: f64 = 0.01;

/// The slowest round's median by the fastest one's, less one, from which on
/// rounds disagree. Any two processes differ by a little, which no more samples
/// within them would hide.
const APART: f64 = 0.1;

/// Whether rounds disagree: by more than their samples' spread allows, and by
/// enough to matter.
fn drifts(rounds: &Rounds) -> bool {
    let medians = rounds.iter().filter_map(|round| median(round));
    let slowest = medians.clone().fold(0.0, f64::max);
    let fastest = medians.fold(f64::INFINITY, f64::min);
    let apart = slowest / fastest - 1.0 > APART;
    apart && rounds_agree(rounds).is_some_and(|chance| chance < CHANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_a_rank() {
        let pair = |model: &str, other: &str, verdict| Pair {
            model: model.to_owned(),
            other: other.to_owned(),
            judged: Judged {
                ratio: 1.0,
                low: 1.0,
                high: 1.0,
                verdict,
            },
        };
        use Verdict::{Faster, NoDifference, Slower};
        let section = Section {
            workload: String::new(),
            preset: String::new(),
            label: String::new(),
            rounds: 5,
            pairs: vec![
                pair("serial", "thread", Slower),
                pair("serial", "tokio", Slower),
                pair("thread", "tokio", NoDifference),
                pair("smol", "thread", NoDifference),
                pair("tokio", "smol", Faster),
                pair("smol", "serial", Faster),
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

    #[test]
    fn rounds_that_disagree_drift() {
        let round = |median: f64| [median * 0.999, median, median * 1.001];
        let drift = |medians: [f64; 5]| {
            let rounds = medians.map(round);
            drifts(&rounds.iter().map(|round| &round[..]).collect())
        };
        assert!(drift([1.0, 1.3, 0.9, 1.2, 1.1]));
        // Surely not the same, and near enough.
        assert!(!drift([1.0, 1.01, 0.99, 1.02, 1.03]));
        // Far apart, as its samples are.
        let wide = [[1.0, 1.2, 1.5], [1.1, 1.35, 1.4], [1.05, 1.3, 1.6]];
        assert!(!drifts(&wide.iter().map(|round| &round[..]).collect()));
    }
}
