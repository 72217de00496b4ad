//! A body that is being received: how much of it belongs into the file, and
//! whether it comes fast enough.

use std::time::{Duration, Instant};

use crate::{AttemptError, Options};

/// A body that is being received.
#[derive(Debug, PartialEq)]
pub struct Body {
    /// Where in the file its first byte belongs. What is on the disk from there
    /// on is to be dropped.
    pub offset: u64,
    /// Where the next byte belongs.
    position: u64,
    /// Where it ends, if that was announced.
    pub(crate) end: Option<u64>,
    /// That is for us to see: the library goes on until the connection ends.
    ends_unseen: bool,
    /// When the window began over which the rate is judged, and its bytes.
    window: (Instant, u64),
    /// When the last piece came.
    last: Instant,
    /// How long it was silent, in waits that count.
    silent: Duration,
    /// How many files share the line.
    sharing: u64,
}

/// A wait of this length or more counts for the idle timeout and not for the least rate.
const SILENCE: Duration = Duration::from_secs(1);

/// What to do with a piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// All of it belongs into the file, and more follows.
    All,
    /// Only this many bytes belong into the file, and they are its last: the
    /// connection sends more than it said, or does not say that this was the end,
    /// and is not to be used again.
    Last(usize),
}

impl Body {
    pub(crate) fn new(offset: u64, end: Option<u64>, ends_unseen: bool, now: Instant) -> Self {
        Self {
            offset,
            position: offset,
            end,
            ends_unseen,
            window: (now, 0),
            last: now,
            silent: Duration::ZERO,
            sharing: 1,
        }
    }

    /// Where in the file the next byte belongs.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many files are in flight: the least rate is divided among them.
    pub fn shared_by(&mut self, files: usize) {
        self.sharing = files.max(1) as u64;
    }

    /// A piece of this many bytes has come.
    pub(crate) fn received(
        &mut self,
        bytes: usize,
        options: &Options,
        now: Instant,
    ) -> Result<Accepted, AttemptError> {
        let room = self.end.map_or(u64::MAX, |end| end - self.position);
        let taken = room.min(bytes as u64);
        self.position = self.position.saturating_add(taken);
        if taken < bytes as u64 {
            return Ok(Accepted::Last(taken as usize));
        }
        if let Some(most) = options.max_size.filter(|most| self.position > *most) {
            return Err(AttemptError::TooLarge(most));
        }
        if self.ends_unseen && self.end == Some(self.position) {
            return Ok(Accepted::Last(bytes));
        }
        self.judge(taken, options, now)?;
        Ok(Accepted::All)
    }

    /// Whether bytes come fast enough. What the idle timeout allows, which is one
    /// wait of that length or several that add up to it, is not held against the
    /// rate.
    fn judge(&mut self, bytes: u64, options: &Options, now: Instant) -> Result<(), AttemptError> {
        let wait = now.saturating_duration_since(self.last);
        self.last = now;
        if wait >= SILENCE {
            let allowed = wait.min(options.idle_timeout.saturating_sub(self.silent));
            self.silent += allowed;
            self.window.0 += allowed;
        }
        self.window.1 = self.window.1.saturating_add(bytes);
        let (began, so_far) = self.window;
        let passed = now.saturating_duration_since(began);
        if passed < options.min_rate_window.max(Duration::from_secs(1)) {
            return Ok(());
        }
        self.window = (now, 0);
        let least = u128::from(options.min_rate / self.sharing) * passed.as_millis() / 1000;
        // What we held back ourselves is not the server's slowness.
        if u128::from(so_far) < least && options.rate.is_none() {
            return Err(AttemptError::TooSlow {
                bytes: so_far,
                seconds: passed.as_secs(),
            });
        }
        Ok(())
    }
}
