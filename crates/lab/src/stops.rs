//! Time in which nothing could be measured: this process or a child was stopped (Ctrl-Z,
//! and later `fg`), or the machine was suspended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use signal_hook::consts::SIGCONT;
use suite::completion::nanoseconds;

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

    /// Counts a stop.
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

    fn so_far(&self) -> SoFar {
        self.was_continued();
        SoFar {
            number: self.number.load(Ordering::Relaxed),
            suspended: suspended(),
        }
    }

    /// Calls `measure` until nothing was stopped during the call. What it returned with a stop
    /// is given to `again`.
    ///
    /// # Errors
    ///
    /// Those of `measure`, at once.
    pub fn unstopped<S: ?Sized, T, E>(
        &self,
        state: &mut S,
        mut measure: impl FnMut(&mut S) -> Result<T, E>,
        mut again: impl FnMut(&mut S, T),
    ) -> Result<T, E> {
        loop {
            let before = self.so_far();
            let measured = measure(state)?;
            if !self.so_far().has_stops_since(before) {
                return Ok(measured);
            }
            again(state, measured);
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct SoFar {
    number: u32,
    suspended: Duration,
}

impl SoFar {
    fn has_stops_since(self, before: Self) -> bool {
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

    #[test]
    fn what_was_measured_with_a_stop_is_measured_again() {
        let stops = Stops::default();
        let (mut calls, mut dropped) = (0, Vec::new());
        let measured = stops.unstopped(
            &mut calls,
            |calls| {
                *calls += 1;
                if *calls < 3 {
                    stops.add();
                }
                Ok::<_, ()>(*calls)
            },
            |_, measured| dropped.push(measured),
        );
        assert_eq!((measured, dropped), (Ok(3), vec![1, 2]));
    }
}
