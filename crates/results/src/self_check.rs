//! What came of comparing each model with itself.

use serde::{Deserialize, Serialize};

use crate::{Pair, Verdict};

/// The largest part of all pairs of a model and itself that may come out as a
/// difference.
pub const MOST: f64 = 0.05;

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
    /// Whether the comparison may be believed on this machine.
    pub fn passed(&self) -> bool {
        let slower = |slowed: &Slowed| slowed.pair.judged.verdict == Verdict::Slower;
        self.pairs > 0 && self.share <= MOST && self.slowed.as_ref().is_none_or(slower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::judged;

    #[test]
    fn a_check_passes_by_what_it_finds_and_what_it_does_not() {
        let check = |pairs: usize, different: usize, slowed: Option<f64>| SelfCheck {
            pairs,
            different,
            share: different as f64 / pairs.max(1) as f64,
            slowed: slowed.map(|ratio| Slowed {
                workload: "primes".to_owned(),
                label: "heavy".to_owned(),
                by: 1.05,
                pair: Pair {
                    model: "serial#slowed".to_owned(),
                    other: "serial".to_owned(),
                    judged: judged(ratio),
                },
            }),
        };
        for (pairs, different, slowed, passes) in [
            (40, 2, Some(1.05), true),
            (40, 2, None, true),
            (40, 3, Some(1.05), false),
            (40, 0, Some(1.0), false),
            (0, 0, None, false),
        ] {
            let check = check(pairs, different, slowed);
            assert_eq!(check.passed(), passes, "{check:?}");
        }
    }
}
