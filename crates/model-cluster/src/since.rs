//! For how long something has gone on that may go on only so long.

use std::time::Duration;

use tokio::time::Instant;

/// Since when.
pub(crate) struct Since {
    longest: Duration,
    begun: Option<Instant>,
}

impl Since {
    /// What may go on for so long, and has not begun.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            begun: None,
        }
    }

    /// It does not go on.
    pub(crate) fn ends(&mut self) {
        self.begun = None;
    }

    /// Whether it has gone on for too long, if it goes on now.
    pub(crate) fn is_too_long(&mut self, goes_on: bool) -> bool {
        if !goes_on {
            self.ends();
            return false;
        }
        let now = Instant::now();
        now - *self.begun.get_or_insert(now) > self.longest
    }
}
