//! `offload`: blocking calls while a heartbeat has to go on.
//!
//! Shows what a blocking call does to everything else that shares its thread,
//! and what handing it over to a pool costs.
//!
//! **Completion time** of a call: from when the job starts, as all calls are
//! handed over then, until it has returned. Waiting for a place in the pool is
//! part of it. The process model's clock stops when the parent hears of it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer, completion};

/// Where the blocking calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Handed over to a pool that is there for blocking.
    Pool,
    /// On the thread that the heartbeat shares: the mistake.
    Inline,
}

/// How many calls, and how often the heartbeat is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Blocking calls.
    pub calls: usize,
    /// How long each blocks, in milliseconds.
    pub call_ms: u64,
    /// The time between two beats, in milliseconds.
    pub heartbeat_ms: u64,
    /// Where the calls are made.
    pub place: Place,
}

/// What became of the calls, and of the heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Calls that returned.
    pub done: usize,
    /// Beats while the calls were under way.
    pub ticks: u64,
    /// The longest time without a beat, in nanoseconds. Reported, not checked:
    /// it is the result.
    pub longest_gap_ns: u64,
    /// The completion time of each call, in nanoseconds, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completion_ns: Vec<u64>,
}

/// The call that blocks: it keeps its thread and needs no core, like a slow
/// system call. Says how long after `started`, the job's start, it was done.
pub fn block(job: &Job, started: Instant) -> Duration {
    std::thread::sleep(job.call());
    started.elapsed()
}

/// Counts the beats and remembers the longest gap between them.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    last: Instant,
    ticks: u64,
    longest_gap: Duration,
}

impl Heartbeat {
    /// The first gap begins now.
    pub fn start() -> Self {
        Self {
            last: Instant::now(),
            ticks: 0,
            longest_gap: Duration::ZERO,
        }
    }

    /// The heartbeat is due, and is done.
    pub fn tick(&mut self) {
        self.ticks += 1;
        self.close_gap();
    }

    /// The calls are done: the gap that is still open counts too, or a heartbeat
    /// that never beat would show none. `done` has the completion time of each.
    pub fn outcome(mut self, done: Vec<Duration>) -> Outcome {
        self.close_gap();
        Outcome {
            done: done.len(),
            ticks: self.ticks,
            longest_gap_ns: completion::nanoseconds(self.longest_gap),
            completion_ns: done.into_iter().map(completion::nanoseconds).collect(),
        }
    }

    fn close_gap(&mut self) {
        let now = Instant::now();
        self.longest_gap = self.longest_gap.max(now - self.last);
        self.last = now;
    }
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Article => Self {
                calls: 1,
                call_ms: 2_000,
                heartbeat_ms: 100,
                place: Place::Pool,
            },
            Preset::Heavy => Self {
                calls: 256,
                call_ms: 1,
                heartbeat_ms: 1,
                place: Place::Pool,
            },
        }
    }

    /// How long one call blocks.
    pub fn call(&self) -> Duration {
        Duration::from_millis(self.call_ms)
    }

    /// The time between two beats.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn units(&self) -> usize {
        self.calls
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("calls", self.calls as u64, 0, 1_000_000)?;
        Invalid::unless_within("call_ms", self.call_ms, 0, 3_600_000)?;
        Invalid::unless_within("heartbeat_ms", self.heartbeat_ms, 1, 3_600_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let mut job = self.clone();
        if self.calls > 16 {
            job.calls = (self.calls / divisor as usize).max(1);
        } else {
            job.call_ms = (self.call_ms / divisor).max(1);
        }
        job
    }

    /// Every call done, and none sooner than it takes. How steady the heartbeat
    /// was is a figure, not an answer.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        WrongAnswer::unless(outcome.done == self.calls, "done", outcome.done, self.calls)?;
        let least = std::iter::repeat_n(self.call_ms, self.calls);
        completion::check(&outcome.completion_ns, self.calls, least)
    }

    /// No call ended before its turn: a pool of `threads` makes so many at once, so the
    /// shortest of the others have waited for one of these, and so on.
    pub fn check_turns(&self, outcome: &Outcome, threads: usize) -> Result<(), WrongAnswer> {
        let threads = threads.max(1);
        let turns = (0..self.calls).map(|call| self.call_ms * (1 + (call / threads) as u64));
        completion::check(&outcome.completion_ns, self.calls, turns)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        format!(
            "{} calls of {:?} done; {} ticks, one due every {:?}, longest gap {:.3?}",
            outcome.done,
            self.call(),
            outcome.ticks,
            self.heartbeat(),
            Duration::from_nanos(outcome.longest_gap_ns)
        )
    }
}
