//! A time limit for a condition: it may last for a given time without interruption.

use std::time::Duration;

use tokio::time::Instant;

/// When a condition began, and how long it may last.
pub(crate) struct Since {
    longest: Duration,
    begun: Option<Instant>,
}

impl Since {
    /// A condition that may last for `longest`, and has not begun.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            begun: None,
        }
    }

    /// Notes that the condition does not hold.
    pub(crate) fn ends(&mut self) {
        self.begun = None;
    }

    /// Notes whether the condition holds now. Returns whether it has lasted too long.
    pub(crate) fn is_too_long(&mut self, goes_on: bool) -> bool {
        if !goes_on {
            self.ends();
            return false;
        }
        let now = Instant::now();
        now - *self.begun.get_or_insert(now) > self.longest
    }
}
