//! `cargo xtask compare --self-check`: the comparison, compared with itself.
//!
//! Every model takes part twice, as two contestants that are the same programs,
//! through the whole of it: rounds, order, samples, verdicts. Whatever is called
//! a difference between the two is a mistake of the comparison, or of the
//! machine that it ran on. And as one that never finds anything would pass, a
//! third copy of the first model has [`SLOWED_BY`] times the work in the one job
//! that is nothing but computing, which has to be found.

use serde::{Deserialize, Serialize};
use suite::{Job, Preset, primes};

use crate::contestants::{Contestant, CopyOf};
use crate::judge::{Rules, Verdict};
use crate::plan::Group;
use crate::results::Cell;
use crate::units::percent;
use crate::verdicts::{self, Pair, Section};

/// The largest part of all pairs of a model and itself that may come out as a
/// difference.
pub const MOST: f64 = 0.05;

/// How many times the work the slowed copy has.
pub const SLOWED_BY: f64 = 1.05;

/// What follows a model's name in its second contestant's.
const TWIN: &str = "#2";

/// What follows it in that of the one that has more to do.
const SLOWED: &str = "#slowed";

/// What came of a self-check.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SelfCheck {
    /// Pairs of a model and itself that were judged.
    pub pairs: usize,
    /// How many of them came out as a difference.
    pub different: usize,
    /// The same as a part of them.
    pub share: f64,
    /// The copy that had more to do, against its original; none if no job of
    /// mere computing was measured in enough rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowed: Option<Slowed>,
}

/// A difference that is there, and whether it was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slowed {
    /// What kind of job.
    pub workload: String,
    /// Preset and variant.
    pub label: String,
    /// How many times the work it was.
    pub by: f64,
    /// What was found.
    #[serde(flatten)]
    pub pair: Pair,
}

impl SelfCheck {
    /// Judges `cells`, all of one job: each model against itself, all of these
    /// together. The slowed copy is a question of its own.
    pub fn add(&mut self, cells: &[Cell], rules: Rules) -> Option<Section> {
        let section = Section::of(cells, &copies(cells, TWIN), rules)?;
        let different = |pair: &&Pair| pair.judged.verdict != Verdict::NoDifference;
        self.pairs += section.pairs.len();
        self.different += section.pairs.iter().filter(different).count();
        self.share = self.different as f64 / self.pairs.max(1) as f64;
        let slowed = verdicts::judged_pairs(cells, &copies(cells, SLOWED), rules);
        if let Some(pair) = slowed.into_iter().next() {
            self.slowed = Some(Slowed {
                workload: section.workload.clone(),
                label: section.label.clone(),
                by: SLOWED_BY,
                pair,
            });
        }
        Some(section)
    }

    /// Whether the comparison may be believed on this machine.
    pub fn passed(&self) -> bool {
        let slower = |slowed: &Slowed| slowed.pair.judged.verdict == Verdict::Slower;
        self.pairs > 0 && self.share <= MOST && self.slowed.as_ref().is_none_or(slower)
    }

    /// All of it in lines.
    pub fn words(&self) -> Vec<String> {
        let Self {
            pairs,
            different,
            share,
            ..
        } = self;
        let twins = match pairs {
            0 => "no pair was judged, so nothing is shown".to_owned(),
            _ => format!(
                "{different} of {pairs} pairs of a model and itself came out as a difference: \
                 {}, of at most {}",
                percent(*share),
                percent(MOST)
            ),
        };
        let slowed = match &self.slowed {
            Some(Slowed {
                workload,
                label,
                by,
                pair,
            }) => format!(
                "{} with {} more work in {workload} {label}: {}",
                pair.other,
                percent(by - 1.0),
                pair.judged.words()
            ),
            None => {
                "no copy with more work: primes heavy was not measured in enough rounds".to_owned()
            }
        };
        let end = match self.passed() {
            true => "passed",
            false => "not passed",
        };
        vec![twins, slowed, end.to_owned()]
    }
}

/// Each of `originals` and its copies.
pub fn contestants(originals: Vec<Contestant>) -> Vec<Contestant> {
    let copy = |original: &Contestant, mark: &str| Contestant {
        model: format!("{}{mark}", original.model),
        copy: Some(CopyOf {
            model: original.model.clone(),
            slowed: mark == SLOWED,
        }),
        ..original.clone()
    };
    let mut all = Vec::new();
    for (place, original) in originals.into_iter().enumerate() {
        let twin = copy(&original, TWIN);
        let slowed = (place == 0).then(|| copy(&original, SLOWED));
        all.extend([original, twin].into_iter().chain(slowed));
    }
    all
}

