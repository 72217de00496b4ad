//! A group's rounds, in windows: one or more whole rounds that are judged together
//! by what others used of the machine meanwhile, and taken again if that was much.
//!
//! A window is closed at the first end of a round after [`WINDOW`]. What is left at
//! the end of a group is too short to be judged alone, and counts as the end of the
//! window before it; a group that is shorter altogether is one short window. Nothing
//! is read while a round is under way.

use std::time::Duration;

use crate::budget::Allowance;
use crate::lab::{Interrupted, Lab};
use crate::measure::{Contest, Mark};
use crate::neighbours::{WINDOW, Watch};
use crate::plan::Mode;
use crate::used::Reading;

impl Contest<'_> {
    /// Does rounds as far as `allowance` goes, calling `doing` with the model and
    /// the round before each step. Gives the number of rounds done. Those of a
    /// disturbed window are taken again as long as `watch` and `allowance` have time
    /// for that, and kept and counted otherwise.
    ///
    /// # Errors
    ///
    /// When interrupted: what was measured until then stays.
    pub fn measure(
        &mut self,
        lab: &Lab,
        mode: &Mode,
        watch: &mut Watch,
        random: &mut fastrand::Rng,
        allowance: &mut Allowance,
        mut doing: impl FnMut(&str, u32),
    ) -> Result<u32, Interrupted> {
        let planned = self.rounds.number;
        let mut round =
            |contest: &mut Self, number| contest.round(lab, mode, random, number, &mut doing);
        // Whatever was planned: if all is faster than that, there is time for more.
        let next = |allowance: &mut Allowance, done| {
            done < mode.most_rounds && allowance.next_round(done < planned)
        };
        let (mut done, mut last) = (0, None::<Window>);
        let mut more = next(allowance, done);
        while more {
            let mut window = Window::open(self, watch, done);
            while more && (done == window.first || !window.is_full()) {
                round(self, done)?;
                done += 1;
                more = next(allowance, done);
            }
            if let Some(last) = last.take_if(|_| !window.is_full()) {
                window = last.reopen(watch);
            }
            while window.judge(self, watch, done)
                && watch.affords(window.length())
                && allowance.fits(done - window.first, planned.saturating_sub(done))
            {
                window.take_again(self, watch, done, |contest, number| {
                    // It fits; this is for the time that it takes to be known.
                    allowance.next_round(true);
                    round(contest, number)
                })?;
                more = next(allowance, done);
            }
            last = Some(window.close(watch));
        }
        Ok(done)
    }
}

/// Rounds that are judged together.
#[derive(Debug)]
struct Window {
    /// What had been used before it; nothing where that cannot be known, or nothing
    /// is measured.
    opened: Option<Reading>,
    /// How much of each entry had been measured before it.
    before: Vec<Mark>,
    /// Its first round.
    first: u32,
    /// How many of its rounds count as disturbed.
    disturbed: u32,
}

impl Window {
    /// Begins with the round that is next when so many are done.
    fn open(contest: &Contest, watch: &mut Watch, done: u32) -> Self {
        // Of programs in trouble nothing is measured that could be disturbed.
        let measured = contest.entries.iter().any(|entry| entry.pace().is_some());
        Self {
            before: contest.marks(),
            opened: measured.then(|| watch.open()).flatten(),
            first: done,
            disturbed: 0,
        }
    }

    fn length(&self) -> Duration {
        self.opened
            .map_or(Duration::ZERO, |opened| opened.elapsed())
    }

    /// Whether it has lasted as long as a window has to.
    fn is_full(&self) -> bool {
        self.opened.is_none() || self.length() >= WINDOW
    }

    /// Whether it is disturbed. If so, its rounds count as that, up to the last one
    /// that is `done`, until they are taken again.
    fn judge(&mut self, contest: &mut Contest, watch: &mut Watch, done: u32) -> bool {
        let disturbed = self.opened.is_some_and(|opened| watch.disturbed(&opened));
        contest.disturbed -= self.disturbed;
        self.disturbed = if disturbed { done - self.first } else { 0 };
        contest.disturbed += self.disturbed;
        disturbed
    }

    /// Does its rounds again, and drops what had come of them when that is done: so
    /// an interruption loses nothing.
    fn take_again<'a>(
        &mut self,
        contest: &mut Contest<'a>,
        watch: &mut Watch,
        done: u32,
        mut round: impl FnMut(&mut Contest<'a>, u32) -> Result<(), Interrupted>,
    ) -> Result<(), Interrupted> {
        let old = contest.marks();
        self.opened = watch.open();
        for number in self.first..done {
            round(contest, number)?;
        }
        contest.forget(&self.before, &old);
        watch.retook(self.length());
        Ok(())
    }

    /// It stands as it is.
    fn close(self, watch: &mut Watch) -> Self {
        if self.opened.is_some() {
            watch.settle(self.disturbed > 0);
        }
        self
    }

    /// It goes on with the rounds after it.
    fn reopen(self, watch: &mut Watch) -> Self {
        if self.opened.is_some() {
            watch.reopen(self.disturbed > 0);
        }
        self
    }
}
