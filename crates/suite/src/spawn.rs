//! `spawn`: units are started, each answers with one number, and they end.
//!
//! Shows what a unit costs from its start until it is joined, where its work costs next to
//! nothing: a number is mixed, some nanoseconds.
//!
//! Units are started in batches, and all of a batch have ended before the next one begins.
//! In a tree, a batch starts with one unit; each unit starts its own children, adds up what
//! they answer, and answers with the sum.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer, splitmix64};

/// How many units there are, and how they are started and answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Units in all.
    pub units: u64,
    /// Units that are started together: the most that are alive at once.
    pub batch: usize,
    /// How a unit answers.
    pub reply: Reply,
    /// What starts the units of a batch.
    pub tree: Tree,
    /// Switches off the count of units that are alive while the job is timed: all would share
    /// its cache line.
    #[serde(skip)]
    pub unwatched: bool,
}

/// How a unit answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// With its return value, which is read when it is joined.
    Join,
    /// Over a channel that it shares with the units that were started together with it.
    Channel,
}

/// What starts the units of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Tree {
    /// The job starts all of them: `flat`.
    Flat,
    /// The job starts one, and each unit at most this many others: a number from 2.
    Width(u64),
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Flat => f.write_str("flat"),
            Tree::Width(width) => width.fmt(f),
        }
    }
}

impl FromStr for Tree {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let width = || text.parse().ok().filter(|width| *width >= 2);
        match text {
            "flat" => Ok(Tree::Flat),
            _ => width().map(Tree::Width).ok_or_else(|| {
                format!("{text} is neither `flat` nor a width, which is a number from 2")
            }),
        }
    }
}

impl TryFrom<String> for Tree {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Tree> for String {
    fn from(tree: Tree) -> Self {
        tree.to_string()
    }
}

/// What came of all units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Units that were started. That each has answered shows in the sum.
    pub units: u64,
    /// The sum of all answers: see [`answer`].
    pub sum: u64,
    /// The most units that were alive at once; 0 while the job is timed.
    pub most_alive: u64,
    /// Units that were still alive at the end.
    pub left: u64,
}

/// Units that are started together.
///
/// ```
/// # use suite::spawn::{Batch, answer};
/// /// Starts these units and adds up what they answer.
/// fn start(units: std::ops::Range<u64>, batch: &Batch) -> u64 {
///     let mut sum = 0u64;
///     for unit in units {
///         // Here it is a call. In a concurrent model, it is a unit that does this:
///         let below = start(batch.children(unit), batch);
///         sum = sum.wrapping_add(answer(unit)).wrapping_add(below);
///     }
///     sum
/// }
/// # use suite::{Preset, Workload, Job};
/// # let Job::Spawn(mut job) = Workload::Spawn.job(Preset::Article) else { unreachable!() };
/// # for tree in ["flat", "3"] {
/// #     job.tree = tree.parse().unwrap();
/// let mut sum = 0u64;
/// for batch in job.batches() {
///     sum = sum.wrapping_add(start(batch.first_units(), &batch));
/// }
/// assert_eq!(sum, (0..job.units).map(answer).fold(0, u64::wrapping_add));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The number of its first unit.
    first: u64,
    /// How many there are.
    units: u64,
    /// How many others a unit starts; none if the job starts all.
    width: Option<u64>,
    /// How they answer.
    pub reply: Reply,
}

impl Batch {
    /// How many units it has.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// The units that the job itself starts.
    pub fn first_units(&self) -> Range<u64> {
        let most = self.width.map_or(self.units, |_| 1);
        self.first..self.first + most.min(self.units)
    }

    /// The units that this one starts. Counted within the batch from 0, unit `n` of a tree
    /// of width `w` starts those from `n * w + 1` to `n * w + w`, as far as they are there.
    #[inline]
    pub fn children(&self, unit: u64) -> Range<u64> {
        let Some(width) = self.width else {
            return unit..unit;
        };
        let end = self.first + self.units;
        let first = self.first + (unit - self.first) * width + 1;
        first.min(end)..(first + width).min(end)
    }
}

/// The answer of this unit, for itself: its number, mixed. That is all the work that it does.
///
/// Answers are added up, and the sum overflows. A unit that is lost, doubled or made up
/// changes it (but for one chance in 2⁶⁴).
#[inline]
pub fn answer(unit: u64) -> u64 {
    splitmix64(unit)
}

/// Counts the units that are alive, unless the job is timed.
#[derive(Debug, Clone)]
pub struct Alive(Option<Arc<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    now: AtomicU64,
    most: AtomicU64,
}

/// A unit is alive as long as it holds this.
#[derive(Debug)]
pub struct Living(Alive);

impl Alive {
    /// For one run of `job`.
    pub fn new(job: &Job) -> Self {
        Self((!job.unwatched).then(Arc::default))
    }

