//! Whether others used the machine while it was measured.
//!
//! What others use is all processor time that the kernel counts as used
//! (`/proc/stat`: user, nice, system, irq and softirq of all cores, and what a
//! hypervisor gave to somebody else, `steal`; guests are in user), less what this
//! process and all that it started have used meanwhile. It is read over windows
//! of at least a second, and only before and after what is timed.
//!
//! The kernel counts what is used by looking at each core in every tick of its
//! clock, and knows exactly what each of our own programs has used. So the
//! difference has an error, which is measured: see [`Watch::try_out`].

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::child::{self, Limits, Stopped};
use crate::interrupt::Interrupt;
use crate::known_work::Work;
use crate::lab::{Interrupted, last_words};
use crate::results::Cell;
use crate::units::percent;
use crate::used::{Difference, Reading};

/// What others may use of the machine, as a part of all its cores' time, unless it
/// is set.
pub const LIMIT: f64 = 0.03;

/// What a window lasts at least: the ticks of less are too few to go by.
pub const WINDOW: Duration = Duration::from_secs(1);

/// The part of a comparison's budget that may be spent on windows that are taken
/// again.
const RETAKING: f64 = 0.1;

/// Windows in which the error is measured last this part of the budget each ...
const TRIAL: f64 = 0.01;

/// ... and at most [`WINDOW`]; if that were less than this, it is not measured.
const SHORTEST_TRIAL: Duration = Duration::from_millis(200);

/// What is known of others' use of the machine during a comparison. Parts are
/// parts of the machine: of a window's length times the number of cores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Neighbours {
    /// A window in which others used a larger part is disturbed; at 1, none is.
    pub limit: f64,
    /// Why nothing is known, if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// What was read when only this comparison ran, as far as it knew, before it
    /// measured anything: of a window in which it waited, and one in which it
    /// computed on all cores, the reading that is further from nothing. None if
    /// there was too little time for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// By how much the reading was too low while two threads handed a token to
    /// each other: cores that sleep and wake between two ticks are not counted,
    /// and neighbours that use less than that are not seen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<f64>,
    /// How long the windows were that gave these, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_window_s: Option<f64>,
    /// Windows that stand: one or more whole rounds each.
    pub windows: u32,
    /// How many times a disturbed window was taken again, and the one before
    /// dropped.
    pub retaken: u32,
    /// How many of the windows that stand are disturbed.
    pub kept: u32,
}

impl Neighbours {
    /// All of it in a line.
    pub fn words(&self) -> String {
        if let Some(why) = &self.unknown {
            return format!("unknown, because {why}");
        }
        let Self {
            limit,
            windows,
            retaken,
            kept,
            ..
        } = self;
        format!(
            "{kept} of {windows} windows were kept although others used more than {} of the \
             machine, after {retaken} were taken again; {}",
            percent(*limit),
            self.error_words()
        )
    }

    /// What the reading is worth.
    pub fn error_words(&self) -> String {
        let (Some(error), Some(length)) = (self.error, self.error_window_s) else {
            return "the error of that was not measured, in so little time".to_owned();
        };
        let missed = self.missed.filter(|missed| *missed > 0.0);
        let missed = missed.map_or(String::new(), |missed| {
            format!(
                ", and {} too low while threads hand over to each other",
                percent(missed)
            )
        });
        format!(
            "with only this comparison running, the reading was off by up to {} in windows of \
             {length:.1} s{missed}",
            percent(error.abs())
        )
    }
}

/// What a cell's readers have to know of neighbours, if there is anything.
pub fn note(cell: &Cell) -> Option<String> {
    let rounds = cell.time.as_ref()?.rounds.len();
    let disturbed = cell.disturbed;
    (disturbed > 0).then(|| format!("neighbours in {disturbed} of {rounds} rounds"))
}

/// Looks at what others use, window by window, and keeps the accounts of it.
#[derive(Debug)]
pub struct Watch {
    /// What came of it so far.
    pub seen: Neighbours,
    left: Duration,
}

impl Watch {
    /// In a comparison that has so much time, and in which others may use as much as
    /// `limit`.
    pub fn new(budget: Duration, limit: f64) -> Self {
        Self {
            seen: Neighbours {
                limit,
                ..Neighbours::default()
            },
            left: budget.mul_f64(RETAKING),
        }
    }

