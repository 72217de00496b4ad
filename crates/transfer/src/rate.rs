//! One rate for all files.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How far behind the clock a rate may fall and still catch up: those who wait
/// wake a little late each time, which would add up.
const CATCH_UP_NS: u64 = 50_000_000;

/// Where the slots given out so far end, in nanoseconds of the machine's
/// monotonic clock: children that share the memory of one share the rate.
#[derive(Debug, Default)]
pub struct Rate(AtomicU64);

impl Rate {
    /// Reserves the time that `bytes` take at `bytes_per_second`; returns how
    /// long to wait until they may be taken.
    pub fn reserve(&self, bytes: u64, bytes_per_second: u64) -> Duration {
        reserve(&self.0, bytes, bytes_per_second, now_ns())
    }

    /// The same with the slots kept elsewhere, as in memory shared by processes.
    pub fn reserve_in(slots: &AtomicU64, bytes: u64, bytes_per_second: u64) -> Duration {
        reserve(slots, bytes, bytes_per_second, now_ns())
    }
}

fn reserve(slots: &AtomicU64, bytes: u64, bytes_per_second: u64, now: u64) -> Duration {
    let takes = bytes.saturating_mul(1_000_000_000) / bytes_per_second.max(1);
    let end = |slots: u64| {
        slots
            .max(now.saturating_sub(CATCH_UP_NS))
            .saturating_add(takes)
    };
    let before = slots
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slots| {
            Some(end(slots))
        })
        .unwrap_or_else(|slots| slots);
    Duration::from_nanos(end(before).saturating_sub(now))
}

fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other_and_idleness_saves_little_up() {
        let (slots, now) = (AtomicU64::default(), 10_000_000_000);
        let wait = |bytes, now| reserve(&slots, bytes, 1_000_000, now).as_nanos() as u64;
        assert_eq!(wait(100_000, now), 100_000_000 - CATCH_UP_NS);
        assert_eq!(wait(100_000, now), 200_000_000 - CATCH_UP_NS);
        let later = now + 60_000_000_000;
        assert_eq!(wait(100_000, later), 100_000_000 - CATCH_UP_NS);
    }
}