/// Sees that the job whose slowed copy has to be found is not made smaller: of
/// five percent of a few milliseconds, the machine's own restlessness is too much.
pub fn keep_whole(groups: &mut [Group]) {
    for group in groups {
        group.whole |= slowed(group).is_some();
    }
}

/// The job of `group` with [`SLOWED_BY`] times the work, if it is the one job in
/// which that can be said to be known.
///
/// Most divisions are those of primes, √n each, so a range's are as
/// `end^1.5 - start^1.5`: the longer range has five percent more of these, and
/// not of numbers.
pub fn slowed(group: &Group) -> Option<Group> {
    let Job::Primes(job) = group.job() else {
        return None;
    };
    if group.preset != Preset::Heavy {
        return None;
    }
    let divisions = |number: u64| (number as f64).powf(1.5);
    let (start, end) = (divisions(job.start), divisions(job.end));
    let end = (start + (end - start) * SLOWED_BY).powf(1.0 / 1.5);
    let job = primes::Job {
        end: end.round() as u64,
        ..job
    };
    Some(Group {
        full: Job::Primes(job),
        divisor: 1,
        ..group.clone()
    })
}

/// Each copy with this mark, and its original, by their indices.
fn copies(cells: &[Cell], mark: &str) -> Vec<(usize, usize)> {
    let original = |(copy, cell): (usize, &Cell)| {
        let model = cell.model.strip_suffix(mark)?;
        let original = cells.iter().position(|cell| cell.model == model)?;
        Some((copy, original))
    };
    cells.iter().enumerate().filter_map(original).collect()
}

#[cfg(test)]
mod tests {
    use suite::Workload;

    use super::*;
    use crate::judge::Judged;
    use crate::plan;

    #[test]
    fn the_slowed_copy_has_five_percent_more_to_do() {
        let groups = plan::groups(&[Workload::Primes], &Preset::ALL, &[]);
        let [article, heavy] = &groups.expect("presets make sense")[..] else {
            panic!("two presets");
        };
        assert!(slowed(article).is_none());
        for divisor in [4, 16] {
            let group = Group {
                divisor,
                ..heavy.clone()
            };
            let divisions = |group: &Group| match group.job() {
                Job::Primes(job) => (job.start..job.end).map(divisions).sum::<u64>(),
                other => panic!("{other:?}"),
            };
            let more = slowed(&group).expect("primes can be slowed");
            let ratio = divisions(&more) as f64 / divisions(&group) as f64;
            assert!((ratio - SLOWED_BY).abs() < 2e-3, "{ratio}");
        }
    }

    /// How many divisions `suite::primes::is_prime` makes of a number that large.
    fn divisions(number: u64) -> u64 {
        if number.is_multiple_of(2) {
            return 1;
        }
        let odd = (3..=number.isqrt()).step_by(2);
        let mut made = 0;
        for divisor in odd {
            made += 1;
            if number.is_multiple_of(divisor) {
                break;
            }
        }
        made
    }

    #[test]
    fn a_check_passes_by_what_it_finds_and_what_it_does_not() {
        let judged = |verdict| Judged {
            ratio: 1.05,
            low: 1.04,
            high: 1.06,
            verdict,
        };
        let slowed = |verdict| Slowed {
            workload: "primes".to_owned(),
            label: "heavy".to_owned(),
            by: SLOWED_BY,
            pair: Pair {
                model: "serial#slowed".to_owned(),
                other: "serial".to_owned(),
                judged: judged(verdict),
            },
        };
        let check = |pairs: usize, different: usize, slowed| SelfCheck {
            pairs,
            different,
            share: different as f64 / pairs.max(1) as f64,
            slowed,
        };
        let found = || Some(slowed(Verdict::Slower));
        assert!(check(40, 2, found()).passed());
        assert!(check(40, 2, None).passed());
        assert!(!check(40, 3, found()).passed());
        assert!(!check(40, 0, Some(slowed(Verdict::NoDifference))).passed());
        assert!(!check(0, 0, None).passed());
        let words = check(40, 3, found()).words().join("\n");
        assert!(words.contains("3 of 40") && words.contains("7.5 %, of at most 5.0 %"));
        assert!(words.contains("serial with 5.0 % more work in primes heavy: 1.05 times slower"));
        assert!(words.ends_with("not passed"));
    }
}
