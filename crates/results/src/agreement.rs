//! How far two comparisons agree on which model is faster.

use crate::{Judged, Verdict};

/// The verdicts of two comparisons, compared job by job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agreement {
    /// The jobs that both measured, in the order of the first.
    pub jobs: Vec<JobAgreement>,
    /// What has no counterpart, or may not be compared, and why.
    pub left_out: Vec<String>,
}

/// One job of both comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct JobAgreement {
    /// What kind of job.
    pub workload: String,
    /// Preset and variant.
    pub label: String,
    /// The pairs of models that have a verdict in both.
    pub pairs: Vec<PairInBoth>,
    /// By which factor the ratio of a pair differs between the two: e to the median,
    /// over all pairs, of |ln(ratio / ratio)|. 1 if all ratios are the same.
    pub factor: f64,
}

/// One pair of models in both comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct PairInBoth {
    /// The model whose time is the ratios' numerator.
    pub model: String,
    /// The model whose time is their denominator.
    pub other: String,
    /// How the one is to the other in the first comparison.
    pub first: Judged,
    /// The same in the second.
    pub second: Judged,
}

impl PairInBoth {
    /// Whether the faster of the two is shown to be the slower one in the other
    /// comparison. A difference that only one of them shows is not opposite.
    pub fn is_opposite(&self) -> bool {
        matches!(
            (self.first.verdict, self.second.verdict),
            (Verdict::Faster, Verdict::Slower) | (Verdict::Slower, Verdict::Faster)
        )
    }
}

impl JobAgreement {
    /// The pairs whose verdict is opposite.
    pub fn opposite(&self) -> impl Iterator<Item = &PairInBoth> {
        self.pairs.iter().filter(|pair| pair.is_opposite())
    }
}

impl Agreement {
    /// How many pairs of models have a verdict in both.
    pub fn pairs(&self) -> usize {
        self.jobs.iter().map(|job| job.pairs.len()).sum()
    }

    /// How many of them have their verdict opposite.
    pub fn opposite(&self) -> usize {
        let turned = self.jobs.iter().map(|job| job.opposite().count());
        turned.sum()
    }
}
