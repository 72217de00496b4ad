//! Time in which nothing could be measured: this process or a child was stopped (Ctrl-Z,
//! and later `fg`), or the machine was suspended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use signal_hook::consts::SIGCONT;
use suite::completion::nanoseconds;

/// How often something is measured at most, if something is stopped each time: a program
/// may stop and continue itself in every run.
pub(crate) const TRIES: u32 = 4;

/// There is nothing to go by, as something was stopped each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it, or what measures it, is stopped in every run: {TRIES} of {TRIES}")]
pub struct AlwaysStopped;

/// Says that `what` is measured again after a stop.
pub fn again(what: &str) -> String {
    format!("{what} again: something was stopped meanwhile")
}

/// The stops so far. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    /// Set by the signal that ends a stop of this process.
    continued: Arc<AtomicBool>,
    /// How many stops there were.
    number: Arc<AtomicU32>,
    /// How long this process and its children were stopped, as far as it was noticed
    /// while one ran, in nanoseconds.
    lost_ns: Arc<AtomicU64>,
}

impl Stops {
    /// Notices stops of this process from now on.
    pub(crate) fn install(&self) -> std::io::Result<()> {
        signal_hook::flag::register(SIGCONT, Arc::clone(&self.continued))?;
        Ok(())
    }

    /// Whether this process has been stopped since this was asked last.
    pub(crate) fn was_continued(&self) -> bool {
        let continued = self.continued.swap(false, Ordering::Relaxed);
        if continued {
            self.add();
        }
        continued
    }

    /// Counts a stop that is over. A child that is never continued is not counted: to run it
    /// again would end in the same way.
    pub(crate) fn add(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds time in which something was stopped.
    pub(crate) fn lose(&self, time: Duration) {
        let ns = nanoseconds(time);
        self.lost_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// All time so far in which something was stopped.
    pub fn lost(&self) -> Duration {
        Duration::from_nanos(self.lost_ns.load(Ordering::Relaxed))
    }

    /// What there was until now.
    pub fn so_far(&self) -> SoFar {
        self.was_continued();
        SoFar {
            number: self.number.load(Ordering::Relaxed),
            suspended: suspended(),
        }
    }
}

/// The stops until some moment.
#[derive(Debug, Clone, Copy)]
pub struct SoFar {
    number: u32,
    suspended: Duration,
}

impl SoFar {
    /// Whether anything was stopped in between.
    pub fn has_stops_since(self, before: Self) -> bool {
        // The two clocks are not read at once.
        const TOLERANCE: Duration = Duration::from_millis(20);
        self.number != before.number || self.suspended.saturating_sub(before.suspended) > TOLERANCE
    }
}

/// How long the machine has been suspended since it was started: only `CLOCK_BOOTTIME` counts
/// that time.
fn suspended() -> Duration {
    let read = |clock| clock_gettime(clock).unwrap_or(TimeSpec::new(0, 0));
    let with = Duration::from(read(ClockId::CLOCK_BOOTTIME));
    with.saturating_sub(Duration::from(read(ClockId::CLOCK_MONOTONIC)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_machine_is_a_stop_and_two_readings_are_none() {
        let now = Stops::default().so_far();
        let later = |milliseconds| SoFar {
            suspended: now.suspended + Duration::from_millis(milliseconds),
            ..now
        };
        assert!(!later(1).has_stops_since(now));
        assert!(later(1000).has_stops_since(now));
    }
}
