//! Signals that ask for an end, such as Ctrl-C, and those that end a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::stops::{AlwaysStopped, Stops, TRIES};

/// Whether a signal has asked for the end. Clones share it.
///
/// The signals only set a flag. What waits for a child checks it and ends the child
/// with all that it started; what was measured so far is kept.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    came: Arc<AtomicBool>,
    stops: Stops,
}

impl Interrupt {
    /// Notices SIGINT, SIGTERM and SIGHUP from now on, and [stops](crate::stops).
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers.
    pub fn install() -> std::io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.came))?;
        }
        interrupt.stops.install()?;
        Ok(interrupt)
    }

    /// The times in which something was stopped.
    pub fn stops(&self) -> &Stops {
        &self.stops
    }

    /// Calls `measure` until nothing was stopped during the call, a few times at most.
    /// What it returned with a stop, which may be an error that comes of the stop, is
    /// given to `again`; but not after such a signal.
    ///
    /// # Errors
    ///
    /// When something was stopped in each call.
    pub fn unstopped<T>(
        &self,
        mut measure: impl FnMut() -> T,
        mut again: impl FnMut(T),
    ) -> Result<T, AlwaysStopped> {
        self.unstopped_with(&mut (), |()| measure(), |(), measured| again(measured))
    }

    /// The same with a state that both functions change.
    ///
    /// # Errors
    ///
    /// As [`unstopped`](Self::unstopped).
    pub fn unstopped_with<S: ?Sized, T>(
        &self,
        state: &mut S,
        mut measure: impl FnMut(&mut S) -> T,
        mut again: impl FnMut(&mut S, T),
    ) -> Result<T, AlwaysStopped> {
        for number in 1.. {
            let before = self.stops.so_far();
            let measured = measure(state);
            if self.came() || !self.stops.so_far().has_stops_since(before) {
                return Ok(measured);
            }
            if number == TRIES {
                break;
            }
            again(state, measured);
        }
        Err(AlwaysStopped)
    }

    /// Whether one came.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `unstopped_with` returns, and how often it measures, if something is stopped in
    /// the first `stopped` calls.
    fn measure(stopped: u32, came: bool) -> (Result<Result<u32, u32>, AlwaysStopped>, u32) {
        let interrupt = Interrupt::default();
        interrupt.came.store(came, Ordering::Relaxed);
        let mut calls = 0;
        let mut dropped = Vec::new();
        let measured = interrupt.unstopped_with(
            &mut calls,
            |calls| {
                *calls += 1;
                if *calls <= stopped {
                    interrupt.stops.add();
                    return Err(*calls);
                }
                Ok(*calls)
            },
            |_, measured| dropped.push(measured),
        );
        assert!(dropped.iter().all(Result::is_err), "{dropped:?}");
        (measured, calls)
    }

    #[test]
    fn what_was_measured_or_failed_with_a_stop_is_measured_again() {
        assert_eq!(measure(0, false), (Ok(Ok(1)), 1));
        assert_eq!(measure(TRIES - 1, false), (Ok(Ok(TRIES)), TRIES));
        assert_eq!(measure(u32::MAX, false), (Err(AlwaysStopped), TRIES));
        assert_eq!(measure(1, true), (Ok(Err(1)), 1));
    }
}