    /// Measures the reading's error: what is read in windows in which this
    /// comparison does something known, and, as far as it knows, nobody else does
    /// anything. Gives what is worth saying aloud about that.
    ///
    /// # Errors
    ///
    /// When interrupted.
    pub fn try_out(
        &mut self,
        budget: Duration,
        interrupt: &Interrupt,
    ) -> Result<Option<String>, Interrupted> {
        let length = budget.mul_f64(TRIAL).min(WINDOW);
        if self.open().is_none() || length < SHORTEST_TRIAL {
            return Ok(self.remark());
        }
        let mut trial = |work| match self.trial(work, length, interrupt) {
            Ok(difference) => Ok(difference),
            Err(Stopped::Interrupted) => Err(Interrupted),
            Err(Stopped::Overtime(_)) => Ok(Err("a window of known work hung".to_owned())),
            Err(Stopped::Failed(error)) => Ok(Err(format!("{error:#}"))),
        };
        let tried = (
            trial(Work::Waiting)?,
            trial(Work::Computing)?,
            trial(Work::HandingOver)?,
        );
        match tried {
            (Ok(waiting), Ok(computing), Ok(handing_over)) => {
                if computing.machine < computing.own / 2 {
                    self.seen.unknown = Some(
                        "/proc/stat does not count what is used here, as in some containers"
                            .to_owned(),
                    );
                }
                let parts = [waiting.others(), computing.others()];
                let further = |one: &f64, other: &f64| one.abs().total_cmp(&other.abs());
                self.seen.error = parts.into_iter().max_by(further);
                self.seen.missed = Some((-handing_over.others()).max(0.0));
                self.seen.error_window_s = Some(length.as_secs_f64());
                Ok(self.remark())
            }
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
                Ok(Some(format!("its error could not be measured: {why}")))
            }
        }
    }

    /// One window of known work.
    fn trial(
        &mut self,
        work: Work,
        length: Duration,
        interrupt: &Interrupt,
    ) -> Result<Result<Difference, String>, Stopped> {
        let mut command = work.command(length).map_err(Stopped::Failed)?;
        let limits = Limits {
            timeout: Duration::from_secs(10) + length * 10,
            interrupt: interrupt.clone(),
        };
        let before = Reading::now().map_err(Stopped::Failed)?;
        let done = child::run(&mut command, &limits, None)?;
        let after = Reading::now().map_err(Stopped::Failed)?;
        Ok(match done.status.success() {
            true => Ok(after.since(&before)),
            false => Err(format!("{}: {}", done.status, last_words(&done.stderr))),
        })
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

    /// Whether there is as much time for taking windows again.
    pub fn affords(&self, time: Duration) -> bool {
        time <= self.left
    }

    /// Notes that one was taken again, in this time.
    pub fn retook(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
        self.seen.retaken += 1;
    }

    /// Notes that a window stands, disturbed or not.
    pub fn settle(&mut self, disturbed: bool) {
        self.seen.windows += 1;
        self.seen.kept += u32::from(disturbed);
    }
}

impl Work {
    /// A program that does it.
    fn command(self, length: Duration) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("this program")?);
        command
            .args(["known-work", self.name()])
            .arg(length.as_millis().to_string());
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retaking_ends_with_a_tenth_of_the_budget() {
        let mut watch = Watch::new(Duration::from_secs(60), LIMIT);
        assert!(watch.affords(Duration::from_secs(6)));
        assert!(!watch.affords(Duration::from_secs(7)));
        watch.retook(Duration::from_secs(4));
        assert!(watch.affords(Duration::from_secs(2)) && !watch.affords(Duration::from_secs(3)));
        watch.settle(true);
        watch.settle(false);
        let Neighbours {
            windows,
            retaken,
            kept,
            ..
        } = watch.seen;
        assert_eq!((windows, retaken, kept), (2, 1, 1));
    }

    #[test]
    fn words_say_what_is_known_and_what_is_not() {
        let seen = Neighbours {
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
        let untried = Neighbours {
            error: None,
            ..seen.clone()
        };
        assert!(untried.words().contains("not measured"));
        let unknown = Neighbours {
            unknown: Some("cannot read /proc/stat".to_owned()),
            ..seen
        };
        assert_eq!(unknown.words(), "unknown, because cannot read /proc/stat");
    }
}
