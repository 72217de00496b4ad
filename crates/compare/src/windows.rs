//! Windows: rounds that follow each other and are checked together for what others
//! used of the machine meanwhile.
//!
//! A window is closed at the first end of a round after [`WINDOW`]; the last one of
//! a comparison waits until so much time is over. Nothing is read while a round is
//! under way.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use lab::background_load::{LoadMonitor, WINDOW};
use lab::cpu_time::Reading;

use crate::experiment::Experiment;
use crate::series::Checkpoint;

/// CaseRounds that are judged together.
#[derive(Debug)]
pub(crate) struct Window {
    /// What had been used before it; nothing where that cannot be known.
    pub(crate) opened: Option<Reading>,
    /// The rounds, by the place of their job among the experiments.
    pub(crate) rounds: BTreeMap<usize, CaseRounds>,
}

/// The rounds of one job in a window.
#[derive(Debug)]
pub(crate) struct CaseRounds {
    /// How much of each series had been measured before the first.
    pub(crate) before: Vec<Checkpoint>,
    pub(crate) numbers: Vec<u32>,
}

impl Window {
    /// Begins with the round that is next.
    pub(crate) fn open(monitor: &mut LoadMonitor) -> Self {
        Self {
            opened: monitor.open(),
            rounds: BTreeMap::new(),
        }
    }

    /// The next round is one of this job.
    pub(crate) fn add(&mut self, job: usize, experiment: &Experiment, number: u32) {
        let rounds = self.rounds.entry(job).or_insert_with(|| CaseRounds {
            before: experiment.checkpoints(),
            numbers: Vec::new(),
        });
        rounds.numbers.push(number);
    }

    /// Whether it has lasted as long as a window has to.
    pub(crate) fn is_full(&self) -> bool {
        self.length() >= WINDOW
    }

    /// Waits until it is, if there is anything in it.
    pub(crate) fn fill(&self) {
        if !self.rounds.is_empty() && self.opened.is_some() {
            thread::sleep(WINDOW.saturating_sub(self.length()));
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.opened
            .map_or(Duration::ZERO, |opened| opened.elapsed())
    }

    pub(crate) fn disturbed(&self, monitor: &mut LoadMonitor) -> bool {
        self.opened.is_some_and(|opened| monitor.disturbed(&opened))
    }
}
