//! `sleepers`: many units wait at once.
//!
//! Shows what a unit costs that does nothing but exist: the memory of all of
//! them, and how late the last one wakes.
//!
//! **The wait begins when the last unit has begun**: until then, all stand at a latch. So
//! all wait at once, however long starting them takes. The job's time is counted without
//! that one wait: see [`Job::wait`].

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Invalid, Preset, WrongAnswer, completion};

/// How many wait, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Units that wait at once.
    pub units: usize,
    /// How long each waits, in milliseconds, once all have begun.
    pub wait_ms: u64,
}

/// How the sleepers woke.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Units that woke.
    pub woken: u64,
    /// Units that woke before their time.
    pub early: u64,
    /// Units that had begun to wait when the first one woke.
    pub alive: u64,
    /// From the job's start until all had begun, in nanoseconds. Reported, not checked.
    #[serde(default)]
    pub standing_ns: u64,
    /// How much later than its time the latest unit woke, in nanoseconds.
    /// Reported, not checked: it is the result.
    pub latest_ns: u64,
}

/// Counts the sleepers as they begin and wake: one for all of them.
///
/// A sleeper needs nothing but a reference to it, and the moment at which it is
/// due. Many timers know that moment themselves, and a sleeper that asks its
/// timer does not have to keep it: with a million sleepers, eight bytes more in
/// each are eight megabytes.
#[derive(Debug, Default)]
#[repr(C)] // the process model keeps one in shared memory
pub struct Tally {
    began: AtomicU64,
    woken: AtomicU64,
    early: AtomicU64,
    alive: AtomicU64,
    standing_ns: AtomicU64,
    latest_ns: AtomicU64,
}

impl Tally {
    /// A unit has begun, and goes to the latch. True for the last of `units`, which opens
    /// it.
    #[inline]
    pub fn began(&self, units: usize) -> bool {
        self.began.fetch_add(1, AcqRel) + 1 == units as u64
    }

    /// Whether all of `units` have begun.
    pub fn is_complete(&self, units: usize) -> bool {
        self.began.load(Acquire) == units as u64
    }

    /// All units have begun, so long after the job's start.
    pub fn stand(&self, after: Duration) {
        let after = completion::nanoseconds(after);
        self.standing_ns.store(after, Relaxed);
    }

    /// A unit has woken that was `due` the whole wait after it had begun.
    #[inline]
    pub fn woke(&self, due: Instant) {
        let now = Instant::now();
        let began = self.began.load(Relaxed);
        // Released after that load, so that no unit counts as alive that began
        // after the first had woken.
        if self.woken.fetch_add(1, AcqRel) == 0 {
            self.alive.store(began, Relaxed);
        }
        if now < due {
            self.early.fetch_add(1, Relaxed);
        }
        let late = completion::nanoseconds(now.saturating_duration_since(due));
        // Read first: see `pipeline::Level`.
        if late > self.latest_ns.load(Relaxed) {
            self.latest_ns.fetch_max(late, Relaxed);
        }
    }

    /// What came of it, when all units have ended.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            woken: self.woken.load(Relaxed),
            early: self.early.load(Relaxed),
            alive: self.alive.load(Relaxed),
            standing_ns: self.standing_ns.load(Relaxed),
            latest_ns: self.latest_ns.load(Relaxed),
        }
    }

    /// Forgets everything, for the next job.
    pub fn reset(&self) {
        for count in [
            &self.began,
            &self.woken,
            &self.early,
            &self.alive,
            &self.standing_ns,
            &self.latest_ns,
        ] {
            count.store(0, Relaxed);
        }
    }
}

impl Job {
    /// No smaller job waits less than this, in milliseconds.
    const LEAST_WAIT_MS: u64 = 20;

    pub(crate) fn preset(preset: Preset) -> Self {
        let (units, wait_ms) = match preset {
            Preset::Article => (100, 50),
            Preset::Heavy => (10_000, 250),
        };
        Self { units, wait_ms }
    }

    /// How long each unit waits. All wait at once, so every model needs that time once. It
    /// is no part of the job's time, where it would hide what models differ in.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    pub(crate) fn units(&self) -> usize {
        self.units
    }

    pub(crate) fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("units", self.units as u64, 1, 10_000_000)?;
        Invalid::unless_within("wait_ms", self.wait_ms, 0, 3_600_000)
    }

    /// Both are less: fewer units that waited as long would save no time.
    pub(crate) fn scaled(&self, divisor: u64) -> Self {
        let least = self.wait_ms.min(Self::LEAST_WAIT_MS);
        Self {
            units: (self.units / usize::try_from(divisor).unwrap_or(usize::MAX)).max(1),
            wait_ms: (self.wait_ms / divisor).max(least),
        }
    }

    /// All woke, none too early; and all had begun before the first woke.
    pub fn check(&self, outcome: &Outcome) -> Result<(), WrongAnswer> {
        let units = self.units as u64;
        WrongAnswer::unless(outcome.woken == units, "woken", outcome.woken, units)?;
        WrongAnswer::unless(outcome.early == 0, "early", outcome.early, 0)?;
        WrongAnswer::unless(
            outcome.alive == units,
            "alive",
            outcome.alive,
            format!("{units} (all, before the first woke)"),
        )
    }

    pub(crate) fn summary(&self, outcome: &Outcome, _elapsed: Duration) -> String {
        format!(
            "{} waited for {:?}, {} of them at once; all stood after {:.3?}, and the latest woke \
             {:.3?} late",
            outcome.woken,
            self.wait(),
            outcome.alive,
            Duration::from_nanos(outcome.standing_ns),
            Duration::from_nanos(outcome.latest_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: Job = Job {
        units: 2,
        wait_ms: 20,
    };

    #[test]
    fn all_at_once_and_in_time_is_right() {
        let tally = Tally::default();
        let due = Instant::now();
        assert!(!tally.began(2));
        assert!(tally.began(2));
        tally.stand(Duration::from_micros(5));
        tally.woke(due);
        tally.woke(due - Duration::from_secs(1));
        let outcome = tally.outcome();
        JOB.check(&outcome).expect("it is right");
        assert_eq!(outcome.standing_ns, 5_000);
        assert!(outcome.latest_ns >= 1_000_000_000, "{outcome:?}");
        tally.reset();
        assert_eq!(tally.outcome(), Outcome::default());
    }

    #[test]
    fn one_after_the_other_too_early_or_never_is_wrong() {
        let wrong = |tally: &Tally| JOB.check(&tally.outcome()).expect_err("it is wrong").what;
        let due = Instant::now();
        let tally = Tally::default();
        for _ in 0..2 {
            tally.began(2);
            tally.woke(due);
        }
        assert_eq!(wrong(&tally), "alive");

        tally.reset();
        tally.began(2);
        tally.began(2);
        tally.woke(due);
        assert_eq!(wrong(&tally), "woken");
        tally.woke(due + Duration::from_secs(1000));
        assert_eq!(wrong(&tally), "early");
    }
}
