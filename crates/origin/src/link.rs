//! The link: one rate that all connections of a run share.
//!
//! A body crosses it in chunks. Each chunk reserves the next free slot of the
//! link's time, in the order of asking, and is delivered at the slot's end: slots
//! never overlap, so the link is never faster than its rate, and connections that
//! ask all the time get equal shares. Only bodies cross it; heads are free.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::lock;

/// How far behind the clock a link may fall in the middle of a body and still
/// catch up. A sender wakes a little late after each slot, and some milliseconds
/// late on a busy machine: without this the lateness would add up.
const CATCH_UP: Duration = Duration::from_millis(10);

/// The least chunk, in bytes.
const LEAST_CHUNK: usize = 8 * 1024;

pub(crate) struct Link {
    mbit_per_s: u64,
    /// Where the slots given out so far end.
    next_free: Mutex<Instant>,
}

impl Link {
    /// A link of `mbit_per_s`, which is at least 1.
    pub(crate) fn new(mbit_per_s: u64) -> Link {
        Link {
            mbit_per_s,
            next_free: Mutex::new(Instant::now()),
        }
    }

    /// Bytes of one chunk: a millisecond's worth, so that a fast link does not
    /// spend its time waking senders, and never less than [`LEAST_CHUNK`].
    pub(crate) fn chunk(&self) -> usize {
        LEAST_CHUNK.max(self.mbit_per_s as usize * 125)
    }

    /// Waits until `bytes` have crossed. `first` says that they begin a body: their
    /// slot then cannot begin in the past, or an idle link would save up a burst.
    pub(crate) fn carry(&self, bytes: usize, first: bool) {
        let delivered = self.reserve(bytes, first, Instant::now());
        thread::sleep(delivered.saturating_duration_since(Instant::now()));
    }

    fn reserve(&self, bytes: usize, first: bool, now: Instant) -> Instant {
        let earliest = if first {
            now
        } else {
            now.checked_sub(CATCH_UP).unwrap_or(now)
        };
        let takes = Duration::from_nanos((bytes as u64 * 8_000).div_ceil(self.mbit_per_s));
        let mut next_free = lock(&self.next_free);
        *next_free = earliest.max(*next_free) + takes;
        *next_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 8 Mbit/s carry 1,000 bytes in a millisecond.
    fn link() -> (Link, Instant) {
        let link = Link::new(8);
        let start = *lock(&link.next_free);
        (link, start)
    }

    #[test]
    fn slots_follow_each_other() {
        let (link, start) = link();
        assert_eq!(link.reserve(1000, true, start), start + MS);
        assert_eq!(link.reserve(2000, true, start), start + 3 * MS);
    }

    #[test]
    fn a_late_sender_catches_up_a_little() {
        let (link, start) = link();
        link.reserve(1000, true, start);
        assert_eq!(link.reserve(1000, false, start + 2 * MS), start + 2 * MS);
        let stalled = start + 100 * MS;
        assert_eq!(link.reserve(1000, false, stalled), stalled - CATCH_UP + MS);
    }

    #[test]
    fn an_idle_link_saves_nothing_up() {
        let (link, start) = link();
        link.reserve(1000, true, start);
        assert_eq!(link.reserve(1000, true, start + 2 * MS), start + 3 * MS);
    }

    #[test]
    fn a_second_carries_its_bytes_to_the_nanosecond() {
        let link = Link::new(100);
        let start = *lock(&link.next_free);
        let mut left = 12_500_000;
        let mut end = start;
        while left > 0 {
            let chunk = link.chunk().min(left);
            end = link.reserve(chunk, false, start);
            left -= chunk;
        }
        assert_eq!(end, start + Duration::from_secs(1));
    }
}
