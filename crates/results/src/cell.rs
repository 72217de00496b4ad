//! One model at one job: its figures and how they came out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Kind;

/// How a cell came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Right answers only.
    Ok,
    /// The job ran to its end and its answer was wrong.
    WrongAnswer,
    /// A run crashed, hung or could not be started.
    Failed,
    /// The model does not do this job at this size, and says so.
    Unsupported,
}

/// One model at one job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// What kind of job.
    pub workload: String,
    /// `article` or `heavy`.
    pub preset: String,
    /// The second way to do it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What of a sweep it is, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// How many cores the model was kept to; all, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<usize>,
    /// Preset, variant, point and cores, as Criterion's ids have them.
    pub label: String,
    /// The model, or the name of the custom command.
    pub model: String,
    /// The custom command that did it, if it is none of the models. Its times are those
    /// of whole processes, with their start, unless it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether that command was asked for jobs and answered: then it was timed as models are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers: bool,
    /// The interpreter and the model, if it is one of the contestants in Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<Python>,
    /// The job that was measured.
    pub job: Value,
    /// How it came out.
    pub status: Status,
    /// Why it is not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the job was made smaller to fit the time.
    pub scaled: bool,
    /// By how much.
    pub divisor: u64,
    /// How long the job takes on a started model. Or a whole process with that job,
    /// of a custom command.
    pub time: Option<Time>,
    /// Whether those samples are not a bench's, but of fresh processes, one each:
    /// the job is a long one, or a custom command's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_runs: bool,
    /// Whether [too much](MOSTLY_CLOCK) of that time is the reading of the clock: then it
    /// has neither a verdict nor a rank.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mostly_clock: bool,
    /// How long the same takes cold: from a process's start to the end of its first
    /// job. Not of a custom command that does not answer: it has no other time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<Time>,
    /// How much of that is the process's start and the model's: the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    /// When the job's items were done, where they have such a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
    /// What requests took from when they were due, where a load generator sent them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// The rest, from fresh processes; medians over the runs.
    #[serde(flatten)]
    pub resources: Resources,
    /// What the job came to, in the last of those runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
    /// How many of its rounds were noisy, as others used the machine, and were kept all
    /// the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disturbed: u32,
    /// In how many of its rounds a CPU quota stopped it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub throttled: u32,
    /// How long the origin alone takes for the job's requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_ceiling_ns: Option<u64>,
    /// Processor time of the origin for one job: the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_cpu_ns: Option<u64>,
    /// Whether the origin, more than the model, set the time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub origin_bound: bool,
    /// By what of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_bound_by: Option<ServerBound>,
}

impl Cell {
    /// The median time, in nanoseconds.
    pub fn median_ns(&self) -> Option<f64> {
        self.time.as_ref().map(|time| time.median_ns)
    }

    /// The same, unless it has no rank: then no ratio to it is taken.
    pub fn ranked_ns(&self) -> Option<f64> {
        self.median_ns().filter(|_| !self.mostly_clock)
    }

    /// In how many rounds it was timed.
    pub fn rounds(&self) -> Option<usize> {
        self.time.as_ref().map(|time| time.rounds.len())
    }

    /// Processor time, user and system together, in nanoseconds: for a short run, the
    /// kernel only guesses how to split it.
    pub fn cpu_ns(&self) -> Option<u64> {
        let figures = &self.resources;
        Some(figures.user_ns?.saturating_add(figures.system_ns?))
    }

    /// Context switches, voluntary and involuntary together.
    pub fn switches(&self) -> Option<u64> {
        let figures = &self.resources;
        Some(
            figures
                .voluntary_switches?
                .saturating_add(figures.involuntary_switches?),
        )
    }

    /// Whether it is a model's, and no custom command's.
    pub fn is_model(&self) -> bool {
        self.command.is_none()
    }

    /// Whether its time is that of the job alone, so that it can be held against a model's: of a
    /// model, and of a contestant that answers.
    pub fn is_job_time(&self) -> bool {
        self.is_model() || self.answers
    }

    /// Whether it is of this job.
    pub fn is_of(&self, workload: &str, label: &str) -> bool {
        self.workload == workload && self.label == label
    }

    /// Whether both are of one job.
    pub fn is_same_job(&self, other: &Self) -> bool {
        self.is_of(&other.workload, &other.label)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a contestant in Python is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// How it does several things at once.
    pub model: PythonModel,
    /// What runs it.
    pub interpreter: Interpreter,
}

/// How a contestant in Python does several things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PythonModel {
    /// `threading`.
    Thread,
    /// `multiprocessing`.
    Process,
    /// `asyncio`.
    Asyncio,
    /// Sub-interpreters.
    Interpreters,
}

impl PythonModel {
    /// What its units are, where the article has such a model.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Thread => Some(Kind::Thread),
            Self::Process => Some(Kind::Process),
            Self::Asyncio => Some(Kind::Task),
            Self::Interpreters => None,
        }
    }
}

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Its version: `3.11.7`.
    pub version: String,
    /// Whether it has its lock, which lets one thread run at a time.
    pub gil: bool,
    /// Where it is.
    pub path: String,
}

