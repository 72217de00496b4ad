//! Whether other programs used the machine while it was measured.
//!
//! What others use is all processor time that the kernel counts as used
//! (`/proc/stat`: user, nice, system, irq and softirq of all cores, and what a
//! hypervisor gave to other machines, `steal`; guests are in user), less what this
//! process and all that it started have used meanwhile. It is read over windows
//! of at least a second, and only before and after what is timed.
//!
//! The kernel samples each core in every tick of its clock, and knows exactly what each of our own programs has used. So the
//! difference has an error, which is measured: see [`LoadMonitor::try_out`].

use std::time::Duration;

use results::{BackgroundLoad, percent};

use crate::cpu_time::{Difference, Reading};
use crate::error::Interrupted;
use crate::interrupt::Interrupt;
use crate::known_work::Work;

/// What others may use of the machine, as a part of all its cores' time, unless it
/// is set.
pub const LIMIT: f64 = 0.03;

/// What a window lasts at least: the ticks of less are too few to go by.
pub const WINDOW: Duration = Duration::from_secs(1);

/// The part of a comparison's budget that may be spent on windows that are taken
/// again.
const RETAKING: f64 = 0.1;

/// Windows in which the error is measured last this part of the budget each, and at
/// most [`WINDOW`].
const CALIBRATION: f64 = 0.01;

/// If that were less than this, the error is not measured.
const SHORTEST_CALIBRATION: Duration = Duration::from_millis(200);

/// Measures what others use, window by window, and counts the windows.
#[derive(Debug)]
pub struct LoadMonitor {
    /// What came of it so far.
    pub seen: BackgroundLoad,
    left: Duration,
}

impl LoadMonitor {
    /// For a comparison of this length, in which others may use as much as `limit`.
    pub fn new(budget: Duration, limit: f64) -> Self {
        Self {
            seen: BackgroundLoad {
                limit,
                ..BackgroundLoad::default()
            },
            left: budget.mul_f64(RETAKING),
        }
    }

    /// Measures the reading's error: what is read in windows in which this process
    /// does something known and, as far as it knows, no other does anything. Returns a
    /// remark if there is one to print.
    pub fn try_out(
        &mut self,
        budget: Duration,
        interrupt: &Interrupt,
    ) -> Result<Option<String>, Interrupted> {
        let length = budget.mul_f64(CALIBRATION).min(WINDOW);
        if self.open().is_none() || length < SHORTEST_CALIBRATION {
            return Ok(self.remark());
        }
        let mut windows = Vec::new();
        for work in [Work::Waiting, Work::Computing, Work::HandingOver] {
            if interrupt.came() {
                return Err(Interrupted);
            }
            windows.push(window_with(work, length));
        }
        let windows: anyhow::Result<Vec<Difference>> = windows.into_iter().collect();
        let windows = match windows {
            Ok(windows) => windows,
            Err(error) => return Ok(Some(format!("its error could not be measured: {error:#}"))),
        };
        let [waiting, computing, handing_over] = &windows[..] else {
            return Ok(self.remark());
        };
        if computing.machine < computing.own / 2 {
            self.seen.unknown = Some(
                "/proc/stat does not count what is used here, as in some containers".to_owned(),
            );
        }
        let parts = [waiting.others(), computing.others()];
        let further = |one: &f64, other: &f64| one.abs().total_cmp(&other.abs());
        self.seen.error = parts.into_iter().max_by(further);
        self.seen.missed = Some((-handing_over.others()).max(0.0));
        self.seen.error_window_s = Some(length.as_secs_f64());
        Ok(self.remark())
    }

    fn remark(&self) -> Option<String> {
        if let Some(why) = &self.seen.unknown {
            return Some(format!("unknown, because {why}"));
        }
        let limit = self.seen.limit;
        let busy = self.seen.error.is_some_and(|error| error > limit);
        busy.then(|| {
            format!(
                "THIS MACHINE IS NOT IDLE: {}, which is more than the {} that count as disturbed",
                self.seen.error_words(),
                percent(limit)
            )
        })
    }

    /// Reads what a window begins with; nothing where that cannot be known.
    pub fn open(&mut self) -> Option<Reading> {
        if self.seen.unknown.is_some() {
            return None;
        }
        match Reading::now() {
            Ok(reading) => Some(reading),
            Err(error) => {
                self.seen.unknown = Some(format!("{error:#}"));
                None
            }
        }
    }

    /// Whether others have used more than they may since a window began.
    pub fn disturbed(&mut self, since: &Reading) -> bool {
        let now = self.open();
        let limit = self.seen.limit;
        // A reading has an error: all of the machine can come out as more than that.
        now.is_some_and(|now| limit < 1.0 && now.since(since).others() > limit)
    }

    /// Whether that much time is left for taking windows again.
    pub fn affords(&self, time: Duration) -> bool {
        time <= self.left
    }

    /// Counts a window that was taken again, in this time.
    pub fn retook(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
        self.seen.retaken += 1;
    }

    /// Counts a window that is kept, disturbed or not.
    pub fn settle(&mut self, disturbed: bool) {
        self.seen.windows += 1;
        self.seen.kept += u32::from(disturbed);
    }
}

/// What is read of a window in which this process does something known.
fn window_with(work: Work, length: Duration) -> anyhow::Result<Difference> {
    let before = Reading::now()?;
    work.work(length);
    Ok(Reading::now()?.since(&before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retaking_ends_with_a_tenth_of_the_budget() {
        let mut monitor = LoadMonitor::new(Duration::from_secs(60), LIMIT);
        assert!(monitor.affords(Duration::from_secs(6)));
        assert!(!monitor.affords(Duration::from_secs(7)));
        monitor.retook(Duration::from_secs(4));
        assert!(
            monitor.affords(Duration::from_secs(2)) && !monitor.affords(Duration::from_secs(3))
        );
        monitor.settle(true);
        monitor.settle(false);
        let BackgroundLoad {
            windows,
            retaken,
            kept,
            ..
        } = monitor.seen;
        assert_eq!((windows, retaken, kept), (2, 1, 1));
    }

    #[test]
    fn words_say_what_is_known_and_what_is_not() {
        let seen = BackgroundLoad {
            limit: LIMIT,
            error: Some(-0.012),
            missed: Some(0.15),
            error_window_s: Some(1.0),
            windows: 20,
            retaken: 3,
            kept: 2,
            unknown: None,
        };
        let words = seen.words();
        for says in [
            "2 of 20",
            "3 were taken",
            "more than 3.0 %",
            "up to 1.2 %",
            "15 % too low",
        ] {
            assert!(words.contains(says), "no {says}: {words}");
        }
        let untried = BackgroundLoad {
            error: None,
            ..seen.clone()
        };
        assert!(untried.words().contains("not measured"));
        let unknown = BackgroundLoad {
            unknown: Some("cannot read /proc/stat".to_owned()),
            ..seen
        };
        assert_eq!(unknown.words(), "unknown, because cannot read /proc/stat");
    }
}
