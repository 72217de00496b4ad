//! `comparison.json`: the shape of its data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::models::OF_SCHEMA_1;
use crate::{
    BackgroundLoad, Baseline, Cell, ClusterNodes, EQUIVALENCE, JobVerdicts, Judged, ModelInfo,
    Models, SelfCheck, Sweep, Verdict,
};

/// The shape that is written. Older ones are read as well: schema 1 does not list its
/// models, and schema 2 has three verdicts where there are four.
pub const SCHEMA: u32 = 3;

/// How each [note](RunInfo::notes) ends that says how many rounds of how many a job has had.
pub const FEWER_ROUNDS: &str = " rounds, to keep to the time";

/// `comparison.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`], or that of an older file.
    pub schema: u32,
    /// How it came about.
    pub run: RunInfo,
    /// On which machine.
    pub host: Host,
    /// Every model of the workspace, in the order of the tables: not all of them have
    /// to have taken part. Empty in schema 1: see [`Comparison::models`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelInfo>,
    /// The compiler, and each library that a model uses.
    pub versions: BTreeMap<String, String>,
    /// How the programs were built, besides the compiler: profile, flags, wrappers. Older
    /// results do not have it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub build: BTreeMap<String, String>,
    /// The figures: one for each workload, preset, variant and model.
    pub cells: Vec<Cell>,
    /// Which model is faster than which: one for each workload, preset and variant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<JobVerdicts>,
    /// What has changed since an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What came of comparing each model with itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<SelfCheck>,
    /// What the points among the cells are of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
}

impl Comparison {
    /// Every model that there was, in the order of the tables.
    pub fn models(&self) -> Models<'_> {
        Models(match self.schema {
            1 => &OF_SCHEMA_1,
            _ => &self.models,
        })
    }

    /// The model whose times the ratios are given to.
    pub fn reference(&self) -> &str {
        let reference = self.run.reference.as_deref();
        let reference = reference.or_else(|| self.models().baseline());
        reference.unwrap_or_default()
    }

    /// The cells of each job, in the order of the data.
    pub fn jobs(&self) -> Vec<Vec<&Cell>> {
        let mut jobs: Vec<Vec<&Cell>> = Vec::new();
        for cell in &self.cells {
            match jobs.iter_mut().find(|job| job[0].is_same_job(cell)) {
                Some(job) => job.push(cell),
                None => jobs.push(vec![cell]),
            }
        }
        jobs
    }

    /// Gives every verdict anew, by its interval: older results knew no fourth verdict.
    pub(crate) fn judge_again(&mut self) {
        let pairs = self.verdicts.iter_mut().flat_map(|of| &mut of.pairs);
        let compared = self.baseline.iter_mut().flat_map(|of| &mut of.cells);
        let slowed = self
            .self_check
            .iter_mut()
            .filter_map(|of| of.slowed.as_mut());
        let judged = pairs.map(|pair| &mut pair.judged);
        let judged = judged.chain(compared.map(|cell| &mut cell.judged));
        for judged in judged.chain(slowed.map(|slowed| &mut slowed.pair.judged)) {
            let Judged { low, high, .. } = *judged;
            judged.verdict = Verdict::of(low, high, self.run.equivalence);
        }
    }

    /// The verdicts on a job, if it has any.
    pub fn verdicts_of(&self, workload: &str, label: &str) -> Option<&JobVerdicts> {
        let mut verdicts = self.verdicts.iter();
        verdicts.find(|of| of.workload == workload && of.label == label)
    }
}

/// How a comparison came about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunInfo {
    /// The name of its directory.
    pub name: String,
    /// When it started, in the machine's time zone.
    pub started: String,
    /// `quick`, `default` or `thorough`.
    pub mode: String,
    /// The commit it was built from, `-dirty` if there was more.
    pub revision: String,
    /// What the order within the rounds was drawn from, and the verdicts' resamples.
    pub seed: u64,
    /// Up to which part above 1 a ratio counts as equivalent: [`EQUIVALENCE`], if older
    /// results do not say.
    #[serde(default = "equivalence")]
    pub equivalence: f64,
    /// Worker threads of each model.
    pub threads: usize,
    /// Blocking calls at once of each model.
    pub blocking_threads: usize,
    /// Where downloads were written.
    #[serde(default)]
    pub scratch: String,
    /// The models, in the order asked for.
    pub models: Vec<String>,
    /// The model whose times the ratios are given to, if it is not the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The nodes, if a model took part whose units may be on other machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterNodes>,
    /// The time there was, from the end of the build.
    pub budget_s: f64,
    /// The time it took, from the end of the build.
    pub took_s: f64,
    /// Whether it was ended before its end.
    pub interrupted: bool,
    /// Where Criterion's pages were made from these data, relative to the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criterion: Option<String>,
    /// What is known of others' use of the machine meanwhile.
    #[serde(default, alias = "neighbours", skip_serializing_if = "Option::is_none")]
    pub background_load: Option<BackgroundLoad>,
    /// What did not go as planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

fn equivalence() -> f64 {
    EQUIVALENCE
}

/// The machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// Its processor.
    pub cpu: String,
    /// How many cores this could use. With a quota of CPU time it is at most the quota,
    /// rounded down, and at least 1.
    pub cores: usize,
    /// How many cores this was allowed to use, without regard to a quota. Older results
    /// do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable_cores: Option<usize>,
    /// All of the machine's, if this was kept to some of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_cores: Option<usize>,
    /// How many cores' time there was, if there was a quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<f64>,
    /// What governs the frequencies of its cores, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
    /// Whether a battery fed it. `None` if it has none, and in older results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_battery: Option<bool>,
    /// Its memory, in bytes.
    pub memory: u64,
    /// The kernel's version.
    pub kernel: String,
    /// The distribution.
    pub os: String,
    /// What it costs to read the clock before and after a job: the time of a job that
    /// does nothing, in nanoseconds. Older results do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_reading_ns: Option<f64>,
}

impl Host {
    /// The cores there were: `2 cores`, `2 of 8 cores` or `1 core, a quota of 0.5 cores' time`.
    pub fn cores_words(&self) -> String {
        let mut words = match self.kept_to() {
            Some((cores, all)) => format!("{cores} of {all} cores"),
            None if self.cores == 1 => "1 core".to_owned(),
            None => format!("{} cores", self.cores),
        };
        if let Some(quota) = self.quota {
            words += &format!(", a quota of {}", quota_words(quota));
        }
        words
    }

    /// To how many cores this was kept, and how many the machine has.
    pub fn kept_to(&self) -> Option<(usize, usize)> {
        Some((self.usable_cores.unwrap_or(self.cores), self.machine_cores?))
    }
}

/// A quota in words, with two decimals at most: `0.5 cores' time`.
pub fn quota_words(cores: f64) -> String {
    format!("{} cores' time", (cores * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use crate::fixture::Builder;

    use super::*;

    #[test]
    fn the_cores_of_a_mask_are_not_those_of_a_quota() {
        let host = Host {
            cores: 1,
            usable_cores: Some(4),
            machine_cores: Some(8),
            quota: Some(1.0 / 3.0),
            ..Builder::new().build().host
        };
        let right = "4 of 8 cores, a quota of 0.33 cores' time";
        assert_eq!(host.cores_words(), right);
        let older = Host {
            usable_cores: None,
            quota: None,
            ..host.clone()
        };
        assert_eq!(older.cores_words(), "1 of 8 cores");
        let all = Host {
            machine_cores: None,
            quota: Some(1.0),
            ..host
        };
        assert_eq!(all.cores_words(), "1 core, a quota of 1 cores' time");
    }
}