impl Interpreter {
    /// `Python 3.11.7`, `Python 3.14.0 without the GIL`.
    pub fn words(&self) -> String {
        let without = if self.gil { "" } else { " without the GIL" };
        format!("Python {}{without}", self.version)
    }
}

/// One value of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Which of the job's parameters is swept.
    pub key: String,
    /// What it is here: a number, or a word.
    pub value: Value,
}

/// How long a job takes, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Time {
    /// The median of all samples.
    pub median_ns: f64,
    /// From here ...
    pub low_ns: f64,
    /// ... to here is the median's 95 % confidence interval.
    pub high_ns: f64,
    /// Time an iteration, in the order measured.
    pub samples_ns: Vec<f64>,
    /// How many of the samples each round gave.
    pub rounds: Vec<usize>,
}

/// From this part on, the reading of the clock is too much of a time to rank it.
pub const MOSTLY_CLOCK: f64 = 0.4;

impl Time {
    /// Whether a reading of the clock before and after the job, which takes `reading_ns`,
    /// is [too much](MOSTLY_CLOCK) of the median.
    pub fn is_mostly_clock(&self, reading_ns: f64) -> bool {
        reading_ns >= MOSTLY_CLOCK * self.median_ns
    }

    /// How far the further end of the interval is from the median, as a part of it.
    pub fn spread(&self) -> f64 {
        let low = self.median_ns - self.low_ns;
        let high = self.high_ns - self.median_ns;
        low.max(high) / self.median_ns
    }
}

/// What a whole process with all its children takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Resources {
    /// From before its start to its end.
    pub wall_ns: Option<u64>,
    /// Time on processors in the program.
    pub user_ns: Option<u64>,
    /// Time on processors in the kernel.
    pub system_ns: Option<u64>,
    /// The most memory seen at once.
    pub peak_memory_bytes: Option<u64>,
    /// The same and the most that the kernel was seen to hold for it: page tables, kernel
    /// stacks and slab. Older results do not have it.
    #[serde(default)]
    pub peak_with_kernel_bytes: Option<u64>,
    /// How the memory was told, or why it was not.
    pub memory_method: Option<String>,
    /// The same as the process itself saw it, as a cross-check.
    pub own_peak_memory_bytes: Option<u64>,
    /// Context switches to wait for something.
    pub voluntary_switches: Option<u64>,
    /// Context switches because another's turn had come.
    pub involuntary_switches: Option<u64>,
    /// The most threads seen at once.
    pub threads: Option<u64>,
    /// The most processes seen at once.
    pub processes: Option<u64>,
    /// How many runs gave these.
    pub runs: u32,
}

/// What of the origin set the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerBound {
    /// The rate of its link, which the job asks for.
    Link,
    /// The delay of its answers, which the job asks for.
    Delay,
    /// Itself: it could not go faster.
    Speed,
}

/// Completion times of a job's items, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// How many items there were in all runs together.
    pub items: u64,
    /// How many runs.
    pub runs: u32,
    /// Half of the items took no longer.
    pub p50_ns: u64,
    /// Nine in ten.
    pub p90_ns: u64,
    /// Ninety-nine in a hundred.
    pub p99_ns: u64,
    /// All of them.
    pub max_ns: u64,
}

/// What requests took, in fresh processes: from when each was due until its answer was whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many runs.
    pub runs: u32,
    /// Requests in each.
    pub requests: u64,
    /// Requests a second that were due; none in a closed loop, where a connection sends its
    /// next when it has its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_per_s: Option<f64>,
    /// Requests a second that were answered.
    pub achieved_per_s: Range,
    /// Whether that were, in each run, as many as were due, but for a twentieth. If not,
    /// requests wait in a queue that grows: then latencies say how long the load lasted.
    pub has_kept_up: bool,
    /// The most requests of a run that the generator sent late by its own fault.
    pub late: u64,
    /// The part of the time in which the generator, which has one thread, was busy.
    pub generator_busy: f64,
    /// Half of a run's requests took no longer, in nanoseconds.
    pub p50_ns: Range,
    /// Nine in ten.
    pub p90_ns: Range,
    /// Ninety-nine in a hundred.
    pub p99_ns: Range,
    /// 999 in a thousand.
    pub p999_ns: Range,
    /// All of them.
    pub max_ns: Range,
    /// Of a proxy: by how much half of a run's requests took longer than without it, just
    /// before, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_p50_ns: Option<Range>,
}

/// A figure of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The median of the runs.
    pub median: f64,
    /// The least of any run.
    pub low: f64,
    /// The greatest of any run.
    pub high: f64,
}

#[cfg(test)]
mod tests {
    use crate::fixture::{cell, steady};

    #[test]
    fn from_forty_percent_on_a_time_is_mostly_clock_and_not_ranked() {
        assert!(steady(100.0, 5).is_mostly_clock(40.0));
        assert!(!steady(100.0, 5).is_mostly_clock(39.9));
        assert!(steady(0.0, 5).is_mostly_clock(39.9));

        let mut cell = cell("exchange", "article", "serial");
        assert_eq!(cell.ranked_ns(), None);
        cell.time = Some(steady(100.0, 5));
        assert_eq!(cell.ranked_ns(), Some(100.0));
        cell.mostly_clock = true;
        assert_eq!((cell.ranked_ns(), cell.median_ns()), (None, Some(100.0)));
    }
}
