//! How long nothing may come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nothing is waited for.
const PAUSED: u64 = u64::MAX;

/// A deadline that moves with whatever comes, for one timer to watch a whole file:
/// to arm a timer for every piece costs more than to read it, and it hardly ever
/// fires. [`begin`](Self::begin) notes when a wait begins. When the timer fires, it is
/// armed again for what is [`left`](Self::left) of the present wait.
#[derive(Debug)]
pub struct Deadline {
    most: Duration,
    made: Instant,
    /// When the present wait began, in nanoseconds after `made`.
    began: AtomicU64,
}

impl Deadline {
    /// For waits of at most this long. None has begun.
    pub fn new(most: Duration) -> Self {
        Self {
            most,
            made: Instant::now(),
            began: AtomicU64::new(PAUSED),
        }
    }

    /// A wait begins now, whatever was before.
    pub fn begin(&self) {
        let now = self.made.elapsed().as_nanos();
        // Relaxed: who looks is polled by the task that waits.
        self.began.store(now as u64, Ordering::Relaxed);
    }

    /// How long a wait may take.
    pub fn most(&self) -> Duration {
        self.most
    }

    /// How long the present wait may still take; none if it has taken too long.
    pub fn left(&self) -> Option<Duration> {
        let began = match self.began.load(Ordering::Relaxed) {
            PAUSED => return Some(self.most),
            began => Duration::from_nanos(began),
        };
        let waited = self.made.elapsed().saturating_sub(began);
        self.most.checked_sub(waited).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn a_wait_is_over_only_after_its_own_time() {
        let most = Duration::from_millis(50);
        let deadline = Deadline::new(most);
        sleep(2 * most);
        assert_eq!(deadline.left(), Some(most), "nothing was waited for");
        deadline.begin();
        assert!(deadline.left().is_some_and(|left| left <= most));
        sleep(most);
        assert_eq!(deadline.left(), None);
        deadline.begin();
        assert!(deadline.left().is_some());
    }
}
