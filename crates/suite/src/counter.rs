//! `counter`: W workers each add 1, N times, to one shared counter.
//!
//! Shows what a guard costs, and what leaving it out costs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Phases, Preset, WrongAnswer};

/// What stands between the workers and the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// A mutual exclusion lock, taken and released for every addition.
    Lock,
    /// One atomic addition.
    Atomic,
    /// None: a separate load and store. There is no undefined behavior in it,
    /// as both are atomic, but what another worker stores in between is lost.
    Racy,
    /// A lock that is held across a yield, as by a task that awaits while it holds a lock.
    /// Models of tasks use their library's asynchronous lock; the others yield the CPU
    /// while they hold the lock of [`Lock`](Guard::Lock).
    Async,
}

/// How often who adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Units that add at the same time.
    pub workers: usize,
    /// Additions of 1 by each worker.
    pub increments: u64,
    /// What guards the counter.
    pub guard: Guard,
}

/// What the counter came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The counter's last value.
    pub total: u64,
    /// Additions that left no trace in it.
    pub lost: u64,
    /// Where the time went.
    #[serde(default)]
    pub phases: Phases,
}

impl Job {
    pub(crate) fn preset(preset: Preset) -> Self {
        let (workers, increments) = match preset {
            Preset::Article => (10, 1_000),
            Preset::Heavy => (8, 500_000),
        };
        Self {
            workers,
            increments,
            guard: Guard::Lock,
        }
    }

    /// All additions together.
    pub fn additions(&self) -> u64 {
        self.workers as u64 * self.increments
    }

    /// The outcome that follows from the counter's last value.
    pub fn outcome(&self, total: u64) -> Outcome {
        Outcome {
            total,
            lost: self.additions().saturating_sub(total),
            phases: Phases::default(),
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.workers
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("workers", self.workers as u64, 1, 10_000)?;
        Invalid::unless_within("increments", self.increments, 0, 1_000_000_000)
    }

    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        Self {
            increments: (self.increments / divisor).max(1),
            ..self.clone()
        }
    }

    /// Only `racy` loses any; nothing gains.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let all = self.additions();
        let (right, expected) = match self.guard {
            Guard::Lock | Guard::Atomic | Guard::Async => (outcome.total == all, format!("{all}")),
            Guard::Racy => (
                outcome.total <= all && (outcome.total > 0 || all == 0),
                format!("at least 1 and at most {all}"),
            ),
        };
        WrongAnswer::unless(right, "total", outcome.total, expected)?;
        let lost = all - outcome.total;
        WrongAnswer::unless(outcome.lost == lost, "lost", outcome.lost, lost)
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        format!(
            "{} additions, total {}, lost {}",
            self.additions(),
            outcome.total,
            outcome.lost
        )
    }
}