    /// A unit begins.
    #[inline]
    pub fn begin(&self) -> Living {
        if let Some(counts) = &self.0 {
            let now = counts.now.fetch_add(1, Relaxed) + 1;
            counts.most.fetch_max(now, Relaxed);
        }
        Living(self.clone())
    }

    /// The outcome, when all units have been joined.
    pub fn outcome(&self, job: &Job, sum: u64) -> Outcome {
        let count = |of: fn(&Counts) -> &AtomicU64| {
            let counts = self.0.as_deref();
            counts.map_or(0, |counts| of(counts).load(Relaxed))
        };
        Outcome {
            units: job.units,
            sum,
            most_alive: count(|counts| &counts.most),
            left: count(|counts| &counts.now),
        }
    }
}

impl Drop for Living {
    #[inline]
    fn drop(&mut self) {
        if let Some(counts) = &self.0.0 {
            counts.now.fetch_sub(1, Relaxed);
        }
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (units, batch) = match preset {
            Preset::Article => (10, 10),
            Preset::Heavy => (100_000, 1_000),
        };
        Self {
            units,
            batch,
            reply: Reply::Join,
            tree: Tree::Flat,
            unwatched: false,
        }
    }

    /// The batches, one after the other.
    pub fn batches(&self) -> impl Iterator<Item = Batch> + use<> {
        let (units, most, reply) = (self.units, self.batch as u64, self.reply);
        let width = match self.tree {
            Tree::Flat => None,
            Tree::Width(width) => Some(width),
        };
        let starts = (0..units).step_by(self.batch);
        starts.map(move |first| Batch {
            first,
            units: most.min(units - first),
            width,
            reply,
        })
    }

    pub(crate) fn units(&self) -> usize {
        self.batch
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("units", self.units, 1, 100_000_000)?;
        Invalid::unless_within("batch", self.batch as u64, 1, 1_000_000)?;
        match self.tree {
            Tree::Flat => Ok(()),
            Tree::Width(width) => Invalid::unless_within("tree", width, 2, 1_000_000),
        }
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let units = (self.units / divisor).max(1);
        Self {
            units,
            batch: self.batch.min(usize::try_from(units).unwrap_or(usize::MAX)),
            ..self.clone()
        }
    }

    /// Every unit has answered and ended, and never more than a batch were alive.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let sum = (0..self.units).map(answer).fold(0, u64::wrapping_add);
        for (what, got, right) in [
            ("units", outcome.units, self.units),
            ("sum", outcome.sum, sum),
            ("left", outcome.left, 0),
        ] {
            WrongAnswer::unless(got == right, what, got, right)?;
        }
        WrongAnswer::unless(
            outcome.most_alive <= self.batch as u64,
            "most_alive",
            outcome.most_alive,
            format!("at most {}", self.batch),
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, elapsed: Duration) -> String {
        format!(
            "{} units were started and have ended, {} alive at most; {:.3?} a unit",
            outcome.units,
            outcome.most_alive,
            elapsed.div_f64(outcome.units.max(1) as f64)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The units of a batch, as they are started.
    fn started(batch: &Batch) -> Vec<u64> {
        let mut units: Vec<u64> = batch.first_units().collect();
        let mut at = 0;
        while at < units.len() {
            units.extend(batch.children(units[at]));
            at += 1;
        }
        units
    }

    proptest! {
        #[test]
        fn each_unit_is_started_once(units in 1u64..300, batch in 1usize..100, width in 1u64..12) {
            let tree = if width == 1 { Tree::Flat } else { Tree::Width(width) };
            let job = Job { units, batch, tree, ..Job::preset(Preset::Article) };
            let mut all = Vec::new();
            for each in job.batches() {
                let started = started(&each);
                prop_assert!(started.len() <= batch);
                all.extend(started);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..units).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_unit_that_is_lost_doubled_or_left_is_found() {
        let job = Job::preset(Preset::Article);
        let alive = Alive::new(&job);
        drop(alive.begin());
        let sum = (0..job.units).map(answer).fold(0, u64::wrapping_add);
        let right = alive.outcome(&job, sum);
        job.check(&right).expect("right");
        let doubled = answer(3);
        for (wrong, what) in [
            (
                Outcome {
                    units: 9,
                    ..right.clone()
                },
                "units",
            ),
            (
                Outcome {
                    sum: right.sum.wrapping_add(doubled),
                    ..right.clone()
                },
                "sum",
            ),
            (
                Outcome {
                    left: 1,
                    ..right.clone()
                },
                "left",
            ),
            (
                Outcome {
                    most_alive: 11,
                    ..right.clone()
                },
                "most_alive",
            ),
        ] {
            let error = job.check(&wrong).expect_err(what);
            assert_eq!(error.what, what);
        }
    }
}
