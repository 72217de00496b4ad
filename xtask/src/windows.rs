//! Windows: rounds that follow each other and are judged together, by what others
//! used of the machine meanwhile, and taken again if that was much.
//!
//! A window is closed at the first end of a round after [`WINDOW`]; the last one of
//! a comparison waits until so much time is over. Nothing is read while a round is
//! under way.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::lab::Interrupted;
use crate::measure::{Contest, Mark};
use crate::neighbours::{WINDOW, Watch};
use crate::session::Session;
use crate::used::Reading;

/// Rounds that are judged together.
#[derive(Debug)]
pub(crate) struct Window {
    /// What had been used before it; nothing where that cannot be known.
    opened: Option<Reading>,
    /// The rounds, by their groups.
    rounds: BTreeMap<usize, Rounds>,
}

/// A group's rounds in a window.
#[derive(Debug)]
struct Rounds {
    /// How much of each entry had been measured before the first.
    before: Vec<Mark>,
    numbers: Vec<u32>,
}

impl Window {
    /// Begins with the round that is next.
    pub fn open(watch: &mut Watch) -> Self {
        Self {
            opened: watch.open(),
            rounds: BTreeMap::new(),
        }
    }

    /// The round that is next is this group's.
    pub fn add(&mut self, group: usize, contest: &Contest, number: u32) {
        let rounds = self.rounds.entry(group).or_insert_with(|| Rounds {
            before: contest.marks(),
            numbers: Vec::new(),
        });
        rounds.numbers.push(number);
    }

    /// Whether it has lasted as long as a window has to.
    pub fn is_full(&self) -> bool {
        self.length() >= WINDOW
    }

    /// Waits until it is, if there is anything in it.
    pub fn fill(&self) {
        if !self.rounds.is_empty() && self.opened.is_some() {
            thread::sleep(WINDOW.saturating_sub(self.length()));
        }
    }

    fn length(&self) -> Duration {
        self.opened
            .map_or(Duration::ZERO, |opened| opened.elapsed())
    }

    fn disturbed(&self, watch: &mut Watch) -> bool {
        self.opened.is_some_and(|opened| watch.disturbed(&opened))
    }
}

impl Session {
    /// Closes a window. If others disturbed it, its rounds are taken again as long
    /// as there is time for that, and kept and counted otherwise.
    pub(crate) fn settle(
        &mut self,
        mut window: Window,
        contests: &mut [Contest],
        random: &mut Rng,
        deadline: Instant,
    ) -> Result<(), Interrupted> {
        if window.opened.is_none() || window.rounds.is_empty() {
            return Ok(());
        }
        let mut disturbed = window.disturbed(&mut self.watch);
        while disturbed {
            let length = window.length();
            if !self.watch.affords(length) || Instant::now() + length > deadline {
                for (&group, rounds) in &window.rounds {
                    contests[group].disturbed += rounds.numbers.len() as u32;
                }
                break;
            }
            window.opened = self.watch.open();
            for (&group, rounds) in &window.rounds {
                let contest = &mut contests[group];
                let old = contest.marks();
                for &number in &rounds.numbers {
                    self.turn(contest, number, random)?;
                }
                // Only now: an interruption loses nothing.
                contest.forget(&rounds.before, &old);
            }
            self.watch.retook(window.length());
            disturbed = window.disturbed(&mut self.watch);
        }
        self.watch.settle(disturbed);
        Ok(())
    }
}
